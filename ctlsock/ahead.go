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
	pending []*pending        // not taken yet, oldest first
	waiting map[question]bool // the questions in pending
	sent    int               // number of pending that have been sent; the rest is being collected
}

// isFull reports whether two windows of answers have not been taken yet.
func (a *ahead) isFull() bool { return len(a.pending) >= 2*window }

// add collects a question, and sends all that have been collected if they are a window.
// Sending each one as it comes would wake up gocryptfs every time.
func (a *ahead) add(q question) {
	a.pending = append(a.pending, &pending{question: q, err: errPending})
	a.waiting[q] = true
	if len(a.pending)-a.sent >= window {
		a.send()
	}
}

// send sends the questions that have been collected, as many as the server may have.
func (a *ahead) send() {
	for a.sent < len(a.pending) && a.traffic.begin(a.pending[a.sent]) {
		a.sent++
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
	if last >= a.sent || a.pending[last].cn != nil {
		defer a.traffic.stopwatch(time.Now())
	}
	for n := -1; n < last; { // more than once if the server may not have all of them together
		if last >= a.sent {
			a.send()
		}
		n = min(last, a.sent-1)
		end := n + 1
		if a.pending[n].cn != nil {
			end = max(end, min(window, a.sent))
			a.traffic.receive(a.pending[end-1])
		}
		for _, p := range a.pending[:end] {
			a.traffic.receive(p)
		}
	}
	p := a.pending[last]
	for _, p := range a.pending[:last+1] {
		delete(a.waiting, p.question)
	}
	a.pending = a.pending[last+1:]
	a.sent -= last + 1
	return p.answer, p.err
}
