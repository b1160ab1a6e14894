package ctlsock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

var errStranger = errors.New("is the socket of another user")

// explain returns, in words for the user, what an error of the socket at path means and what
// to do about it. timeout is what was waited for if that is the error.
func explain(err error, path string, timeout time.Duration) (what, hint string) {
	fi, statErr := os.Stat(path) // the error of connecting to what is no socket depends on what it is
	switch {
	case errors.Is(err, errStranger):
		return path + " " + err.Error(),
			"it is not asked: run as the user who mounted it, and keep the socket where nobody else can write"
	case path == "":
		return "CTLSOCK is empty", "is a variable of the script not set?"
	case errors.Is(err, syscall.EMFILE):
		return "too few file descriptors to connect to gocryptfs", "ulimit -n sets the limit"
	case statErr == nil && fi.Mode().Type() != fs.ModeSocket:
		return path + " is not a socket", "the operands are CTLSOCK, as given to gocryptfs -ctlsock, and MOUNT, in this order"
	case errors.Is(err, fs.ErrNotExist):
		return "no control socket at " + path, "mount with: gocryptfs -ctlsock " + path + " ...; is it mounted?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused at " + path, "it was left behind by a gocryptfs that is gone: remove it and mount again"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to use " + path, "run as the user who mounted it"
	case errors.Is(err, syscall.EINVAL): // package syscall, on all systems
		return fmt.Sprintf("the path of the control socket is too long (%d bytes)", len(path)),
			"at most 107 bytes on Linux and 103 elsewhere: use a shorter or a relative one"
	case os.IsTimeout(err):
		return fmt.Sprintf("gocryptfs did not answer within %v", timeout),
			"is the plain directory slow, or gocryptfs stopped? -timeout sets how long to wait"
	case errors.Is(err, errBadReply):
		return fmt.Sprintf("%s sent unexpected replies (%v)", path, err),
			"is it the control socket of gocryptfs, and of this mount?"
	case isHangup(err):
		return "gocryptfs closed the connection",
			"has it been unmounted or killed? names come back when it answers again"
	}
	return fmt.Sprintf("cannot use %s: %v", path, err), "mount with: gocryptfs -ctlsock " + path + " ..."
}

// isFault reports whether the server had no answer to a question, and said so by closing
// the connection or by nonsense.
func isFault(err error) bool { return isHangup(err) || errors.Is(err, errBadReply) }

// isHangup reports whether the other side closed the connection.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
