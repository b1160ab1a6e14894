package ctlsock

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// limit is a timeout that no test reaches.
const limit = ctlsocktest.Limit

// patience is the timeout of a client whose server answers late.
const patience = 200 * time.Millisecond

// upper is the cipher of the tests: it shows what has been decoded.
func upper(path string) string { return strings.ToUpper(path) }

// problems is the warnings of a client.
type problems []string

// newClient returns a client for the socket at path. It is closed after the test.
func newClient(tb testing.TB, path string, timeout time.Duration) (*Client, *problems) {
	tb.Helper()
	var p problems
	c := New(path, timeout, func(_ error, problem string) { p = append(p, problem) })
	if c.retry != time.Second {
		tb.Errorf("while the server is down, it is tried again every %v", c.retry)
	}
	c.retry = 5 * time.Millisecond
	tb.Cleanup(c.Close)
	return c, &p
}

// serve starts a server, and returns a client for it.
func serve(tb testing.TB, timeout time.Duration, script ctlsocktest.Script) (*ctlsocktest.Server, *Client, *problems) {
	tb.Helper()
	s := ctlsocktest.Start(tb, ctlsocktest.Path(tb), script)
	c, p := newClient(tb, s.Path, timeout)
	return s, c, p
}

// except returns a script that answers as gocryptfs does, but with reply if isBad reports
// true for the path.
func except(isBad func(path string) bool, reply string) ctlsocktest.Script {
	return ctlsocktest.Replies(func(path string) string {
		if isBad(path) {
			return reply
		}
		return ctlsocktest.Name(upper(path))
	})
}

// want checks the answer for cipher. An empty plain stands for no name.
func want(t *testing.T, c *Client, cipher, plain string) {
	t.Helper()
	got, ok := c.Decrypt(cipher)
	if got != plain || ok != (plain != "") {
		t.Errorf("Decrypt(%.99q) = %.99q, %v, want %.99q", cipher, got, ok, plain)
	}
}

// wantBack waits until the name for cipher comes back.
func wantBack(t *testing.T, c *Client, cipher string) {
	t.Helper()
	ctlsocktest.Eventually(t, cipher+" comes back", func() bool { _, ok := c.Decrypt(cipher); return ok })
}

// wantProblems checks that each warning contains the part for it.
func wantProblems(t *testing.T, p *problems, parts ...string) {
	t.Helper()
	if !slices.EqualFunc(*p, parts, strings.Contains) {
		t.Errorf("warnings %q, want %q", *p, parts)
	}
}

// wantAsked checks which paths the server was asked for, and over how many connections.
func wantAsked(t *testing.T, s *ctlsocktest.Server, dials int, paths ...string) {
	t.Helper()
	if asked := s.Asked(); !slices.Equal(asked, paths) || s.Dials() != dials {
		t.Errorf("asked for %.199q over %d connections, want %.199q over %d", asked, s.Dials(), paths, dials)
	}
}

// Replies of any length and content are read, however they are cut, and the next question
// on the same connection gets its own answer. The server hangs up on a request of 5000
// bytes, so it must never see one.
func TestReplies(t *testing.T) {
	longest := strings.Repeat(strings.Repeat("x", 250)+"/", 20)[:maxRequest-len(`{"DecryptPath":""}`)]
	plain := func(path string) string { return strings.ReplaceAll(upper(path), "X", "&") }
	for _, sizes := range [][]int{{maxReply}, {1}, {len(ctlsocktest.Name("A")) - 1, 1}, {4096}, {7, 4099, 1}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			s, c, p := serve(t, limit, ctlsocktest.Each(func(c *ctlsocktest.Conn, path string) bool {
				reply := ctlsocktest.Name(plain(path))
				for i := 0; reply != ""; i++ {
					n := min(sizes[i%len(sizes)], len(reply))
					c.Say(reply[:n])
					reply = reply[n:]
				}
				return true
			}))
			want(t, c, "a", "A")
			want(t, c, longest, plain(longest))
			want(t, c, longest+"a", "")
			want(t, c, strings.Repeat("\xff", maxName), strings.Repeat("\ufffd", maxName))
			want(t, c, "b/c", "B/C")
			wantAsked(t, s, 1, "a", longest, strings.Repeat("\ufffd", maxName), "b/c")
			wantProblems(t, p)
		})
	}
}

