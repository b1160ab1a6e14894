package ctlsock

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// window is the weight of the questions that are asked together. At most two windows are
// under way: gocryptfs works on one while the answers to the other are used. With
// windows of 16 or 64, a replay of 100,000 names takes a twentieth longer (2 cores).
const window = 32

const slow = 100 // milliseconds, after which an answer is late

// windows are the questions under way, each over a connection of its own. The answers go
// into the cache, and nowhere else.
type windows struct {
	socket  socket
	cache   *cache
	timeout time.Duration // without an answer, after which questions are given up

	waiting  map[question]*pending // in the queue or under way
	queue    []*pending            // the next window
	weight   int                   // of the queue
	width    int                   // weight at which the queue is sent
	sent     int                   // windows so far
	under    []*pending            // under way, oldest first
	heard    time.Time             // when questions were sent or one was answered
	suspects []question            // asked twice since the last answer, and not answered
}

// A pending question has been neither answered nor given up.
type pending struct {
	question
	window int   // its number
	cn     *conn // nil in the queue and after the end
	err    error // why there is no answer
}

// areFull reports whether two windows are under way.
func (w *windows) areFull() bool {
	n := len(w.under)
	return n > 0 && w.under[0].window != w.under[n-1].window
}

// collect puts a question into the queue, unless it is waiting already.
func (w *windows) collect(q question) *pending {
	p := w.waiting[q]
	if p == nil {
		p = &pending{question: q}
		w.waiting[q] = p
		w.queue = append(w.queue, p)
		w.weight += q.weight()
	}
	return p
}

// send sends the queue.
func (w *windows) send() (err error) {
	w.sent++
	w.heard = time.Now()
	for _, p := range w.queue {
		if p.cn, err = w.socket.connect(w.timeout); err != nil {
			return err
		}
		p.cn.send(p.question)
		p.window = w.sent
		w.under = append(w.under, p)
	}
	w.queue, w.weight = w.queue[:0], 0
	return nil
}

// ask waits for the answer to q. The server may have closed an idle connection, after an unmount
// or because it limits them. So unless once is set, a question that fails is asked again, over
// a new one.
func (w *windows) ask(q question, once bool) error {
	err := w.wait(w.collect(q))
	if isFault(err) && !once {
		w.socket.dropIdle() // they may share its fate
		err = w.wait(w.collect(q))
	}
	if isFault(err) {
		w.suspects = append(w.suspects, q)
	}
	return err
}

// wait waits until p is answered or has failed. It gives up when nothing has been answered
// for the timeout.
//
// It waits for the last answer of the window, and then takes the others. They have arrived
// by then: gocryptfs answers questions that arrive together last first, and later ones in
// order. Waiting for each one would make a replay of 100,000 names half as long again.
func (w *windows) wait(p *pending) error {
	if p.cn == nil {
		if err := w.send(); err != nil {
			return err
		}
	}
	for p.cn != nil {
		last := p
		for _, other := range w.under {
			if other.window == p.window {
				last = other
			}
		}
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(last.cn.fd), Events: unix.POLLIN}}, slow)
		w.under = slices.DeleteFunc(w.under, func(other *pending) bool {
			if other.window <= p.window || n <= 0 { // all if the last one is late
				w.read(other)
			}
			return other.cn == nil
		})
		if p.cn != nil && time.Since(w.heard) > w.timeout {
			return os.ErrDeadlineExceeded
		}
	}
	return p.err
}

// read reads what has arrived of the answer to p.
func (w *windows) read(p *pending) {
	a, err := p.cn.receive(p.question)
	switch err {
	case errPending:
		return
	case nil:
		w.heard = time.Now()
		w.socket.idle = append(w.socket.idle, p.cn)
		w.cache.learn(p.question, a)
		for _, q := range w.suspects { // the server is not to blame
			w.cache.learn(q, answer{})
		}
		w.suspects = nil
	default:
		p.cn.close()
	}
	p.cn, p.err = nil, err
	delete(w.waiting, p.question)
}

// drop gives up all questions and closes all connections.
func (w *windows) drop() {
	for _, p := range w.under {
		p.cn.close()
	}
	w.socket.dropIdle()
	clear(w.waiting)
	w.queue, w.weight, w.under, w.suspects = nil, 0, nil, nil
}
