package ctlsock

import (
	"bytes"
	"fmt"
	"net"
	"time"
)

// conn is one connection to the control socket. The protocol allows a single
// question at a time.
//
// gocryptfs's own client, ctlsock.CtlSock.Query, is not used: it reads once,
// into 5000 bytes, and drops the JSON error, so a long or a split reply comes
// back as an empty name without an error, and the rest of it as the answer to
// the next question.
type conn struct {
	net.Conn
	buf  []byte // a reply as it arrives
	idle bool   // has lain unused, so the server may have closed it since
}

// dial connects to the socket at path, within the timeout.
func dial(path string, timeout time.Duration) (*conn, error) {
	nc, err := net.DialTimeout("unix", path, timeout)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, buf: make([]byte, 1024)}, nil
}

// send asks a question. The server takes each read(2) for one request, so it has
// to be one write.
func (c *conn) send(q question, deadline time.Time) error {
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	_, err := c.Write(q.msg)
	return err
}

// receive waits for the answer to q, until the deadline of send. After an error
// the connection may be out of step with the server and must be closed.
func (c *conn) receive(q question) (answer, error) {
	n := 0
	for {
		if n == len(c.buf) {
			if n >= maxReply {
				return answer{}, fmt.Errorf("%w: longer than %d bytes", errBadReply, maxReply)
			}
			c.buf = append(c.buf, make([]byte, n)...)
		}
		m, err := c.Read(c.buf[n:])
		if i := bytes.IndexByte(c.buf[n:n+m], '\n'); i >= 0 {
			if i != m-1 { // whatever follows was not asked for
				return answer{}, fmt.Errorf("%w: more than one answer", errBadReply)
			}
			return q.parse(c.buf[:n+i])
		}
		if n += m; err != nil {
			return answer{}, err
		}
	}
}
