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
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Colour is tested on a pseudo-terminal, on which a screen is rendered.

// lost is an encrypted name that the scripted server does not know.
var lost = fakeName(404)

// colourServer returns the operands for a server that knows all names but lost.
func colourServer(t *testing.T) []string {
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

// ANSI sequences, and what the screen calls them.
const (
	green, cyan, red, magenta = "32", "36", "31", "35"
	boldRed, faint            = "1;31", "2"
)

// TestColourByKind has each kind of line in its colour, on a terminal and without
// being asked.
func TestColourByKind(t *testing.T) {
	operands := colourServer(t)
	lines := []struct{ line, colour string }{
		{"sending incremental file list", ""},
		{">f+++++++++ NAME", green},
		{"cd+++++++++ NAME/", green},
		{"cL+++++++++ NAME -> x", green},
		{"hf+++++++++ NAME => NAME", green},
		{">f.st...... NAME", cyan},
		{"<f..t...... NAME", cyan},
		{".d..t...... ./", cyan},
		{".f          NAME", ""}, // -ii: the same as there
		{"*deleting   NAME", red},
		{"deleting NAME/", red},
		{"NAME", ""},
		{"NAME/NAME is uptodate", ""},
		{`file has vanished: "/x/NAME"`, magenta},
		{`skipping non-regular file "NAME"`, magenta},
		{"rsync warning: some files vanished (code 24)", magenta},
		{`rsync: [sender] send_files failed to open "/x/NAME": Permission denied (13)`, boldRed},
		{"rsync error: some files (code 23) at main.c(1394) [sender=3.5.0]", boldRed},
		{">f+++++++++ gocryptfs.conf", faint},
		{">f+++++++++ NAME/gocryptfs.diriv", faint},
		{"*deleting   NAME/gocryptfs.diriv", faint},
		{"", ""},
		{"sent 1 bytes  received 2 bytes  3.00 bytes/sec", ""},
	}
	var in strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&in, strings.ReplaceAll(l.line, "NAME", fakeName(1)))
	}
	shown, _ := onTerminal(t, nil, operands, strings.NewReader(in.String()))
	s := render(t, shown, 200)
	for y, l := range lines {
		want := strings.ReplaceAll(l.line, "NAME", fakePlain(fakeName(1)))
		if got := s.line(y); got != want {
			t.Errorf("line %d is %q, want %q", y, got, want)
		}
		for x, c := range s.rows[y] {
			if c.look != l.colour {
				t.Errorf("%q, column %d: colour %q, want %q", want, x, c.look, l.colour)
				break
			}
		}
	}
	if s.look != "" {
		t.Errorf("the terminal is left in colour %q", s.look)
	}
}

// TestColourOfEncrypted has names dim that stayed encrypted, without the colour of
// the line, which would be hard to read, and what stands around them in that.
func TestColourOfEncrypted(t *testing.T) {
	shown, _ := onTerminal(t, nil, colourServer(t), strings.NewReader(
		">f+++++++++ mount/"+fakeName(1)+"/"+lost+"/x\n"+lost+" is uptodate\n"))
	s := render(t, shown, 200)
	plain := fakePlain(fakeName(1))
	var looks []string
	for y := range 2 {
		for x, c := range s.rows[y] {
			if x == 0 || c.look != s.rows[y][x-1].look {
				looks = append(looks, c.look+":")
			}
			looks[len(looks)-1] += string(c.r)
		}
	}
	want := []string{"32:>f+++++++++ mount/" + plain + "/", "2:" + lost, "32:/x", "2:" + lost, ": is uptodate"}
	if diff := cmp.Diff(want, looks); diff != "" {
		t.Errorf("looks (-want +got):\n%s", diff)
	}
}

