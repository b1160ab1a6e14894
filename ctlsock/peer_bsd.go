//go:build darwin || freebsd

package ctlsock

import "golang.org/x/sys/unix"

// peer returns the user at the other end of a socket. The process is not known, so pid is -1.
func peer(fd int) (uid uint32, pid int, err error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	return cred.Uid, -1, err
}
