package ctlsock

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// problems collects the warnings of a client.
type problems struct {
	list [][2]string // what, hint
}

func (p *problems) warn(what, hint string) { p.list = append(p.list, [2]string{what, hint}) }

// newClient returns a client for the socket at path. It is closed after the test,
// which fails if a goroutine is left then.
func newClient(tb testing.TB, path string, timeout time.Duration) (*Client, *problems) {
	tb.Helper()
	ctlsocktest.NoLeak(tb)
	var p problems
	c := New(path, timeout, p.warn)
	c.pool.retry = 5 * time.Millisecond
	tb.Cleanup(c.Close)
	return c, &p
}

// want checks the answer for cipher. An empty plain stands for no name.
func want(t *testing.T, c *Client, cipher, plain string) {
	t.Helper()
	got, ok := c.Decrypt(cipher)
	if got != plain || ok != (plain != "") {
		t.Errorf("Decrypt(%.99q) = %.99q, %v, want %.99q", cipher, got, ok, plain)
	}
}

// wantProblems checks that each warning contains the part for it.
func wantProblems(t *testing.T, p *problems, parts ...string) {
	t.Helper()
	if len(p.list) != len(parts) {
		t.Errorf("%d warnings %q, want %d", len(p.list), p.list, len(parts))
		return
	}
	for i, part := range parts {
		if one := p.list[i]; !strings.Contains(one[0], part) || one[1] == "" {
			t.Errorf("warning %q, want %q, with a hint", one, part)
		}
	}
}