// A bad reply costs its own name and nothing else, however often it is given. If the
// question gets a good one when it is asked again, not even that.
func TestBadReplies(t *testing.T) {
	const no, nonsense, hangup = "", "unexpected replies", "closed the connection"
	name := ctlsocktest.Name
	for what, tt := range map[string]struct{ cipher, reply, warn string }{
		"no such name":       {"a", ctlsocktest.NoName, no},
		"bad name":           {"a", name("a GOCRYPTFS_BAD_NAME"), no},
		"bad name in middle": {"a/b", name("a GOCRYPTFS_BAD_NAME/B"), no},
		"half a reply":       {"a", `{"Result":"A","Er`, hangup},
		"junk":               {"a", `{"Result":"A","ErrNo":"220 mail.example ESMTP"}` + "\n", nonsense},
		"bytes after it":     {"a", name("A") + strings.Repeat("x", maxReply), nonsense},
		"endless":            {"a", strings.Repeat("x", 2*maxReply), nonsense},
		"fewer components":   {"a/b/c", name("A/B"), nonsense},
		"more components":    {"a/b", name("A/B/C"), nonsense},
		"dot dot":            {"a/b/c", name("A/../C"), nonsense},
		"dot":                {"a/b", name("A/."), nonsense},
		"empty component":    {"a/b/c", name("A//C"), nonsense},
		"a long name":        {"a/b", name("A/" + strings.Repeat("x", 256)), nonsense},
	} {
		t.Run(what, func(t *testing.T) {
			s, c, p := serve(t, limit, except(func(path string) bool { return path == tt.cipher }, tt.reply))
			for range 2 {
				want(t, c, "first/one", "FIRST/ONE")
				want(t, c, tt.cipher, "")
				want(t, c, "next/one", "NEXT/ONE")
			}
			if tt.warn == no {
				wantProblems(t, p)
				wantAsked(t, s, 1, "first/one", tt.cipher, "next/one")
				return
			}
			wantProblems(t, p, tt.warn)
			wantAsked(t, s, 3, "first/one", tt.cipher, tt.cipher, "next/one") // two tries, over two connections

			for _, isPrepared := range []bool{false, true} {
				var before atomic.Bool
				_, c, p := serve(t, limit, except(func(path string) bool { return path == tt.cipher && !before.Swap(true) }, tt.reply))
				if isPrepared {
					c.Prepare(tt.cipher)
				}
				want(t, c, tt.cipher, upper(tt.cipher))
				wantProblems(t, p)
			}
		})
	}
}

// A server may hang up at any time, also on prepared questions.
func TestHangups(t *testing.T) {
	_, c, p := serve(t, limit, func(c *ctlsocktest.Conn) {
		for range 2 {
			path, _ := c.Next()
			c.Say(ctlsocktest.Name(upper(path)))
		}
	})
	for i := range 100 {
		want(t, c, fmt.Sprint(i), fmt.Sprint(i))
	}
	prepared(t, c, "dir/file", 5*window)
	wantProblems(t, p)
}

// A server that fails on every question is down after three in a row. If it fails on some
// only, those alone stay encrypted, unless they take a second in all.
func TestFaults(t *testing.T) {
	const delay = patience / 2
	later := func(_, asked int) bool { return asked > 40 }
	for name, tt := range map[string]struct {
		bad   func(name, asked int) bool
		delay time.Duration
		most  int // questions
	}{
		"hangs up later":    {later, delay, 600},
		"on three in a row": {func(name, _ int) bool { return name/3 == 7 }, delay, 600},
		"on all names":      {func(name, _ int) bool { return name >= 0 }, 0, 5 * window},
		"on many, late":     {func(name, _ int) bool { return name%3 == 1 }, delay, 600},
		"on many at once":   {func(name, _ int) bool { return name%3 == 1 }, 0, 600},
	} {
		t.Run(name, func(t *testing.T) {
			var s *ctlsocktest.Server
			s, c, p := serve(t, limit, except(func(path string) bool {
				number := -1
				fmt.Sscanf(path, "name%d", &number)
				bad := tt.bad(number, len(s.Asked()))
				if bad {
					time.Sleep(tt.delay)
				}
				return bad
			}, ""))
			if c.retry = limit; tt.delay == 0 { // however long this takes
				c.lost = -limit
			}
			start := time.Now()
			for i := range 200 { // the first hundred prepared, and then each again
				for j := i; i < 100 && j < i+window; j++ {
					c.Prepare(fmt.Sprint("name", j))
				}
				path := fmt.Sprint("name", i%100)
				if got, _ := c.Decrypt(path); got != upper(path) && !c.isDown && !tt.bad(i%100, len(s.Asked())) {
					t.Errorf("Decrypt(%q) = %q", path, got)
				}
			}
			if d := time.Since(start); tt.delay > 0 && d > 3*maxLost {
				t.Errorf("%v, want at most %v", d, 3*maxLost)
			}
			if n := len(s.Asked()); n > tt.most || len(*p) != 1 || c.isDown && (name == "on many at once" || c.next.Before(start.Add(c.retry))) {
				t.Errorf("%d questions, down: %v until %v, warnings %q, want one", n, c.isDown, c.next, *p)
			}
		})
	}
}

