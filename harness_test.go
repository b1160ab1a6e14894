package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/rfjakob/gocryptfs/v2/ctlsock"
	"github.com/rogpeppe/go-internal/testscript"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// The harness of the end-to-end tests: real gocryptfs servers, mounts that are always
// unmounted again, and the filter run in process.

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){program: main})
}

// tests are the tests of this package, which do not depend on the environment.
type tests struct{ *testing.M }

func (t tests) Run() int {
	syscall.Umask(0o022)
	os.Setenv("LC_ALL", "C.UTF-8")
	os.Setenv("LANGUAGE", "")                // LC_ALL does not override it
	os.Setenv("GORACE", "atexit_sleep_ms=0") // instead of a second
	status := t.M.Run()
	for end := time.Now().Add(startLimit); status == 0 && len(ours()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fmt.Println("goroutines are left:\n" + strings.Join(ours(), "\n\n"))
			return 1
		}
	}
	return status
}

// ours returns the stacks of all goroutines in or started by this module, without the one
// that calls it.
func ours() []string {
	stacks := make([]byte, 1<<20)
	all := strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")[1:]
	return slices.DeleteFunc(all, func(stack string) bool { return !strings.Contains(stack, program) })
}

// startLimit bounds the time that a server may take to mount, to end or to answer.
const startLimit = ctlsocktest.Limit

// need skips the test if one of things is missing. With CI=true it fails the test
// instead, except for "root". The others are "fuse", "namespaces" and programs.
func need(t testing.TB, things ...string) {
	t.Helper()
	for _, thing := range things {
		if why := missing(thing); why != "" && thing != "root" && os.Getenv("CI") == "true" {
			t.Fatalf("needs %s: %s", thing, why)
		} else if why != "" {
			t.Skipf("needs %s: %s", thing, why)
		}
	}
}

// check ends the test if there is an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// missing returns the reason why thing cannot be used here, or "".
func missing(thing string) string {
	switch thing {
	case "root":
		if os.Geteuid() != 0 {
			return "not running as root"
		}
	case "namespaces":
		if out, err := exec.Command("unshare", "-m", "-p", "-f", "true").CombinedOutput(); err != nil {
			return fmt.Sprintf("unshare: %v %s", err, out)
		}
	case "fuse":
		f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if err != nil {
			return err.Error()
		}
		f.Close()
		return missing("fusermount3")
	default:
		if _, err := exec.LookPath(thing); err != nil {
			return err.Error()
		}
	}
	return ""
}

// server is one gocryptfs program.
type server struct {
	Name string // "2.6.1" or "distribution"
	Bin  string
}

// servers returns the gocryptfs pinned in go.mod and the one in PATH. If one of them is
// missing, it returns the other one alone, but with CI=true the test fails; see need.
func servers(t testing.TB) (found []server) {
	t.Helper()
	need(t, "fuse")
	for _, s := range []server{{"2.6.1", pinnedBin}, {"distribution", "gocryptfs"}} {
		if os.Getenv("CI") == "true" || found == nil && s.Bin != pinnedBin {
			need(t, s.Bin)
		}
		if missing(s.Bin) == "" {
			found = append(found, s)
		}
	}
	return found
}

// pinnedBin is the path of the pinned gocryptfs, which `make .tools/gocryptfs` builds.
var pinnedBin, _ = filepath.Abs(".tools/gocryptfs")

// shortDir returns a new directory that is removed after the test. Unlike that of
// t.TempDir, its path is short: the path of a socket may have at most 107 bytes. Other
// users may enter it. It is in memory if Linux has such a place: that took a second where
// a disk took a minute.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gp")
	if err != nil {
		dir, err = os.MkdirTemp("", "gp")
	}
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

// mount is a gocryptfs file system in use.
type mount struct {
	Sock  string // its control socket
	Dir   string // directory with the encrypted names: the view with -reverse, else the cipher directory
	Plain string // directory with the plain names

	at      string // the mount point
	process *exec.Cmd
	done    chan error // receives the result of the server
}

