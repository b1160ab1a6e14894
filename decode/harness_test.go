package decode

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/scan"

	"github.com/rogpeppe/go-internal/txtar"
)

// A namesFunc is a server that answers as the function does.
type namesFunc func(cipher string) (plain string, ok bool)

func (namesFunc) Encrypt(string) (string, bool)          { return "", false }
func (namesFunc) Prepare(string) bool                    { return true }
func (f namesFunc) Decrypt(cipher string) (string, bool) { return f(cipher) }

// paths is a server that knows these plain paths by cipher path.
type paths map[string]string

func (paths) Encrypt(string) (string, bool) { return "", false }
func (paths) Prepare(string) bool           { return true }

func (p paths) Decrypt(cipher string) (string, bool) {
	plain, ok := p[cipher]
	return plain, ok
}

// has reports whether a view with these files has one.
func (p paths) has(cipher string) bool { return p[cipher] != "" }

// anybody is a server that decrypts most paths to a name that identifies the question.
var anybody = namesFunc(func(cipher string) (string, bool) {
	names := strings.Split(cipher, "/")
	var sum [sha256.Size]byte
	for i, s := range names {
		sum = sha256.Sum256(append(sum[:], s...))
		if sum[0]&7 == 0 || strings.HasSuffix(s, "=") && sum[0]&1 == 0 {
			return "", false
		}
		names[i] = "<" + string('α'+rune(sum[1]%24)) + s[len(s)-2:] + ">"
		if sum[2]&15 == 0 {
			names[i] += "\n\ufffd"
		}
	}
	return strings.Join(names, "/"), true
})

const (
	encA = "ikFrxDZ5DfCpwm4Myx-3TA"
	encB = "imzeAOOgEnocI27OWHX1BQ"
	encC = "m91YAV0v95v-ak-wALAQAg"
	encD = "ZkFrxDZ5DfCpwm4Myx-3TA"
)

func encryptedName(i int) string { return fmt.Sprintf("%021dA", i) }

// A stubView is a view that counts the looks at files. It tells a spelling only without a look. A test
// that looks for existing files says which there are, and for links, which of them lead to "target".
type stubView struct {
	view   View
	exists func(cipher string) bool
	links  func(cipher, plain, text string) bool
	listed int // entries that are read for a spelling
	looks  int // at directories above a link, too
}

func (v *stubView) View() View                { return v.view }
func (v *stubView) Exists(cipher string) bool { return v.exists != nil && v.exists(cipher) }

func (v *stubView) Spelling(_, _ string, look bool) (_ string, read int, ok bool) {
	if look {
		v.looks, read = v.looks+1, v.listed
	}
	return "known", read, !look
}

func (v *stubView) Target(cipher, plain string, text []byte) (string, bool) {
	v.looks += 1 + strings.Count(cipher, "/")
	return "target", v.links != nil && v.links(cipher, plain, string(text))
}

// openIndex opens an index with this text.
func openIndex(t *testing.T, text string) *index.Index {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	os.WriteFile(path, []byte(text), 0o600)
	x := index.Open(path, true, func(what, hint string) { t.Error(what, hint) })
	t.Cleanup(func() { x.Close() })
	return x
}

// section returns a section of testdata/FILE.txt.
func section(file, name string) string {
	a, _ := txtar.ParseFile("testdata/" + file + ".txt")
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	return string(a.Files[i].Data)
}

// A form is a text and how it is shown; if want is empty, with all its names in plain.
type form struct{ line, want string }

// forms returns the lines of a section, each with the one after it if that begins with a tab.
func forms(file, name string, text func(string) string) (forms []form) {
	for line := range strings.Lines(section(file, name)) {
		line = strings.TrimSuffix(line, "\n")
		if want, ok := strings.CutPrefix(line, "\t"); ok {
			forms[len(forms)-1].want = text(want)
		} else if line != "" && !strings.HasPrefix(line, "# ") {
			forms = append(forms, form{line: text(line)})
		}
	}
	return forms
}

