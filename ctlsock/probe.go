package ctlsock

import (
	"context"
	"time"
)

// retryEvery is the pause between two looks at a socket that did not work.
const retryEvery = time.Second

// A probe looks now and then, in a goroutine of its own, whether a server that did
// not work answers again. There is at most one.
type probe struct {
	cancel context.CancelFunc
	found  chan *conn // gets a connection that has had an answer, and is closed
}

// startProbe repeats the question that had no answer: a simpler one may have an
// answer even where the file system hangs, and the next name would wait as long
// again.
func startProbe(path string, timeout, every time.Duration, q question) *probe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{cancel: cancel, found: make(chan *conn, 1)}
	go func() {
		defer close(p.found)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if cn, err := knock(ctx, path, timeout, q); err == nil {
				p.found <- cn
				return
			}
		}
	}()
	return p
}

// knock asks over a new connection, and returns it if it has got an answer.
func knock(ctx context.Context, path string, timeout time.Duration, q question) (*conn, error) {
	cn, err := dial(path, timeout)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { cn.hangUp() })
	if err = cn.send(q); err == nil {
		_, err = cn.receive(q, timeout, time.Now().Add(timeout))
	}
	if !stop() && err == nil {
		err = ctx.Err() // it is being closed
	}
	if err != nil {
		cn.Close()
		return nil, err
	}
	return cn, nil
}

// close ends the probe, and returns when it has ended.
func (p *probe) close() {
	p.cancel()
	if cn, ok := <-p.found; ok {
		cn.Close()
	}
}
