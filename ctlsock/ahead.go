package ctlsock

import (
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// window is the number of questions asked together. At most two windows are
	// under way: gocryptfs works on one while the answers to the other are used. With
	// windows of 16 or 64, a replay of 100,000 names takes a twentieth longer (2 cores).
	window = 32

	// A server that does not answer for slow is asked half as many questions at a time,
	// down to two. Each answer that comes sooner allows one more, up to two windows.
	slow       = 100 * time.Millisecond
	startWidth = 16
)

// An ahead holds the questions that are asked before their answers are needed.
type ahead struct {
	pool    pool
	cache   cache             // learns each answer
	pending []pending         // oldest first
	waiting map[question]bool // the questions in pending
	sent    int               // number of pending that have been sent; the rest is being collected
	good    question          // the last one that was answered
	load    int               // weight of the questions under way
	width   int               // the load that the server may have
	heard   time.Time         // when the last question was sent or answered
	waited  time.Duration     // time spent waiting for answers
}

// A pending question has been prepared, and its answer has not been taken yet.
type pending struct {
	question
	cn     *conn // while it is under way
	answer answer
	err    error // why there is no answer; errPending until there is one
}

// isFull reports whether two windows of answers have not been taken yet.
func (a *ahead) isFull() bool { return len(a.pending) >= 2*window }

// add collects a question, and sends all that have been collected if they are a window.
// Sending each one as it comes would wake up gocryptfs every time.
func (a *ahead) add(q question) {
	a.pending = append(a.pending, pending{question: q, err: errPending})
	a.waiting[q] = true
	if len(a.pending)-a.sent >= window {
		a.send()
	}
}

// send sends the questions that have been collected, as many as the server may have.
// One that cannot be sent is asked once more when its answer is needed.
func (a *ahead) send() {
	for a.sent < len(a.pending) {
		p := &a.pending[a.sent]
		if a.pool.busy >= 2 && a.load+p.weight() > a.width {
			return
		}
		if !a.pool.isDown(p.question) {
			cn, err := a.pool.get()
			if err == errBusy {
				return
			}
			if err == nil {
				a.begin(p, cn)
			}
		}
		a.sent++
	}
}

// begin sends a question over cn.
func (a *ahead) begin(p *pending, cn *conn) {
	p.cn = cn
	a.load += p.weight()
	a.heard = time.Now()
	if err := cn.send(p.question); err != nil {
		a.end(p, err)
	}
}

// end takes note of what became of a question under way.
func (a *ahead) end(p *pending, err error) {
	if err == nil {
		a.pool.put(p.cn)
	} else {
		a.pool.drop(p.cn)
	}
	p.cn, p.err = nil, err
	a.load -= p.weight()
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
func (a *ahead) takeUpTo(last int) (answer, error) {
	if last >= a.sent || a.pending[last].cn != nil {
		defer a.stopwatch(time.Now())
	}
	for n := -1; n < last; { // more than once if the server may not have all of them together
		if last >= a.sent {
			a.send()
		}
		n = min(last, a.sent-1)
		if a.pending[n].cn != nil {
			a.receive(&a.pending[max(n, min(window, a.sent)-1)])
		}
		for i := range n + 1 {
			a.receive(&a.pending[i])
		}
	}
	p := a.pending[last]
	for i := range last + 1 {
		delete(a.waiting, a.pending[i].question)
	}
	a.pending = a.pending[last+1:]
	a.sent -= last + 1
	return p.answer, p.err
}

// receive waits for the answer to p, if p is under way.
func (a *ahead) receive(p *pending) {
	if p.cn == nil {
		return
	}
	if a.read(p) {
		a.width = min(a.width+1, 2*window)
		return
	}
	a.width = max(2, a.width/2)
	a.await(p)
}

// read reads what has arrived of the answer to p, and waits for that at most for slow.
// It reports whether p is not under way any more.
func (a *ahead) read(p *pending) bool {
	answer, err := p.cn.receive(p.question, slow)
	if err == errPending {
		return false
	}
	a.end(p, err)
	if err == nil {
		a.heard, a.good = time.Now(), p.question
		a.cache.learn(p.question, answer)
		p.answer = answer
	}
	return true
}

// await waits until p is answered, while it takes other answers and sends more questions.
// If nothing is answered for the timeout, it gives up all questions under way.
func (a *ahead) await(p *pending) {
	for p.cn != nil {
		under := []*pending{p}
		for i := range a.pending[:a.sent] {
			if q := &a.pending[i]; q.cn != nil && q != p {
				under = append(under, q)
			}
		}
		fds := make([]unix.PollFd, len(under))
		for i, u := range under {
			fds[i] = unix.PollFd{Fd: int32(u.cn.fd), Events: unix.POLLIN}
		}
		left := max(0, a.pool.timeout-time.Since(a.heard)+time.Millisecond)
		switch n, err := unix.Poll(fds, int(min(left.Milliseconds(), math.MaxInt32))); {
		case err == unix.EINTR:
			continue // as after a stop
		case err == nil && n == 0:
			err = os.ErrDeadlineExceeded
			fallthrough
		case err != nil:
			for _, u := range under {
				a.end(u, err)
			}
			a.pool.fail(err, p.question)
			return
		}
		for i, u := range under {
			if fds[i].Revents != 0 {
				a.read(u)
			}
		}
		a.send()
	}
}

// ask sends a question by itself and waits for the answer. The server may have closed an
// idle connection, after an unmount or because it limits them. So a question that fails is
// asked again, over a new connection. fresh means that it has failed before.
func (a *ahead) ask(q question, fresh bool) (answer, error) {
	defer a.stopwatch(time.Now())
	for {
		if fresh {
			a.pool.dropIdle()
		}
		cn, err := a.connection()
		if err != nil {
			return answer{}, err
		}
		p := pending{question: q}
		a.begin(&p, cn)
		a.receive(&p)
		if fresh || !isFault(p.err) {
			return p.answer, p.err
		}
		fresh = true
	}
}

// stopwatch adds the time since start to that spent waiting.
func (a *ahead) stopwatch(start time.Time) { a.waited += time.Since(start) }

// connection returns a connection. If all are in use, it waits for their answers first.
func (a *ahead) connection() (*conn, error) {
	for {
		cn, err := a.pool.get()
		if err != errBusy {
			return cn, err
		}
		for i := range a.sent {
			a.receive(&a.pending[i])
		}
	}
}

// close closes all connections.
func (a *ahead) close() {
	for _, p := range a.pending {
		if p.cn != nil {
			p.cn.close()
		}
	}
	a.pool.close()
}