// mountNew makes a directory with files, given as for create, and mounts it in reverse mode.
func mountNew(t *testing.T, s server, files map[string]string, opts ...string) *mount {
	t.Helper()
	dir := shortDir(t)
	for path, state := range files {
		create(t, filepath.Join(dir, "plain"), path, state)
	}
	return mountReverse(t, s, filepath.Join(dir, "plain"), filepath.Join(dir, "view"), opts...)
}

// mountReverse shows the directory plain encrypted at view, until the test ends or
// unmount is called. Options that shape the file system (-deterministic-names, ...) go
// to -init, which runs only the first time for a directory; all others go to the mount.
func mountReverse(t testing.TB, s server, plain, view string, opts ...string) *mount {
	t.Helper()
	m := &mount{Dir: view, Plain: plain, at: view}
	m.start(t, s, ".gocryptfs.reverse.conf", plain, append(opts, "-reverse"))
	return m
}

// mountForward shows the encrypted directory cipher as plain names at view;
// see mountReverse.
func mountForward(t testing.TB, s server, cipher, view string, opts ...string) *mount {
	t.Helper()
	m := &mount{Dir: cipher, Plain: view, at: view}
	m.start(t, s, "gocryptfs.conf", cipher, opts)
	return m
}

// start makes the file system if its configuration is missing in source, and
// serves it at m.at.
func (m *mount) start(t testing.TB, s server, conf, source string, opts []string) {
	t.Helper()
	dir := shortDir(t)
	m.Sock = filepath.Join(dir, "sock")
	pass := filepath.Join(dir, "pass")
	check(t, os.WriteFile(pass, []byte("secret\n"), 0o600))
	for _, d := range []string{source, m.at} {
		check(t, os.MkdirAll(d, 0o755))
	}
	initOpts := slices.DeleteFunc(slices.Clone(opts), func(o string) bool { return !shaping.MatchString(o) })
	mountOpts := slices.DeleteFunc(slices.Clone(opts), func(o string) bool { return o != "-reverse" && shaping.MatchString(o) })
	if _, err := os.Stat(filepath.Join(source, conf)); err != nil {
		// 10 is the lowest cost -scryptn takes.
		args := append(initOpts, "-init", "-scryptn", "10", "-passfile", pass, source)
		if out, err := exec.Command(s.Bin, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", s.Bin, strings.Join(args, " "), err, out)
		}
		if slices.Contains(opts, "-raw64=false") { // which -init ignores
			check(t, exec.Command("sed", "-i", "s/Raw64/LongNames/", filepath.Join(source, conf)).Run())
		}
	}
	args := append(mountOpts, "-fg", "-passfile", pass, "-ctlsock", m.Sock, source, m.at)
	m.serve(t, exec.Command(s.Bin, args...))
}

// shaping matches the options that shape a file system, and so belong to -init.
var shaping = regexp.MustCompile(`^-(reverse|deterministic-names|plaintextnames|longnamemax|raw64)`)

// serve starts the server and returns when it reports that it has mounted.
func (m *mount) serve(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var said watched
	cmd.Stdout, cmd.Stderr = &said, &said
	check(t, cmd.Start())
	m.process, m.done = cmd, make(chan error, 1)
	t.Cleanup(func() { m.unmount(t) })
	go func() { m.done <- cmd.Wait() }()
	ctlsocktest.Eventually(t, cmd.String()+" mounts", func() bool {
		if len(m.done) > 0 {
			t.Fatalf("%s ended:\n%s", cmd, &said)
		}
		return strings.Contains(said.String(), "mounted and ready")
	})
}

