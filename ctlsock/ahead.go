package ctlsock

import (
	"slices"
	"time"
)

// window is the number of questions asked together. At most two windows are
// under way: gocryptfs works on one while the answers to the other are used. With
// windows of 16 or 64, a replay of 100,000 names takes a twentieth longer (2 cores).
const window = maxWidth / 2

// An ahead holds the questions that are asked before their answers are needed.
type ahead struct {
	traffic *traffic
	pending []*pending        // not taken yet, oldest first; the newest may be in the queue of traffic
	waiting map[question]bool // the questions in pending
}

// isFull reports whether two windows of answers have not been taken yet.
func (a *ahead) isFull() bool { return len(a.pending) >= 2*window }

// sent returns the number of pending questions that are not in the queue.
func (a *ahead) sent() int { return len(a.pending) - len(a.traffic.queue) }

// add collects a question, and sends all that have been collected if they are a window.
// Sending each one as it comes would wake up gocryptfs every time.
func (a *ahead) add(q question) {
	p := &pending{question: q, err: errPending}
	a.pending = append(a.pending, p)
	a.waiting[q] = true
	a.traffic.queue = append(a.traffic.queue, p)
	if len(a.traffic.queue) >= window {
		a.traffic.sendQueue()
	}
}

// find returns the index of q in the pending questions, or -1. To compare q with all of
// them would make a replay a thirtieth longer.
func (a *ahead) find(q question) int {
	if !a.waiting[q] {
		return -1
	}
	return slices.IndexFunc(a.pending, func(p *pending) bool { return p.question == q })
}

// takeUpTo removes the pending questions up to index last, and returns the answer to
// that one, if there is one.
//
// If it has to wait, it waits for the last answer of a window, and then takes the others.
// They have arrived by then: gocryptfs answers questions that arrive together
// last first, and later ones in order. Waiting for each one would make a replay of
// 100,000 names half as long again.
func (a *ahead) takeUpTo(last int) (answer, error) {
	p, end := a.pending[last], last+1
	if p.err == errPending {
		defer a.traffic.stopwatch(time.Now())
		if last >= a.sent() {
			a.traffic.sendQueue()
		}
		end = max(end, min(window, a.sent()))
		a.traffic.receive(a.pending[end-1])
	}
	for i, p := range a.pending[:end] {
		if i >= a.sent() { // the server may not have all of them together
			a.traffic.sendQueue()
		}
		a.traffic.receive(p)
	}
	for _, p := range a.pending[:last+1] {
		delete(a.waiting, p.question)
	}
	a.pending = a.pending[last+1:]
	return p.answer, p.err
}
