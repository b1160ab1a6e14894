//go:build darwin || freebsd

package tree

import (
	"cmp"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// openFlags open a directory to go on from there.
const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// A mountID tells a mount from others: it is the device number. 0 means that it is not known.
type mountID uint64

// mountAt returns the number of the mount that a file lies in.
func mountAt(in int, name string) (mountID, error) {
	st, err := fstatat(in, name)
	if err != nil {
		return 0, err
	}
	return mountID(st.Dev) | 1<<63, nil
}

// stat describes an entry of a directory. If mount is not 0 and the entry lies in another one,
// it returns errOtherMount.
func stat(in int, name string, mount mountID) (file, error) {
	if at, err := mountAt(in, name); err != nil || mount != 0 && at != mount {
		return file{}, cmp.Or(err, errOtherMount)
	}
	st, err := fstatat(in, name)
	return file{uint64(st.Ino) & inodeMask, time.Unix(st.Ctim.Unix())}, err
}

func fstatat(in int, name string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(in, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// openBelow opens a directory below another one in the same mount. No link is followed.
func openBelow(dir int, path string, mount mountID) (fd int, err error) {
	return openSteps(dir, path, mount)
}

// readMounts returns an error: the table has neither sources nor owners to rely on.
func readMounts() (mountTable, error) { return nil, errors.New("it is read on Linux only") }

// livesElsewhere reports false: there are no mount namespaces.
func livesElsewhere(int) bool { return false }
