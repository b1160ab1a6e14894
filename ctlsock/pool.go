package ctlsock

import (
	"errors"
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
	busy     int                   // connections that get has returned and that are not back
	maxConns int                   // the most connections there may be
	probe    *probe                // nil while the server answers

	trusted atomic.Int64 // a user to be trusted besides root and the own one, or -1
	peer    atomic.Int64 // process at the other end of the last connection, 0 if not known
}

// errBusy is returned by get if as many connections as there may be are in use.
var errBusy = errors.New("all connections are in use")

// get returns a connection, for put or drop. If there are too few descriptors for a new
// one, half of the connections in use have to do: the rest is left for files.
func (p *pool) get() (*conn, error) {
	if n := len(p.idle); n > 0 {
		cn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.busy++
		return cn, nil
	}
	if p.busy >= p.maxConns {
		return nil, errBusy
	}
	cn, err := p.dial()
	if err == nil {
		p.busy++
		return cn, nil
	}
	if p.busy > 0 && errors.Is(err, syscall.EMFILE) {
		p.report(err)
		p.maxConns = max(1, p.busy/2)
		return nil, errBusy
	}
	return nil, err
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
	if err == nil && uid != 0 && int(uid) != os.Geteuid() && int64(uid) != p.trusted.Load() {
		err = strangerError(uid)
	}
	if err != nil {
		cn.close()
		return nil, err
	}
	p.peer.Store(int64(pid))
	return cn, nil
}

// put takes a connection back.
func (p *pool) put(cn *conn) {
	if len(p.idle) >= p.maxConns {
		p.drop(cn)
		return
	}
	p.busy--
	p.idle = append(p.idle, cn)
}

// drop closes a connection that get has returned.
func (p *pool) drop(cn *conn) {
	p.busy--
	cn.close()
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
		p.busy++
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
