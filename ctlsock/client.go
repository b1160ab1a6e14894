// Package ctlsock asks a running gocryptfs for names over its control socket:
// names in, names out. It knows nothing of text.
//
// Whatever the socket does, a question is answered or given up within the
// timeout, an answer that cannot be right is not passed on, and memory is
// bounded. After a question times out or cannot be asked at all, no other
// question waits: all are given up at once until a probe in the background
// gets an answer from gocryptfs again.
package ctlsock

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// DefaultTimeout is the timeout of gocryptfs's own client. It was 1 s at first,
	// which proved too short on network file systems (gocryptfs ctlsock.ctlsockTimeout).
	DefaultTimeout = 10 * time.Second

	// window is the number of questions asked together. At most two windows are
	// under way: gocryptfs works on one while the answers to the other are used. With
	// windows of 16 or 64, a replay of 100,000 names takes a twentieth longer (2 cores).
	window = 32

	// grace is the wait for the answer to each other question after the timeout: it may
	// have arrived in time without having been read.
	grace = 10 * time.Millisecond

	// The cache holds at most cacheEntries answers of at most cacheBytes each
	// (both paths together): 2 MiB if all are that long.
	cacheEntries = 2048
	cacheBytes   = 1024
)

// A Client decrypts paths. Only one goroutine may use it. Each question under way
// has its own connection; connections are reused.
type Client struct {
	path    string
	timeout time.Duration
	retry   time.Duration
	warn    func(what, hint string)
	warned  map[string]bool

	dial    func(path string, timeout time.Duration) (*conn, error) // dial, except in tests
	cache   *lru.LRU[string, answer]
	idle    []*conn         // most recently used last
	pending []pending       // oldest first
	waiting map[string]bool // the paths of pending
	asked   int             // number of pending that have been asked; the rest is being collected
	most    int             // the most connections there may be
	probe   *probe          // nil while the server answers
	stats   Stats
}

// A pending question has been prepared, and its answer has not been taken yet.
type pending struct {
	question
	cn     *conn // nil before it is asked and after the answer is received
	answer answer
	ok     bool // answer is set
}

// Stats reports how the questions so far were answered.
type Stats struct {
	Hits int           // answered from the cache
	Wait time.Duration // spent waiting for answers
}

// New returns a Client for the control socket at path. It does not connect yet.
// A question waits at most for timeout. warn is called once for each different
// problem, with what is wrong and what to do about it.
func New(path string, timeout time.Duration, warn func(what, hint string)) *Client {
	cache, err := lru.NewLRU[string, answer](cacheEntries, nil)
	if err != nil {
		panic(err) // only if the size is below one
	}
	return &Client{path: path, timeout: timeout, retry: retryEvery, warn: warn,
		warned: map[string]bool{}, dial: dial, cache: cache, waiting: map[string]bool{}, most: 2*window + 1}
}

// Connect makes a first connection. A failure is reported at once, and Connect
// keeps trying in the background. It reports whether it has connected.
func (c *Client) Connect() (ok bool) {
	cn, err := c.get()
	if err != nil {
		nothing, _ := newQuestion("") // gocryptfs replies that the input is empty
		c.fail(err, nothing)
		return false
	}
	c.put(cn)
	return true
}

// Close ends the probe and closes all connections.
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

// Decrypt returns the plain path of a cipher path. The cipher path must be relative
// to the root of the encrypted view and in canonical form. ok is false if it does
// not decrypt or gocryptfs could not be asked. The plain path has as many
// components as the cipher path, each of at most 255 bytes and none of them empty,
// `.` or `..`. It may hold any other bytes, with U+FFFD in place of each byte that
// is not valid UTF-8.
//
// Answers are cached, including failures. A plain path also gives the answers for
// the parents of the cipher path.
func (c *Client) Decrypt(cipher string) (plain string, ok bool) {
	if i := c.find(cipher); i >= 0 {
		if a, ok := c.take(i); ok {
			return a.plain, a.ok
		} // a pending question that failed is asked once more, alone
	} else if a, known := c.cache.Get(cipher); known {
		c.stats.Hits++
		return a.plain, a.ok
	}
	q, ok := newQuestion(cipher)
	if !ok || c.isDown() {
		return "", false
	}
	a, err := c.ask(q)
	if err != nil {
		c.fail(err, q)
		return "", false
	}
	c.learn(cipher, a)
	return a.plain, a.ok
}

