// Package ctlsocktest provides a control socket for tests. It answers as a script
// says: right, wrong, late or not at all. Eventually is for the other side.
package ctlsocktest

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/rfjakob/gocryptfs/v2/ctlsock"
)

// A Script serves one connection, which is closed when the script returns. It runs
// in its own goroutine and must return when Read or Write fails, as they do once
// the Server is closed.
type Script func(c *Conn)

// A Server is a control socket. It accepts every connection. Its methods may be
// called from any goroutine.
type Server struct {
	Path string // of the socket

	tb                 testing.TB
	listener           *net.UnixListener
	accepting, scripts sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	asked []string
}

// A Conn is the server's side of one connection.
type Conn struct {
	net.Conn
	*Server
	Encrypting bool   // whether the path that Next returned last is to be encrypted
	buf        []byte // for a request
}

// Limit bounds the time of what should be instant. Reaching it is a failure, so it is
// generous: a loaded machine with the race detector on needs a second or two.
const Limit = 30 * time.Second

// Eventually waits until f reports true.
func Eventually(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	for end := time.Now().Add(Limit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			tb.Fatalf("%s: not within %v\n%s", what, Limit, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// Path returns a path at which a socket may be made until the test ends. It is
// short, because the path of a socket may have at most 107 bytes.
func Path(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "gs")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sock")
}

// Orphan makes a socket at path that nobody listens to. A server that was killed
// leaves such a socket.
func Orphan(path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		l.SetUnlinkOnClose(false)
		err = l.Close()
	}
	return err
}

// Start serves at path until the test ends or Close is called.
func Start(tb testing.TB, path string, script Script) *Server {
	tb.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{Path: path, tb: tb, listener: l}
	tb.Cleanup(s.Close)
	s.accepting.Go(func() {
		for nc, err := l.Accept(); err == nil; nc, err = l.Accept() {
			s.mu.Lock()
			s.conns = append(s.conns, nc)
			s.mu.Unlock()
			s.scripts.Go(func() {
				defer nc.Close()
				script(&Conn{Conn: nc, Server: s, buf: make([]byte, 5000)})
			})
		}
	})
	return s
}

// Close removes the socket, closes all connections and waits for the scripts to
// end. It may be called more than once.
func (s *Server) Close() {
	s.listener.Close()
	s.accepting.Wait()
	for _, nc := range s.conns {
		nc.Close()
	}
	s.scripts.Wait()
}

// Asked returns the paths asked for so far, in order of arrival.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Dials returns the number of connections so far.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Next waits for a request and returns the path asked for, which is empty for an
// empty request. ok is false if the client has hung up or the request is too long:
// like gocryptfs, Next takes each read for one request of less than 5000 bytes.
func (c *Conn) Next() (path string, ok bool) {
	n, err := c.Read(c.buf)
	if err != nil || n == len(c.buf) {
		return "", false
	}
	var q wire.RequestStruct
	if err := json.Unmarshal(c.buf[:n], &q); err != nil {
		c.tb.Errorf("the request %q is not JSON: %v", c.buf[:n], err)
		return "", false
	}
	path, c.Encrypting = q.DecryptPath+q.EncryptPath, q.EncryptPath != ""
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, path)
	return path, true
}

// Say writes text and reports whether it succeeded: the client may have hung up.
func (c *Conn) Say(text string) bool {
	_, err := c.Write([]byte(text))
	return err == nil
}

// Name returns the reply for a path that decrypts to plain, or encrypts to it.
func Name(plain string) string {
	b, _ := json.Marshal(wire.ResponseStruct{Result: plain}) // never fails
	return string(b) + "\n"
}

// NoName is the reply for a path that has no translation.
const NoName = `{"Result":"","ErrNo":2,"ErrText":"no such file or directory","WarnText":""}` + "\n"

// Each returns a script that calls f for every question until it returns false. f may be
// called from several goroutines at once.
func Each(f func(c *Conn, path string) bool) Script {
	return func(c *Conn) {
		for path, ok := c.Next(); ok && f(c, path); path, ok = c.Next() {
		}
	}
}

// Replies returns a script that sends what f returns for a path, and hangs up after a
// reply that is no whole line.
func Replies(f func(path string) string) Script {
	return Each(func(c *Conn, path string) bool {
		reply := f(path)
		return c.Say(reply) && strings.HasSuffix(reply, "\n")
	})
}

// Answer returns a script that answers every question as gocryptfs does. f returns
// the translation of a path, or "" if there is none.
func Answer(f func(path string) string) Script {
	return Replies(func(path string) string {
		if plain := f(path); path != "" && plain != "" {
			return Name(plain)
		}
		return NoName
	})
}

// Silence is a script that never answers.
var Silence = Each(func(*Conn, string) bool { return true })
