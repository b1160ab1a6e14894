package ctlsock

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// A Problem is why gocryptfs cannot be asked, as a format of its details.
type Problem string

const (
	Empty      Problem = "the path of the control socket is empty"
	Stranger   Problem = "%v"
	NoSocket   Problem = "%v is not a socket"
	Missing    Problem = "no control socket at %v"
	Refused    Problem = "connection refused at %v"
	Denied     Problem = "no permission to use %v"
	TooLong    Problem = "the path of the control socket is too long (%v bytes)"
	TooFew     Problem = "too few file descriptors to connect to gocryptfs: %v"
	Silent     Problem = "gocryptfs did not answer within %v"
	Unexpected Problem = "unexpected replies from gocryptfs: %v"
	HungUp     Problem = "gocryptfs closed the connection"
	Unusable   Problem = "cannot use %v: %v"
)

var errStranger = errors.New("is the socket of another user")

// explain returns what an error of the socket at path means. timeout is what was waited for if
// that is the error.
func explain(err error, path string, timeout time.Duration) (p Problem, details []any) {
	fi, statErr := os.Stat(path) // the error of connecting to what is no socket depends on what it is
	switch {
	case errors.Is(err, errStranger):
		return Stranger, []any{path + " " + err.Error()}
	case path == "":
		return Empty, nil
	case errors.Is(err, syscall.EMFILE):
		return TooFew, []any{err}
	case statErr == nil && fi.Mode().Type() != fs.ModeSocket:
		return NoSocket, []any{path}
	case errors.Is(err, fs.ErrNotExist):
		return Missing, []any{path}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, []any{path}
	case errors.Is(err, fs.ErrPermission):
		return Denied, []any{path}
	case errors.Is(err, syscall.EINVAL): // package syscall, on all systems
		return TooLong, []any{len(path)}
	case os.IsTimeout(err):
		return Silent, []any{timeout}
	case errors.Is(err, errBadReply):
		return Unexpected, []any{err}
	case isHangup(err):
		return HungUp, nil
	}
	return Unusable, []any{path, err}
}

// isFault reports whether the server had no answer to a question, and said so by closing
// the connection or by nonsense.
func isFault(err error) bool { return isHangup(err) || errors.Is(err, errBadReply) }

// isHangup reports whether the other side closed the connection.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
