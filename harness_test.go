package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
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
	return t.M.Run()
}

// startLimit bounds the time that a server may take to mount, to end or to answer.
const startLimit = ctlsocktest.Limit

// need skips the test if one of things is missing. With CI=true it fails the test
// instead. A thing is "fuse", "root", "namespaces", "pinned gocryptfs" or the name of a
// program.
func need(t testing.TB, things ...string) {
	t.Helper()
	for _, thing := range things {
		why := missing(thing)
		if why == "" {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s: %s", thing, why)
		}
		t.Skipf("needs %s: %s", thing, why)
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
	case "pinned gocryptfs": // the first build requires the network
		if out, err := buildPinned(); err != nil {
			return fmt.Sprintf("make .tools/gocryptfs: %v\n%s", err, out)
		}
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
func servers(t testing.TB) []server {
	t.Helper()
	need(t, "fuse")
	var found []server
	if missing("pinned gocryptfs") == "" {
		found = append(found, server{"2.6.1", pinned(t)})
	}
	if missing("gocryptfs") == "" {
		found = append(found, server{"distribution", "gocryptfs"})
	}
	if len(found) == 0 || len(found) == 1 && os.Getenv("CI") == "true" {
		need(t, "pinned gocryptfs", "gocryptfs")
	}
	return found
}

// buildPinned builds the pinned gocryptfs at most once in a test run.
var buildPinned = sync.OnceValues(func() (string, error) {
	bin, err := filepath.Abs(".tools/gocryptfs")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	out, err := exec.Command("make", ".tools/gocryptfs").CombinedOutput()
	if err != nil {
		bin = string(out)
	}
	return bin, err
})

// pinned returns the path of the pinned gocryptfs, built if it is missing.
func pinned(t testing.TB) string {
	t.Helper()
	need(t, "pinned gocryptfs")
	bin, _ := buildPinned()
	return bin
}

// shortDir returns a new directory that is removed after the test. Unlike that of
// t.TempDir, its path is short: the path of a socket may have at most 107 bytes. Other
// users may enter it, as the tests of errors require. It is in memory if Linux has such
// a place: making and removing hundreds of small files a hundred times over took a
// minute on a disk, a second there.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gp")
	if err != nil {
		dir, err = os.MkdirTemp("", "gp")
	}
	check(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
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
	initOpts, mountOpts := splitOptions(opts)
	if _, err := os.Stat(filepath.Join(source, conf)); err != nil {
		// 10 is the lowest cost -scryptn takes.
		args := append(initOpts, "-init", "-scryptn", "10", "-passfile", pass, source)
		if out, err := exec.Command(s.Bin, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", s.Bin, strings.Join(args, " "), err, out)
		}
	}
	args := append(mountOpts, "-fg", "-passfile", pass, "-ctlsock", m.Sock, source, m.at)
	m.serve(t, exec.Command(s.Bin, args...))
}

// splitOptions separates the options of -init from those of a mount; -reverse belongs
// to both.
func splitOptions(opts []string) (initOpts, mountOpts []string) {
	for _, o := range opts {
		name, _, _ := strings.Cut(o, "=")
		switch name {
		case "-reverse":
			initOpts = append(initOpts, o)
			mountOpts = append(mountOpts, o)
		case "-deterministic-names", "-plaintextnames", "-longnamemax", "-raw64":
			initOpts = append(initOpts, o)
		default:
			mountOpts = append(mountOpts, o)
		}
	}
	return initOpts, mountOpts
}

// serve starts the server and returns when it reports that it has mounted.
func (m *mount) serve(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	check(t, err)
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	check(t, err)
	m.process, m.done = cmd, make(chan error, 1)
	t.Cleanup(func() { m.unmount(t) })
	ready := make(chan string, 1)
	go func() {
		ready <- readUntil(r, "mounted and ready")
		io.Copy(io.Discard, r)
		r.Close()
		m.done <- cmd.Wait()
	}()
	select {
	case failure := <-ready:
		if failure != "" {
			t.Fatalf("%s:\n%s", cmd, failure)
		}
	case <-time.After(startLimit):
		t.Fatalf("%s: not mounted after %v", cmd, startLimit)
	}
}

// readUntil reads lines until one contains want, and returns "". If the text ends
// first, it returns the text.
func readUntil(r io.Reader, want string) string {
	var said strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), want) {
			return ""
		}
		said.WriteString(lines.Text() + "\n")
	}
	return "it ended without a word of being ready\n" + said.String()
}