// TestColourIsOptional has no sequence where none is wanted, and the same text.
func TestColourIsOptional(t *testing.T) {
	operands := colourServer(t)
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
				t.Errorf("colour: %v, want %v: %q", got, tt.want, shown)
			}
			if stderr != "" {
				t.Errorf("stderr: %s", stderr)
			}
			want := []string{">f+++++++++ " + fakePlain(fakeName(1)), "*deleting   " + lost, ""}
			if diff := cmp.Diff(want, render(t, shown, 80).lines()); diff != "" {
				t.Errorf("screen (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTerminalShowsProgress runs rsync over a real mount. With colour, a terminal
// shows what it shows without, in the end and after every piece of it.
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
			coloured := runOnTerminal(t, sh)
			in, err := os.Open(raw)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			plain, _ := onTerminal(t, nil, []string{"-color=never", m.Sock, m.Dir}, in)
			sameScreens(t, plain, coloured)
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

// sameScreens compares what a terminal shows of two outputs that are to differ in
// sequences for colour alone: when all of it is there, and each time the cursor
// goes back to the left.
func sameScreens(t *testing.T, plain, coloured string) {
	t.Helper()
	if got := sequence.ReplaceAllString(coloured, ""); got != plain {
		t.Errorf("without sequences (-plain +coloured):\n%s", cmp.Diff(plain, got))
	}
	var want, got []string
	renderSteps(t, plain, 80, func(s *screen) { want = append(want, strings.Join(s.lines(), "\n")) })
	renderSteps(t, coloured, 80, func(s *screen) { got = append(got, strings.Join(s.lines(), "\n")) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("screens (-plain +coloured):\n%s", diff)
	}
}

// TestTerminalShowsAtOnce has what has no newline yet on the terminal, in colour,
// and the colour ends there.
func TestTerminalShowsAtOnce(t *testing.T) {
	const progress = "\r          3,276 100%    3.12MB/s    0:00:00  "
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd := exec.Command(program, colourServer(t)...)
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

// onTerminal runs the program with a terminal for standard output. It returns what
// the terminal got, and stderr.
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

// startOnTerminal starts a command with a terminal of 24 lines by 80. read waits
// until the terminal has got n bytes and returns all of it; below 0, until the
// command has ended, with success.
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

// sequence is an ANSI sequence for colour.
var sequence = regexp.MustCompile(`\x1b\[([0-9;]*)m`)

// A screen is what a terminal shows: rows without end, each as wide as it is, for
// printable text, CR, newline and colours.
type screen struct {
	rows [][]cell
	x, y int
	wide int
	look string // of what comes next
}

// A cell is one character with its colours, in the order in which they were given.
type cell struct {
	r    rune
	look string
}

func render(t *testing.T, text string, wide int) *screen {
	t.Helper()
	return renderSteps(t, text, wide, func(*screen) {})
}

// renderSteps renders text and calls step each time the cursor goes to the left.
func renderSteps(t *testing.T, text string, wide int, step func(*screen)) *screen {
	t.Helper()
	s := &screen{rows: [][]cell{nil}, wide: wide}
	for text != "" {
		if m := sequence.FindStringSubmatchIndex(text); m != nil && m[0] == 0 {
			s.paint(text[m[2]:m[3]])
			text = text[m[1]:]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		switch {
		case r == '\r':
			step(s)
			s.x = 0
		case r == '\n':
			s.down()
		case r < ' ' || r == 0x7f:
			t.Fatalf("%q does not belong on a terminal", r)
		default:
			s.put(r)
		}
	}
	step(s)
	return s
}

// paint takes the sequence of a colour. 22 ends what is bold or faint (ECMA-48,
// SGR).
func (s *screen) paint(sgr string) {
	switch {
	case sgr == "0" || sgr == "":
		s.look = ""
	case sgr == "22":
		s.look = strings.Trim(regexp.MustCompile(`(^|;)[12]\b`).ReplaceAllString(s.look, ""), ";")
	case s.look == "" || s.look == sgr:
		s.look = sgr
	default:
		s.look += ";" + sgr
	}
}

func (s *screen) down() {
	if s.y++; s.y == len(s.rows) {
		s.rows = append(s.rows, nil)
	}
}

// put writes a character; the line goes on below if it is full.
func (s *screen) put(r rune) {
	if s.x == s.wide {
		s.x = 0
		s.down()
	}
	row := s.rows[s.y]
	for len(row) <= s.x {
		row = append(row, cell{r: ' '})
	}
	row[s.x] = cell{r, s.look}
	s.rows[s.y] = row
	s.x++
}

func (s *screen) line(y int) string {
	var b strings.Builder
	for _, c := range s.rows[y] {
		b.WriteRune(c.r)
	}
	return b.String()
}

func (s *screen) lines() []string {
	var lines []string
	for y := range s.rows {
		lines = append(lines, s.line(y))
	}
	return lines
}
