package tree

import (
	"cmp"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// here is the directory that paths of the user are relative to.
const here = unix.AT_FDCWD

// inodeMask leaves out the tag that gocryptfs adds to the inode number of a file that is not
// on the device of the root (gocryptfs internal/inomap).
const inodeMask = 1<<48 - 1

// openSteps opens a directory below another one in the same mount, step by step.
func openSteps(dir int, path string, mount mountID) (int, error) {
	for i, name := range strings.Split(path, "/") {
		next, err := open(dir, cmp.Or(name, "."), openFlags)
		if i > 0 {
			unix.Close(dir)
		}
		if err != nil {
			return -1, err
		}
		if at, err := mountAt(next, "."); err != nil || at != mount {
			unix.Close(next)
			return -1, cmp.Or(err, errOtherMount)
		}
		dir = next
	}
	return dir, nil
}

// openToRead opens a directory that is open once more, to be read.
func openToRead(dir int) (*os.File, error) {
	fd, err := open(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	return os.NewFile(uintptr(fd), "."), err
}

func open(in int, name string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(in, name, flags, 0)
		return err
	})
	return fd, err
}

// readlink returns the target of a link.
func readlink(in int, name string) (target string, err error) {
	var b [4096]byte // PATH_MAX
	n := 0
	err = retry(func() error {
		n, err = unix.Readlinkat(in, name, b[:])
		return err
	})
	if n == len(b) {
		err = errors.New("too long")
	}
	return string(b[:max(n, 0)]), err
}

// retry calls f until it is not interrupted by a signal.
func retry(f func() error) (err error) {
	for err = f(); err == unix.EINTR; err = f() {
	}
	return err
}