// unmount unmounts the file system and ends the server. It may be called twice.
// If the mount is still in use, unmount detaches it (-z), so that nothing stays behind,
// and fails the test.
func (m *mount) unmount(t testing.TB) {
	if m.process == nil {
		return
	}
	out, err := exec.Command("fusermount3", "-u", m.at).CombinedOutput()
	// Until a process that another test starts is itself, it has this one's files open.
	for wait := time.Millisecond; err != nil && bytes.Contains(out, []byte("busy")) && wait < time.Second; wait *= 2 {
		time.Sleep(wait)
		out, err = exec.Command("fusermount3", "-u", m.at).CombinedOutput()
	}
	if err != nil {
		if len(m.done) == 0 { // else it never mounted, or the test has ended it
			t.Errorf("fusermount3 -u %s: %v: %s", m.at, err, out)
		}
		exec.Command("fusermount3", "-u", "-z", m.at).Run()
	}
	select {
	case <-m.done:
	case <-time.After(time.Second): // another mount namespace may hold a copy of the mount
		m.process.Process.Kill()
		<-m.done
		os.Remove(m.Sock)
	}
	m.process = nil
}

// signal sends a signal to the server. SIGSTOP takes effect thread by thread: signal
// returns when all of them have stopped.
func (m *mount) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := m.process.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	ctlsocktest.Eventually(t, "all threads stop", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.process.Process.Pid))
		return s != syscall.SIGSTOP || !slices.ContainsFunc(threads, func(stat string) bool {
			b, err := os.ReadFile(stat)
			return err == nil && !bytes.Contains(b, []byte(") T "))
		})
	})
}

// encrypt asks the server for the cipher path of a plain path. The path must be UTF-8,
// because the protocol is JSON.
func (m *mount) encrypt(t testing.TB, plain string) string {
	t.Helper()
	client, err := ctlsock.New(m.Sock)
	check(t, err)
	defer client.Close()
	answer, err := client.Query(&ctlsock.RequestStruct{EncryptPath: plain})
	if err != nil {
		t.Fatalf("encrypt %q: %v", plain, err)
	}
	return answer.Result
}

// cipherOf returns the cipher path of a file. For a name that is not UTF-8 the
// directory has to be asked: the protocol cannot pass it on.
func (m *mount) cipherOf(t *testing.T, path string) string {
	t.Helper()
	if utf8.ValidString(path) {
		return m.encrypt(t, path)
	}
	inode := func(fi os.FileInfo, err error) uint64 {
		check(t, err)
		return fi.Sys().(*syscall.Stat_t).Ino
	}
	want := inode(os.Lstat(filepath.Join(m.Plain, path)))
	dir := ""
	if d := filepath.Dir(path); d != "." {
		dir = m.cipherOf(t, d)
	}
	entries, err := os.ReadDir(filepath.Join(m.Dir, dir))
	check(t, err)
	for _, e := range entries {
		if inode(e.Info()) == want {
			return filepath.Join(dir, e.Name())
		}
	}
	t.Fatalf("%q is not in the view", path)
	return ""
}

// target returns the encrypted target of a link.
func (m *mount) target(t *testing.T, cipher string) string {
	t.Helper()
	text, err := os.Readlink(filepath.Join(m.Dir, cipher))
	check(t, err)
	return text
}

