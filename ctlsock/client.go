// Package ctlsock asks a running gocryptfs for names over its control socket:
// names in, names out. It knows nothing of text.
//
// Whatever the socket does, a question is answered or given up within the
// timeout, an answer that cannot be right is not passed on, and memory is
// bounded. After a question that could not be asked at all, or that timed out,
// no other one waits: all are given up at once until a probe in the background
// finds gocryptfs answering again.
package ctlsock

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// DefaultTimeout is gocryptfs's own: its authors had set 1 s first, which
	// proved too short on network file systems (gocryptfs ctlsock.ctlsockTimeout).
	DefaultTimeout = 10 * time.Second

	// window is how many questions are asked together. Two windows are under way at
	// most: while the answers of one are used, gocryptfs works on the other.
	window = 64

	// grace is how long an answer is waited for even after the deadline of its
	// question: it may be there already, if nobody has asked for it meanwhile.
	grace = 10 * time.Millisecond

	// The cache holds at most cacheEntries answers of at most cacheBytes each
	// (both paths together): 8 MiB if every one is that long.
	cacheEntries = 8192
	cacheBytes   = 1024
)

// Client decrypts paths. It belongs to one goroutine. Each question under way has a
// connection of its own; connections are used again.
type Client struct {
	path    string
	timeout time.Duration
	retry   time.Duration
	warn    func(what, hint string)
	warned  map[string]bool

	dial    func(path string, timeout time.Duration) (*conn, error) // dial, except in tests
	cache   *lru.LRU[string, answer]
	idle    []*conn         // the one used last at the end
	pending []pending       // the oldest first
	waiting map[string]bool // their paths
	asked   int             // as many of them have been asked, the others are collected
	window  int             // as many are asked together
	probe   *probe          // nil while the server answers
	stats   Stats
}

// A pending question is going to be asked with others, or has been, and its answer
// has not been taken.
type pending struct {
	question
	cn       *conn // nil before it is asked, and when the answer has been received
	deadline time.Time
	answer   answer
	ok       bool // there is an answer
}

// Stats says what the questions so far have cost.
type Stats struct {
	Hits  int           // answered from the cache
	Asked int           // asked of gocryptfs
	Wait  time.Duration // spent waiting for answers
}

