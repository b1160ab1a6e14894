package tree

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// openFlags open a directory to go on from there. A FUSE server is not told of that.
const openFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// A mountID tells a mount from others. It is used once, since Linux 6.8; before 5.8 it is a
// device number. 0 means that it is not known.
type mountID uint64

// openBelow opens a directory below another one in the same mount. No link is followed.
func openBelow(dir int, path string, mount mountID) (fd int, err error) {
	how := unix.OpenHow{Flags: openFlags, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV | unix.RESOLVE_BENEATH}
	err = retry(func() error {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	if err == unix.ENOSYS || err == unix.EPERM { // before Linux 5.6, or forbidden
		return openSteps(dir, path, mount)
	}
	return fd, err
}

// mountAt returns the number of the mount that a file lies in. A FUSE server is not asked.
func mountAt(in int, name string) (mountID, error) {
	st, err := statx(in, name, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE)
	if st.Mask&(unix.STATX_MNT_ID|unix.STATX_MNT_ID_UNIQUE) == 0 {
		st.Mnt_id = unix.Mkdev(st.Dev_major, st.Dev_minor)
	}
	return mountID(st.Mnt_id), err
}

// stat describes an entry of a directory. If mount is not 0 and the entry lies in another one,
// it returns errOtherMount without a look at the file.
func stat(in int, name string, mount mountID) (file, error) {
	if mount != 0 {
		if at, err := mountAt(in, name); err != nil || at != mount {
			return file{}, cmp.Or(err, errOtherMount)
		}
	}
	st, err := statx(in, name, 0, unix.STATX_INO|unix.STATX_CTIME)
	return file{st.Ino & inodeMask, time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec))}, err
}

func statx(in int, name string, flags, mask int) (st unix.Statx_t, err error) {
	err = retry(func() error {
		return unix.Statx(in, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|flags, mask, &st)
	})
	return st, err
}

// readMounts returns the mount table.
func readMounts() (mountTable, error) { return mountinfo.GetMounts(nil) }

// livesElsewhere reports whether a process can be seen to live in another mount namespace. One
// without a number lives in another PID namespace.
func livesElsewhere(pid int) bool {
	there, err := os.Readlink(fmt.Sprint("/proc/", pid, "/ns/mnt"))
	self, err2 := os.Readlink("/proc/self/ns/mnt")
	return pid == 0 || err == nil && err2 == nil && self != there
}
