package ctlsock

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

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
