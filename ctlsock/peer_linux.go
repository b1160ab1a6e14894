package ctlsock

import "golang.org/x/sys/unix"

// peer returns the user and the process at the other end of a socket. pid is 0 if it is
// in another PID namespace.
func peer(fd int) (uid uint32, pid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return cred.Uid, int(cred.Pid), err
}
