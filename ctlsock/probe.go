package ctlsock

import (
	"context"
	"os"
	"sync/atomic"
	"time"
)

const (
	// retryEvery is the interval at which a socket that failed is tried again.
	retryEvery = time.Second

	// glance is how long a probe waits before it checks that it is still needed.
	glance = 100 * time.Millisecond
)

// A probe checks repeatedly, in its own goroutine, whether a server that failed
// answers again. A Client has at most one.
type probe struct {
	close  context.CancelFunc // ends the probe, and does not wait for that
	found  chan *conn         // receives a connection that works
	latest atomic.Pointer[question]
}

// startProbe starts a probe. In turns it asks q, which got no answer, and the latest
// question that was given up. A simpler question might get an answer even if the file
// system hangs, and then the next name would wait for the whole timeout again. Only q
// might get none although all others do.
func startProbe(dial func() (*conn, error), timeout, every time.Duration, q question) *probe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{close: cancel, found: make(chan *conn)}
	go func() {
		for even := false; ; even = !even {
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
			next := q
			if latest := p.latest.Load(); even && latest != nil {
				next = *latest
			}
			cn, err := tryOnce(ctx, dial, timeout, next)
			if err != nil {
				continue
			}
			select {
			case <-ctx.Done():
				cn.close()
			case p.found <- cn:
			}
			return
		}
	}()
	return p
}

// tryOnce sends q over a new connection, and returns the connection if an answer
// comes within the timeout.
func tryOnce(ctx context.Context, dial func() (*conn, error), timeout time.Duration, q question) (*conn, error) {
	cn, err := dial()
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(timeout)
	if err = cn.send(q); err == nil {
		err = errPending
	}
	for err == errPending && ctx.Err() == nil {
		left := time.Until(deadline)
		if left <= 0 {
			err = os.ErrDeadlineExceeded
			break
		}
		_, err = cn.receive(q, min(left, glance))
	}
	if err != nil {
		cn.close()
		return nil, err
	}
	return cn, nil
}
