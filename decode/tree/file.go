package tree

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// here is the directory that paths of the user are relative to.
const here = unix.AT_FDCWD

// A mountID tells a mount from others. 0 means that it is not known.
type mountID uint64

// A file is what identifies an entry of a directory, and tells its changes. Inode numbers are
// without the tag that gocryptfs adds in the upper 16 bits if the file is not on the device of
// the root (gocryptfs internal/inomap).
type file struct {
	mount   mountID
	inode   uint64
	changed time.Time
}

// inodeMask leaves out that tag.
const inodeMask = 1<<48 - 1

// openToRead opens a directory that is open once more, to be read.
func openToRead(dir int) (*os.File, error) {
	fd, err := open(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	return os.NewFile(uintptr(fd), "."), err
}

func open(in int, name string, flags int) (fd int, err error) {
	return retry(func() (int, error) { return unix.Openat(in, name, flags, 0) })
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
