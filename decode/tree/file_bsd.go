//go:build darwin || freebsd

package tree

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func openBelow(dir int, path string) (int, error) { return open(dir, path, openFlags) }

// stat describes an entry of a directory. Its mount is the number of the device.
func stat(in int, name string) (file, error) {
	st, err := retry(func() (st unix.Stat_t, err error) {
		err = unix.Fstatat(in, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		return st, err
	})
	return file{mountID(st.Dev), uint64(st.Ino) & inodeMask, time.Unix(st.Ctim.Unix())}, err
}

func mountOf(in int, name string) mountID {
	f, _ := stat(in, name)
	return f.mount
}

// readMounts returns an error: the table has neither sources nor owners to rely on.
func readMounts() (mountTable, error) { return nil, errors.New("it is read on Linux only") }

// livesElsewhere reports false: there are no mount namespaces.
func livesElsewhere(int) bool { return false }
