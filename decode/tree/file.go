package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	here      = unix.AT_FDCWD // the directory that paths of the user are relative to
	inodeMask = 1<<48 - 1     // without the tag of gocryptfs for files on another device than the root's (internal/inomap)
)

// A file is what identifies an entry of a directory, and tells its changes.
type file struct {
	mount   uint64 // the mount that it lies in, 0 if that is not known
	inode   uint64
	changed time.Time
}

// mountOf returns the mount that a file lies in. A FUSE server is not asked.
func mountOf(in int, name string) uint64 {
	f, _ := statWith(in, name, noSync)
	return f.mount
}

// stat describes an entry of a directory.
func stat(in int, name string) (file, error) { return statWith(in, name, 0) }

func open(in int, name string, flags int) (fd int, err error) {
	return retry(func() (int, error) { return unix.Openat(in, name, flags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
}

// readlink returns the target of a link.
func readlink(in int, name string) (string, error) {
	var b [4096]byte // PATH_MAX
	n, err := retry(func() (int, error) { return unix.Readlinkat(in, name, b[:]) })
	return string(b[:max(n, 0)]), err
}

// retry calls f until no signal interrupts it.
func retry[A any](f func() (A, error)) (a A, err error) {
	for a, err = f(); err == unix.EINTR; a, err = f() {
	}
	return a, err
}
