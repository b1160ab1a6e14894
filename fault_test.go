package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Whatever happens to the control socket, the text goes through: what is not decoded
// is unchanged, the input is read to its end, the status is 0, and there is one warning
// for each problem.

// notMounted is part of the warning that there is no gocryptfs at MOUNT, as in
// all tests with a scripted server.
const notMounted = " is not a gocryptfs mount"

// Another user may not use the socket.
func TestFaultPermission(t *testing.T) {
	need(t, "root")
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(fakePlain))
	tr := fakeTranscript(1000)
	bin, err := exec.LookPath(program)
	check(t, err)
	// Another user may not read the file of the program either.
	dir := shortDir(t)
	other := filepath.Join(dir, program)
	check(t, os.WriteFile(other, []byte(read(t, bin)), 0o755))
	cover := filepath.Join(dir, "cover") // for go test -cover
	check(t, errors.Join(os.Mkdir(cover, 0o755), os.Chown(cover, 65534, 65534)))
	cmd := exec.Command(other, s.Path, dir)
	cmd.Env = programEnv("GOCOVERDIR=" + cover)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	f := startProcess(t, cmd)
	f.send(tr.input())
	if got := f.end("no permission to use " + s.Path); got != tr.input() {
		t.Errorf("%d names decoded", tr.decoded(t, got))
	}
}

// gocryptfs is killed in mid-stream, and leaves its socket behind.
func TestFaultKilled(t *testing.T) {
	onServers(t, func(t *testing.T, m *mount) {
		tr := realTranscript(t, m, 1000)
		f := startFilter(t, m.Sock, m.Dir)
		f.send(tr.part(0, 500).input())
		f.shows(tr.part(0, 500).output())
		check(t, m.process.Process.Kill())
		err := <-m.done
		m.done <- err // as unmount expects
		f.send(tr.part(500, 1000).input())
		if n := tr.decoded(t, f.end("connection refused at ")); n != 500 {
			t.Errorf("%d names decoded, want 500", n)
		}
	})
}

// gocryptfs hangs, in mid-stream or before the filter starts, and then goes on.
func TestFaultStopped(t *testing.T) {
	onServers(t, func(t *testing.T, m *mount) {
		const timeout = time.Second
		tr := realTranscript(t, m, 1000)
		for _, before := range []int{100, 0} { // lines that come first
			var f *running
			begin := func() { f = startFilter(t, "-timeout", timeout.String(), m.Sock, m.Dir) }
			if before > 0 {
				begin()
				f.send(tr.part(0, before).input())
				f.shows(tr.part(0, before).output())
			}
			m.signal(t, syscall.SIGSTOP)
			defer m.signal(t, syscall.SIGCONT)
			start := time.Now()
			if before == 0 {
				begin()
			}
			f.send(tr.part(before, 1000).input())
			tr.decoded(t, f.showsLines(1000))
			if d := time.Since(start); d > 15*timeout {
				t.Errorf("%d lines took %v, want about one timeout of %v", 1000-before, d, timeout)
			}
			m.signal(t, syscall.SIGCONT)
			namesReturn(f, tr.part(500, 600))
			if before > 0 {
				f.end("did not answer within 1s")
				continue
			}
			f.in.Close()
			f.wait()
			if n := strings.Count(f.errs.String(), ": warning: "); n == 0 || n > 2 { // of MOUNT, too
				t.Errorf("%d warnings, want one or two:\n%s", n, f.errs)
			}
		}
	})
}

// Whether CTLSOCK is the right one is asked only if gocryptfs answered for every name.
func TestFaultUnanswered(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Silence)
	var out, errs bytes.Buffer
	in := strings.NewReader(fakeName(1) + "\n" + fakeName(2) + "\n")
	status := run([]string{"-strict", "-timeout", "100ms", s.Path, t.TempDir()}, in, &out, &errs)
	if got := errs.String(); status != exitEncrypted || !strings.HasSuffix(got, ": hint: gocryptfs did not answer for all of them\n") ||
		strings.Contains(got, "none of") {
		t.Errorf("status %d, stderr %s", status, got)
	}
}

