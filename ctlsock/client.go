// Package ctlsock asks a running gocryptfs for names over its control socket:
// names in, names out. It knows nothing of text.
//
// Whatever the socket does, a question is answered, or given up when the server has
// answered nothing for the timeout; an answer that cannot be right is not passed on;
// and memory is bounded. A server that answers nothing, cannot be reached or fails on
// every question over a new connection is down. Then no question waits: all are given
// up at once, except that about once a second one of them is tried.
//
// Each file calls only those after it: client.go, window.go, cache.go, conn.go, wire.go,
// errors.go, peer_*.go.
package ctlsock

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

const (
	retryEvery  = time.Second // between two tries while the server is down
	maxTry      = time.Second // without an answer
	tryShare    = 10          // the part of the time that tries may take is one in tryShare
	maxSuspects = 3           // questions in a row without an answer, and
	maxLost     = time.Second // time for all of them, after which the server counts as down
)

// A Client decrypts and encrypts paths. Only one goroutine may use it. Each question under way
// has its own connection; connections are reused.
type Client struct {
	windows windows
	timeout time.Duration
	warn    func(cause error, problem string)
	warned  map[error]bool

	isDown bool
	retry  time.Duration // retryEvery, except in tests
	next   time.Time     // of the next try
	lost   time.Duration // spent on questions that the server had no answer to
	stats  Stats
}

// Stats reports how the questions so far were answered.
type Stats struct {
	Failed int           // not answered: gocryptfs could not be asked, or gave no answer
	Wait   time.Duration // spent waiting for answers
}

// New returns a Client for the control socket at path, without a connection. Questions are
// given up when nothing is answered for timeout. warn is called once for each different cause of
// trouble: an error of this package, or one of the system, or nil if it is not known. If path is
// empty, no question is answered.
func New(path string, timeout time.Duration, warn func(cause error, problem string)) *Client {
	c := &Client{timeout: timeout, warn: warn, warned: map[error]bool{}, retry: retryEvery}
	c.windows = windows{socket: socket{path: path}, cache: newCache(), timeout: timeout,
		width: window, waiting: map[question]*pending{}}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		c.windows.width = int(min(window, files.Cur/6)) // the connections of two windows leave the rest for files
	}
	if path == "" {
		c.isDown, c.next = true, time.Now().Add(math.MaxInt64)
	}
	return c
}

// Trust names a user whose socket may be asked, besides root and the user who runs the
// program, in place of the one named before.
func (c *Client) Trust(uid uint32) { c.windows.socket.trusted = uid }

// Elsewhere reports whether the gocryptfs that the last connection was made to is seen to live in
// another mount or PID namespace. It is false before the first connection, and on systems other
// than Linux.
func (c *Client) Elsewhere() bool { return c.windows.socket.elsewhere }

// Connect makes a first connection and reports whether it could. If not, the server is down.
func (c *Client) Connect() (ok bool) {
	cn, err := c.windows.socket.connect(c.windows.timeout)
	if err != nil {
		c.fail(err, 0)
		return false
	}
	c.windows.socket.idle = append(c.windows.socket.idle, cn)
	return true
}

// Close closes all connections.
func (c *Client) Close() { c.windows.drop() }

// Stats returns the counts so far.
func (c *Client) Stats() Stats { return c.stats }

// Decrypt returns the plain path of a cipher path, which must be relative to the root of
// the encrypted view and canonical. ok is false if it does not decrypt or gocryptfs could
// not be asked. The plain path has as many components, each of at most 255 bytes and none
// of them empty, `.` or `..`, and U+FFFD in place of each byte that is not valid UTF-8.
//
// Answers are cached, failures too. A plain path gives the answers for its parents as well.
func (c *Client) Decrypt(cipher string) (plain string, ok bool) {
	return c.answer(question{path: cipher})
}

// Encrypt returns the cipher path of a plain path. In reverse mode gocryptfs answers for any
// path, in forward mode only if the parents exist. ok is false, too, if the plain path is not
// canonical or not valid UTF-8, which JSON cannot hold. The cipher path meets the conditions
// of Decrypt; whether its components look encrypted is not checked.
func (c *Client) Encrypt(plain string) (cipher string, ok bool) {
	return c.answer(question{path: plain, encrypt: true})
}

// Prepare asks for a cipher path that Decrypt is going to be called with, and does
// not wait for the answer. It returns false if two windows are under way: then it has to be
// called again later. Decrypt should be called in the same order.
func (c *Client) Prepare(cipher string) bool { return c.prepare(question{path: cipher}) }

// PrepareEncrypt is Prepare for Encrypt. Both share the order.
func (c *Client) PrepareEncrypt(plain string) bool {
	return c.prepare(question{path: plain, encrypt: true})
}

func (c *Client) prepare(q question) bool {
	if c.windows.areFull() {
		return false
	}
	if _, known := c.windows.cache.lru.Get(q); known || c.isDown || !q.isAskable() {
		return true
	}
	// Sending each one as it comes would wake up gocryptfs every time.
	if c.windows.collect(q); c.windows.weight >= c.windows.width {
		if err := c.windows.send(); err != nil {
			c.fail(err, 0)
		}
	}
	return true
}

// answer returns the answer to q. ok is false, too, if there is none.
func (c *Client) answer(q question) (path string, ok bool) {
	a, known := c.windows.cache.lru.Get(q)
	if !known && q.isAskable() {
		c.find(q)
		a, _ = c.windows.cache.lru.Get(q)
	}
	return a.path, a.ok
}

// find asks q, unless the server is down. The answer is in the cache then, or there is none.
func (c *Client) find(q question) {
	start := time.Now()
	if c.isDown && start.Before(c.next) {
		c.stats.Failed++
		return
	}
	err := c.windows.ask(q, c.isDown)
	spent := time.Since(start)
	c.stats.Wait += spent
	if err == nil {
		c.isDown, c.windows.timeout = false, c.timeout
		return
	}
	c.stats.Failed++
	c.lost += spent
	c.report(err)
	if c.isDown || !isFault(err) || len(c.windows.suspects) >= maxSuspects || c.lost >= maxLost {
		c.fail(err, spent)
	}
}

// fail reports err, after which the server counts as down. If it did before, spent is the time
// that this try took.
func (c *Client) fail(err error, spent time.Duration) {
	c.report(err)
	pause := c.retry
	if c.isDown {
		pause = max(pause, (tryShare-1)*spent)
	}
	c.isDown, c.lost, c.next = true, 0, time.Now().Add(pause)
	c.windows.timeout = min(maxTry, c.timeout)
	c.windows.drop()
}

// report warns of err, once for each cause.
func (c *Client) report(err error) {
	problem, cause := explain(err, c.windows.socket.path, c.windows.timeout)
	if !c.warned[cause] {
		c.warned[cause] = true
		c.warn(cause, problem)
	}
}
