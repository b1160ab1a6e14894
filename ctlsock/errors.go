package ctlsock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// A Problem says why the control socket gives no names, in words for the user.
type Problem struct {
	What string // "no control socket at /run/x.sock"
	Hint string // what to do about it
	Err  error  // what the system said
}

func (p *Problem) Error() string { return p.What }

// Unwrap returns what the system said.
func (p *Problem) Unwrap() error { return p.Err }

// explain turns an error of dial or query into a Problem.
func explain(err error, path string, timeout time.Duration) *Problem {
	p := &Problem{Err: err}
	switch {
	case isOther(path):
		p.What = fmt.Sprintf("%s is not a socket", path)
		p.Hint = "the operands are CTLSOCK, as given to gocryptfs -ctlsock, and MOUNT, in this order"
	case errors.Is(err, fs.ErrNotExist):
		p.What = fmt.Sprintf("no control socket at %s", path)
		p.Hint = "mount with: gocryptfs -ctlsock " + path + " ...; is it mounted?"
	case errors.Is(err, syscall.ECONNREFUSED):
		p.What = fmt.Sprintf("nobody answers at %s", path)
		p.Hint = "it was left behind by a gocryptfs that is gone: remove it and mount again"
	case errors.Is(err, fs.ErrPermission):
		p.What = fmt.Sprintf("no permission to use %s", path)
		p.Hint = "run as the user who mounted it"
	case errors.Is(err, syscall.EINVAL) && len(path) > 100, errors.Is(err, syscall.ENAMETOOLONG):
		p.What = fmt.Sprintf("the path of the control socket is too long (%d bytes)", len(path))
		p.Hint = "at most 107 bytes on Linux and 103 elsewhere: use a shorter or a relative one"
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		p.What = fmt.Sprintf("gocryptfs did not answer within %v", timeout)
		p.Hint = "is it stopped, or its disk slow? -timeout sets the wait"
	case errors.Is(err, errBadReply):
		p.What = fmt.Sprintf("%s gives answers that make no sense (%v)", path, err)
		p.Hint = "is it the control socket of gocryptfs, and of this mount?"
	case isHangup(err):
		p.What = "gocryptfs closed the connection"
		p.Hint = "has it been unmounted or killed? names come back when it does"
	default:
		p.What = fmt.Sprintf("cannot use %s: %v", path, err)
		p.Hint = "mount with: gocryptfs -ctlsock " + path + " ..."
	}
	return p
}

// isOther reports whether path is there and is not a socket. Connecting to it fails
// in different ways.
func isOther(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().Type() != fs.ModeSocket
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// isHangup reports whether the other side closed the connection.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// badName marks the answers of a `-badname` file system to names that it could
// not decrypt (gocryptfs internal/nametransform, BadnameSuffix).
const badName = " GOCRYPTFS_BAD_NAME"

func isBadName(plain string) bool {
	return strings.HasSuffix(plain, badName) || strings.Contains(plain, badName+"/")
}