// The file system is unmounted and mounted again while the filter runs.
func TestFaultRemounted(t *testing.T) {
	onServers(t, func(t *testing.T, m *mount) {
		tr := realTranscript(t, m, 1000)
		f := startFilter(t, m.Sock, m.Dir)
		f.send(tr.part(0, 100).input())
		f.shows(tr.part(0, 100).output())
		command := m.process.Args
		m.unmount(t)
		f.send(tr.part(100, 500).input())
		f.shows(tr.part(0, 100).output() + tr.part(100, 500).input())
		m.serve(t, exec.Command(command[0], command[1:]...))
		namesReturn(f, tr.part(500, 600))
		f.end("no control socket at ")
	})
}

// namesReturn sends the lines of tr slowly until one comes out decoded. That must
// happen within a few seconds.
func namesReturn(f *running, tr transcript) {
	f.t.Helper()
	const within = 5 * time.Second
	pause := time.NewTicker(within / 50)
	defer pause.Stop()
	for i := range tr.raw {
		shown := f.out.String()
		f.send(tr.raw[i] + "\n")
		got := f.until(func(got string) bool {
			return len(got) > len(shown) && strings.HasSuffix(got, "\n")
		})
		if got == shown+tr.plain[i]+"\n" {
			return
		}
		if i == 50 {
			break
		}
		<-pause.C
	}
	f.t.Errorf("no name is decoded %v after gocryptfs is back", within)
}

// onServers runs f once for each gocryptfs, with a small tree mounted.
func onServers(t *testing.T, f func(t *testing.T, m *mount)) {
	for _, s := range servers(t) {
		t.Run(s.Name, func(t *testing.T) {
			dir := shortDir(t)
			plain := filepath.Join(dir, "plain")
			check(t, os.MkdirAll(filepath.Join(plain, "dir 0"), 0o755))
			f(t, mountReverse(t, s, plain, filepath.Join(dir, "view")))
		})
	}
}

// Many filters ask one gocryptfs at once.
func TestFault300Clients(t *testing.T) {
	onServers(t, func(t *testing.T, m *mount) {
		ctlsocktest.NoLeak(t)
		tr := realTranscript(t, m, 60)
		var group sync.WaitGroup
		for range 300 {
			group.Go(func() {
				var out, errs bytes.Buffer
				status := run([]string{m.Sock, m.Dir}, strings.NewReader(tr.input()), &out, &errs)
				if status != 0 || errs.Len() > 0 || out.String() != tr.output() {
					t.Errorf("status %d, stderr %q, output right: %v", status, &errs, out.String() == tr.output())
				}
			})
		}
		group.Wait()
	})
}

// Bytes that cannot become part of a token, and whose color is certain, are shown before
// more input comes.
func TestStreamsAtOnce(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(fakePlain))
	name, plain := fakeName(1), fakePlain(fakeName(1))
	const progress = "\r          3,276 100%    3.12MB/s    0:00:00  "
	for flag, steps := range map[string][]struct{ in, out string }{
		"-color=never": {
			{"root@host's password: ", "root@host's password: "},
			{"\n", "\n"},
			{"      1,234  56%    1.00MB/s    0:00:01 ", "      1,234  56%    1.00MB/s    0:00:01 "},
			{"\r      2,468 100%    1.00MB/s    0:00:00 (xfr#1, to-chk=0/2)", "\r      2,468 100%    1.00MB/s    0:00:00 (xfr#1, to-chk=0/2)"},
			{"\n" + name + "\r", "\n" + plain + "\r"},
			{"deleting " + name[:5], "deleting "}, // the rest could become a token
			{name[5:], ""},
			{"\n", plain + "\n"},
			{"<" + name + ">", "<" + plain + ">"},
			{"(" + name + "/", "("},
			{fakeName(2) + ")", fakePlain(name+"/"+fakeName(2)) + ")"},
			{strings.Repeat("x", 1000), strings.Repeat("x", 1000)}, // too long for a name
		},
		"-hide-meta": {
			{name + "\ngocryptfs.conf\n", plain + "\n"},
			{progress, ""},
			{name + "\r\n", plain + "\r\n"},
			{progress, progress},
		},
		"-color=always": {
			{">f+++++++++ " + name + "\n", "\x1b[32m>f+++++++++ " + plain + "\x1b[0m\n"},
			{progress, progress},
			{progress, progress},
			{"\n", "\n"},
			{"*dele", ""},
			{"ting   ", "\x1b[31m*deleting   "},
			{name + "\n", plain + "\x1b[0m\n"},
			{"Password: ", "Password: "},
		},
	} {
		t.Run(flag, func(t *testing.T) {
			f := startFilter(t, flag, s.Path, t.TempDir())
			shown := ""
			for _, step := range steps {
				f.send(step.in)
				shown += step.out
				f.shows(shown)
			}
			f.send("\n" + name)
			if got := f.end(notMounted); got != shown+"\n"+plain {
				t.Errorf("the last name came out as %q", got[len(shown):])
			}
		})
	}
}

