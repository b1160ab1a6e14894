package ctlsock

import (
	"errors"
	"syscall"
	"time"
)

// get returns a connection. If there are too few descriptors for a new one, half of
// the connections under way have to do: the rest is left for files.
func (c *Client) get() (*conn, error) {
	if n := len(c.idle); n > 0 {
		cn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return cn, nil
	}
	if n := c.underWay(); n < c.most {
		cn, err := c.dial(c.path, c.timeout)
		if n == 0 || !errors.Is(err, syscall.EMFILE) {
			return cn, err
		}
		c.report(err)
		c.most = max(1, n/2)
	}
	start := time.Now()
	for i := range c.asked {
		c.receive(&c.pending[i], start)
	}
	return c.get()
}

// underWay returns the number of connections that wait for an answer.
func (c *Client) underWay() (n int) {
	for _, p := range c.pending[:c.asked] {
		if p.cn != nil {
			n++
		}
	}
	return n
}

// put makes a connection idle, or closes it if enough are idle.
func (c *Client) put(cn *conn) {
	if len(c.idle) >= c.most {
		cn.Close()
		return
	}
	cn.idle = true
	c.idle = append(c.idle, cn)
}

// fail reports err. Unless the server hung up or sent a bad reply, nothing else is
// asked until a probe gets an answer to q.
func (c *Client) fail(err error, q question) {
	c.report(err)
	if c.probe == nil && !isHangup(err) && !errors.Is(err, errBadReply) {
		c.probe = startProbe(c.path, c.timeout, c.retry, q)
	}
}

// isDown reports whether a probe is still waiting for the server.
func (c *Client) isDown() bool {
	if c.probe == nil {
		return false
	}
	select {
	case cn := <-c.probe.found:
		c.put(cn)
		c.probe = nil
		return false
	default:
		return true
	}
}
