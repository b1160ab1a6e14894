package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Text without names passes unchanged, whether there is a server or not.

// strangers returns texts without any names.
func strangers(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"random bytes":       randomBytes(8_000_000),
		"random words":       randomWords(5_000),
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

// randomWords returns n random words that gocryptfs could have made, in lines and
// paths.
func randomWords(n int) []byte {
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	var text []byte
	name := make([]byte, 11*16)
	for i := range n {
		random.Read(name) // never fails
		blocks := 1 + int(name[0]%11)
		text = base64.RawURLEncoding.AppendEncode(text, name[:blocks*16])
		text = append(text, "\n/ .,\r/\n"[i%8])
	}
	return text
}

// TestPass gives texts without names to a server that knows none.
func TestPass(t *testing.T) {
	sock := ctlsocktest.Path(t)
	ctlsocktest.Start(t, sock, ctlsocktest.Answer(func(string) string { return "" }))
	args := []string{sock, t.TempDir()}
	for name, text := range strangers(t) {
		t.Run(name, func(t *testing.T) {
			wantSame(t, text, replay(t, args, bytes.NewReader(text)))
			if len(text) < 1000 {
				wantSame(t, text, replay(t, args, iotest.OneByteReader(bytes.NewReader(text))))
			}
		})
	}
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
	texts := strangers(t)
	raw := readCaptures(t)[0].raw
	texts["a capture"] = raw
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			in := bytes.NewReader(text)
			if status := run([]string{sock, t.TempDir()}, in, &out, &errs); status != exitOK {
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

// TestPassBetween puts names between the texts.
func TestPassBetween(t *testing.T) {
	names := readNames(t)
	sock := ctlsocktest.Path(t)
	ctlsocktest.Start(t, sock, ctlsocktest.Answer(translate(names)))
	dir := t.TempDir()
	args := []string{"-plain", dir, sock, dir}
	i := slices.IndexFunc(names, func(n encryptedName) bool { return n.plain == "My Documents/Letter to Ann.odt" })
	if i < 0 {
		t.Fatal("names.tsv lacks the name")
	}
	name := names[i]
	for about, text := range strangers(t) {
		if len(text) > 1000 {
			continue
		}
		t.Run(about, func(t *testing.T) {
			// The text may end or begin with a letter, so there is a blank.
			in := "{} " + string(text) + " {}\n\n{}" + "\r{}\r\n{}\x00{}\n" + string(text) + "\n\n\n{}"
			want := strings.ReplaceAll(in, "{}", name.plain)
			in = strings.ReplaceAll(in, "{}", name.cipher)
			for how, r := range map[string]io.Reader{
				"whole":        strings.NewReader(in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(in)),
			} {
				if diff := cmp.Diff(want, replay(t, args, r)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// capture is a file of testdata/replay, made by capture.sh: a command, what it printed,
// and the output of the filter for that.
type capture struct {
	file        string
	command     []byte
	raw, pretty []byte
}

// TestReplay gives the filter the captures, cut in several ways. It needs neither FUSE nor
// rsync: a control socket answers from a table. Targets of links stay encrypted, because
// there is no plain directory with the same files.
func TestReplay(t *testing.T) {
	names := readNames(t)
	sock := ctlsocktest.Path(t)
	ctlsocktest.Start(t, sock, ctlsocktest.Answer(translate(names)))
	for _, c := range readCaptures(t) {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			args := []string{sock, doubtfulView(t, names)}
			if *update {
				c.pretty = []byte(replay(t, args, bytes.NewReader(c.raw)))
				c.write(t)
			}
			// Only words have changed.
			if diff := cmp.Diff(words(names).Replace(string(c.raw)), string(c.pretty)); diff != "" {
				t.Errorf("%s: the pretty part is not the raw one in other words (-raw +pretty):\n%s", c.file, diff)
			}
			for how, r := range readers(c.raw) {
				if diff := cmp.Diff(string(c.pretty), replay(t, args, r)); diff != "" {
					t.Errorf("%s, %s (-want +got):\n%s", c.command, how, diff)
				}
			}
		})
	}
}

// replay runs the filter.
func replay(t *testing.T, args []string, in io.Reader) string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(args, in, &out, &errs); status != exitOK {
		t.Errorf("run(%q) = %d, want 0", args, status)
	}
	if s := withoutWarnings(errs.String()); s != "" {
		t.Errorf("stderr: %s", s)
	}
	return out.String()
}

// readers returns readers that give text in different pieces.
func readers(text []byte) map[string]io.Reader {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	return map[string]io.Reader{
		"whole":            bytes.NewReader(text),
		"line by line":     &pieces{text, func(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }},
		"byte by byte":     iotest.OneByteReader(bytes.NewReader(text)),
		"two bytes each":   &pieces{text, func([]byte) int { return 2 }},
		"random pieces":    &pieces{text, func([]byte) int { return 1 + random.IntN(100) }},
		"with a late end":  iotest.DataErrReader(bytes.NewReader(text)),
		"halves of a read": iotest.HalfReader(bytes.NewReader(text)),
	}
}

// pieces reads a text in pieces. next returns the length of the next piece of the rest.
type pieces struct {
	text []byte
	next func(rest []byte) int
}

func (r *pieces) Read(p []byte) (int, error) {
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := r.next(r.text)
	if n <= 0 {
		n = len(r.text) // a last line without a newline
	}
	n = copy(p[:min(n, len(p))], r.text)
	r.text = r.text[n:]
	return n, nil
}

// encryptedName is a line of names.tsv.
type encryptedName struct {
	cipher, plain string
}

// readNames reads names.tsv, with cipher path and plain path.
func readNames(t *testing.T) (names []encryptedName) {
	t.Helper()
	f, err := os.Open("testdata/replay/names.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		names = append(names, encryptedName{cipher: fields[0], plain: unquote(t, fields[1])})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	s, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// translate returns the answers of a control socket, for cipher paths and for plain ones:
// no path is both.
func translate(names []encryptedName) func(path string) string {
	table := map[string]string{}
	for _, n := range names {
		table[n.cipher], table[n.plain] = n.plain, n.cipher
	}
	return func(path string) string { return table[path] }
}

// doubtfulView makes an encrypted directory with the names that are only shown if their
// files exist.
func doubtfulView(t *testing.T, names []encryptedName) (view string) {
	t.Helper()
	view = t.TempDir()
	for _, n := range names {
		if strings.ContainsAny(n.plain, "\t\n\r\x1b") {
			if err := os.MkdirAll(filepath.Join(view, n.cipher), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return view
}

// words translates each name in a text, wherever it stands. That is only right because
// these names stand nowhere else.
func words(names []encryptedName) *strings.Replacer {
	var pairs []string
	for _, n := range names {
		cipher, plain := filepath.Base(n.cipher), escaped.Replace(filepath.Base(n.plain))
		if long, ok := strings.CutPrefix(cipher, "gocryptfs.longname."); ok {
			pairs = append(pairs, "gocryptfs.longname."+long+".name", "gocryptfs.longname."+plain+".name")
		}
		pairs = append(pairs, cipher, plain)
	}
	return strings.NewReplacer(pairs...)
}

// escaped escapes the names of the captures as rsync does.
var escaped = strings.NewReplacer("\n", `\#012`, "\r", `\#015`, "\x1b", `\#033`, `\#123`, `\#134#123`)

// readCaptures reads all captures.
func readCaptures(t *testing.T) (captures []capture) {
	t.Helper()
	files, err := filepath.Glob("testdata/replay/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := capture{file: file, command: bytes.TrimSpace(a.Comment)}
		for _, f := range a.Files {
			switch f.Name {
			case "raw":
				c.raw = f.Data
			case "pretty":
				c.pretty = f.Data
			}
		}
		if len(c.raw) == 0 || len(c.pretty) == 0 && !*update {
			t.Fatalf("%s: has no raw or no pretty part", file)
		}
		captures = append(captures, c)
	}
	if len(captures) == 0 {
		t.Fatal("no captures in testdata/replay")
	}
	return captures
}

// write stores a capture.
func (c *capture) write(t *testing.T) {
	t.Helper()
	a := &txtar.Archive{
		Comment: append(slices.Clone(c.command), '\n'),
		Files:   []txtar.File{{Name: "raw", Data: c.raw}, {Name: "pretty", Data: c.pretty}},
	}
	if err := os.WriteFile(c.file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
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
