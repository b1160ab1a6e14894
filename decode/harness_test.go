package decode

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/scan"
)

// A namesFunc is a server that answers as the function does.
type namesFunc func(cipher string) (plain string, ok bool)

func (namesFunc) Encrypt(string) (string, bool) { return "", false }

func (namesFunc) Prepare(string) bool { return true }

func (f namesFunc) Decrypt(cipher string) (string, bool) { return f(cipher) }

// paths is a server that knows these plain paths by cipher path.
type paths map[string]string

func (paths) Encrypt(string) (string, bool) { return "", false }

func (paths) Prepare(string) bool { return true }

func (p paths) Decrypt(cipher string) (string, bool) {
	plain, ok := p[cipher]
	return plain, ok
}

const (
	encA = "ikFrxDZ5DfCpwm4Myx-3TA"
	encB = "imzeAOOgEnocI27OWHX1BQ"
	encC = "m91YAV0v95v-ak-wALAQAg"
)

func encryptedName(i int) string { return fmt.Sprintf("%021dA", i) }

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

// openIndex opens an index with this text.
func openIndex(t *testing.T, text string) *index.Index {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	x := index.Open(path, true, func(what, hint string) { t.Error(what, hint) })
	t.Cleanup(func() { x.Close() })
	return x
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
	cuts := random("cuts", 50)
	for i := range cuts {
		cuts[i] &= 127
	}
	ways := map[string]io.Reader{
		"whole":        strings.NewReader(text),
		"line by line": inPieces(slices.Collect(strings.Lines(text))...),
	}
	if len(text) < 4*scan.MaxToken { // with a longer one, this takes minutes
		ways["random"] = &cutReader{data: []byte(text), cuts: cuts}
	}
	if len(text) < scan.MaxToken {
		for n := range byte(3) {
			ways[fmt.Sprintf("%d bytes each", n+1)] = &cutReader{data: []byte(text), cuts: []byte{n + 1}}
		}
	}
	for i := range len(text) {
		if len(text) < 300 || len(text) < 600 && i > len(text)-30 {
			ways[fmt.Sprintf("in two, at %d", i)] = inPieces(text[:i], text[i:])
		}
	}
	for how, r := range ways {
		wantSame(t, fmt.Sprintf("%.300q, %s", text, how), want, copyAll(t, r, o))
	}
}
