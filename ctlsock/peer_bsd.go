//go:build darwin || freebsd

package ctlsock

import "golang.org/x/sys/unix"

// peer returns the user at the other end of a socket. Nothing is known of namespaces.
func peer(fd int) (uid uint32, elsewhere bool, err error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	return cred.Uid, false, err
}
