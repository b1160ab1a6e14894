package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rfjakob/gocryptfs/v2/ctlsock"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// The harness of the end-to-end tests: real gocryptfs servers, mounts that are always
// unmounted again, and the filter run in process.

// startLimit bounds the time that a server may take to mount, to end or to answer.
const startLimit = ctlsocktest.Limit

// need skips the test if one of things is missing. With CI=true it fails the test
// instead. A thing is "fuse", "root", "namespaces" or the name of a program.
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

// servers returns the gocryptfs pinned in go.mod and the one in PATH. It skips the
// test if something that they need is missing; see need.
func servers(t testing.TB) []server {
	t.Helper()
	need(t, "fuse", "gocryptfs")
	return []server{{"2.6.1", pinned(t)}, {"distribution", "gocryptfs"}}
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
	return bin + ": " + string(out), err
})

// pinned returns the path of the pinned gocryptfs, built if it is missing.
func pinned(t testing.TB) string {
	t.Helper()
	bin, err := buildPinned()
	if err != nil {
		t.Fatalf("make .tools/gocryptfs: %v\n%s", err, bin)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
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
	if err := os.WriteFile(pass, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{source, m.at} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
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
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
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

// unmount unmounts the file system and waits for the server. It may be called twice.
// If the mount is still in use, unmount detaches it (-z), so that nothing stays behind,
// and fails the test.
func (m *mount) unmount(t testing.TB) {
	if m.process == nil {
		return
	}
	defer func() { m.process = nil }()
	if out, err := exec.Command("fusermount3", "-u", m.at).CombinedOutput(); err != nil {
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
	case <-time.After(startLimit):
		t.Errorf("gocryptfs still runs %v after the unmount of %s", startLimit, m.at)
		m.process.Process.Signal(syscall.SIGKILL)
		<-m.done
	}
}

// encrypt asks the server for the cipher path of a plain path. The path must be UTF-8,
// because the protocol is JSON.
func (m *mount) encrypt(t testing.TB, plain string) string {
	t.Helper()
	conn, err := net.Dial("unix", m.Sock)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(startLimit))
	question, err := json.Marshal(ctlsock.RequestStruct{EncryptPath: plain})
	if err != nil {
		t.Fatal(err)
	}
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
		if err != nil {
			t.Fatal(err)
		}
		return fi.Sys().(*syscall.Stat_t).Ino
	}
	want := inode(os.Lstat(filepath.Join(m.Plain, path)))
	dir := ""
	if d := filepath.Dir(path); d != "." {
		dir = m.cipherOf(t, d)
	}
	entries, err := os.ReadDir(filepath.Join(m.Dir, dir))
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
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
