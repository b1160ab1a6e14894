package ctlsock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

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

// The questions there are: the fields of wire.RequestStruct, of which a request
// needs only one.
const (
	decryptPath = "DecryptPath"
	encryptPath = "EncryptPath"
)

// A question asks for the translation of a path.
type question struct {
	path string
	msg  []byte // the request
}

// newQuestion returns the question what for path. It reports false if the path is
// too long to ask for.
func newQuestion(what, path string) (question, bool) {
	msg := make([]byte, 0, len(`{"":""}`)+len(what)+len(path))
	msg = append(append(append(msg, `{"`...), what...), `":`...)
	msg = append(appendJSON(msg, path), '}')
	return question{path, msg}, len(msg) <= maxRequest
}

// conn is one connection to the control socket. The protocol allows a single
// question at a time, so a conn belongs to one goroutine until its answer is in.
//
// Its socket is in blocking mode, and so not one of package net. There a read looks
// first, goes to the runtime's poller, and reads again, and every answer wakes the
// poller, even if nobody waits for it yet.
//
// gocryptfs's own client, ctlsock.CtlSock.Query, is not used: it reads once,
// into 5000 bytes, and drops the JSON error, so a long or a split reply comes
// back as an empty name without an error, and the rest of it as the answer to
// the next question.
type conn struct {
	*os.File
	wait time.Duration // the longest that a read takes
	buf  []byte        // a reply as it arrives
	idle bool          // has lain unused, so the server may have closed it since
}

// dial connects to the socket at path. Neither that nor a write takes longer than
// timeout.
func dial(path string, timeout time.Duration) (*conn, error) {
	syscall.ForkLock.RLock() // no child may have it
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &conn{File: os.NewFile(uintptr(fd), path), buf: make([]byte, 4096)}
	err = c.setTimeout(syscall.SO_SNDTIMEO, timeout)
	if err == nil {
		err = connect(fd, path)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func connect(fd int, path string) error {
	for {
		err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err != syscall.EINTR {
			return os.NewSyscallError("connect", err)
		}
	}
}

func (c *conn) setTimeout(option int, d time.Duration) error {
	tv := syscall.NsecToTimeval(max(d, time.Microsecond).Nanoseconds()) // zero would be for ever
	return os.NewSyscallError("setsockopt", syscall.SetsockoptTimeval(int(c.Fd()), syscall.SOL_SOCKET, option, &tv))
}

// hangUp ends what another goroutine waits for.
func (c *conn) hangUp() {
	if raw, err := c.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	}
}

// query asks one question. After an error the connection may be out of step with
// the server and must be closed.
func (c *conn) query(q question, timeout time.Duration) (*wire.ResponseStruct, error) {
	deadline := time.Now().Add(timeout)
	if err := c.send(q); err != nil {
		return nil, err
	}
	c.spin()
	return c.receive(q, deadline)
}

// spinning is longer than an answer usually takes. To look for it again and again
// keeps a core awake, which may take as long to wake up as gocryptfs to answer: on a
// virtual machine a line by itself is decoded in 0.25 in place of 0.34 ms.
const spinning = 200 * time.Microsecond

// spin waits for an answer, but not longer than spinning.
func (c *conn) spin() {
	if runtime.NumCPU() == 1 {
		return // gocryptfs needs it
	}
	var b [1]byte
	for end := time.Now().Add(spinning); time.Now().Before(end); {
		_, _, err := syscall.Recvfrom(int(c.Fd()), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EAGAIN {
			return // an answer, or an error to be read
		}
	}
}

// send asks a question. The server takes each read(2) for one request, so it has
// to be one write.
func (c *conn) send(q question) error {
	_, err := c.Write(q.msg)
	return err
}

// grace is how long an answer is waited for even after the deadline: it may be
// there already.
const grace = 10 * time.Millisecond

// receive waits for the answer to q.
func (c *conn) receive(q question, deadline time.Time) (*wire.ResponseStruct, error) {
	if last := time.Now().Add(grace); deadline.Before(last) {
		deadline = last
	}
	line, err := c.readLine(deadline)
	if err != nil {
		return nil, err
	}
	r, err := parse(line)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errBadReply, err)
	}
	if r.ErrNo == 0 {
		if err := checkPath(q.path, r.Result); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readLine reads one reply up to its newline, which has to be its last byte:
// whatever follows was not asked for.
func (c *conn) readLine(deadline time.Time) ([]byte, error) {
	n := 0
	for {
		if n == len(c.buf) {
			if n >= maxReply {
				return nil, fmt.Errorf("%w: longer than %d bytes", errBadReply, maxReply)
			}
			c.buf = append(c.buf, make([]byte, n)...)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, os.ErrDeadlineExceeded
		}
		// Most questions are answered at once, and need no other timeout than the one
		// before: to set it each time would be a system call more for each.
		if c.wait > left || c.wait < left-left/8 {
			c.wait = left - left/16
			if err := c.setTimeout(syscall.SO_RCVTIMEO, c.wait); err != nil {
				return nil, err
			}
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

// parse reads a reply. It does without the JSON decoder where a name is the same
// in JSON, as nearly all are: the decoder would take a third of the CPU time of
// the whole filter (TestBench, 100,000 names, 2 cores: 2.6 s with it, 1.8 s
// without).
func parse(line []byte) (*wire.ResponseStruct, error) {
	const start, end = `{"Result":"`, `","ErrNo":0,"ErrText":"","WarnText":""}`
	if name, ok := bytes.CutPrefix(line, []byte(start)); ok {
		if name, ok = bytes.CutSuffix(name, []byte(end)); ok {
			if r := (&wire.ResponseStruct{Result: string(name)}); isVerbatim(r.Result) {
				return r, nil
			}
		}
	}
	r := new(wire.ResponseStruct)
	return r, json.Unmarshal(line, r)
}

// appendJSON appends s as a JSON string.
func appendJSON(dst []byte, s string) []byte {
	if isVerbatim(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // there is none for a string
	}
	return append(dst, quoted...)
}

// isVerbatim reports whether JSON may have s between quotes as it is.
func isVerbatim(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.ValidString(s)
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
