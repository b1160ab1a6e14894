package tree

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// An identity tells a directory's mount from others. Device numbers are used again as soon
// as a file system is unmounted. The number of a mount is not, since Linux 6.8; before that,
// the kernel gives one that is used again, too.
type identity struct {
	major, minor uint32
	mount        uint64
}

// identify returns the identity of a directory, zero if it cannot be looked at.
func identify(dir string) identity {
	var st unix.Statx_t
	var err error = unix.EINTR
	for err == unix.EINTR {
		err = unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
	}
	if err != nil {
		return identity{}
	}
	return identity{st.Dev_major, st.Dev_minor, st.Mnt_id}
}

// mountedBy returns the user who mounted a file system. Only those of FUSE are mounted by
// others than root.
func mountedBy(m *mountinfo.Info) int {
	if m == nil {
		return 0
	}
	for option := range strings.SplitSeq(m.VFSOptions, ",") {
		if id, ok := strings.CutPrefix(option, "user_id="); ok {
			if n, err := strconv.Atoi(id); err == nil {
				return n
			}
			return -1
		}
	}
	return 0
}

// livesElsewhere reports whether a process can be seen to live in another mount namespace.
func livesElsewhere(pid int) bool {
	there, err := os.Readlink(fmt.Sprint("/proc/", pid, "/ns/mnt"))
	here, err2 := os.Readlink("/proc/self/ns/mnt")
	return err == nil && err2 == nil && here != there
}
