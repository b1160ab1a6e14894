package ctlsock

import (
	"os"
	"slices"
	"time"
)

const (
	// window is the number of questions asked together. At most two windows are
	// under way: gocryptfs works on one while the answers to the other are used. With
	// windows of 16 or 64, a replay of 100,000 names takes a twentieth longer (2 cores).
	window = 32

	// grace is the wait for the answer to each other question after the timeout: it may
	// have arrived in time without having been read.
	grace = 10 * time.Millisecond
)

// A pending question has been prepared, and its answer has not been taken yet.
type pending struct {
	question
	cn     *conn // nil before it is asked and after the answer is received
	answer answer
	ok     bool // answer is set
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

// waited adds the time since start to Stats.Wait.
func (c *Client) waited(start time.Time) { c.stats.Wait += time.Since(start) }
