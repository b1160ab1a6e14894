//go:build darwin || freebsd

package tree

import (
	"os"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// An identity tells a directory's mount from others: it is the device number.
type identity struct{ device uint64 }

// identify returns the identity of a directory, zero if it cannot be looked at.
func identify(dir string) identity {
	fi, err := os.Stat(dir)
	if err != nil {
		return identity{}
	}
	return identity{uint64(fi.Sys().(*syscall.Stat_t).Dev)}
}

// mountedBy returns the user who mounted a file system, or -1 if that is not known.
func mountedBy(m *mountinfo.Info) int {
	if m == nil {
		return 0
	}
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return -1
	}
	mounts := make([]unix.Statfs_t, n)
	n, err = unix.Getfsstat(mounts, unix.MNT_NOWAIT)
	for i := n - 1; err == nil && i >= 0; i-- {
		if unix.ByteSliceToString(mounts[i].Mntonname[:]) == m.Mountpoint {
			return int(mounts[i].Owner)
		}
	}
	return -1
}

// livesElsewhere reports false: there are no mount namespaces.
func livesElsewhere(int) bool { return false }
