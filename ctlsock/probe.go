package ctlsock

import (
	"context"
	"syscall"
	"time"
)

// retryEvery is the interval at which a socket that failed is tried again.
const retryEvery = time.Second

// A probe checks repeatedly, in its own goroutine, whether a server that failed
// answers again. A Client has at most one.
type probe struct {
	cancel context.CancelFunc
	found  chan *conn // receives a connection that works, and is closed
}

// startProbe starts a probe that repeats q, the question that got no answer. A
// simpler question may get an answer even if the file system hangs, and then the
// next name would wait for the whole timeout again.
func startProbe(dial func() (*conn, error), timeout, every time.Duration, q question) *probe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{cancel: cancel, found: make(chan *conn, 1)}
	go func() {
		defer close(p.found)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
			if cn, err := tryOnce(ctx, dial, timeout, q); err == nil {
				p.found <- cn
				return
			}
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
	stop := context.AfterFunc(ctx, func() { syscall.Shutdown(cn.fd, syscall.SHUT_RDWR) }) // ends a read
	if err = cn.send(q); err == nil {
		_, err = cn.receive(q, timeout, time.Now().Add(timeout))
	}
	if !stop() && err == nil {
		err = ctx.Err() // the probe is being closed
	}
	if err != nil {
		cn.Close()
		return nil, err
	}
	return cn, nil
}

// close ends the probe and waits for its goroutine.
func (p *probe) close() {
	p.cancel()
	if cn, ok := <-p.found; ok {
		cn.Close()
	}
}
