package main

import (
	"bufio"
	"bytes"
	"flag"
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

var update = flag.Bool("update", false, "write the expected output in testdata anew")

// capture is one file of testdata/replay, which capture.sh makes: what a command
// printed, and what the filter makes of that.
type capture struct {
	file        string
	command     []byte
	raw, pretty []byte
}

// TestReplay gives the filter what was captured, cut in several ways. It needs
// neither FUSE nor rsync: a control socket answers from a table. Targets of links stay
// encrypted: there is no plain directory that has the same files.
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
			// Word for word: nothing else in the text has changed.
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

// readers returns what gives text in several ways.
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

// pieces reads a text in pieces as long as next says of the rest.
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

// readNames reads names.tsv: cipher path and plain path.
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

// translate returns what a control socket says of paths, plain or not: no path
// is both.
func translate(names []encryptedName) func(path string) string {
	table := map[string]string{}
	for _, n := range names {
		table[n.cipher], table[n.plain] = n.plain, n.cipher
	}
	return func(path string) string { return table[path] }
}

// doubtfulView makes an encrypted directory with the names that have to be seen there
// to be believed.
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

// words translates a text as simply as can be: each name, wherever it stands.
// That is only right of names known to stand nowhere else.
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

// escaped writes the names of the captures as rsync does.
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