// A server that is back after many faults has as much time for faults as at first.
func TestFaultsForgiven(t *testing.T) {
	_, c, _ := serve(t, limit, except(func(path string) bool { return strings.HasPrefix(path, "bad") }, ""))
	want(t, c, "a", "A")
	c.lost = maxLost
	want(t, c, "bad 1", "")
	wantBack(t, c, "b")
	want(t, c, "bad 2", "")
	want(t, c, "c", "C")
}

// After a timeout no question waits, except that one is tried now and then. The tries take
// a tenth of the time at most. When one is answered, names come back. Silence is not cached.
func TestSilence(t *testing.T) {
	var answers atomic.Value
	answers.Store("first")
	answer := ctlsocktest.Each(func(c *ctlsocktest.Conn, path string) bool {
		return !strings.HasPrefix(path, answers.Load().(string)) || c.Say(ctlsocktest.Name(upper(path)))
	})
	var hungUp atomic.Int32
	s, c, p := serve(t, limit, func(c *ctlsocktest.Conn) { answer(c); hungUp.Add(1) })
	want(t, c, "first"+strings.Repeat("x", maxName), "") // an answer that is too long, over two connections
	want(t, c, "first", "FIRST")
	c.timeout, c.windows.timeout = patience, patience
	start := time.Now()
	want(t, c, "silent", "")
	for i := 0; s.Dials() < 5; i++ { // two tries
		c.Prepare(fmt.Sprint("later ", i))
		want(t, c, fmt.Sprint("later ", i), "")
		time.Sleep(patience / 100)
	}
	if d, w := time.Since(start), c.Stats().Wait; w < 2*patience || w-patience > d/3 {
		t.Errorf("waited %v of %v, want a timeout of %v, and two tries", w, d, patience)
	}
	c.timeout = limit
	answers.Store("later")
	wantBack(t, c, "later")
	want(t, c, "later 1", "LATER 1")
	answers.Store("")
	want(t, c, "silent", "SILENT")
	wantProblems(t, p, "unexpected replies", "did not answer within 200ms")
	c.Close()
	ctlsocktest.Eventually(t, "no connection is left open", func() bool { return int(hungUp.Load()) == s.Dials() })
}

// Connect reports a socket that does not work, before anything is asked. A probe finds a
// server that is there at last, and one that was gone and is back.
func TestGoneAndBack(t *testing.T) {
	path := ctlsocktest.Path(t)
	c, p := newClient(t, path, limit)
	if c.Connect() || len(*p) != 1 {
		t.Errorf("connected to a socket that is not there, or no warning: %q", *p)
	}
	s := ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	wantBack(t, c, "a")
	wantAsked(t, s, 1, "a")

	s.Close()
	want(t, c, "b", "")
	want(t, c, "a", "A")
	want(t, c, "c1", "")
	s = ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	wantBack(t, c, "b")
	want(t, c, "c1", "C1")
	if d := c.windows.timeout; d != limit {
		t.Errorf("a question waits for %v, want %v", d, limit)
	}
	wantProblems(t, p, "no control socket")
	wantAsked(t, s, 1, "b", "c1")
}

