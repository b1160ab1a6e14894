package tree

import (
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const (
	toPass = unix.O_PATH | unix.O_NOFOLLOW // opens a directory to look into; its FUSE server is not told
	noSync = unix.AT_STATX_DONT_SYNC       // asks no FUSE server
	fresh  = unix.AT_STATX_FORCE_SYNC      // asks it even if the kernel remembers
)

// stat describes an entry of a directory. The number of a mount is used once, since Linux
// 6.8; before 5.8 it is that of the device.
func stat(in int, name string, flags int) (file, error) {
	const want = unix.STATX_INO | unix.STATX_CTIME | unix.STATX_MNT_ID_UNIQUE
	var st unix.Statx_t
	flags |= unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	_, err := retry(func() (int, error) { return 0, unix.Statx(in, name, flags, want, &st) })
	if st.Mask&(unix.STATX_MNT_ID|unix.STATX_MNT_ID_UNIQUE) == 0 {
		st.Mnt_id = unix.Mkdev(st.Dev_major, st.Dev_minor)
	}
	return file{st.Mnt_id, st.Ino, time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec))}, err
}

func readMounts() mountTable {
	mounts, _ := mountinfo.GetMounts(nil)
	return mounts
}
