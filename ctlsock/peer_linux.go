package ctlsock

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// peer returns the user at the other end of a socket, and whether the process is seen to live in
// another mount namespace. One without a number lives in another PID namespace.
func peer(fd int) (uid uint32, elsewhere bool, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	there, err2 := os.Readlink(fmt.Sprint("/proc/", cred.Pid, "/ns/mnt"))
	self, err3 := os.Readlink("/proc/self/ns/mnt")
	return cred.Uid, cred.Pid == 0 || err2 == nil && err3 == nil && there != self, err
}
