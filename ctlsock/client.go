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
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	wire "github.com/rfjakob/gocryptfs/v2/ctlsock"
)

const (
	// DefaultTimeout is gocryptfs's own: its authors had set 1 s first, which
	// proved too short on network file systems (gocryptfs ctlsock.ctlsockTimeout).
	DefaultTimeout = 10 * time.Second

	// retryEvery is the pause between two looks at a socket that did not work.
	retryEvery = time.Second

	// Window is how many questions Prepare asks at the same time. With 16 a replay of
	// 100,000 names takes up to a tenth longer, with 64 no less time (2 cores).
	Window = 32

	// The cache holds at most cacheEntries answers of at most cacheBytes each
	// (both paths together): 8 MiB if every one is that long.
	cacheEntries = 8192
	cacheBytes   = 1024
)

// Client decrypts and encrypts paths. All methods but Close may be called from
// any number of goroutines; each question under way has a connection of its own,
// and connections are used again.
type Client struct {
	path    string
	timeout time.Duration
	warn    func(*Problem)
	retry   time.Duration

	cache *lru.Cache[string, answer]
	down  atomic.Bool // set while nothing is asked, because it would not work
	hits  atomic.Int64
	wait  atomic.Int64 // nanoseconds

	mu     sync.Mutex
	idle   []*conn // the one used last at the end
	warned map[string]bool

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	probes sync.WaitGroup
}

// An answer is what the server said of a cipher path, or what follows from it.
type answer struct {
	plain string
	ok    bool // false: it does not decrypt
}