// Parents are learned from a path, and failures are remembered. The cache is bounded in
// entries and in bytes of each, also for a prepared name. A short parent is learned even
// from a child that is too long.
func TestCache(t *testing.T) {
	s, c, _ := serve(t, limit, except(func(path string) bool { return path[0] == 'g' }, ctlsocktest.NoName))
	for _, path := range []string{"a/b/c/d", "a/b/c", "a/b", "a", "a/b/x"} {
		want(t, c, path, upper(path))
	}
	want(t, c, "gone/a", "")
	want(t, c, "gone", "")
	want(t, c, "gone/a", "")
	tail := strings.Repeat("/"+strings.Repeat("x", 200), 10)
	long := "y" + tail
	c.Prepare(long)
	want(t, c, long, upper(long))
	want(t, c, "y", "Y")
	wantAsked(t, s, 1, "a/b/c/d", "a/b/x", "gone/a", "gone", long)

	size := 0
	for i := range 3000 {
		c.windows.cache.learn(question{path: fmt.Sprintf("dir%d", i) + tail}, answer{fmt.Sprintf("DIR%d", i) + upper(tail), true})
		c.windows.cache.learn(question{path: fmt.Sprint(i)}, answer{})
	}
	for q, a, ok := c.windows.cache.lru.GetOldest(); ok; q, a, ok = c.windows.cache.lru.GetOldest() {
		size += len(q.path) + len(a.path)
		c.windows.cache.lru.Remove(q)
	}
	if size > cacheBytes || size < cacheBytes/2 {
		t.Errorf("%d bytes, want at most %d", size, cacheBytes)
	}
}

// Both directions share everything but the answers.
func TestEncrypt(t *testing.T) {
	s, c, p := serve(t, limit, ctlsocktest.Each(func(c *ctlsocktest.Conn, path string) bool {
		reply := upper(path)
		if c.Encrypting {
			reply = strings.ToLower(path) + " GOCRYPTFS_BAD_NAME"
		}
		return c.Say(ctlsocktest.Name(strings.ReplaceAll(reply, "odd", "../x")))
	}))
	for range 2 * window {
		if !c.Connect() || !c.Prepare("Dir/a") || !c.PrepareEncrypt("Dir/a") {
			t.Fatal("not connected, or a question is asked twice")
		}
	}
	want(t, c, "Dir/a", "DIR/A")
	for _, tt := range [][2]string{{"Dir/a", "dir/a GOCRYPTFS_BAD_NAME"}, {"Dir", "dir"},
		{"", ""}, {"/Dir", ""}, {"Dir/", ""}, {"Dir//a", ""}, {"Dir/../a", ""}, {"Dir/\xff", ""}, {"Dir/odd", ""}} {
		if got, ok := c.Encrypt(tt[0]); got != tt[1] || ok != (tt[1] != "") {
			t.Errorf("Encrypt(%q) = %q, %v, want %q", tt[0], got, ok, tt[1])
		}
	}
	want(t, c, "Dir", "DIR")
	wantProblems(t, p, "unexpected replies")
	if n := c.Stats().Failed; n != 1 {
		t.Errorf("%d questions have failed, want one", n)
	}
	wantAsked(t, s, 3, "Dir/a", "Dir/a", "Dir/odd", "Dir/odd")
}

// prepare prepares n names.
func prepare(c *Client, name string, n int) {
	for i := range n {
		c.Prepare(fmt.Sprint(name, i))
	}
}

// prepared decrypts n names, with as many of the next ones prepared as possible.
func prepared(t *testing.T, c *Client, name string, n int) {
	t.Helper()
	path := func(i int) string { return fmt.Sprint(name, i) }
	for i, ahead := 0, 0; i < n; i++ {
		for ahead < n && c.Prepare(path(ahead)) {
			ahead++
		}
		want(t, c, path(i), upper(path(i)))
	}
}

