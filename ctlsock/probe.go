package ctlsock

import (
	"context"
	"sync/atomic"
	"time"
)

// retryEvery is the interval at which a socket that failed is tried again.
const retryEvery = time.Second

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
			cn := tryOnce(ctx, dial, timeout, next)
			if cn == nil {
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
// comes within the timeout, otherwise nil.
func tryOnce(ctx context.Context, dial func() (*conn, error), timeout time.Duration, q question) *conn {
	cn, err := dial()
	if err != nil {
		return nil
	}
	if err = cn.send(q); err == nil {
		err = errPending
	}
	for end := time.Now().Add(timeout); err == errPending && ctx.Err() == nil && time.Now().Before(end); {
		_, err = cn.receive(q)
	}
	if err != nil {
		cn.close()
		return nil
	}
	return cn
}