// Replies of any length and content are read, however they are cut, and the next
// question on the same connection gets its own answer.
func TestReplies(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 250)+"/", 14) + strings.Repeat("x", 250)
	plain := func(path string) string { return strings.ReplaceAll(upper(path), "X", "&") }
	inPieces := func(sizes ...int) ctlsocktest.Script {
		return func(c *ctlsocktest.Conn) {
			for {
				path, ok := c.Next()
				if !ok {
					return
				}
				reply := ctlsocktest.Name(plain(path))
				for i := 0; reply != ""; i++ {
					n := min(sizes[i%len(sizes)], len(reply))
					if !c.Say(reply[:n]) {
						return
					}
					reply = reply[n:]
				}
			}
		}
	}
	for name, script := range map[string]ctlsocktest.Script{
		"whole":             ctlsocktest.Answer(plain),
		"one byte a time":   inPieces(1),
		"newline by itself": inPieces(len(ctlsocktest.Name("A"))-1, 1),
		"4096 bytes":        inPieces(4096),
		"uneven":            inPieces(7, 4099, 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := ctlsocktest.Start(t, ctlsocktest.Path(t), script)
			c, p := newClient(t, s.Path, limit)
			want(t, c, "a", "A")
			want(t, c, long, plain(long))
			want(t, c, "b/c", "B/C")
			wantProblems(t, p)
			if reply := ctlsocktest.Name(plain(long)); len(reply) < 4*5000 {
				t.Errorf("the long reply has only %d bytes", len(reply))
			}
			if n := s.Dials(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}

// except returns a script that answers as gocryptfs does, but with reply if isBad reports
// true for the path. If that is no whole line, it closes the connection after it.
func except(isBad func(path string) bool, reply string) ctlsocktest.Script {
	return func(c *ctlsocktest.Conn) {
		for path, ok := c.Next(); ok; path, ok = c.Next() {
			if !isBad(path) {
				c.Say(ctlsocktest.Name(upper(path)))
			} else if c.Say(reply); len(reply) < maxReply && !strings.HasSuffix(reply, "\n") {
				return
			}
		}
	}
}

// A bad reply costs its own name and nothing else, however often it is given.
func TestBadReplies(t *testing.T) {
	const no, nonsense, hangup = "", "sent unexpected replies", "closed the connection"
	name := ctlsocktest.Name
	for what, tt := range map[string]struct{ cipher, reply, warn string }{
		"no such name":       {"a", ctlsocktest.NoName(), no},
		"other error":        {"a", `{"Result":"A","ErrNo":-1,"ErrText":"x"}` + "\n", no},
		"bad name":           {"a", name("a GOCRYPTFS_BAD_NAME"), no},
		"bad name in middle": {"a/b", name("a GOCRYPTFS_BAD_NAME/B"), no},
		"hang up":            {"a", "", hangup},
		"half a reply":       {"a", `{"Result":"A","Er`, hangup},
		"no newline":         {"a", strings.TrimSpace(name("A")), hangup},
		"junk":               {"a", "220 mail.example ESMTP\n", nonsense},
		"blank line":         {"a", "\n", nonsense},
		"other JSON":         {"a", `["A"]` + "\n", nonsense},
		"other type":         {"a", `{"Result":7}` + "\n", nonsense},
		"nothing":            {"a", "{}\n", nonsense},
		"two replies":        {"a", name("A") + name("B"), nonsense},
		"bytes after it":     {"a", name("A") + strings.Repeat("x", maxReply), nonsense},
		"endless":            {"a", strings.Repeat("x", 2*maxReply), nonsense},
		"endless name":       {"a", `{"Result":"` + strings.Repeat("x", 2*maxReply), nonsense},
		"fewer components":   {"a/b/c", name("A/B"), nonsense},
		"more components":    {"a/b", name("A/B/C"), nonsense},
		"dot dot":            {"a/b/c", name("A/../C"), nonsense},
		"two dot dots":       {"a/b", name("../.."), nonsense},
		"dot":                {"a/b", name("A/."), nonsense},
		"empty":              {"a", name(""), nonsense},
		"empty component":    {"a/b/c", name("A//C"), nonsense},
		"absolute":           {"a/b", name("/B"), nonsense},
		"slash at the end":   {"a/b", name("A/"), nonsense},
		"a long name":        {"a/b", name("A/" + strings.Repeat("x", 256)), nonsense},
	} {
		t.Run(what, func(t *testing.T) {
			isBad := func(path string) bool { return path == tt.cipher }
			s := ctlsocktest.Start(t, ctlsocktest.Path(t), except(isBad, tt.reply))
			c, p := newClient(t, s.Path, limit)
			want(t, c, "first/one", "FIRST/ONE")
			want(t, c, tt.cipher, "")
			want(t, c, "next/one", "NEXT/ONE")
			want(t, c, tt.cipher, "")
			if tt.warn == no {
				wantProblems(t, p)
			} else {
				wantProblems(t, p, tt.warn)
			}
			// An honest answer does not end a connection, and the others end two.
			if n := s.Dials(); n != 1 && tt.warn == no || n != 3 && tt.warn != no {
				t.Errorf("%d connections, want 1 or 3", n)
			}
		})
	}
}

// The server hangs up on a request of 5000 bytes, so it must never see one.
func TestLongRequest(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(upper))
	c, p := newClient(t, s.Path, limit)
	longest := strings.Repeat("a/", maxRequest)[:maxRequest-len(`{"DecryptPath":""}`)]
	want(t, c, longest+"/a", "")
	if _, ok := c.Encrypt(longest + "/a"); ok {
		t.Error("a plain path of 5000 bytes is encrypted")
	}
	want(t, c, "b", "B")
	want(t, c, longest, upper(longest))
	if asked, right := s.Asked(), []string{"b", longest}; !slices.Equal(asked, right) {
		t.Errorf("asked %d times, want for b and for the longest path", len(asked))
	}
	if n := s.Dials(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	wantProblems(t, p)
}

// A server that fails on every question, each time after a while, costs its delay two or
// three times. If it fails on some only, those alone stay encrypted, unless they take long.
func TestFaults(t *testing.T) {
	const delay = patience / 2
	later := func(_, asked int) bool { return asked > 40 }
	for name, tt := range map[string]struct {
		reply string
		bad   func(name, asked int) bool
		delay time.Duration
	}{
		"hangs up at once":  {bad: later},
		"hangs up always":   {bad: func(int, int) bool { return true }, delay: delay},
		"hangs up later":    {bad: later, delay: delay},
		"half answers":      {reply: `{"Result":"A","Er`, bad: later, delay: delay},
		"junk":              {reply: "220 mail.example ESMTP\n", bad: later, delay: delay},
		"on three in a row": {bad: func(name, _ int) bool { return name/3 == 7 }, delay: delay},
		"on all names":      {bad: func(name, _ int) bool { return name >= 0 }, delay: delay},
		"on many, late":     {bad: func(name, _ int) bool { return name%3 == 1 }, delay: delay},
		"on many at once":   {bad: func(name, _ int) bool { return name%3 == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			var s *ctlsocktest.Server
			s = ctlsocktest.Start(t, ctlsocktest.Path(t), except(func(path string) bool {
				number := -1
				fmt.Sscanf(path, "name%d", &number)
				bad := tt.bad(number, len(s.Asked()))
				if bad {
					time.Sleep(tt.delay)
				}
				return bad
			}, tt.reply))
			c, p := newClient(t, s.Path, limit)
			c.pool.retry = limit
			start := time.Now()
			for _, prepare := range []bool{true, false} {
				for i := range 100 {
					for j := range window {
						if prepare {
							c.Prepare(fmt.Sprint("name", i+j))
						}
					}
					path := fmt.Sprint("name", i)
					if got, _ := c.Decrypt(path); got != upper(path) && c.pool.probe == nil && !tt.bad(i, len(s.Asked())) {
						t.Errorf("Decrypt(%q) = %q", path, got)
					}
				}
			}
			if d := time.Since(start); d > 9*delay && name != "on many, late" || d > 2*maxLost {
				t.Errorf("%v, want about three times %v, or %v", d, delay, maxLost)
			}
			if len(p.list) != 1 {
				t.Errorf("warnings %q, want one", p.list)
			}
			if n := len(s.Asked()); n > 500 {
				t.Errorf("%d questions", n)
			}
		})
	}
}

// After a timeout no question waits, although an empty one is answered. Names come back
// when the server answers any of them.
func TestSilence(t *testing.T) {
	var mute atomic.Bool
	mute.Store(true)
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), func(c *ctlsocktest.Conn) {
		for path, ok := c.Next(); ok; path, ok = c.Next() {
			if path == "first" || path == "" || path != "silent" && !mute.Load() {
				c.Say(ctlsocktest.Name(upper(path)))
			}
		}
	})
	c, p := newClient(t, s.Path, patience)
	want(t, c, "first", "FIRST")
	want(t, c, "silent", "")
	for range 6 { // as many as a probe asks
		dials := s.Dials()
		ctlsocktest.Eventually(t, "a probe", func() bool { return s.Dials() > dials })
		for i := range 1000 {
			want(t, c, fmt.Sprint("later ", i), "")
		}
	}
	want(t, c, "first", "FIRST") // from the cache
	if d := c.Stats().Wait; d > 2*patience {
		t.Errorf("waited %v, want one timeout of %v", d, patience)
	}
	mute.Store(false)
	ctlsocktest.Eventually(t, "names come back", func() bool { _, ok := c.Decrypt("again"); return ok })
	want(t, c, "later 1", "LATER 1") // silence has not been cached
	wantProblems(t, p, "did not answer within")
}

