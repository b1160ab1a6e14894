package ctlsock

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A pool holds the connections to a socket.
type pool struct {
	reporter
	retry    time.Duration
	dial     func() (*conn, error) // connect, except in tests
	idle     []*conn               // most recently used last
	maxConns int                   // the most connections there may be
	probe    *probe                // nil while the server answers

	trusted atomic.Uint32       // a user to be trusted besides root and the own one
	peer    atomic.Pointer[int] // process at the other end of the last connection
}

// errBusy is returned by get if as many connections as there may be are in use.
var errBusy = errors.New("all connections are in use")

// get returns a connection besides those in use. If there are too few descriptors for a
// new one, half of those in use have to do: the rest is left for files.
func (p *pool) get(inUse int) (*conn, error) {
	if n := len(p.idle); n > 0 {
		cn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return cn, nil
	}
	if inUse >= p.maxConns {
		return nil, errBusy
	}
	cn, err := p.dial()
	if inUse > 0 && errors.Is(err, syscall.EMFILE) {
		p.report(err)
		p.maxConns = max(1, inUse/2)
		return nil, errBusy
	}
	return cn, err
}

// connect returns a new connection, unless a user who is not trusted listens at the
// other end. Anybody may have put a socket in the place of a missing one. Any goroutine
// may call it.
func (p *pool) connect() (*conn, error) {
	cn, err := dial(p.path, p.timeout)
	if err != nil {
		return nil, err
	}
	uid, pid, err := peer(cn.fd)
	if err == nil && uid != 0 && int(uid) != os.Geteuid() && uid != p.trusted.Load() {
		err = fmt.Errorf("%w (uid %d)", errStranger, uid)
	}
	if err != nil {
		cn.close()
		return nil, err
	}
	p.peer.Store(&pid)
	return cn, nil
}

// put takes a connection for later use.
func (p *pool) put(cn *conn) {
	if len(p.idle) < p.maxConns {
		p.idle = append(p.idle, cn)
	} else {
		cn.close()
	}
}

// dropIdle closes the idle connections.
func (p *pool) dropIdle() {
	for _, cn := range p.idle {
		cn.close()
	}
	p.idle = p.idle[:0]
}

// fail reports err, the fate of q. Nothing else is asked until a probe gets an answer.
func (p *pool) fail(err error, q question) {
	p.report(err)
	if p.probe == nil {
		p.probe = startProbe(p.dial, p.timeout, p.retry, q)
	}
}

// isDown reports whether a probe is still waiting for the server, so that q is given up.
func (p *pool) isDown(q question) bool {
	if p.probe == nil {
		return false
	}
	select {
	case cn := <-p.probe.found:
		p.put(cn)
		p.probe = nil
		return false
	default:
		latest := q // only a copy escapes to the heap
		p.probe.latest.Store(&latest)
		return true
	}
}

// close ends the probe and closes the idle connections.
func (p *pool) close() {
	if p.probe != nil {
		p.probe.close()
	}
	p.dropIdle()
}
