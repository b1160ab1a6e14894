package ctlsock

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// conn is one connection to the control socket. The protocol allows a single
// question at a time.
//
// The socket is a blocking one, and no net.Conn: each answer would wake the thread
// that waits for Go's poller as well as the one that reads, and a replay of 100,000
// names would take 1.4 times as long (2 cores).
//
// gocryptfs's own client, ctlsock.CtlSock.Query, is not used: it reads once,
// into 5000 bytes, and drops the JSON error, so a long or a split reply comes
// back as an empty name without an error, and the rest of it as the answer to
// the next question.
type conn struct {
	*os.File
	fd   int           // of File, whose Fd would not do after Close
	wait time.Duration // the longest wait of a read
	buf  []byte        // a reply as it arrives
	idle bool          // has lain unused, so the server may have closed it since
}

// dial connects to the socket at path. That, and each write later, takes at most the
// timeout.
func dial(path string, timeout time.Duration) (*conn, error) {
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

// limit sets the longest wait of what option says.
func (c *conn) limit(option int, wait time.Duration) error {
	t := syscall.NsecToTimeval(max(wait, time.Millisecond).Nanoseconds()) // 0 is for ever
	return syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &t)
}

// hangUp has a read that is under way end.
func (c *conn) hangUp() { syscall.Shutdown(c.fd, syscall.SHUT_RDWR) }

// send asks a question. The server takes each read(2) for one request, so it has
// to be one write.
func (c *conn) send(q question) error {
	_, err := c.Write(q.appendRequest(c.buf[:0]))
	return err
}

// receive waits for the answer to q, at most for wait and, once there is a part of it,
// until the deadline. After an error the connection may be out of step with the server
// and must be closed.
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
		if c.wait != wait {
			if err := c.limit(syscall.SO_RCVTIMEO, wait); err != nil {
				return answer{}, err
			}
			c.wait = wait
		}
		m, err := c.Read(c.buf[n:])
		if i := bytes.IndexByte(c.buf[n:n+max(m, 0)], '\n'); i >= 0 {
			if i != m-1 { // whatever follows was not asked for
				return answer{}, fmt.Errorf("%w: more than one answer", errBadReply)
			}
			return q.parse(c.buf[:n+i])
		}
		if n += max(m, 0); err != nil {
			return answer{}, err
		}
	}
}