// texts returns a section of testdata/texts.txt.
func texts(name string) []form {
	names := strings.NewReplacer("{A}", encA, "{B}", encB, "{C}", encC, "{D}", encD,
		"{L}", scan.LongPrefix+"7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI",
		"{half}", "\r             10  50%    1.00kB/s    0:00:00  ", "{all}", "\r            100 100%    1.00kB/s    0:00:00  ")
	return forms("texts", name, func(line string) (text string) {
		for _, w := range words.FindAllString(line, -1) {
			s, times := part(w)
			text += strings.Repeat(names.Replace(s), times)
		}
		return text
	})
}

// words matches a word of a text: a part of it, or an option in testdata/hostile.txt.
var words = regexp.MustCompile(`"(\\.|[^"\\])*"(\*\d+)?|\S+`)

// part returns the text of a word and how often it stands there: 0 for an option.
func part(word string) (text string, times int) {
	end := strings.LastIndexByte(word, '"') + 1
	text, err := strconv.Unquote(word[:end])
	if err == nil {
		times = 1
		fmt.Sscanf(word[end:], "*%d", &times)
	}
	return text, times
}

// cutReader returns its data in pieces of the lengths in cuts, which repeat.
type cutReader struct {
	data, cuts []byte
	n          int
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	want := len(r.data)
	if len(r.cuts) > 0 {
		want = int(r.cuts[r.n%len(r.cuts)])
		r.n++
	}
	n := copy(p[:min(len(p), max(want, 1))], r.data)
	r.data = r.data[n:]
	return n, nil
}

// inPieces returns a reader that gives each piece in a read of its own.
func inPieces(pieces ...string) io.Reader {
	var all []io.Reader
	for _, p := range pieces {
		all = append(all, strings.NewReader(p))
	}
	return io.MultiReader(all...)
}

func copyAll(t testing.TB, src io.Reader, o Options) string {
	t.Helper()
	var out bytes.Buffer
	o.Files = cmp.Or[Files](o.Files, &stubView{})
	if _, err := Copy(&out, src, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// wantSame checks that a text is what it is to be, and shows where it is not.
func wantSame(t *testing.T, about, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	t.Errorf("%s: after %q\ngot  %.200q\nwant %.200q", about, want[max(0, i-100):i], got[i:], want[i:])
}

// checkCuts checks that the output for a text is want however the text is cut.
func checkCuts(t *testing.T, text, want string, o Options) {
	t.Helper()
	ways := map[string]io.Reader{
		"whole":        strings.NewReader(text),
		"line by line": inPieces(slices.Collect(strings.Lines(text))...),
	}
	if len(text) < 4*scan.MaxToken { // with a longer one, this takes minutes
		ways["random"] = &cutReader{data: []byte(text), cuts: random("cuts", 50)}
	}
	if len(text) < scan.MaxToken {
		ways["one byte each"] = &cutReader{data: []byte(text), cuts: []byte{1}}
		ways["two bytes, and three"] = &cutReader{data: []byte(text), cuts: []byte{2, 3}}
	}
	var inTwo []string // of a text that ends a line, after each other: one Copy for all saves time
	for i := range len(text) {
		if len(text) >= 300 && (len(text) >= 600 || i <= len(text)-30) {
			continue
		} else if strings.TrimRight(text, "\r\n") != text {
			inTwo = append(inTwo, text[:i], text[i:], "A\n")
		} else {
			ways[fmt.Sprintf("in two, at %d", i)] = inPieces(text[:i], text[i:])
		}
	}
	wantSame(t, text+" in two, after each other", strings.Repeat(want+"A\n", len(inTwo)/3), copyAll(t, inPieces(inTwo...), o))
	for how, r := range ways {
		wantSame(t, fmt.Sprintf("%.300q, %s", text, how), want, copyAll(t, r, o))
	}
}