// fill returns text with the cipher path for each {PATH}, and the encrypted target of a link
// for {@PATH}. PATH may have escapes as in Go.
func (m *mount) fill(t *testing.T, text string) string {
	t.Helper()
	return inBraces.ReplaceAllStringFunc(text, func(s string) string {
		path, isLink := strings.CutPrefix(s[1:len(s)-1], "@")
		if strings.Contains(path, `\`) { // Unquote replaces what is not UTF-8
			path, _ = strconv.Unquote(`"` + path + `"`)
		}
		if isLink {
			return m.target(t, m.encrypt(t, path))
		}
		return m.cipherOf(t, path)
	})
}

// inBraces matches {PATH} or {@PATH}.
var inBraces = regexp.MustCompile(`\{@?[^{}]+\}`)

// settle waits until the files are older than the clock of the file system is coarse,
// and the kernel has forgotten what it knew of the view. Before that what is in doubt
// may stay encrypted.
func settle() { time.Sleep(2500 * time.Millisecond) }

// pretty runs the filter on input. It fails the test if the filter fails.
func pretty(t testing.TB, args []string, input []byte) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, status := filtered(args, string(input))
	if status != exitOK {
		t.Errorf("run(%q) = %d, want 0; stderr: %s", args, status, stderr)
	}
	return stdout, stderr
}

// filtered runs the filter on input, whose last read also returns io.EOF.
func filtered(args []string, input string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	in := iotest.DataErrReader(strings.NewReader(input))
	status = run(args, in, &out, &errs)
	return out.String(), errs.String(), status
}

// A transcript is a text with encrypted names, line by line.
type transcript struct{ raw, plain []string }

func (tr *transcript) add(raw, plain string) {
	tr.raw, tr.plain = append(tr.raw, raw), append(tr.plain, plain)
}

// fakeTranscript returns n lines with names that scripted servers know.
func fakeTranscript(n int) (tr transcript) {
	for i := range n {
		path := fakeName(i/10) + "/" + fakeName(i)
		tr.add(">f+++++++++ "+path, ">f+++++++++ "+fakePlain(path))
	}
	return tr
}

// realTranscript returns n lines with names below the directory "dir" of a mount.
func realTranscript(t *testing.T, m *mount, n int) (tr transcript) {
	t.Helper()
	for i := range n {
		path := fmt.Sprintf("dir %d/file %d", i/10, i)
		_, cipher, _ := strings.Cut(m.encrypt(t, "dir/"+path), "/")
		tr.add(">f+++++++++ "+cipher, ">f+++++++++ "+path)
	}
	return tr
}

// fakeName returns the encrypted name number i: 16 bytes in base64.
func fakeName(i int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%016d", i))
}

// fakePlain returns what a cipher path of fakeNames stands for, or "".
func fakePlain(path string) string {
	names := strings.Split(path, "/")
	for i, name := range names {
		number, err := base64.RawURLEncoding.DecodeString(name)
		if err != nil {
			return ""
		}
		names[i] = fmt.Sprintf("name %s", number)
	}
	return strings.Join(names, "/")
}

// part returns lines i to j-1.
func (tr transcript) part(i, j int) transcript {
	return transcript{tr.raw[i:j], tr.plain[i:j]}
}

func (tr transcript) input() string  { return text(tr.raw) }
func (tr transcript) output() string { return text(tr.plain) }

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// decoded returns the number of lines in out that are decoded. In each of the others the last
// names of the path, or the target of a link, must have stayed encrypted.
func (tr transcript) decoded(t *testing.T, out string) (n int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(tr.raw) || !strings.HasSuffix(out, "\n") {
		t.Errorf("%d lines came out of %d", len(lines), len(tr.raw))
		return 0
	}
	for i, line := range lines {
		path, target, _ := strings.Cut(line, " -> ")
		cipher, encrypted, _ := strings.Cut(tr.raw[i], " -> ")
		plain, want, _ := strings.Cut(tr.plain[i], " -> ")
		for path != cipher && path != plain {
			name, rest, more := strings.Cut(path, "/")
			known, plainRest, _ := strings.Cut(plain, "/")
			if !more || name != known {
				break
			}
			path, plain = rest, plainRest
			_, cipher, _ = strings.Cut(cipher, "/")
		}
		switch {
		case line == tr.plain[i]:
			n++
		case path != cipher && path != plain, target != want && target != encrypted:
			t.Errorf("line %d is %q, want %q or %q", i, line, tr.plain[i], tr.raw[i])
		}
	}
	return n
}

// wantDecoded has the filter show a transcript, of which n lines must be decoded. It returns
// what is on stderr.
func (m *mount) wantDecoded(t *testing.T, n int, tr transcript, flags ...string) string {
	t.Helper()
	shown, said := pretty(t, append(flags, m.Sock, m.Dir), []byte(tr.input()))
	if got := tr.decoded(t, shown); got != n {
		t.Errorf("%s: %d lines are decoded, want %d; stderr: %s", flags, got, n, said)
	}
	return said
}

// A running filter is a run of the program, in this process or in another.
type running struct {
	t         *testing.T
	in        io.WriteCloser
	out, errs watched
	status    chan int
}

// watched is a buffer that can be read while it is written to.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// startFilter runs the program in this process.
func startFilter(t *testing.T, args ...string) *running {
	t.Helper()
	r, w := io.Pipe()
	f := &running{t: t, in: w, status: make(chan int, 1)}
	go func() { f.status <- run(args, r, &f.out, &f.errs) }()
	t.Cleanup(func() { w.Close() })
	return f
}

// send writes text to the filter, which has to read it.
func (f *running) send(text string) {
	f.t.Helper()
	late := time.AfterFunc(startLimit, func() { f.in.Close() })
	defer late.Stop()
	if _, err := io.WriteString(f.in, text); err != nil {
		f.t.Fatalf("the filter does not read %.99q: %v", text, err)
	}
}

// ask sends lines, and returns what comes out for them.
func (f *running) ask(lines string) string {
	f.t.Helper()
	before := f.out.String()
	f.send(lines)
	n := strings.Count(before+lines, "\n")
	return f.until(func(got string) bool { return strings.Count(got, "\n") >= n })[len(before):]
}

// comesBack sends lines again and again until all of them come out decoded.
func (f *running) comesBack(tr transcript) {
	f.t.Helper()
	ctlsocktest.Eventually(f.t, tr.plain[0]+" comes back", func() bool {
		time.Sleep(20 * time.Millisecond)
		return tr.decoded(f.t, f.ask(tr.input())) == len(tr.raw) || f.t.Failed()
	})
}

// until waits until ok accepts the output so far, and returns that.
func (f *running) until(ok func(string) bool) (got string) {
	f.t.Helper()
	defer func() {
		if f.t.Failed() {
			f.t.Logf("the output is %q", got[max(0, len(got)-999):])
		}
	}()
	ctlsocktest.Eventually(f.t, "the output is right", func() bool {
		got = f.out.String()
		return ok(got)
	})
	return got
}

// end closes the input, waits for the filter and returns all of its output. The status
// must be 0, and stderr must have messages alone, with one warning for each of warnings, which
// contains that.
func (f *running) end(warnings ...string) string {
	f.t.Helper()
	if status := f.quit(); status != exitOK {
		f.t.Errorf("status %d, want 0", status)
	}
	said := f.errs.String()
	missing := slices.ContainsFunc(warnings, func(w string) bool { return !strings.Contains(said, w) })
	if missing || strings.Count(said, ": warning: ") != len(warnings) {
		f.t.Errorf("want the warnings %q, stderr: %s", warnings, said)
	}
	if strings.Count(said, "\n") != strings.Count("\n"+said, "\n"+program+": ") {
		f.t.Errorf("not only messages: %q", said)
	}
	return f.out.String()
}

// quit closes the input, waits for the filter and returns its status.
func (f *running) quit() int {
	f.t.Helper()
	f.in.Close()
	ctlsocktest.Eventually(f.t, "the filter ends", func() bool { return len(f.status) > 0 })
	return <-f.status
}

// startProcess runs the program in its own process.
func startProcess(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	in, err := cmd.StdinPipe()
	check(t, err)
	f := &running{t: t, in: in, status: make(chan int, 1)}
	cmd.Stdout, cmd.Stderr = &f.out, &f.errs
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	go func() {
		cmd.Wait()
		f.status <- cmd.ProcessState.ExitCode()
	}()
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}
