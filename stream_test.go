package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Text without names passes unchanged, whether there is a server or not.

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
