package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

const here = unix.AT_FDCWD // the directory that paths of the user are relative to

// A file is what identifies an entry of a directory, and tells its changes.
type file struct {
	mount   uint64 // the mount that it lies in, 0 if that is not known
	inode   uint64
	changed time.Time
}

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
func retry(f func() (int, error)) (n int, err error) {
	for n, err = f(); err == unix.EINTR; n, err = f() {
	}
	return n, err
}
