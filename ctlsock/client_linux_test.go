package ctlsock

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// startAs is ctlsocktest.Start as another user, whom the system notes when the socket is
// made. A user belongs to a thread.
func startAs(t *testing.T, uid int, path string) *ctlsocktest.Server {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			t.Fatal(errno)
		}
	}
	become(uid)
	defer become(0)
	return ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
}

// Another user's socket is not asked, neither at first nor in the place of the right one,
// unless that user is trusted.
func TestStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	path := ctlsocktest.Path(t)
	if err := os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	s := startAs(t, nobody, path)
	first, p1 := newClient(t, path, limit)
	if first.Connect() {
		t.Error("connected to the socket of another user")
	}
	want(t, first, "a", "")
	s.Close()

	s = ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	second, p2 := newClient(t, path, limit)
	want(t, second, "a", "A")
	if pid, ok := second.Peer(); pid != os.Getpid() || !ok {
		t.Errorf("Peer() = %d, %v, want this process", pid, ok)
	}
	ctlsocktest.Eventually(t, "the socket of root is asked", func() bool { _, ok := first.Decrypt("b"); return ok })
	s.Close()

	s = startAs(t, nobody, path)
	for range 2 * window {
		second.Prepare("b")
		want(t, second, "b", "")
	}
	if asked := s.Asked(); len(asked) > 0 {
		t.Errorf("asked another user for %q", asked)
	}
	for _, p := range []*problems{p1, p2} {
		wantProblems(t, p, "is the socket of another user (uid 65534)")
	}
	second.Trust(nobody)
	ctlsocktest.Eventually(t, "the trusted user is asked", func() bool { _, ok := second.Decrypt("b"); return ok })
	for _, path := range s.Asked() {
		if path != "b" {
			t.Errorf("asked for %q", path)
		}
	}
}

// fullBacklog returns a socket on which connecting waits.
func fullBacklog(t *testing.T) string {
	t.Helper()
	path := ctlsocktest.Path(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		t.Cleanup(func() { syscall.Close(fd) })
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	for err == nil {
		var cn *conn
		if cn, err = dial(path, time.Millisecond); err == nil {
			t.Cleanup(cn.close)
		}
	}
	if !os.IsTimeout(err) {
		t.Fatal(err)
	}
	return path
}

// A signal interrupts connecting and waiting, as SIGSTOP and SIGCONT do. It does not
// prolong them.
func TestInterrupted(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, done := unix.Gettid(), make(chan bool)
	defer close(done)
	go func() {
		tick := time.NewTicker(patience / 10)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				unix.Tgkill(os.Getpid(), thread, unix.SIGURG) // as the runtime does
			case <-done:
				return
			}
		}
	}()
	for _, path := range []string{ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Silence).Path, fullBacklog(t)} {
		c, p := newClient(t, path, patience)
		start := time.Now()
		want(t, c, "a", "")
		if d := time.Since(start); d > 5*patience {
			t.Errorf("%v, want one timeout of %v", d, patience)
		}
		wantProblems(t, p, "did not answer within")
	}
}

// Close ends a probe that waits for an answer, one that connects, and one between two
// tries, and does not wait for it.
func TestClose(t *testing.T) {
	silent := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Silence)
	for _, tt := range []struct {
		path           string
		timeout, retry time.Duration
	}{{silent.Path, 2 * limit, 0}, {fullBacklog(t), 5 * patience, 0}, {ctlsocktest.Path(t), limit, 2 * limit}} {
		c, _ := newClient(t, tt.path, tt.timeout)
		c.pool.retry = tt.retry
		c.pool.fail(os.ErrDeadlineExceeded, question{path: "a"})
		ctlsocktest.Eventually(t, "a try", func() bool { return tt.path != silent.Path || len(silent.Asked()) > 0 })
		time.Sleep(patience) // the probe connects in the meantime
		start := time.Now()
		c.Close()
		if d := time.Since(start); d > 2*patience {
			t.Errorf("Close took %v", d)
		}
	}
}
