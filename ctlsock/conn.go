package ctlsock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	wire "github.com/rfjakob/gocryptfs/v2/ctlsock"
)

const (
	// maxRequest is the longest request that the server reads. It hangs up on
	// one of 5000 bytes or more (gocryptfs internal/ctlsocksrv, ReadBufSize).
	maxRequest = 4999

	// maxReply bounds a reply. The longest honest one answers a request of
	// maxRequest bytes with a name of as many `&`, which Go's JSON writes in six
	// bytes each, and may repeat it in WarnText.
	maxReply = 64 << 10
)

// A question asks for the translation of a path.
type question struct {
	path string
	msg  []byte // the request
}

// newQuestion reports false if the path is too long to ask for.
func newQuestion(r wire.RequestStruct) (question, bool) {
	msg, err := json.Marshal(r)
	return question{r.DecryptPath + r.EncryptPath, msg}, err == nil && len(msg) <= maxRequest
}

// conn is one connection to the control socket. The protocol allows a single
// question at a time, so a conn belongs to one goroutine until its answer is in.
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

func dial(ctx context.Context, path string, timeout time.Duration) (*conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, buf: make([]byte, 4096)}, nil
}

// query asks one question. After an error the connection may be out of step with
// the server and must be closed.
func (c *conn) query(q question, timeout time.Duration) (*wire.ResponseStruct, error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	// The server takes each read(2) for one request: it has to be one write.
	if _, err := c.Write(q.msg); err != nil {
		return nil, err
	}
	line, err := c.readLine()
	if err != nil {
		return nil, err
	}
	var r wire.ResponseStruct
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("%w: %v", errBadReply, err)
	}
	if r.ErrNo == 0 {
		if err := checkPath(q.path, r.Result); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

// readLine reads one reply up to its newline, which has to be its last byte:
// whatever follows was not asked for.
func (c *conn) readLine() ([]byte, error) {
	n := 0
	for {
		if n == len(c.buf) {
			if n >= maxReply {
				return nil, fmt.Errorf("%w: longer than %d bytes", errBadReply, maxReply)
			}
			c.buf = append(c.buf, make([]byte, n)...)
		}
		m, err := c.Read(c.buf[n:])
		if i := bytes.IndexByte(c.buf[n:n+m], '\n'); i >= 0 {
			if i != m-1 {
				return nil, fmt.Errorf("%w: more than one answer", errBadReply)
			}
			return c.buf[:n+i], nil
		}
		if n += m; err != nil {
			return nil, err
		}
	}
}

var errBadReply = errors.New("unexpected answer")

// checkPath reports whether got can be the translation of asked: as many
// components, and none of them empty or a step to another directory.
func checkPath(asked, got string) error {
	if strings.Count(asked, "/") != strings.Count(got, "/") {
		return fmt.Errorf("%w: another number of path components", errBadReply)
	}
	for name := range strings.SplitSeq(got, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("%w: %q is not a name", errBadReply, name)
		}
	}
	return nil
}
