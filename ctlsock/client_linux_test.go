package ctlsock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// as calls f as another user. A user belongs to a thread.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
	defer syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0))
	f()
}

// startAs is ctlsocktest.Start as another user, whom the system notes when the socket is made.
func startAs(t *testing.T, uid int, path string) (s *ctlsocktest.Server) {
	as(t, uid, func() { s = ctlsocktest.Start(t, path, ctlsocktest.Answer(upper)) })
	os.Chmod(path, 0o777)
	return s
}

// Another user's socket is not asked, neither at first nor in the place of the right one,
// unless that user is trusted. Root and the user who runs the program are trusted all the same. No
// connection that was not wanted, or not made, stays open.
func TestStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	path := ctlsocktest.Path(t)
	os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky)
	descriptors := func() int { d, _ := os.ReadDir("/proc/self/fd"); return len(d) }
	before := descriptors()
	c, p := newClient(t, path, limit)
	for _, tt := range []struct{ trust, server, user int }{{0, 0, 0}, {1, nobody, nobody}, {1, 0, nobody}, {nobody, nobody, 0}} {
		s := startAs(t, nobody, path)
		for range 2 * window {
			c.Connect()
			c.Prepare("b")
			want(t, c, "b", "")
		}
		s.Close() // only now has it accepted all connections that it is going to
		wantAsked(t, s, s.Dials())
		for range 2 * window {
			c.Connect() // to nobody
		}

		c.Trust(uint32(tt.trust))
		s = startAs(t, tt.server, path)
		as(t, tt.user, func() { wantBack(t, c, fmt.Sprintf("%+v", tt)) })
		s.Close()
		c.windows.socket.dropIdle()
	}
	wantProblems(t, p, "is the socket of another user (uid 65534)", "no control socket")
	ctlsocktest.Eventually(t, "few descriptors are open", func() bool { return descriptors() < before+window })
}

// Elsewhere is about the process that answers now, after gocryptfs was started again.
func TestElsewhere(t *testing.T) {
	if path := os.Getenv("CTLSOCK_SERVER"); path != "" { // the other process
		ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
		io.Copy(io.Discard, os.Stdin)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := ctlsocktest.Path(t)
	s := ctlsocktest.Start(t, path, ctlsocktest.Answer(upper))
	c, _ := newClient(t, path, limit)
	if want(t, c, "a", "A"); c.Elsewhere() {
		t.Error("this process is elsewhere")
	}
	s.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestElsewhere$")
	cmd.Env = append(os.Environ(), "CTLSOCK_SERVER="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	in, err := cmd.StdinPipe()
	if err = errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	wantBack(t, c, "b")
	if !c.Elsewhere() {
		t.Error("a process in another namespace is not elsewhere")
	}
	in.Close()
	cmd.Wait()
}

// A server that takes up no connection is waited for, up to the timeout.
func TestFullBacklog(t *testing.T) {
	path := ctlsocktest.Path(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	t.Cleanup(func() { syscall.Close(fd) })
	err = errors.Join(err, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0))
	for err == nil {
		var cn *conn
		if cn, err = dial(path, 0); err == nil {
			t.Cleanup(cn.close)
		}
	}
	c, p := newClient(t, path, patience)
	want(t, c, "a", "")
	wantProblems(t, p, "too many connections wait for gocryptfs")
	c, p = newClient(t, path, limit)
	time.AfterFunc(patience, func() {
		for answered, _, err := syscall.Accept(fd); err == nil; answered, _, err = syscall.Accept(fd) {
			go func() {
				b := make([]byte, 100)
				syscall.Read(answered, b)
				syscall.Write(answered, []byte(`{"Result":"A","ErrNo":0,"ErrText":"","WarnText":""}`+"\n"))
			}()
		}
	})
	if !c.Connect() {
		t.Error("the first connection is not waited for")
	}
	want(t, c, "a", "A")
	wantProblems(t, p)
}

// A signal interrupts waiting, as SIGSTOP and SIGCONT do. It does not prolong it.
func TestInterrupted(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	go func() {
		for t.Context().Err() == nil {
			time.Sleep(patience / 10)
			unix.Tgkill(os.Getpid(), thread, unix.SIGURG) // as the runtime does
		}
	}()
	_, c, p := serve(t, patience, ctlsocktest.Silence)
	start := time.Now()
	want(t, c, "a", "")
	if d := time.Since(start); d > 5*patience {
		t.Errorf("%v, want one timeout of %v", d, patience)
	}
	wantProblems(t, p, "did not answer within")
}

// A try is short, even if the timeout is not, and a single question.
func TestTry(t *testing.T) {
	hangup := ctlsocktest.Each(func(*ctlsocktest.Conn, string) bool { return false })
	for least, script := range map[time.Duration]ctlsocktest.Script{maxTry: ctlsocktest.Silence, 0: hangup} {
		s, c, _ := serve(t, limit, script)
		c.fail(io.EOF, 0)
		c.next = time.Time{}
		start := time.Now()
		want(t, c, "a", "")
		if d := time.Since(start); d < least*7/8 || d > 2*maxTry {
			t.Errorf("a try took %v", d)
		}
		wantAsked(t, s, 1, "a")
	}
}