// A probe finds a server that was gone and is back.
func TestGoneAndBack(t *testing.T) {
	path := ctlsocktest.Path(t)
	s := ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	c, p := newClient(t, path, limit)
	want(t, c, "a", "A")
	s.Close()
	want(t, c, "b", "")
	want(t, c, "a", "A")
	for i := range 1000 {
		want(t, c, fmt.Sprintf("c%d", i), "")
	}
	s = ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	ctlsocktest.Eventually(t, "names come back", func() bool { _, ok := c.Decrypt("b"); return ok })
	want(t, c, "c1", "C1")
	wantProblems(t, p, "no control socket")
	for _, path := range s.Asked() {
		if path != "b" && path != "c1" && path != "c999" {
			t.Errorf("asked for %q, want b and c1 only, and c999 by the probe", path)
		}
	}
}

// Connect reports a socket that does not work, before anything is asked.
func TestConnect(t *testing.T) {
	path := ctlsocktest.Path(t)
	c, p := newClient(t, path, limit)
	if c.Connect() {
		t.Error("connected to a socket that is not there")
	}
	wantProblems(t, p, "no control socket")
	s := ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	ctlsocktest.Eventually(t, "names come back", func() bool { _, ok := c.Decrypt("a"); return ok })
	wantProblems(t, p, "no control socket")
	if asked := s.Asked(); asked[0] != "" {
		t.Errorf("the probe has asked for %q, want an empty question", asked[0])
	}
}