// New returns a Client of the control socket at path. It does not connect yet.
// A question waits at most for timeout. warn is called, with what is wrong and
// what to do about it, once for each different problem.
func New(path string, timeout time.Duration, warn func(what, hint string)) *Client {
	cache, err := lru.NewLRU[string, answer](cacheEntries, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Client{path: path, timeout: timeout, retry: retryEvery, warn: warn,
		warned: map[string]bool{}, dial: dial, cache: cache, waiting: map[string]bool{}, window: window}
}

// Connect makes a first connection. If that fails it is reported at once, and
// tried again in the background.
func (c *Client) Connect() (ok bool) {
	cn, err := c.get()
	if err != nil {
		nothing, _ := newQuestion("") // gocryptfs answers that the input is empty
		c.fail(err, nothing)
		return false
	}
	c.put(cn)
	return true
}

// Close closes all connections.
func (c *Client) Close() {
	if c.probe != nil {
		c.probe.close()
	}
	for _, p := range c.pending {
		if p.cn != nil {
			p.cn.Close()
		}
	}
	for _, cn := range c.idle {
		cn.Close()
	}
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats { return c.stats }

// Decrypt returns the plain path of a cipher path, which has to be relative to
// the root of the encrypted view and in canonical form. ok is false if it does
// not decrypt, or if nobody could be asked. The plain path has as many
// components as the cipher path, of at most 255 bytes each, and none of them is
// empty, `.` or `..`; it may hold any other bytes, with U+FFFD in place of each
// that is not valid UTF-8.
//
// Answers are remembered, failures among them, and teach those of the parents.
func (c *Client) Decrypt(cipher string) (plain string, ok bool) {
	i := c.find(cipher)
	if i < 0 {
		if a, known := c.cache.Get(cipher); known {
			c.stats.Hits++
			return a.plain, a.ok
		}
	}
	a := c.decrypt(cipher, i)
	return a.plain, a.ok
}

// decrypt asks for a path that is the pending question i, or none if i is -1.
func (c *Client) decrypt(cipher string, i int) answer {
	if i >= 0 {
		if a, ok := c.take(i); ok {
			return a
		} // what fails while others are under way is asked for once more by itself
	}
	q, ok := newQuestion(cipher)
	if !ok || c.isDown() {
		return answer{}
	}
	a, err := c.ask(q)
	if err != nil {
		c.fail(err, q)
		return answer{}
	}
	c.learn(cipher, a)
	return a
}

// Prepare asks for a cipher path that Decrypt is going to be called with, and does
// not wait for the answer. It reports false if it has to be called again later, as
// too many answers have not been taken yet. Decrypt should be called in the same
// order: it takes all the answers before its own.
//
// Names asked for so take a third of the time of those that are asked for one by
// one (BenchmarkPrepare and BenchmarkDecrypt, 2 cores).
func (c *Client) Prepare(cipher string) bool {
	if len(c.pending) >= 2*c.window {
		return false
	}
	if c.waiting[cipher] || c.cache.Contains(cipher) {
		return true
	}
	q, ok := newQuestion(cipher)
	if !ok || c.isDown() {
		return true
	}
	c.pending = append(c.pending, pending{question: q})
	c.waiting[cipher] = true
	if len(c.pending)-c.asked >= c.window {
		c.askPending()
	}
	return true
}

// askPending asks all that has been collected. To ask one by one, as they come,
// would have gocryptfs wake up for each.
func (c *Client) askPending() {
	deadline := time.Now().Add(c.timeout)
	for ; c.asked < len(c.pending); c.asked++ {
		cn, err := c.get()
		if err != nil {
			continue // Decrypt is going to report it
		}
		p := &c.pending[c.asked]
		p.deadline = deadline
		if err := cn.send(p.question); err != nil {
			cn.Close() // it may have lain idle for too long
			continue
		}
		c.stats.Asked++
		p.cn = cn
	}
}

// find returns the place of cipher among the pending questions, or -1.
func (c *Client) find(cipher string) int {
	if !c.waiting[cipher] {
		return -1
	}
	return slices.IndexFunc(c.pending, func(p pending) bool { return p.path == cipher })
}

// take takes the answers up to number last, and returns that one, if there is one.
//
// Where it has to wait, it waits for the last answer of a window first. The others
// are there then: to wait for each of them in turn would take a replay of 100,000
// names half as long again.
func (c *Client) take(last int) (answer, bool) {
	if last >= c.asked {
		c.askPending()
	}
	if c.pending[last].cn != nil {
		defer c.wait(time.Now())
		for i := max(last, min(c.window, c.asked)-1); i >= 0; i-- {
			c.receive(&c.pending[i])
		}
	}
	p := c.pending[last]
	for i := range last + 1 {
		delete(c.waiting, c.pending[i].path)
	}
	c.pending = slices.Delete(c.pending, 0, last+1)
	c.asked -= last + 1
	return p.answer, p.ok
}

// receive waits for the answer to a pending question.
func (c *Client) receive(p *pending) {
	cn := p.cn
	if cn == nil {
		return
	}
	p.cn = nil
	wait := c.timeout
	if c.probe != nil || time.Until(p.deadline) < grace {
		wait = grace
	}
	a, err := cn.receive(p.question, wait, p.deadline)
	if err != nil {
		cn.Close()
		if isTimeout(err) {
			c.fail(err, p.question)
		}
		return
	}
	c.put(cn)
	c.learn(p.path, a)
	p.answer, p.ok = a, true
}

// learn remembers an answer, unless it is too long, and, if it is a name, those of
// its parents.
func (c *Client) learn(cipher string, a answer) {
	for {
		if len(cipher)+len(a.plain) <= cacheBytes {
			c.cache.Add(cipher, a)
		}
		i, j := strings.LastIndexByte(cipher, '/'), strings.LastIndexByte(a.plain, '/')
		if !a.ok || i < 0 {
			return
		}
		if c.cache.Contains(cipher[:i]) {
			return // and so are its parents
		}
		// A part of a path would keep all of it in memory.
		cipher, a.plain = strings.Clone(cipher[:i]), strings.Clone(a.plain[:j])
	}
}

// ask asks over an idle connection or a new one. An idle one may have been closed
// since, by an unmount or a server that limits them: then a new one gets the
// question once more.
func (c *Client) ask(q question) (answer, error) {
	defer c.wait(time.Now())
	for {
		cn, err := c.get()
		if err != nil {
			return answer{}, err
		}
		c.stats.Asked++
		var a answer
		if err = cn.send(q); err == nil {
			a, err = cn.receive(q, c.timeout, time.Now().Add(c.timeout))
		}
		if err == nil {
			c.put(cn)
			return a, nil
		}
		cn.Close()
		if !cn.idle || !isHangup(err) {
			return answer{}, err
		}
	}
}

// wait takes note of how long was waited, since start.
func (c *Client) wait(start time.Time) { c.stats.Wait += time.Since(start) }

// get returns a connection. Where there are too few descriptors for a new one,
// half of what there are has to do.
func (c *Client) get() (*conn, error) {
	if n := len(c.idle); n > 0 {
		cn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return cn, nil
	}
	cn, err := c.dial(c.path, c.timeout)
	if n := c.asked; errors.Is(err, syscall.EMFILE) && n > 0 {
		c.report(err)
		c.window = max(1, n/2)
		for i := range n {
			c.receive(&c.pending[i])
		}
		if len(c.idle) > 0 {
			return c.get()
		}
	}
	return cn, err
}

// put takes back a connection, unless there are too few descriptors for it.
func (c *Client) put(cn *conn) {
	if len(c.idle) >= 2*c.window {
		cn.Close()
		return
	}
	cn.idle = true
	c.idle = append(c.idle, cn)
}

// fail reports err. Unless the server has answered, nothing else is asked before it
// has answered q.
func (c *Client) fail(err error, q question) {
	c.report(err)
	if c.probe == nil && !isHangup(err) && !errors.Is(err, errBadReply) {
		c.probe = startProbe(c.path, c.timeout, c.retry, q)
	}
}

// isDown reports whether to ask would not work.
func (c *Client) isDown() bool {
	if c.probe == nil {
		return false
	}
	select {
	case cn := <-c.probe.found:
		c.put(cn)
		c.probe = nil
		return false
	default:
		return true
	}
}
