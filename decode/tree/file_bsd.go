//go:build darwin || freebsd

package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	toPass = unix.O_RDONLY | unix.O_NOFOLLOW
	noSync = 0
)

// statWith describes an entry of a directory. Its mount is the number of the device.
func statWith(in int, name string, flags int) (file, error) {
	st, err := retry(func() (st unix.Stat_t, err error) {
		err = unix.Fstatat(in, name, &st, unix.AT_SYMLINK_NOFOLLOW|flags)
		return st, err
	})
	return file{uint64(st.Dev), uint64(st.Ino) & inodeMask, time.Unix(st.Ctim.Unix())}, err
}

// readMounts returns none: the table has neither sources nor owners to rely on.
func readMounts() mountTable { return nil }