// All questions of a window are under way before the first is answered, and the next window
// while they are taken. Each path is asked for once, over two windows of connections.
func TestPrepare(t *testing.T) {
	var first, third sync.WaitGroup
	first.Add(window)
	third.Add(window)
	s, c, p := serve(t, limit, ctlsocktest.Answer(func(path string) string {
		var i int
		switch n, _ := fmt.Sscanf(path, "dir/file%d", &i); {
		case n == 1 && i < window:
			first.Done()
			first.Wait()
		case n == 1 && i < 2*window:
			third.Wait()
		case n == 1 && i < 3*window:
			third.Done()
		}
		return upper(path)
	}))
	want(t, c, "known", "KNOWN")
	if !c.Prepare("known") || !c.Prepare(strings.Repeat("a", maxRequest)) {
		t.Error("what is not asked for has to wait")
	}
	for range 2 { // the second time from the cache
		prepared(t, c, "dir/file", 10*window)
		want(t, c, "known", "KNOWN")
		if len(s.Asked()) != 10*window+1 || s.Dials() != 2*window {
			t.Errorf("%d questions, %d connections", len(s.Asked()), s.Dials())
		}
	}
	prepare(c, "few", 2)
	want(t, c, "few0", "FEW0") // and few1
	want(t, c, "alone", "ALONE")
	if n := len(s.Asked()); n != 10*window+4 {
		t.Errorf("%d questions", n)
	}
	wantProblems(t, p)
}

// All unanswered questions of a window together cost one timeout. An answer that arrived
// in time is taken, however late and in any order.
func TestPrepareSilence(t *testing.T) {
	for _, late := range []time.Duration{0, 2 * patience} {
		s, c, p := serve(t, patience, ctlsocktest.Each(func(c *ctlsocktest.Conn, path string) bool {
			return strings.HasSuffix(path, "0") || c.Say(ctlsocktest.Name(upper(path)))
		}))
		prepare(c, "a", window)
		ctlsocktest.Eventually(t, "all are asked", func() bool { return len(s.Asked()) == window })
		time.Sleep(late)
		start := time.Now()
		for i := range window {
			if path := fmt.Sprint("a", i^1); strings.HasSuffix(path, "0") { // 1, 0, 3, 2
				want(t, c, path, "")
			} else {
				want(t, c, path, upper(path))
			}
		}
		if d, w := time.Since(start), c.Stats().Wait; w < patience*7/8 || w > d || d > 5*patience {
			t.Errorf("%v, waited %v, want one timeout of %v", d, w, patience)
		}
		wantProblems(t, p, "did not answer within")
	}
}

// A slow server is no silent one: the timeout runs from the last answer. Long names, which may
// be slow, are asked for a few at a time. The last question of a window may be the slowest.
func TestSlow(t *testing.T) {
	const each = 20 * time.Millisecond
	for name, most := range map[string]int32{"name": 2 * window, "gocryptfs.longname.": 8} {
		var one sync.Mutex
		var under, highest atomic.Int32
		_, c, p := serve(t, 40*each, ctlsocktest.Answer(func(path string) string {
			if strings.HasPrefix(path, name) {
				highest.Store(max(highest.Load(), under.Add(1)))
				one.Lock()
				time.Sleep(each)
				under.Add(-1)
				one.Unlock()
			}
			return upper(path)
		}))
		prepare(c, name, 2*window)
		want(t, c, name+"alone", upper(name)+"ALONE") // it takes its turn
		prepared(t, c, name, 2*window)
		wantProblems(t, p)
		if n := highest.Load(); n > most+1 || n < most/2 {
			t.Errorf("%s: %d at a time, want at most %d", name, n, most)
		}
	}
}

// An answer that is there waits for the last one of its window, but not for each slow one.
func TestStragglers(t *testing.T) {
	release := make(chan bool)
	_, c, _ := serve(t, limit, ctlsocktest.Answer(func(path string) string {
		if path != "name0" {
			<-release
		}
		return upper(path)
	}))
	prepare(c, "name", window)
	start := time.Now()
	want(t, c, "name0", "NAME0")
	if d := time.Since(start); d < slow*time.Millisecond*7/8 || d > window*slow*time.Millisecond/2 {
		t.Errorf("it took %v", d)
	}
	close(release)
	want(t, c, "name1", "NAME1")
}

// The timeout runs from the last answer to any question, also of the window after a late one.
func TestLate(t *testing.T) {
	_, c, p := serve(t, 2*patience, ctlsocktest.Answer(func(path string) string {
		var i time.Duration
		if fmt.Sscanf(path, "name%d", &i); i == window-1 {
			time.Sleep(3 * patience)
		} else if i >= window {
			time.Sleep((1 + i%5) * patience / 2)
		}
		return upper(path)
	}))
	prepare(c, "name", 2*window)
	want(t, c, "name31", "NAME31")
	wantProblems(t, p)
}
