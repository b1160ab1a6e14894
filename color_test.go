package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Color is tested on pseudo-terminals.

// lost is an encrypted name that the scripted server does not know.
var lost = fakeName(404)

// colorServer returns the operands for a server that knows all names but lost.
func colorServer(t *testing.T) []string {
	t.Helper()
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(func(path string) string {
		if strings.Contains(path, lost) {
			return ""
		}
		return fakePlain(path)
	}))
	dir := t.TempDir()
	return []string{"-plain", dir, s.Path, dir}
}

// TestColorByKind checks the color of each kind of line, on a terminal and without
// -color. Names that stayed encrypted are dim, without the color of the line.
func TestColorByKind(t *testing.T) {
	const green, cyan, red, magenta, boldRed, dim = "32", "36", "31", "35", "1;31", "2"
	var in, want strings.Builder
	for _, l := range []struct{ line, color string }{
		{"sending incremental file list", ""},
		{">f+++++++++ NAME", green},
		{"cd+++++++++ NAME/", green},
		{"cL+++++++++ NAME -> x", green},
		{"hf+++++++++ NAME => NAME", green},
		{">f.st...... NAME", cyan},
		{"<f..t...... NAME", cyan},
		{".d..t...... ./", cyan},
		{".f          NAME", ""}, // -ii: unchanged
		{"*deleting   NAME", red},
		{"deleting NAME/", red},
		{"NAME", ""},
		{"NAME/NAME is uptodate", ""},
		{`file has vanished: "/x/NAME"`, magenta},
		{`skipping non-regular file "NAME"`, magenta},
		{"rsync warning: some files vanished (code 24)", magenta},
		{`rsync: [sender] send_files failed to open "/x/NAME": Permission denied (13)`, boldRed},
		{"rsync error: some files (code 23) at main.c(1394) [sender=3.5.0]", boldRed},
		{">f+++++++++ gocryptfs.conf", dim},
		{">f+++++++++ NAME/gocryptfs.diriv", dim},
		{"*deleting   NAME/gocryptfs.diriv", dim},
		{"", ""},
		{">f+++++++++ mount/NAME/LOST/x", green},
		{"LOST is uptodate", ""},
	} {
		fmt.Fprintln(&in, strings.NewReplacer("NAME", fakeName(1), "LOST", lost).Replace(l.line))
		begin, end := "", ""
		if l.color != "" {
			begin, end = "\x1b["+l.color+"m", "\x1b[0m"
		}
		fmt.Fprint(&want, begin, strings.NewReplacer("NAME", fakePlain(fakeName(1)),
			"LOST", "\x1b[0m\x1b[2m"+lost+"\x1b[0m"+begin).Replace(l.line), end, "\r\n")
	}
	shown, _ := onTerminal(t, nil, colorServer(t), strings.NewReader(in.String()))
	if diff := cmp.Diff(want.String(), shown); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestColorIsOptional checks that the text has no sequence where none is wanted, and is
// otherwise the same.
func TestColorIsOptional(t *testing.T) {
	operands := colorServer(t)
	in := ">f+++++++++ " + fakeName(1) + "\n*deleting   " + lost + "\n"
	for name, tt := range map[string]struct {
		env, flags []string
		want       bool
	}{
		"terminal":             {nil, nil, true},
		"auto":                 {nil, []string{"-color=auto"}, true},
		"NO_COLOR empty":       {[]string{"NO_COLOR="}, nil, true},
		"NO_COLOR":             {[]string{"NO_COLOR=1"}, nil, false},
		"NO_COLOR, auto":       {[]string{"NO_COLOR=1"}, []string{"-color=auto"}, false},
		"dumb":                 {[]string{"TERM=dumb"}, nil, false},
		"no TERM":              {[]string{"TERM="}, nil, true},
		"never":                {nil, []string{"-color=never"}, false},
		"NO_COLOR, but always": {[]string{"NO_COLOR=1", "TERM=dumb"}, []string{"-color=always"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			shown, stderr := onTerminal(t, tt.env, append(tt.flags, operands...), strings.NewReader(in))
			if got := strings.Contains(shown, "\x1b"); got != tt.want {
				t.Errorf("color: %v, want %v: %q", got, tt.want, shown)
			}
			if stderr != "" {
				t.Errorf("stderr: %s", stderr)
			}
			want := ">f+++++++++ " + fakePlain(fakeName(1)) + "\r\n*deleting   " + lost + "\r\n"
			if diff := cmp.Diff(want, sequence.ReplaceAllString(shown, "")); diff != "" {
				t.Errorf("without sequences (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTerminalShowsProgress runs rsync over a real mount. With color, a terminal shows
// the same as without, at the end and after every piece.
func TestTerminalShowsProgress(t *testing.T) {
	need(t, "rsync")
	m := progressMount(t)
	for _, command := range []string{
		"rsync -a --progress %s/ %s",
		"rsync -avi --progress --delete %s/ %s",
		"rsync -ai --delete --info=progress2 %s %s",
		"rsync -aP --no-inc-recursive %s/ %s",
		"rsync -a --info=progress2 %s/ %s",
	} {
		t.Run(command, func(t *testing.T) {
			dir := shortDir(t)
			dst := filepath.Join(dir, "dst")
			raw := filepath.Join(dir, "raw")
			// Something to delete.
			create(t, dst, m.encrypt(t, "gone"), "file 1")
			sh := exec.Command("sh", "-c", fmt.Sprintf(command, m.Dir, dst)+" | tee "+raw+` | "$0" "$@"`, program, m.Sock, m.Dir)
			colored := runOnTerminal(t, sh)
			in, err := os.Open(raw)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			plain, _ := onTerminal(t, nil, []string{"-color=never", m.Sock, m.Dir}, in)
			if diff := cmp.Diff(plain, sequence.ReplaceAllString(colored, "")); diff != "" {
				t.Errorf("without sequences (-plain +colored):\n%s", diff)
			}
			if !strings.Contains(plain, "100%") || strings.Contains(plain, "\x1b") || !strings.Contains(plain, "\r") {
				t.Errorf("no progress to compare: %q", plain)
			}
		})
	}
}

// progressMount has files of some size to show progress for.
func progressMount(t *testing.T) *mount {
	t.Helper()
	base := shortDir(t)
	plain := filepath.Join(base, "plain")
	for _, name := range []string{"größere Datei.iso", "Fotos/See.jpg", "Fotos/leer"} {
		create(t, plain, name, "big 1")
	}
	big, err := os.Create(filepath.Join(plain, "film.mkv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(big.Truncate(3<<20), big.Close()); err != nil {
		t.Fatal(err)
	}
	return mountReverse(t, servers(t)[0], plain, filepath.Join(base, "view"))
}

// TestTerminalShowsAtOnce checks that text without a newline appears on the terminal, in
// color, and that the color ends there.
func TestTerminalShowsAtOnce(t *testing.T) {
	const progress = "\r          3,276 100%    3.12MB/s    0:00:00  "
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd := exec.Command(program, colorServer(t)...)
	cmd.Stdin = r
	read := startOnTerminal(t, cmd)
	all := ""
	for _, step := range []struct{ in, out string }{
		{">f+++++++++ " + fakeName(1) + "\n", "\x1b[32m>f+++++++++ " + fakePlain(fakeName(1)) + "\x1b[0m\r\n"},
		{progress, progress},
		{progress, progress},
		{"\n", "\r\n"},
		{"*deleting   ", "\x1b[31m*deleting   \x1b[0m"},
		{fakeName(2) + "\n", "\x1b[31m" + fakePlain(fakeName(2)) + "\x1b[0m\r\n"},
		{"Password: ", "Password: "},
	} {
		if _, err := io.WriteString(w, step.in); err != nil {
			t.Fatal(err)
		}
		all += step.out
		if got := read(len(all)); got != all {
			t.Fatalf("%q, want %q", got, all)
		}
	}
	w.Close()
	if got := read(-1); got != all {
		t.Errorf("%q, want %q", got, all)
	}
}

// onTerminal runs the program with a terminal as standard output. It returns what the
// terminal got, and stderr.
func onTerminal(t *testing.T, env, args []string, stdin io.Reader) (shown, stderr string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.Env = stdin, &errs, env
	return runOnTerminal(t, cmd), errs.String()
}

func runOnTerminal(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	return startOnTerminal(t, cmd)(-1)
}

// startOnTerminal starts a command with a terminal of 24 lines by 80 columns. read
// waits until the terminal has got n bytes, or, if n is below 0, until the command has
// ended with success. It returns all that the terminal has got.
func startOnTerminal(t *testing.T, cmd *exec.Cmd) (read func(n int) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	t.Cleanup(cancel)
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ptmx.Close() })
	if err := pty.Setsize(ptmx, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = tty
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "LC_ALL=C.UTF-8",
		"GORACE=atexit_sleep_ms=10"}, cmd.Env...)
	err = cmd.Start()
	tty.Close()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill(); ptmx.Close() })
	t.Cleanup(func() { stop() })
	got := ""
	return func(n int) string {
		t.Helper()
		buf := make([]byte, 4096)
		for n < 0 || len(got) < n {
			m, err := ptmx.Read(buf)
			got += string(buf[:m])
			// Linux: the other side is closed (drivers/tty/pty.c).
			if errors.Is(err, syscall.EIO) || err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v; the terminal has %q", err, got)
			}
		}
		if n < 0 {
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", cmd, err)
			}
		}
		return got
	}
}

// sequence is an ANSI sequence for color.
var sequence = regexp.MustCompile(`\x1b\[([0-9;]*)m`)
