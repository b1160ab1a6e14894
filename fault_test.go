package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Whatever happens to the control socket, the text goes through: what is not decoded
// is unchanged, the input is read to its end, the status is 0, and there is one warning
// for each problem.

// notMounted is part of the warning that there is no gocryptfs at MOUNT, as in
// all tests with a scripted server.
const notMounted = " is not a gocryptfs mount"

// onServers runs f once for each gocryptfs, side by side, with a small tree mounted. inside
// is its directory "dir" in the view: to be MOUNT, since names below it need the files.
func onServers(t *testing.T, f func(t *testing.T, m *mount, inside string)) {
	for _, s := range servers(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			m := mountNew(t, s, map[string]string{"dir/link": "-> the target"})
			f(t, m, filepath.Join(m.Dir, m.encrypt(t, "dir")))
		})
	}
}

// gocryptfs is killed, and leaves its socket behind, or its file system is unmounted. Then it
// is mounted again.
func TestFaultGone(t *testing.T) {
	onServers(t, func(t *testing.T, m *mount, inside string) {
		tr := realTranscript(t, m, 300)
		for _, killed := range []bool{false, true} {
			f := startFilter(t, m.Sock, inside)
			if got := f.ask(tr.part(0, 100).input()); got != tr.part(0, 100).output() {
				t.Errorf("at first: %q", got)
			}
			command, warning := m.process.Args, "no control socket at "
			if killed {
				check(t, m.process.Process.Kill())
				warning = "connection refused at "
			}
			m.unmount(t)
			if got := f.ask(tr.part(100, 300).input()); got != tr.part(100, 300).input() {
				t.Errorf("killed: %v: %q", killed, got)
			}
			os.Remove(m.Sock) // as the hint says
			m.serve(t, exec.Command(command[0], command[1:]...))
			f.comesBack(tr.part(200, 210))
			f.end(warning)
		}
	})
}

// gocryptfs hangs, before the filter starts or in mid-stream, and then goes on.
func TestFaultStopped(t *testing.T) {
	onServers(t, func(t *testing.T, m *mount, inside string) {
		const timeout = time.Second
		tr := realTranscript(t, m, 1000)
		_, link, _ := strings.Cut(m.fill(t, "{dir/link} -> {@dir/link}"), "/")
		links := transcript{[]string{link}, []string{"link -> the target"}}
		var f *running
		begin := func() { f = startFilter(t, "-timeout", timeout.String(), m.Sock, inside) }
		for _, early := range []bool{false, true} {
			settle() // the kernel knows nothing of the view any more
			if early {
				begin()
				f.comesBack(links)
				f.comesBack(tr.part(0, 100))
				settle()
			}
			m.signal(t, syscall.SIGSTOP)
			defer m.signal(t, syscall.SIGCONT)
			start := time.Now()
			if !early {
				begin()
			}
			links.decoded(t, f.ask(links.input()))
			tr.part(100, 1000).decoded(t, f.ask(tr.part(100, 1000).input()))
			if d := time.Since(start); d > 15*timeout {
				t.Errorf("900 lines took %v, want about one timeout of %v", d, timeout)
			}
			m.signal(t, syscall.SIGCONT)
			f.comesBack(links)
			f.comesBack(tr.part(500, 600))
			f.quit()
			if n := strings.Count(f.errs.String(), ": warning: "); n == 0 || n > 2 || early && n > 1 { // of MOUNT, too
				t.Errorf("%d warnings, want one, or one more at the start:\n%s", n, &f.errs)
			}
		}
	})
}

// Bytes that cannot become part of a token, and whose color is certain, are shown before
// more input comes.
func TestStreamsAtOnce(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(fakePlain))
	name, plain := fakeName(1), fakePlain(fakeName(1))
	words := strings.NewReplacer("NAME", name, "PLAIN", plain, "HEAD", name[:5], "REST", name[5:], "LONG", strings.Repeat("x", 1000))
	for _, table := range strings.Split(read(t, "testdata/at-once.txt"), "\n\n")[1:] {
		flag, steps, _ := strings.Cut(words.Replace(table), "\n")
		t.Run(flag, func(t *testing.T) {
			f, shown := startFilter(t, flag, s.Path, t.TempDir()), ""
			for step := range strings.Lines(steps) {
				var in, out string
				fmt.Sscanf(step, "%q %q", &in, &out)
				f.send(in)
				shown += out
				if got := f.until(func(got string) bool { return len(got) >= len(shown) }); got != shown {
					t.Fatalf("after %q the output is %q, want %q", in, got, shown)
				}
			}
			f.send("\n" + name)
			if got := f.end(notMounted); got != shown+"\n"+plain {
				t.Errorf("the last name came out as %q", got[len(shown):])
			}
		})
	}
}
