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
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// DefaultTimeout is the timeout of gocryptfs's own client. It was 1 s at first,
// which proved too short on network file systems (gocryptfs ctlsock.ctlsockTimeout).
const DefaultTimeout = 10 * time.Second

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
