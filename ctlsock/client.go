// Package ctlsock asks a running gocryptfs for names over its control socket:
// names in, names out. It knows nothing of text.
//
// Whatever the socket does, a question is answered, or given up when the server has
// answered nothing for the timeout; an answer that cannot be right is not passed on;
// and memory is bounded. A server that answers nothing, cannot be reached or fails on
// every question over a new connection is down. Then no question waits: all are given
// up at once until a probe in the background gets an answer again.
package ctlsock

import "time"

// DefaultTimeout is the timeout of gocryptfs's own client. It was 1 s at first,
// which proved too short on network file systems (gocryptfs ctlsock.ctlsockTimeout).
const DefaultTimeout = 10 * time.Second

// maxLost bounds the time that questions take which the server has no answer to although
// it answers others. Then it counts as down.
const maxLost = time.Second

// A Client decrypts and encrypts paths. Only one goroutine may use it. Each question under way
// has its own connection; connections are reused.
type Client struct {
	pool    *pool
	cache   cache
	traffic *traffic
	ahead   ahead
	stats   Stats
	lost    time.Duration // spent on questions that the server had no answer to
}

// Stats reports how the questions so far were answered.
type Stats struct {
	Hits   int           // answered from the cache
	Failed int           // not answered: gocryptfs could not be asked, or gave no answer
	Wait   time.Duration // spent waiting for answers
}

// New returns a Client for the control socket at path. It does not connect yet.
// Questions are given up when nothing is answered for timeout. warn is called once for
// each different problem, with what is wrong and what to do about it.
func New(path string, timeout time.Duration, warn func(what, hint string)) *Client {
	p := &pool{reporter: reporter{path: path, timeout: timeout, warn: warn, warned: map[string]bool{}},
		retry: retryEvery, maxConns: maxWidth + 1}
	p.dial = p.connect
	t := &traffic{pool: p, cache: newCache(), width: startWidth}
	return &Client{pool: p, cache: t.cache, traffic: t, ahead: ahead{traffic: t, waiting: map[question]bool{}}}
}

// Trust adds a user whose socket may be asked, besides those of root and of the user who
// runs the program. It replaces the user added before. A Client that has found a socket
// of that user before tries it again within a second.
func (c *Client) Trust(uid uint32) { c.pool.trusted.Store(uid) }

// Peer returns the process number of the gocryptfs that the last connection was made to. It
// is 0 if that is in another PID namespace, and on other systems than Linux. ok is false before
// the first connection.
func (c *Client) Peer() (pid int, ok bool) {
	peer := c.pool.peer.Load()
	if peer == nil {
		return 0, false
	}
	return *peer, true
}

// Connect makes a first connection. A failure is reported at once, and Connect
// keeps trying in the background. It reports whether it has connected.
func (c *Client) Connect() (ok bool) {
	cn, err := c.pool.get(0)
	if err != nil {
		c.pool.fail(err, question{}) // gocryptfs replies that the input is empty
		return false
	}
	c.pool.put(cn)
	return true
}

// Close ends the probe and closes all connections.
func (c *Client) Close() {
	for _, p := range c.traffic.under {
		p.cn.close()
	}
	c.pool.close()
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	c.stats.Wait = c.traffic.waited
	return c.stats
}

// Decrypt returns the plain path of a cipher path. The cipher path must be relative
// to the root of the encrypted view and in canonical form. ok is false if it does
// not decrypt or gocryptfs could not be asked. The plain path has as many
// components as the cipher path, each of at most 255 bytes and none of them empty,
// `.` or `..`. It may hold any other bytes, with U+FFFD in place of each byte that
// is not valid UTF-8.
//
// Answers are cached, including failures. A plain path also gives the answers for
// the parents of the cipher path.
func (c *Client) Decrypt(cipher string) (plain string, ok bool) {
	return c.answer(question{path: cipher})
}

// Encrypt is the reverse of Decrypt: it returns the cipher path of a plain path. In
// reverse mode gocryptfs answers for any path, in forward mode only if the parents exist.
// ok is false, too, if the plain path is not canonical or not valid UTF-8, which JSON
// cannot hold. The cipher path meets the same conditions as the plain path of Decrypt;
// whether its components look like encrypted names is not checked.
func (c *Client) Encrypt(plain string) (cipher string, ok bool) {
	return c.answer(question{path: plain, encrypt: true})
}

// Prepare asks for a cipher path that Decrypt is going to be called with, and does
// not wait for the answer. It returns false if too many answers have not been taken
// yet: then it has to be called again later. Decrypt should be called in the same
// order, because it also takes all answers before its own.
func (c *Client) Prepare(cipher string) bool { return c.prepare(question{path: cipher}) }

// PrepareEncrypt is Prepare for Encrypt. Both share the order.
func (c *Client) PrepareEncrypt(plain string) bool {
	return c.prepare(question{path: plain, encrypt: true})
}

// answer returns the answer to q. ok is false, too, if there is none.
func (c *Client) answer(q question) (path string, ok bool) {
	fresh := false
	if i := c.ahead.find(q); i >= 0 {
		a, err := c.ahead.takeUpTo(i)
		if err == nil {
			return a.path, a.ok
		}
		fresh = isFault(err) // it is asked once more, alone
	} else if a, known := c.cache.Get(q); known {
		c.stats.Hits++
		return a.path, a.ok
	}
	if !q.isAskable() {
		return "", false
	}
	if c.pool.isDown(q) {
		c.stats.Failed++
		return "", false
	}
	start := time.Now()
	a, err := c.traffic.ask(q, fresh)
	if err != nil {
		c.stats.Failed++
		c.fault(q, err, time.Since(start))
	}
	return a.path, a.ok
}

// fault reports err, the fate of q over a new connection, and decides whose fault it is.
// If the server answers the question that it has answered last, it is that of q, and other
// questions go on. But they do not if such questions have cost more than maxLost.
func (c *Client) fault(q question, err error, spent time.Duration) {
	c.pool.report(err)
	c.lost += spent
	if isFault(err) && c.traffic.good != (question{}) && c.lost < maxLost {
		if _, err = c.traffic.ask(c.traffic.good, true); err == nil {
			c.cache.learn(q, answer{})
			return
		}
	}
	c.lost = 0
	c.pool.fail(err, q)
}

func (c *Client) prepare(q question) bool {
	if c.ahead.isFull() {
		return false
	}
	if c.ahead.find(q) < 0 && !c.cache.Contains(q) && q.isAskable() && !c.pool.isDown(q) {
		c.ahead.add(q)
	}
	return true
}
