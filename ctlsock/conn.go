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
// The socket is a descriptor instead of a net.Conn. With Go's poller, each answer would
// wake the polling thread as well as the reading one: a live rsync would take 1.66 times
// as long as alone instead of 1.43 (2 cores, medians of 5 in turns).
//
// gocryptfs's own client, ctlsock.CtlSock.Query, reads once and drops the JSON error. So it
// returns a long or split reply as an empty name, and the rest as the next answer.
type conn struct {
	fd  int
	buf []byte // buf[:n] has arrived of a reply
	n   int
}

// errPending is returned by receive if the answer is not complete.
var errPending = errors.New("no answer yet")

// dial connects to the socket at path, which takes at most the timeout: the server may first have
// to take up other connections. No signal interrupts it.
func dial(path string, timeout time.Duration) (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) // inherited by nothing: no program is started
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &conn{fd: fd, buf: make([]byte, 1024)}
	syscall.SetNonblock(fd, true) // cannot fail
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err != syscall.EAGAIN || time.Since(start) > timeout {
			break
		}
	}
	if err != nil {
		c.close()
	}
	return c, os.NewSyscallError("connect", err)
}

func (c *conn) close() { syscall.Close(c.fd) }

// send asks a question, in a single write: the server takes the result of each
// read(2) for a whole request. If that fails, the connection has ended, and receive says so.
func (c *conn) send(q question) { syscall.Write(c.fd, q.appendRequest(c.buf[:0])) }

// receive reads once, without waiting. If the answer to q is complete then, it is returned;
// otherwise the error is errPending, and receive can be called again. After another error the
// connection may be out of step with the server and must be closed.
func (c *conn) receive(q question) (answer, error) {
	if c.n == len(c.buf) {
		if c.n >= maxReply {
			return answer{}, fmt.Errorf("%w: longer than %d bytes", ErrBadReply, maxReply)
		}
		c.buf = append(c.buf, make([]byte, c.n)...)
	}
	start := c.n
	m, err := syscall.Read(c.fd, c.buf[start:])
	switch {
	case err == syscall.EAGAIN, err == syscall.EINTR:
		return answer{}, errPending
	case err != nil, m == 0:
		return answer{}, io.EOF // whatever the system calls it
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
	return answer{}, fmt.Errorf("%w: more than one answer", ErrBadReply) // the rest is none to q
}

// A socket makes connections, and keeps those that are idle.
type socket struct {
	path      string
	trusted   uint32 // a user to be trusted besides root and the user of this process
	elsewhere bool   // the last connection led to another namespace
	idle      []*conn
}

// connect returns an idle connection or a new one, unless a user who is not trusted listens
// at the other end. Anybody may have put a socket in the place of a missing one.
func (s *socket) connect(timeout time.Duration) (*conn, error) {
	if n := len(s.idle); n > 0 {
		cn := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return cn, nil
	}
	cn, err := dial(s.path, timeout)
	if err != nil {
		return nil, err
	}
	uid, elsewhere, err := peer(cn.fd)
	if err == nil && uid != 0 && int(uid) != os.Geteuid() && uid != s.trusted {
		err = fmt.Errorf("%w (uid %d)", ErrStranger, uid)
	}
	if err != nil {
		cn.close()
	} else {
		s.elsewhere = elsewhere
	}
	return cn, err
}

// dropIdle closes the idle connections.
func (s *socket) dropIdle() {
	for _, cn := range s.idle {
		cn.close()
	}
	s.idle = s.idle[:0]
}