// New returns a Client of the control socket at path. It does not connect yet.
// A question waits at most for timeout. warn is called once for each different
// Problem, one call at a time.
func New(path string, timeout time.Duration, warn func(*Problem)) *Client {
	cache, err := lru.New[string, answer](cacheEntries)
	if err != nil {
		panic(err) // only for a size below one
	}
	c := &Client{path: path, timeout: timeout, warn: warn, retry: retryEvery,
		cache: cache, warned: map[string]bool{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// nothing is a question that asks for nothing. gocryptfs answers that the input is
// empty.
var nothing, _ = newQuestion(decryptPath, "")

// Connect makes a first connection. If that fails it is reported at once, and
// tried again in the background.
func (c *Client) Connect() (ok bool) {
	cn, err := dial(c.path, c.timeout)
	if err != nil {
		c.suspend(nothing)
		c.report(err)
		return false
	}
	c.put(cn)
	return true
}

// Close closes the connections and waits for the probe to end. No question may
// be under way or follow.
func (c *Client) Close() {
	c.cancel()
	c.probes.Wait()
	for _, cn := range c.idle {
		cn.Close()
	}
	c.idle = nil
}

// Decrypt returns the plain path of a cipher path, which has to be relative to
// the root of the encrypted view and in canonical form. ok is false if it does
// not decrypt, or if nobody could be asked. The plain path has as many
// components as the cipher path and none of them is empty, `.` or `..`; it may
// hold any other bytes, with U+FFFD where the name is not valid UTF-8.
//
// Answers are remembered, failures among them, and teach those of the parents.
func (c *Client) Decrypt(cipher string) (plain string, ok bool) {
	if a, known := c.cache.Get(cipher); known {
		c.hits.Add(1)
		return a.plain, a.ok
	}
	plain, ok, err := c.ask(decryptPath, cipher)
	if err != nil {
		return "", false
	}
	c.learn(cipher, plain, ok)
	return plain, ok
}

// Prepare asks for ciphers, but for those that are known and what there is beyond
// Window, all at the same time. The function that it returns waits for the answers,
// so that Decrypt has them at hand; if it is not called, they are lost. Asked for so,
// a name takes a third of the time of one that is asked for alone (BenchmarkPrepare
// and BenchmarkDecrypt, 2 cores).
//
// It tells of no problem but a timeout: what gets no answer is asked for again by
// Decrypt.
func (c *Client) Prepare(ciphers []string) (wait func()) {
	start := time.Now()
	sent := c.send(ciphers)
	return func() {
		deadline := start.Add(c.timeout)
		start := time.Now()
		for _, f := range sent {
			c.receive(f, deadline)
		}
		c.wait.Add(int64(time.Since(start)))
	}
}

// A flight is a question that has been asked.
type flight struct {
	question
	cn *conn
}

// send asks for the first of ciphers.
func (c *Client) send(ciphers []string) []flight {
	if c.down.Load() {
		return nil
	}
	sent := make([]flight, 0, Window)
	for _, cipher := range ciphers {
		// What is too long to be remembered would be asked for twice.
		if len(cipher) > cacheBytes/2 || c.cache.Contains(cipher) ||
			slices.ContainsFunc(sent, func(f flight) bool { return f.path == cipher }) {
			continue
		}
		q, ok := newQuestion(decryptPath, cipher)
		if !ok {
			continue
		}
		cn, err := c.get()
		if err != nil {
			break
		}
		if err := cn.send(q); err != nil {
			cn.Close() // it may have lain idle for too long
			continue
		}
		sent = append(sent, flight{q, cn})
		if len(sent) == Window {
			break
		}
	}
	return sent
}

// receive remembers the answer to a question.
func (c *Client) receive(f flight, deadline time.Time) {
	r, err := f.cn.receive(f.question, deadline)
	if err != nil {
		f.cn.Close()
		if isTimeout(err) {
			c.suspend(f.question)
			c.report(err)
		}
		return
	}
	c.put(f.cn)
	plain, ok := name(r)
	c.learn(f.path, plain, ok)
	c.hits.Add(-1) // Decrypt is going to count it
}

// name returns the name that the server has answered with, if it has.
func name(r *wire.ResponseStruct) (plain string, ok bool) {
	if r.ErrNo != 0 || isBadName(r.Result) {
		return "", false
	}
	return r.Result, true
}

// Encrypt returns the cipher path of a plain path, with the conditions of
// Decrypt. The answer is not remembered.
func (c *Client) Encrypt(plain string) (cipher string, ok bool) {
	cipher, ok, err := c.ask(encryptPath, plain)
	return cipher, ok && err == nil
}

// Stats says what the questions so far have cost.
type Stats struct {
	Hits int64         // answered from the cache
	Wait time.Duration // spent waiting for gocryptfs, all connections together
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	return Stats{Hits: c.hits.Load(), Wait: time.Duration(c.wait.Load())}
}

// learn remembers an answer and, if it is a name, those of its parents.
func (c *Client) learn(cipher, plain string, ok bool) {
	if len(cipher)+len(plain) <= cacheBytes {
		c.cache.Add(cipher, answer{plain, ok})
	}
	for ok {
		i, j := strings.LastIndexByte(cipher, '/'), strings.LastIndexByte(plain, '/')
		if i < 0 {
			return
		}
		cipher, plain = cipher[:i], plain[:j]
		if _, known := c.cache.Get(cipher); known || len(cipher)+len(plain) > cacheBytes {
			return // and so are its parents
		}
		// A part of a path would keep all of it in memory.
		c.cache.Add(strings.Clone(cipher), answer{strings.Clone(plain), true})
	}
}

var errDown = errors.New("gocryptfs does not answer")

// ask asks the server. ok is false if it answered that there is no such name; an
// error means that there is no answer.
func (c *Client) ask(what, path string) (got string, ok bool, err error) {
	if c.down.Load() {
		return "", false, errDown
	}
	q, ok := newQuestion(what, path)
	if !ok {
		return "", false, nil
	}
	start := time.Now()
	a, err := c.roundTrip(q)
	c.wait.Add(int64(time.Since(start)))
	if err != nil {
		c.report(err)
		return "", false, err
	}
	got, ok = name(a)
	return got, ok, nil
}

// roundTrip asks over an idle connection or a new one. An idle one may have been
// closed since, by an unmount or a server that limits them: then a new one gets
// the question once more.
func (c *Client) roundTrip(q question) (*wire.ResponseStruct, error) {
	cn, err := c.get()
	if err != nil {
		c.suspend(q)
		return nil, err
	}
	r, err := cn.query(q, c.timeout)
	if cn.idle && isHangup(err) {
		cn.Close()
		if cn, err = dial(c.path, c.timeout); err != nil {
			c.suspend(q)
			return nil, err
		}
		r, err = cn.query(q, c.timeout)
	}
	if err != nil {
		cn.Close()
		if isTimeout(err) {
			c.suspend(q)
		}
		return nil, err
	}
	c.put(cn)
	return r, nil
}

func (c *Client) get() (*conn, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		cn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return cn, nil
	}
	c.mu.Unlock()
	return dial(c.path, c.timeout)
}

func (c *Client) put(cn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cn.idle = true
	c.idle = append(c.idle, cn)
}

// report warns of err, once for each thing there is to say.
func (c *Client) report(err error) {
	p := explain(err, c.path, c.timeout)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.warned[p.Hint] {
		c.warned[p.Hint] = true
		c.warn(p)
	}
}

// suspend stops all questions until a probe has got an answer to q.
func (c *Client) suspend(q question) {
	if c.down.CompareAndSwap(false, true) {
		c.probes.Add(1)
		go c.probe(q)
	}
}

// probe looks now and then whether the server answers again. It repeats the
// question that had no answer: a simpler one may have an answer even where the
// file system hangs, and the next name would wait as long again.
func (c *Client) probe(q question) {
	defer c.probes.Done()
	tick := time.NewTicker(c.retry)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		if cn, err := c.knock(q); err == nil {
			c.put(cn)
			c.down.Store(false)
			return
		}
	}
}

// knock asks over a new connection, and returns it if it has got an answer.
func (c *Client) knock(q question) (*conn, error) {
	cn, err := dial(c.path, c.timeout)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(c.ctx, cn.hangUp)()
	if _, err := cn.query(q, c.timeout); err != nil {
		cn.Close()
		return nil, err
	}
	return cn, nil
}