// unmount unmounts the file system and ends the server. It may be called twice.
// If the mount is still in use, unmount detaches it (-z), so that nothing stays behind,
// and fails the test.
func (m *mount) unmount(t testing.TB) {
	if m.process == nil {
		return
	}
	defer func() { m.process = nil }()
	out, err := exec.Command("fusermount3", "-u", m.at).CombinedOutput()
	// Until a process that another test starts is itself, it has this one's files open.
	for wait := time.Millisecond; err != nil && bytes.Contains(out, []byte("busy")) && wait < time.Second; wait *= 2 {
		time.Sleep(wait)
		out, err = exec.Command("fusermount3", "-u", m.at).CombinedOutput()
	}
	if err != nil {
		select {
		case <-m.done: // the server never mounted, or the test has ended it
			exec.Command("fusermount3", "-u", "-z", m.at).Run()
			return
		default:
			t.Errorf("fusermount3 -u %s: %v: %s", m.at, err, out)
			exec.Command("fusermount3", "-u", "-z", m.at).Run()
		}
	}
	select {
	case <-m.done:
	case <-time.After(time.Second): // another mount namespace may hold a copy of the mount
		m.process.Process.Kill()
		<-m.done
		os.Remove(m.Sock)
	}
}

// signal sends a signal to the server. SIGSTOP takes effect thread by thread: signal
// returns when all of them have stopped.
func (m *mount) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := m.process.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	if s != syscall.SIGSTOP {
		return
	}
	ctlsocktest.Eventually(t, "all threads stop", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.process.Process.Pid))
		return !slices.ContainsFunc(threads, func(stat string) bool {
			b, err := os.ReadFile(stat)
			return err == nil && !bytes.Contains(b, []byte(") T "))
		})
	})
}

// encrypt asks the server for the cipher path of a plain path. The path must be UTF-8,
// because the protocol is JSON.
func (m *mount) encrypt(t testing.TB, plain string) string {
	t.Helper()
	conn, err := net.Dial("unix", m.Sock)
	check(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(startLimit))
	question, err := json.Marshal(ctlsock.RequestStruct{EncryptPath: plain})
	check(t, err)
	if _, err := conn.Write(question); err != nil {
		t.Fatal(err)
	}
	var answer ctlsock.ResponseStruct
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		t.Fatalf("encrypt %q: %v", plain, err)
	}
	if answer.ErrNo != 0 {
		t.Fatalf("encrypt %q: %s", plain, answer.ErrText)
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

// settle waits until the files are older than the clock of the file system is coarse,
// and the kernel has forgotten what it knew of the view. Before that what is in doubt
// may stay encrypted.
func settle() { time.Sleep(2500 * time.Millisecond) }

// pretty runs the filter on input. It fails the test if the filter fails.
func pretty(t testing.TB, args []string, input []byte) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(args, bytes.NewReader(input), &out, &errs); status != 0 {
		t.Errorf("run(%q) = %d, want 0; stderr: %s", args, status, errs.String())
	}
	return out.String(), errs.String()
}

// A transcript is a text with encrypted names, line by line.
type transcript struct{ raw, plain []string }

// fakeTranscript returns n lines with names that scripted servers know.
func fakeTranscript(n int) (tr transcript) {
	for i := range n {
		dir, file := fakeName(i/10), fakeName(i)
		path := dir + "/" + file
		tr.raw = append(tr.raw, ">f+++++++++ "+path)
		tr.plain = append(tr.plain, ">f+++++++++ "+fakePlain(path))
	}
	return tr
}

// realTranscript returns n lines with names below a mount.
func realTranscript(t *testing.T, m *mount, n int) (tr transcript) {
	t.Helper()
	for i := range n {
		path := fmt.Sprintf("dir %d/file %d", i/10, i)
		tr.raw = append(tr.raw, ">f+++++++++ "+m.encrypt(t, path))
		tr.plain = append(tr.plain, ">f+++++++++ "+path)
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

// decoded returns the number of decoded lines in out. All others must be unchanged,
// except for a directory that is known from a line before.
func (tr transcript) decoded(t *testing.T, out string) (n int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(tr.raw) || !strings.HasSuffix(out, "\n") {
		t.Fatalf("%d lines came out of %d", len(lines), len(tr.raw))
	}
	for i, line := range lines {
		switch line {
		case tr.plain[i]:
			n++
		case tr.raw[i], path.Dir(tr.plain[i]) + "/" + path.Base(tr.raw[i]):
		default:
			t.Fatalf("line %d is %q, want %q or %q", i, line, tr.plain[i], tr.raw[i])
		}
	}
	return n
}

// A running filter is a run of the program, in this process or in another.
type running struct {
	t         *testing.T
	in        io.WriteCloser
	out, errs *watched
	status    chan int
	process   *os.Process // nil in this process
}

// watched collects what is written to it.
type watched struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{} // has an element after a write
}

func newWatched() *watched { return &watched{written: make(chan struct{}, 1)} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.written <- struct{}{}:
	default:
	}
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// startFilter runs the program in this process. The test fails if one of its
// goroutines is left at the end.
func startFilter(t *testing.T, args ...string) *running {
	t.Helper()
	ctlsocktest.NoLeak(t)
	r, w := io.Pipe()
	f := &running{t: t, in: w, out: newWatched(), errs: newWatched(), status: make(chan int, 1)}
	go func() { f.status <- run(args, r, f.out, f.errs) }()
	t.Cleanup(func() { w.Close() })
	return f
}

// send writes text to the filter, which has to read it.
func (f *running) send(text string) {
	f.t.Helper()
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(f.in, text); sent <- err }()
	select {
	case err := <-sent:
		if err != nil {
			f.t.Fatalf("the filter does not read %q: %v", text[:min(len(text), 99)], err)
		}
	case <-time.After(startLimit):
		f.t.Fatalf("the filter has not read %d bytes after %v", len(text), startLimit)
	}
}

