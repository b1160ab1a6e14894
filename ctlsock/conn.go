package ctlsock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// A conn is one connection to the control socket. The protocol allows one question
// at a time.
//
// The socket is blocking instead of a net.Conn. With Go's poller, each answer would
// wake the polling thread as well as the reading one: a live rsync would take 1.66 times
// as long as alone instead of 1.43 (2 cores, medians of 5 in turns).
//
// gocryptfs's own client, ctlsock.CtlSock.Query, is not used. It reads once, into
// 5000 bytes, and drops the JSON error. So it returns a long or split reply as an
// empty name without an error, and the rest of it as the answer to the next
// question.
type conn struct {
	fd  int
	buf []byte // buf[:n] has arrived of a reply
	n   int
}

// slow is how long a read waits.
const slow = 100 * time.Millisecond

// errPending is returned by receive if the answer is not complete.
var errPending = errors.New("no answer yet")

// dial connects to the socket at path. Connecting and each later write take at most
// the timeout.
func dial(path string, timeout time.Duration) (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) // the filter starts no program that could inherit it
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &conn{fd: fd, buf: make([]byte, 1024)}
	if err = c.limit(syscall.SO_RCVTIMEO, slow); err == nil {
		err = syscall.EINTR
	}
	for deadline := time.Now().Add(timeout); err == syscall.EINTR; { // as after a stop
		if err = c.limit(syscall.SO_SNDTIMEO, time.Until(deadline)); err == nil {
			err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		}
	}
	if err != nil {
		c.close()
		return nil, os.NewSyscallError("connect", err)
	}
	return c, nil
}

func (c *conn) close() { syscall.Close(c.fd) }

// limit sets a timeout: option is SO_RCVTIMEO or SO_SNDTIMEO.
func (c *conn) limit(option int, d time.Duration) error {
	t := syscall.NsecToTimeval(max(d, time.Millisecond).Nanoseconds()) // 0 would mean no limit
	return syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &t)
}

// send asks a question, in a single write: the server takes the result of each
// read(2) for a whole request.
func (c *conn) send(q question) error {
	_, err := syscall.Write(c.fd, q.appendRequest(c.buf[:0]))
	return err
}

// receive reads once, and waits for that at most for slow. If the answer to q is complete
// then, it is returned; otherwise the error is errPending, and receive can be called again.
// After another error the connection may be out of step with the server and must be closed.
func (c *conn) receive(q question) (answer, error) {
	if c.n == len(c.buf) {
		if c.n >= maxReply {
			return answer{}, fmt.Errorf("%w: longer than %d bytes", errBadReply, maxReply)
		}
		c.buf = append(c.buf, make([]byte, c.n)...)
	}
	start := c.n
	m, err := syscall.Read(c.fd, c.buf[start:])
	switch {
	case err == syscall.EAGAIN, err == syscall.EINTR:
		return answer{}, errPending
	case err != nil:
		return answer{}, err
	case m == 0:
		return answer{}, io.EOF
	}
	c.n += m
	switch i := bytes.IndexByte(c.buf[start:c.n], '\n'); i {
	case -1:
		return answer{}, errPending
	case m - 1:
		reply := c.buf[:c.n-1]
		c.n = 0
		return q.parse(reply)
	}
	return answer{}, fmt.Errorf("%w: more than one answer", errBadReply) // the rest is none to q
}
