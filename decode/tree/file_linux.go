package tree

import (
	"fmt"
	"os"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// openFlags open a directory to go on from there. A FUSE server is not told of that.
const openFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openBelow opens a directory below another one in the same mount. No link is followed, or
// before Linux 5.6, and where it is forbidden, no last one.
func openBelow(dir int, path string) (fd int, err error) {
	how := unix.OpenHow{Flags: openFlags, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV | unix.RESOLVE_BENEATH}
	fd, err = retry(func() (int, error) { return unix.Openat2(dir, path, &how) })
	if err == unix.ENOSYS || err == unix.EPERM {
		return open(dir, path, openFlags)
	}
	return fd, err
}

// stat describes an entry of a directory.
func stat(in int, name string) (file, error) { return statx(in, name, 0) }

// mountOf returns the mount that a file lies in. A FUSE server is not asked.
func mountOf(in int, name string) mountID {
	f, _ := statx(in, name, unix.AT_STATX_DONT_SYNC)
	return f.mount
}

// statx describes an entry of a directory. The number of a mount is used once, since Linux 6.8;
// before 5.8 it is that of the device.
func statx(in int, name string, flags int) (file, error) {
	const want = unix.STATX_INO | unix.STATX_CTIME | unix.STATX_MNT_ID_UNIQUE
	st, err := retry(func() (st unix.Statx_t, err error) {
		err = unix.Statx(in, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|flags, want, &st)
		return st, err
	})
	if st.Mask&(unix.STATX_MNT_ID|unix.STATX_MNT_ID_UNIQUE) == 0 {
		st.Mnt_id = unix.Mkdev(st.Dev_major, st.Dev_minor)
	}
	return file{mountID(st.Mnt_id), st.Ino & inodeMask, time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec))}, err
}

func readMounts() (mountTable, error) { return mountinfo.GetMounts(nil) }

// livesElsewhere reports whether a process can be seen to live in another mount namespace. One
// without a number lives in another PID namespace.
func livesElsewhere(pid int) bool {
	there, err := os.Readlink(fmt.Sprint("/proc/", pid, "/ns/mnt"))
	self, err2 := os.Readlink("/proc/self/ns/mnt")
	return pid == 0 || err == nil && err2 == nil && self != there
}
