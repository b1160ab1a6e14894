package ctlsock

import (
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A server that keeps an answer waiting for slow is asked half as many questions at a time,
// down to two. Each answer that comes sooner allows one more, up to maxWidth.
const (
	startWidth = 16
	maxWidth   = 64
)

// traffic is the questions under way, each over a connection of its own.
type traffic struct {
	pool   *pool
	cache  cache         // learns each answer
	queue  []*pending    // to be sent, oldest first
	under  []*pending    // under way
	load   int           // weight of these
	width  int           // the load that the server may have
	heard  time.Time     // when the last question was sent or answered
	good   question      // the last one that was answered
	waited time.Duration // time spent waiting for answers
}

// A pending question has been prepared, and its answer has not been taken yet.
type pending struct {
	question
	cn     *conn // while it is under way
	answer answer
	err    error // why there is no answer
}

// sendQueue sends the questions in the queue, as many as the server may have. What cannot
// be sent stays without an answer.
func (t *traffic) sendQueue() {
	for len(t.queue) > 0 {
		p := t.queue[0]
		if len(t.under) >= 2 && t.load+p.weight() > t.width {
			return
		}
		if !t.pool.isDown(p.question) {
			cn, err := t.pool.get(len(t.under))
			if err == errBusy {
				return
			}
			if err == nil {
				t.send(p, cn)
			}
		}
		t.queue = t.queue[1:]
	}
}

// send sends p over cn.
func (t *traffic) send(p *pending, cn *conn) {
	p.cn = cn
	t.under = append(t.under, p)
	t.load += p.weight()
	t.heard = time.Now()
	if err := cn.send(p.question); err != nil {
		t.end(p, err) // the connection may have been idle for too long
	}
}

// end takes note of what became of p.
func (t *traffic) end(p *pending, err error) {
	if err == nil {
		t.pool.put(p.cn)
	} else {
		p.cn.close()
	}
	p.cn, p.err = nil, err
	i := slices.Index(t.under, p)
	t.under = slices.Delete(t.under, i, i+1)
	t.load -= p.weight()
}

// receive waits for the answer to p, if p is under way.
func (t *traffic) receive(p *pending) {
	if p.cn == nil {
		return
	}
	if t.read(p) {
		t.width = min(t.width+1, maxWidth)
		return
	}
	t.width = max(2, t.width/2)
	t.await(p)
}

// read reads what has arrived of the answer to p, and waits for that at most for slow.
// It reports whether p is not under way any more.
func (t *traffic) read(p *pending) bool {
	answer, err := p.cn.receive(p.question)
	if err == errPending {
		return false
	}
	t.end(p, err)
	if err == nil {
		t.heard, t.good = time.Now(), p.question
		t.cache.learn(p.question, answer)
		p.answer = answer
	}
	return true
}

// await waits until p is answered. It takes other answers and sends more questions. If
// nothing is answered for the timeout, it gives up all questions under way.
func (t *traffic) await(p *pending) {
	for p.cn != nil {
		under := slices.Clone(t.under)
		fds := make([]unix.PollFd, len(under))
		for i, p := range under {
			fds[i] = unix.PollFd{Fd: int32(p.cn.fd), Events: unix.POLLIN}
		}
		left := max(0, t.pool.timeout-time.Since(t.heard)+time.Millisecond)
		n, err := unix.Poll(fds, int(min(left.Milliseconds(), math.MaxInt32)))
		if n == 0 && err == nil {
			err = os.ErrDeadlineExceeded
			t.pool.fail(err, p.question)
		}
		for i, p := range under {
			switch {
			case err == unix.EINTR: // as after a stop
			case err != nil:
				t.end(p, err)
			case fds[i].Revents != 0:
				t.read(p)
			}
		}
		t.sendQueue()
	}
}

// ask sends a question by itself and waits for the answer. The server may have closed an
// idle connection, after an unmount or because it limits them. So a question that fails is
// asked again, over a new connection. fresh means that it has failed before.
func (t *traffic) ask(q question, fresh bool) (answer, error) {
	defer t.stopwatch(time.Now())
	for ; ; fresh = true {
		if fresh {
			t.pool.dropIdle()
		}
		cn, err := t.pool.get(len(t.under))
		for err == errBusy {
			t.receive(t.under[0])
			cn, err = t.pool.get(len(t.under))
		}
		if err != nil {
			return answer{}, err
		}
		p := &pending{question: q}
		t.send(p, cn)
		t.receive(p)
		if fresh || !isFault(p.err) {
			return p.answer, p.err
		}
	}
}

// stopwatch adds the time since start to that spent waiting.
func (t *traffic) stopwatch(start time.Time) { t.waited += time.Since(start) }
