package decode

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// A viewOf is a server that knows only the paths of a tree, by cipher path.
type viewOf map[string]string

func (viewOf) Prepare(string) bool { return true }

func (v viewOf) Decrypt(cipher string) (string, bool) {
	plain, ok := v[cipher]
	return plain, ok
}

// TestOtherPrograms decodes what other programs print about one tree, whole and cut.
// testdata/other/capture.sh captured it.
func TestOtherPrograms(t *testing.T) {
	view := readView(t)
	words := view.words(t)
	a, err := txtar.ParseFile("../testdata/other/captures.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) < 20 {
		t.Fatalf("%d captures, want at least 20", len(a.Files))
	}
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	for _, capture := range a.Files {
		t.Run(capture.Name, func(t *testing.T) {
			want := words.Replace(string(capture.Data))
			if want == string(capture.Data) {
				t.Error("no name in it")
			}
			cuts := make([]byte, 100)
			for i := range cuts {
				cuts[i] = byte(1 + random.IntN(100))
			}
			for _, cuts := range [][]byte{nil, {1}, {2}, cuts} {
				got := copyAll(t, &cutReader{data: bytes.Clone(capture.Data), cuts: cuts}, Options{Names: view})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("cut into %v (-want +got):\n%s", cuts, diff)
				}
			}
		})
	}
}

// readView reads the names of the tree.
func readView(t *testing.T) viewOf {
	t.Helper()
	text, err := os.ReadFile("../testdata/other/names.tsv")
	if err != nil {
		t.Fatal(err)
	}
	view := viewOf{}
	for line := range strings.Lines(string(text)) {
		cipher, plain, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("names.tsv: no tab in %q", line)
		}
		view[cipher] = plain
	}
	return view
}

// words translates each encrypted name in a text, wherever it stands. That is right
// because in reverse mode no two files have the same name.
func (v viewOf) words(t *testing.T) *strings.Replacer {
	t.Helper()
	seen := map[string]bool{}
	var pairs []string
	for c, p := range v {
		cipher, plain := path.Base(c), path.Base(p)
		if seen[cipher] {
			t.Fatalf("%s is in the tree twice", cipher)
		}
		seen[cipher] = true
		if strings.HasPrefix(cipher, longPrefix) {
			pairs = append(pairs, cipher+longSuffix, longPrefix+plain+longSuffix)
		}
		pairs = append(pairs, cipher, plain)
	}
	return strings.NewReplacer(pairs...)
}