// Parents are learned from a path, and failures are remembered.
func TestCache(t *testing.T) {
	isGone := func(path string) bool { return strings.HasPrefix(path, "gone") }
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), except(isGone, ctlsocktest.NoName()))
	c, _ := newClient(t, s.Path, limit)
	want(t, c, "a/b/c/d", "A/B/C/D")
	want(t, c, "a/b/c", "A/B/C")
	want(t, c, "a/b", "A/B")
	want(t, c, "a", "A")
	want(t, c, "a/b/x", "A/B/X")
	for range 3 {
		want(t, c, "gone/a", "")
		want(t, c, "gone", "")
	}
	if n := c.Stats().Hits; n != 7 {
		t.Errorf("%d hits, want 7", n)
	}
	if asked, right := s.Asked(), []string{"a/b/c/d", "a/b/x", "gone/a", "gone"}; !slices.Equal(asked, right) {
		t.Errorf("asked for %q, want %q", asked, right)
	}
}

// Both directions share everything but the answers.
func TestEncrypt(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), func(c *ctlsocktest.Conn) {
		for {
			path, ok := c.Next()
			switch {
			case !ok:
				return
			case strings.Contains(path, "odd"):
				path = "../x"
			case c.Encrypting:
				path = strings.ToLower(path) + " GOCRYPTFS_BAD_NAME"
			default:
				path = upper(path)
			}
			c.Say(ctlsocktest.Name(path))
		}
	})
	c, p := newClient(t, s.Path, limit)
	for range 2 * window {
		if !c.Prepare("Dir/a") || !c.PrepareEncrypt("Dir/a") {
			t.Fatal("a question is asked twice")
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
	if st, asked := c.Stats(), s.Asked(); st.Failed != 1 || len(asked) != 5 { // three, and what finds out whose fault an odd answer is
		t.Errorf("asked for %q, %d questions have failed, want 5 and 1", asked, st.Failed)
	}
}

// prepared decrypts n paths, with as many of the next ones prepared as possible.
func prepared(t *testing.T, c *Client, n int) {
	t.Helper()
	path := func(i int) string { return fmt.Sprintf("dir/file%d", i) }
	for i, ahead := 0, 0; i < n; i++ {
		for ahead < n && c.Prepare(path(ahead)) {
			ahead++
		}
		want(t, c, path(i), upper(path(i)))
	}
}

// All questions of a window are under way before the first is answered. Each path is
// asked for once, over at most two windows of connections.
func TestPrepare(t *testing.T) {
	var under sync.WaitGroup
	under.Add(window)
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(func(path string) string {
		if i := 0; strings.Contains(path, "/") {
			if fmt.Sscanf(path, "dir/file%d", &i); i < window {
				under.Done()
				under.Wait()
			}
		}
		return upper(path)
	}))
	c, p := newClient(t, s.Path, limit)
	for i := range 2 * window { // until a whole window is asked together
		want(t, c, fmt.Sprint("known", i), fmt.Sprint("KNOWN", i))
	}
	if !c.Prepare("known1") || !c.Prepare(strings.Repeat("a", maxRequest)) {
		t.Error("what is not asked for has to wait")
	}
	prepared(t, c, 10*window)
	if st := c.Stats(); st.Hits != 0 || len(s.Asked()) != 12*window {
		t.Errorf("%+v, want no hits, and all asked for once", st)
	}
	prepared(t, c, 10*window)
	if st := c.Stats(); st.Hits != 10*window || len(s.Asked()) != 12*window {
		t.Errorf("%+v, want all of them from the cache", st)
	}
	if n := s.Dials(); n != 2*window {
		t.Errorf("%d connections, want %d", n, 2*window)
	}
	wantProblems(t, p)
}

// An answer that arrived in time is taken, however late. An answer that is never
// taken does no harm.
func TestPrepareTakenLate(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(upper))
	c, p := newClient(t, s.Path, patience)
	for _, path := range []string{"a", "b", "c"} {
		c.Prepare(path)
	}
	time.Sleep(2 * patience)
	want(t, c, "b", "B")
	want(t, c, "a", "A")
	if n := len(s.Asked()); n != 3 {
		t.Errorf("%d questions", n)
	}
	wantProblems(t, p)
}