// Prepare asks for a cipher path that Decrypt is going to be called with, and does
// not wait for the answer. It returns false if too many answers have not been taken
// yet: then it has to be called again later. Decrypt should be called in the same
// order, because it also takes all answers before its own.
//
// A prepared name takes a third of the time of a name that is asked for alone
// (BenchmarkPrepare and BenchmarkDecrypt, 2 cores).
func (c *Client) Prepare(cipher string) bool {
	if len(c.pending) >= 2*window {
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
	if len(c.pending)-c.asked >= window {
		c.askPending()
	}
	return true
}

// askPending sends all questions that have been collected. Sending each one as it
// comes would wake up gocryptfs every time.
func (c *Client) askPending() {
	for ; c.asked < len(c.pending); c.asked++ {
		cn, err := c.get()
		if err != nil {
			continue // Decrypt will report it
		}
		p := &c.pending[c.asked]
		if err := cn.send(p.question); err != nil {
			cn.Close() // it may have been idle for too long
			continue
		}
		p.cn = cn
	}
}

// find returns the index of cipher in the pending questions, or -1.
func (c *Client) find(cipher string) int {
	if len(c.pending) > 0 && c.pending[0].path == cipher {
		return 0 // nearly always
	}
	if !c.waiting[cipher] {
		return -1
	}
	return slices.IndexFunc(c.pending, func(p pending) bool { return p.path == cipher })
}

// take removes the pending questions up to index last, and returns the answer to
// that one, if there is one.
//
// If it has to wait, it waits for the last answer of a window and then for the first
// one. The others have arrived by then: gocryptfs answers questions that arrive together
// last first, and later ones in order. Waiting for each one would make a replay of
// 100,000 names half as long again.
func (c *Client) take(last int) (answer, bool) {
	if last >= c.asked {
		c.askPending()
	}
	n, start := last, time.Now()
	if c.pending[last].cn != nil {
		defer c.waited(start)
		n = max(last, min(window, c.asked)-1)
		c.receive(&c.pending[n], start)
	}
	for i := range n {
		c.receive(&c.pending[i], start)
	}
	p := c.pending[last]
	for i := range last + 1 {
		delete(c.waiting, c.pending[i].path)
	}
	c.pending = c.pending[last+1:]
	c.asked -= last + 1
	return p.answer, p.ok
}

// receive waits for the answer to a pending question, if it has been asked: until the
// timeout after start, and at least for grace.
func (c *Client) receive(p *pending, start time.Time) {
	cn := p.cn
	if cn == nil {
		return
	}
	p.cn = nil
	wait := c.timeout
	if spent := time.Since(start); c.probe != nil {
		wait = grace
	} else if spent > grace { // else the timeout of the socket need not be set anew
		wait = max(grace, wait-spent)
	}
	a, err := cn.receive(p.question, wait, start.Add(c.timeout))
	if err != nil {
		cn.Close()
		if os.IsTimeout(err) {
			c.fail(err, p.question)
		}
		return
	}
	c.put(cn)
	c.learn(p.path, a)
	p.answer, p.ok = a, true
}

// learn caches an answer, unless it is too long. From a plain path it also learns
// the answers for the parents.
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
			return // and so are the other parents
		}
		// Without a copy, the parent would keep the whole path in memory.
		cipher, a.plain = strings.Clone(cipher[:i]), strings.Clone(a.plain[:j])
	}
}

// ask sends a question over an idle connection or a new one, and waits for the
// answer. The server may have closed an idle connection, after an unmount or
// because it limits them; then the next connection gets the question.
func (c *Client) ask(q question) (answer, error) {
	defer c.waited(time.Now())
	for {
		cn, err := c.get()
		if err != nil {
			return answer{}, err
		}
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

// waited adds the time since start to Stats.Wait.
func (c *Client) waited(start time.Time) { c.stats.Wait += time.Since(start) }

// get returns a connection. If there are too few descriptors for a new one, half of
// the connections under way have to do: the rest is left for files.
func (c *Client) get() (*conn, error) {
	if n := len(c.idle); n > 0 {
		cn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return cn, nil
	}
	if n := c.underWay(); n < c.most {
		cn, err := c.dial(c.path, c.timeout)
		if n == 0 || !errors.Is(err, syscall.EMFILE) {
			return cn, err
		}
		c.report(err)
		c.most = max(1, n/2)
	}
	start := time.Now()
	for i := range c.asked {
		c.receive(&c.pending[i], start)
	}
	return c.get()
}

// underWay returns the number of connections that wait for an answer.
func (c *Client) underWay() (n int) {
	for _, p := range c.pending[:c.asked] {
		if p.cn != nil {
			n++
		}
	}
	return n
}

// put makes a connection idle, or closes it if enough are idle.
func (c *Client) put(cn *conn) {
	if len(c.idle) >= c.most {
		cn.Close()
		return
	}
	cn.idle = true
	c.idle = append(c.idle, cn)
}

// fail reports err. Unless the server hung up or sent a bad reply, nothing else is
// asked until a probe gets an answer to q.
func (c *Client) fail(err error, q question) {
	c.report(err)
	if c.probe == nil && !isHangup(err) && !errors.Is(err, errBadReply) {
		c.probe = startProbe(c.path, c.timeout, c.retry, q)
	}
}

// isDown reports whether a probe is still waiting for the server.
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