// The first Ctrl-C goes to rsync as well, which still prints its last messages.
func TestSignalInterrupt(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(fakePlain))
	tr := fakeTranscript(2)
	f := startProcess(t, exec.Command(program, s.Path, t.TempDir()))
	f.send(tr.part(0, 1).input())
	f.shows(tr.part(0, 1).output())
	f.process.Signal(os.Interrupt)
	last := "rsync error: received SIGINT, SIGTERM, or SIGHUP (code 20) at rsync.c(713)\n"
	f.send(tr.part(1, 2).input() + last)
	if got := f.end(notMounted); got != tr.output()+last {
		t.Errorf("got %q, want %q", got, tr.output()+last)
	}
}

func TestSignalInterruptTwice(t *testing.T) {
	// A script may run the tests with interrupts ignored, and a child inherits that. A
	// signal that is caught here has its default in the child.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt)
	defer signal.Stop(caught)
	f := startProcess(t, exec.Command(program, "/nonexistent/sock", t.TempDir()))
	f.send("a\n")
	f.shows("a\n")
	f.process.Signal(os.Interrupt)
	f.send("b\n")
	f.shows("a\nb\n")
	// Go merges two signals that come within some hundred microseconds, so one more may
	// be needed.
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.After(startLimit)
	for {
		select {
		case status := <-f.status:
			if status != 128+int(syscall.SIGINT) {
				t.Errorf("status %d, want that of a death by SIGINT", status)
			}
			f.in.Close()
			return
		case <-again.C:
			f.process.Signal(os.Interrupt)
		case <-limit:
			t.Fatal("the filter goes on")
		}
	}
}

func TestSignalTerminate(t *testing.T) {
	f := startProcess(t, exec.Command(program, "/nonexistent/sock", t.TempDir()))
	f.send("a\n")
	f.shows("a\n")
	f.process.Signal(syscall.SIGTERM)
	if status := f.wait(); status != 128+int(syscall.SIGTERM) {
		t.Errorf("status %d, want that of a death by SIGTERM", status)
	}
	f.in.Close()
}

// TestIndexAnswers reads a log of 100,000 names several times with an index that has
// them: with gocryptfs, which is asked nothing, without gocryptfs, and without operands.
// Text and index stay the same.
func TestIndexAnswers(t *testing.T) {
	m := mountReverse(t, servers(t)[0], filepath.Join(shortDir(t), "plain"), filepath.Join(shortDir(t), "view"))
	tr := realTranscript(t, m, 100_000)
	sock, questions := countQuestions(t, m.Sock)
	index := filepath.Join(shortDir(t), "index")
	replayed := func(operands ...string) (asked int64) {
		t.Helper()
		before := questions.Load()
		shown, _ := pretty(t, append([]string{"-map", index}, operands...), []byte(tr.input()))
		if n := tr.decoded(t, shown); n != len(tr.raw) {
			t.Errorf("%q: %d of %d names decoded", operands, n, len(tr.raw))
		}
		return questions.Load() - before
	}
	if n := replayed(sock, m.Dir); n < 100_000 {
		t.Errorf("%d questions counted at first", n)
	}
	first := read(t, index)
	if n := replayed(sock, m.Dir); n != 0 {
		t.Errorf("%d questions for names that are known", n)
	}
	m.unmount(t)
	replayed(m.Sock, m.Dir)
	replayed()
	if read(t, index) != first {
		t.Error("the index has changed")
	}
}

