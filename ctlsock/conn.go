package ctlsock

import (
	"bytes"
	"fmt"
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
	*os.File
	fd      int           // of File; its Fd method does not work after Close
	timeout time.Duration // of reads, as set at the socket
	buf     []byte        // a reply as it arrives
	idle    bool          // has been idle, so the server may have closed it
}

// dial connects to the socket at path. Connecting and each later write take at most
// the timeout.
func dial(path string, timeout time.Duration) (*conn, error) {
	// Without the lock, another goroutine could start a process after Socket and before
	// CloseOnExec, and that process would inherit the socket. macOS has no SOCK_CLOEXEC.
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &conn{File: os.NewFile(uintptr(fd), path), fd: fd, buf: make([]byte, 1024)}
	if err = c.limit(syscall.SO_SNDTIMEO, timeout); err == nil {
		err = syscall.EINTR
		for err == syscall.EINTR {
			err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		}
	}
	if err != nil {
		c.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return c, nil
}

// limit sets a timeout: option is SO_RCVTIMEO or SO_SNDTIMEO.
func (c *conn) limit(option int, d time.Duration) error {
	t := syscall.NsecToTimeval(max(d, time.Millisecond).Nanoseconds()) // 0 would mean no limit
	return syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &t)
}

// send asks a question, in a single write: the server takes the result of each
// read(2) for a whole request.
func (c *conn) send(q question) error {
	_, err := c.Write(q.appendRequest(c.buf[:0]))
	return err
}

// receive waits for the answer to q: at most for wait until it begins to arrive, and
// then until the deadline. After an error the connection may be out of step with the
// server and must be closed.
func (c *conn) receive(q question, wait time.Duration, deadline time.Time) (answer, error) {
	n := 0
	for {
		if n == len(c.buf) {
			if n >= maxReply {
				return answer{}, fmt.Errorf("%w: longer than %d bytes", errBadReply, maxReply)
			}
			c.buf = append(c.buf, make([]byte, n)...)
		}
		if n > 0 {
			if wait = time.Until(deadline); wait <= 0 {
				return answer{}, os.ErrDeadlineExceeded
			}
		}
		if c.timeout != wait {
			if err := c.limit(syscall.SO_RCVTIMEO, wait); err != nil {
				return answer{}, err
			}
			c.timeout = wait
		}
		m, err := c.Read(c.buf[n:])
		if i := bytes.IndexByte(c.buf[n:n+max(m, 0)], '\n'); i >= 0 {
			if i != m-1 { // what follows is no answer to q
				return answer{}, fmt.Errorf("%w: more than one answer", errBadReply)
			}
			return q.parse(c.buf[:n+i])
		}
		if n += max(m, 0); err != nil {
			return answer{}, err
		}
	}
}
