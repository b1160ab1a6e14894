package tree

import (
	"sync"
	"sync/atomic"
	"time"
)

// An answer is what a look has found.
type answer struct {
	text    string
	listing *listing
	read    int // directory entries
	err     error
}

// A runner runs one function at a time. It waits for each up to a limit, and starts no other
// one until the last has ended.
type runner struct {
	busy   sync.Mutex          // held while it runs, so for as long as it hangs
	defect atomic.Pointer[any] // why the last one panicked
}

// run returns the answer of f, and panics if f did, or the last one did after its limit.
func (r *runner) run(limit time.Duration, f func() answer) (a answer) {
	if !r.busy.TryLock() {
		return answer{err: errUnproved}
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errUnproved}
		defer func() {
			if defect := recover(); defect != nil {
				r.defect.Store(&defect)
			}
			r.busy.Unlock() // before the answer is sent, as the next look may follow at once
			done <- a
		}()
		a = f()
	}()
	select {
	case a = <-done:
	case <-time.After(limit):
		a.err = errUnproved
	}
	if defect := r.defect.Swap(nil); defect != nil {
		panic(*defect)
	}
	return a
}
