package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

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
	args := []string{"-plain", t.TempDir(), sock, t.TempDir()}
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

// TestRandomWords gives 12,000 words to real servers. They could be names but are not.
// About one in 280 still decrypts to something.
func TestRandomWords(t *testing.T) {
	const n = 12_000
	for _, s := range servers(t) {
		for _, sh := range []shape{
			{name: "reverse"},
			{name: "forward", forward: true},
			{name: "deterministic", opts: []string{"-deterministic-names"}},
		} {
			t.Run(s.Name+" "+sh.name, func(t *testing.T) {
				dir := shortDir(t)
				serve := mountReverse
				if sh.forward {
					serve = mountForward
				}
				m := serve(t, s, filepath.Join(dir, "a"), filepath.Join(dir, "b"), sh.opts...)
				if err := os.WriteFile(filepath.Join(m.Plain, "a name"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				name := m.encrypt(t, "a name")
				text := wordLines(n)
				shown, warnings := pretty(t, []string{m.Sock, m.Dir}, fmt.Appendf(nil, "%s\n%s%s\n", name, text, name))
				if warnings != "" {
					t.Errorf("stderr: %s", warnings)
				}
				shown, ok := strings.CutPrefix(shown, "a name\n")
				shown, ok2 := strings.CutSuffix(shown, "a name\n")
				if !ok || !ok2 {
					t.Error("a real name does not decode")
				}
				want, got := strings.Split(text, "\n"), strings.Split(shown, "\n")
				slices.Sort(want)
				slices.Sort(got)
				missing, extra := difference(want, got)
				if len(missing)+len(extra) > 0 {
					t.Errorf("want %s\ngot  %s", visible(missing, "\nwant "), visible(extra, "\ngot  "))
				}
				t.Logf("%d words, %d turned into something", n, len(missing))
			})
		}
	}
}

// TestRandomWordsBelow gives 200,000 words with and without suffixes to a real server,
// each after the path of a directory in which it could lie.
func TestRandomWordsBelow(t *testing.T) {
	const n = 200_000
	dir := shortDir(t)
	m := mountReverse(t, servers(t)[0], filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	if err := os.MkdirAll(filepath.Join(m.Plain, "a dir/below"), 0o755); err != nil {
		t.Fatal(err)
	}
	below := m.encrypt(t, "a dir/below")
	var in, want bytes.Buffer
	suffixes := []string{"", "-2026-11-23", "_bak", "-old", "~"}
	for i, line := range strings.Split(strings.TrimSuffix(wordLines(n), "\n"), "\n") {
		word := strings.Fields(strings.TrimPrefix(line, "Commit "))[0] + suffixes[i%len(suffixes)]
		fmt.Fprintf(&in, "Only in %s: %s\n", below, word)
		fmt.Fprintf(&want, "Only in a dir/below: %s\n", word)
	}
	shown, warnings := pretty(t, []string{m.Sock, m.Dir}, in.Bytes())
	if warnings != "" {
		t.Errorf("stderr: %s", warnings)
	}
	if missing, extra := difference(strings.Split(want.String(), "\n"), strings.Split(shown, "\n")); len(missing)+len(extra) > 0 {
		t.Errorf("%d words turned: want %s\ngot  %s", len(missing), visible(missing, "\nwant "), visible(extra, "\ngot  "))
	}
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