// All unanswered questions of a window together cost one timeout.
func TestPrepareSilence(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), func(c *ctlsocktest.Conn) {
		for {
			path, ok := c.Next()
			if !ok || !strings.HasSuffix(path, "0") && !c.Say(ctlsocktest.Name(upper(path))) {
				return
			}
		}
	})
	c, p := newClient(t, s.Path, patience)
	start := time.Now()
	for i := range window {
		c.Prepare(fmt.Sprint("a", i))
	}
	for i := range window {
		if path := fmt.Sprint("a", i); i%10 == 0 {
			want(t, c, path, "")
		} else {
			want(t, c, path, upper(path))
		}
	}
	if d := time.Since(start); d < patience*7/8 || d > 5*patience {
		t.Errorf("%v, want one timeout of %v", d, patience)
	}
	wantProblems(t, p, "did not answer within")
}

// A slow server is no silent one: the timeout runs from the last answer. It is asked fewer
// questions at a time, long names even before it is slow.
func TestSlow(t *testing.T) {
	const each = 40 * time.Millisecond
	for name, most := range map[string]int32{"name": 2 * window, "gocryptfs.longname.": 8} {
		var one sync.Mutex
		var under, highest atomic.Int32
		s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(func(path string) string {
			if strings.HasPrefix(path, name) {
				highest.Store(max(highest.Load(), under.Add(1)))
				one.Lock()
				time.Sleep(each)
				under.Add(-1)
				one.Unlock()
			}
			return upper(path)
		}))
		c, p := newClient(t, s.Path, 25*each)
		prepared(t, c, 4*window)
		var paths []string
		for i := range 2 * window {
			paths = append(paths, fmt.Sprint(name, i))
			c.Prepare(paths[i])
		}
		for _, path := range paths {
			want(t, c, path, upper(path))
		}
		wantProblems(t, p)
		if n := highest.Load(); n > most || c.traffic.width > 3*window/2 {
			t.Errorf("%s: %d at a time, want at most %d, and then at most %d", name, n, most, c.traffic.width)
		}
	}
}

// The cache is bounded in entries and in bytes of each, also for a prepared name. A
// short parent is learned even from a child that is too long.
func TestCacheIsBounded(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(upper))
	c, _ := newClient(t, s.Path, limit)
	before := heap()
	tail := strings.Repeat("/"+strings.Repeat("x", 200), 10)
	for i := range cacheEntries + 1000 {
		c.cache.learn(question{path: fmt.Sprintf("dir%d", i) + tail}, answer{fmt.Sprintf("DIR%d", i) + upper(tail), true})
	}
	if n := c.cache.Len(); n != cacheEntries {
		t.Errorf("%d entries, want %d", n, cacheEntries)
	}
	if size := int64(heap() - before); size > cacheEntries*cacheBytes {
		t.Errorf("the cache holds %d kB, want at most %d", size>>10, cacheEntries*cacheBytes>>10)
	}
	long := "y" + tail
	c.Prepare(long)
	want(t, c, long, upper(long))
	want(t, c, "y", "Y")
	want(t, c, strings.TrimSuffix(long, "/x"), upper(strings.TrimSuffix(long, "/x")))
	if st := c.Stats(); st.Hits != 1 || len(s.Asked()) != 2 {
		t.Errorf("%+v, asked %d times", st, len(s.Asked()))
	}
}

// With too few descriptors, the client uses half of its connections and warns once. With
// none, it gives up.
func TestTooFewDescriptors(t *testing.T) {
	for most, kept := range map[int]int{10: 5, 1: 1, 0: 0} {
		s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(upper))
		c, p := newClient(t, s.Path, limit)
		pool := c.pool
		pool.retry = limit // no probe comes in between
		real, refused := pool.dial, 0
		pool.dial = func() (*conn, error) {
			if len(c.traffic.under) >= most {
				refused++
				return nil, fmt.Errorf("dial: %w", syscall.EMFILE)
			}
			return real()
		}
		if most == 0 {
			c.Prepare("dir/a")
			want(t, c, "dir/a", "")
		} else {
			prepared(t, c, 10*window)
		}
		wantProblems(t, p, "too few file descriptors")
		if refused > 2 || len(pool.idle) > kept {
			t.Errorf("%d descriptors: %d connections too many were tried, %d are kept; want at most 2, %d",
				most, refused, len(pool.idle), kept)
		}
	}
}

