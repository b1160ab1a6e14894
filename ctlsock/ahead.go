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

// An ahead holds the questions that are asked before their answers are needed.
type ahead struct {
	pool    pool
	cache   cache             // learns each answer
	pending []pending         // oldest first
	waiting map[question]bool // the questions in pending
	sent    int               // number of pending that have been sent; the rest is being collected
	waited  time.Duration     // time spent waiting for answers
}

// A pending question has been prepared, and its answer has not been taken yet.
type pending struct {
	question
	cn     *conn // nil before it is sent and after the answer is received
	answer answer
	ok     bool // answer is set
}

// isFull reports whether two windows of answers have not been taken yet.
func (a *ahead) isFull() bool { return len(a.pending) >= 2*window }

// add collects a question, and sends all that have been collected if they are a window.
// Sending each one as it comes would wake up gocryptfs every time.
func (a *ahead) add(q question) {
	a.pending = append(a.pending, pending{question: q})
	a.waiting[q] = true
	if len(a.pending)-a.sent >= window {
		a.send()
	}
}

// send sends all questions that have been collected. One that fails is asked once more
// when its answer is needed.
func (a *ahead) send() {
	for ; a.sent < len(a.pending); a.sent++ {
		cn, err := a.connection()
		if err != nil {
			continue
		}
		p := &a.pending[a.sent]
		if err := cn.send(p.question); err != nil {
			a.pool.drop(cn) // it may have been idle for too long
			continue
		}
		p.cn = cn
	}
}

// find returns the index of q in the pending questions, or -1.
func (a *ahead) find(q question) int {
	if len(a.pending) > 0 && a.pending[0].question == q {
		return 0 // nearly always
	}
	if !a.waiting[q] {
		return -1
	}
	return slices.IndexFunc(a.pending, func(p pending) bool { return p.question == q })
}

// takeUpTo removes the pending questions up to index last, and returns the answer to
// that one, if there is one.
//
// If it has to wait, it waits for the last answer of a window and then for the first
// one. The others have arrived by then: gocryptfs answers questions that arrive together
// last first, and later ones in order. Waiting for each one would make a replay of
// 100,000 names half as long again.
func (a *ahead) takeUpTo(last int) (answer, bool) {
	if last >= a.sent {
		a.send()
	}
	n, start := last, time.Now()
	if a.pending[last].cn != nil {
		defer a.stopwatch(start)
		n = max(last, min(window, a.sent)-1)
		a.receive(&a.pending[n], start)
	}
	for i := range n {
		a.receive(&a.pending[i], start)
	}
	p := a.pending[last]
	for i := range last + 1 {
		delete(a.waiting, a.pending[i].question)
	}
	a.pending = a.pending[last+1:]
	a.sent -= last + 1
	return p.answer, p.ok
}

// receive waits for the answer to a pending question, if it has been sent: until the
// timeout after start, and at least for grace.
func (a *ahead) receive(p *pending, start time.Time) {
	cn := p.cn
	if cn == nil {
		return
	}
	p.cn = nil
	timeout := a.pool.timeout
	if spent := time.Since(start); a.pool.probe != nil {
		timeout = grace
	} else if spent > grace { // else the timeout of the socket need not be set anew
		timeout = max(grace, timeout-spent)
	}
	answer, err := cn.receive(p.question, timeout, start.Add(a.pool.timeout))
	if err != nil {
		a.pool.drop(cn)
		if os.IsTimeout(err) {
			a.pool.fail(err, p.question)
		}
		return
	}
	a.pool.put(cn)
	a.cache.learn(p.question, answer)
	p.answer, p.ok = answer, true
}

// ask sends a question over an idle connection or a new one, and waits for the
// answer. The server may have closed an idle connection, after an unmount or
// because it limits them; then the next connection gets the question.
func (a *ahead) ask(q question) (answer, error) {
	defer a.stopwatch(time.Now())
	for {
		cn, err := a.connection()
		if err != nil {
			return answer{}, err
		}
		var got answer
		if err = cn.send(q); err == nil {
			got, err = cn.receive(q, a.pool.timeout, time.Now().Add(a.pool.timeout))
		}
		if err == nil {
			a.pool.put(cn)
			return got, nil
		}
		a.pool.drop(cn)
		if !cn.idle || !isHangup(err) {
			return answer{}, err
		}
	}
}

// stopwatch adds the time since start to that spent waiting.
func (a *ahead) stopwatch(start time.Time) { a.waited += time.Since(start) }

// connection returns a connection. If all are in use, it waits for their answers first.
func (a *ahead) connection() (*conn, error) {
	cn, err := a.pool.get()
	if err != errBusy {
		return cn, err
	}
	start := time.Now()
	for i := range a.sent {
		a.receive(&a.pending[i], start)
	}
	return a.pool.get()
}

// close closes all connections.
func (a *ahead) close() {
	for _, p := range a.pending {
		if p.cn != nil {
			p.cn.Close()
		}
	}
	a.pool.close()
}