// countQuestions returns a socket that forwards to another one, and the number of
// requests that came to it.
func countQuestions(t *testing.T, sock string) (string, *atomic.Int64) {
	t.Helper()
	var questions atomic.Int64
	proxy := ctlsocktest.Start(t, ctlsocktest.Path(t), func(c *ctlsocktest.Conn) {
		server, err := net.Dial("unix", sock)
		if err != nil {
			return
		}
		go func() { io.Copy(c, server) }()
		defer server.Close()
		buf := make([]byte, 5000)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			questions.Add(1)
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	return proxy.Path, &questions
}

// Without a server all text passes unchanged.

// strangers returns texts without any names.
func strangers() map[string][]byte {
	return map[string][]byte{
		"random bytes":       randomBytes(8_000_000),
		"random words":       []byte(wordLines(5_000)),
		"one word":           bytes.Repeat([]byte("A"), 1_000_000),
		"one slash":          bytes.Repeat([]byte("/"), 1_000_000),
		"CR":                 []byte("one\rtwo\r\rthree\r"),
		"CRLF":               []byte("one\r\ntwo\r\n\r\nthree\r\n"),
		"NUL":                []byte("one\x00two\x00\x00\nthree\x00"),
		"blank lines":        []byte("\n\n\none\n\n\ntwo\n\n"),
		"blanks":             []byte(" one \t two\t\n \n\t\n"),
		"no newline":         []byte("one\ntwo"),
		"no newline, a word": []byte("one AbcdefghijklmnopqrstuQ"),
		"no newline, a part": []byte("one AbcdefghijklmnopqQ"),
		"a prompt":           []byte("password: "),
		"one byte":           []byte("\n"),
		"nothing":            nil,
		"bad UTF-8":          []byte("\xff\xfe\xc3\n\xc3\x28\xa0\xe2\x82\n\xed\xa0\x80"),
		"terminal escapes":   []byte("\x1b[31mred\x1b[m \x9b0m \x07\x08\x7f\n"),
		"rsync's escapes":    []byte(`\#012 \#134#123 \\#` + "\n"),
	}
}

func randomBytes(n int) []byte {
	var seed [32]byte
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

// wantSame compares texts without printing 8 MB if they differ.
func wantSame(t *testing.T, want []byte, got string) {
	t.Helper()
	if got == string(want) {
		return
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	t.Errorf("%d bytes out of %d; at %d got %.60q, want %.60q", len(got), len(want), i, got[i:], want[i:])
}

// TestPassNoSocket gives texts, with names and without, to a filter without a control
// socket.
func TestPassNoSocket(t *testing.T) {
	sock := ctlsocktest.Path(t)
	texts := strangers()
	texts["names"] = []byte(fakeTranscript(1000).input())
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			in := bytes.NewReader(text)
			status := run([]string{sock, t.TempDir()}, iotest.DataErrReader(in), &out, &errs)
			if status != exitOK {
				t.Errorf("status %d, want %d", status, exitOK)
			}
			wantSame(t, text, out.String())
			if in.Len() > 0 {
				t.Errorf("%d bytes were not read", in.Len())
			}
			lines := strings.SplitAfter(errs.String(), "\n")
			if len(lines) != 3 || !strings.HasPrefix(lines[0], program+": warning: no control socket at "+sock) ||
				!strings.HasPrefix(lines[1], program+": hint: ") || lines[2] != "" {
				t.Errorf("stderr: want a warning and a hint, got %q", errs.String())
			}
		})
	}
}