// A question that fails once costs no name: it is asked again.
func TestFailsOnce(t *testing.T) {
	once := func(reply string) ctlsocktest.Script {
		var asked atomic.Bool
		return except(func(string) bool { return !asked.Swap(true) }, reply)
	}
	for name, script := range map[string]ctlsocktest.Script{
		"drops connections": func(c *ctlsocktest.Conn) {
			for range 2 {
				if path, ok := c.Next(); !ok || !c.Say(ctlsocktest.Name(upper(path))) {
					return
				}
			}
		},
		"drops one at once": once(""),
		"junk":              once("220 mail.example ESMTP\n"),
		"another's answer":  once(ctlsocktest.Name("A/B/C/D")),
		"half":              once(`{"Result":"A`),
		"two":               once(ctlsocktest.Name("DIR/A") + ctlsocktest.Name("DIR/B")),
	} {
		t.Run(name, func(t *testing.T) {
			s := ctlsocktest.Start(t, ctlsocktest.Path(t), script)
			c, p := newClient(t, s.Path, limit)
			for i := range 100 {
				want(t, c, fmt.Sprint(i), fmt.Sprint(i))
			}
			prepared(t, c, 5*window)
			wantProblems(t, p)
		})
	}
}

// heap returns the bytes in use, without garbage.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Close ends a probe that is waiting for an answer, and one between two tries.
func TestCloseEndsTheProbe(t *testing.T) {
	path := ctlsocktest.Path(t)
	c, _ := newClient(t, path, limit)
	want(t, c, "a", "")
	s := ctlsocktest.Start(t, path, ctlsocktest.Silence)
	ctlsocktest.Eventually(t, "a try", func() bool { return len(s.Asked()) > 0 })
	start := time.Now()
	c.Close()

	c, _ = newClient(t, path+"x", limit)
	c.pool.retry = limit
	want(t, c, "a", "")
	c.Close()
	if d := time.Since(start); d > limit/2 {
		t.Errorf("two Closes took %v", d)
	}
}

// Every problem is reported once, for any number of questions, with what it is and
// what to do. (The script socket has those of a path that is no socket. Missing
// permission requires another user: TestFaultPermission.)
func TestProblems(t *testing.T) {
	start := func(script ctlsocktest.Script) string {
		return ctlsocktest.Start(t, ctlsocktest.Path(t), script).Path
	}
	for name, tt := range map[string]struct{ path, what, hint string }{
		"below a file":   {"/dev/null/x", "cannot use /dev/null/x", "gocryptfs -ctlsock"},
		"too long":       {"/tmp/" + strings.Repeat("x", 103), "too long (108 bytes)", "at most 107 bytes"},
		"name too long":  {"/tmp/" + strings.Repeat("x", 300), "too long (305 bytes)", "at most 107 bytes"},
		"silent":         {start(ctlsocktest.Silence), "did not answer within 200ms", "-timeout"},
		"hangs up":       {start(func(*ctlsocktest.Conn) {}), "closed the connection", "names come back"},
		"another server": {start(ctlsocktest.Reply("HTTP/1.1 400\r\n", true)), "sent unexpected replies", "is it the control socket"},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := newClient(t, tt.path, patience)
			for i := range 5 {
				want(t, c, fmt.Sprintf("a%d", i), "")
			}
			wantProblems(t, p, tt.what)
			if len(p.list) > 0 && !strings.Contains(p.list[0][1], tt.hint) {
				t.Errorf("hint %q, want %q in it", p.list[0][1], tt.hint)
			}
		})
	}
}

// A path of 107 bytes is not too long.
func TestLongestSocketPath(t *testing.T) {
	path := ctlsocktest.Path(t)
	path += strings.Repeat("x", 107-len(path))
	s := ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	c, p := newClient(t, s.Path, limit)
	want(t, c, "a", "A")
	wantProblems(t, p)
}