// shows waits until all that has been written is text.
func (f *running) shows(text string) {
	f.t.Helper()
	if got := f.until(func(got string) bool { return len(got) >= len(text) }); got != text {
		f.t.Fatalf("output %q, want %q", got, text)
	}
}

// showsLines waits for n lines in all, and returns them.
func (f *running) showsLines(n int) string {
	f.t.Helper()
	return f.until(func(got string) bool { return strings.Count(got, "\n") >= n })
}

// until waits until ok accepts the output so far, and returns that.
func (f *running) until(ok func(string) bool) string {
	f.t.Helper()
	late := time.After(startLimit)
	for {
		got := f.out.String()
		if ok(got) {
			return got
		}
		select {
		case <-f.out.written:
		case <-late:
			f.t.Fatalf("after %v the output is still %q", startLimit, got[max(0, len(got)-999):])
		}
	}
}

// end closes the input, waits for the filter and returns all of its output. The status
// must be 0, and stderr must have one warning for each of warnings, which contains
// that.
func (f *running) end(warnings ...string) string {
	f.t.Helper()
	f.in.Close()
	if status := f.wait(); status != exitOK {
		f.t.Errorf("status %d, want 0", status)
	}
	wantWarnings(f.t, f.errs.String(), warnings...)
	return f.out.String()
}

func (f *running) wait() int {
	f.t.Helper()
	select {
	case status := <-f.status:
		return status
	case <-time.After(startLimit):
		f.t.Fatalf("the filter goes on after %v", startLimit)
		return -1
	}
}

func wantWarnings(t *testing.T, stderr string, warnings ...string) {
	t.Helper()
	for _, w := range warnings {
		if !strings.Contains(stderr, w) {
			t.Errorf("no warning %q in %q", w, stderr)
		}
	}
	if n := strings.Count(stderr, ": warning: "); n != len(warnings) {
		t.Errorf("%d warnings, want %d:\n%s", n, len(warnings), stderr)
	}
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, program+": ") {
			t.Errorf("stderr has %q", line)
		}
	}
}

// programEnv returns the environment of this process, and more.
func programEnv(more ...string) []string { return append(os.Environ(), more...) }

// startProcess runs the program in its own process.
func startProcess(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	ctlsocktest.NoLeak(t)
	in, err := cmd.StdinPipe()
	check(t, err)
	f := &running{t: t, in: in, out: newWatched(), errs: newWatched(), status: make(chan int, 1)}
	cmd.Stdout, cmd.Stderr = f.out, f.errs
	check(t, cmd.Start())
	f.process = cmd.Process
	t.Cleanup(func() { cmd.Process.Kill() })
	go func() {
		cmd.Wait()
		f.status <- exitStatus(cmd.ProcessState)
	}()
	return f
}

// exitStatus returns the status that a shell reports: 128 and more for a signal.
func exitStatus(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return string(b)
}

// wordLines returns n words in lines of text: half of them have 22 characters, half 64
// hexadecimal digits.
func wordLines(n int) string {
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	var b bytes.Buffer
	var word [32]byte
	for i := range n {
		random.Read(word[:]) // never fails
		if i%2 == 0 {
			fmt.Fprintf(&b, "Commit %s is here\n", base64.RawURLEncoding.EncodeToString(word[:16]))
		} else {
			fmt.Fprintf(&b, "%s  file.iso\n", hex.EncodeToString(word[:]))
		}
	}
	return b.String()
}

// difference returns the lines of want that are not in got, and the reverse. Both must be
// sorted.
func difference(want, got []string) (missing, extra []string) {
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			missing, want = append(missing, want[0]), want[1:]
		case len(want) == 0 || got[0] < want[0]:
			extra, got = append(extra, got[0]), got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	return missing, extra
}

// visible joins lines for a message, at most as many as fit on a screen.
func visible(lines []string, sep string) string {
	var b strings.Builder
	for i, l := range lines {
		if i == 15 {
			fmt.Fprintf(&b, "%sand %d more", sep, len(lines)-i)
			break
		}
		if i > 0 {
			b.WriteString(sep)
		}
		fmt.Fprintf(&b, "%q", l)
	}
	return b.String()
}
