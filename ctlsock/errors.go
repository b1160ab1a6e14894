package ctlsock

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Causes of trouble, besides those for which the system has errors.
var (
	ErrEmpty    = errors.New("the path of the control socket is empty")
	ErrStranger = errors.New("is the socket of another user")
	ErrBadReply = errors.New("unexpected replies from gocryptfs")
)

// causes says what each cause means. In a text, words in capitals stand for details.
var causes = map[error]string{
	ErrEmpty:               "ERROR",
	ErrStranger:            "PATH ERROR",
	ErrBadReply:            "ERROR",
	syscall.ENOTSOCK:       "PATH is not a socket",
	fs.ErrNotExist:         "no control socket at PATH",
	syscall.ECONNREFUSED:   "connection refused at PATH",
	fs.ErrPermission:       "no permission to use PATH",
	syscall.EINVAL:         "the path of the control socket is too long (LENGTH bytes)", // of package syscall
	syscall.EAGAIN:         "too many connections wait for gocryptfs at PATH",
	syscall.EMFILE:         "too few file descriptors to connect to gocryptfs: ERROR",
	os.ErrDeadlineExceeded: "gocryptfs did not answer within TIMEOUT",
	io.EOF:                 "gocryptfs closed the connection",
	nil:                    "cannot use PATH: ERROR",
}

// explain returns what an error of the socket at path means, and its cause, nil if that is not
// known. timeout is what was waited for if that is the error.
func explain(err error, path string, timeout time.Duration) (problem string, cause error) {
	fi, statErr := os.Stat(path) // the error of connecting to what is no socket depends on what it is
	switch {
	case path == "":
		err = ErrEmpty
	case statErr == nil && fi.Mode().Type() != fs.ModeSocket:
		err = syscall.ENOTSOCK
	}
	for known := range causes {
		if errors.Is(err, known) {
			cause = known
		}
	}
	details := strings.NewReplacer("PATH", path, "LENGTH", strconv.Itoa(len(path)), "ERROR", err.Error(),
		"TIMEOUT", timeout.String())
	return details.Replace(causes[cause]), cause
}

// isFault reports whether the server had no answer to a question, and said so by closing
// the connection or by nonsense.
func isFault(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, ErrBadReply) }
