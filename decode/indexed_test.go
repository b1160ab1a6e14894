package decode

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/decode/index"
)

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

// TestIndexed shows names that the text does not place, in the words of programs that print
// them so, with a server and without. {A}, {B} and {C} are names of one path.
func TestIndexed(t *testing.T) {
	const text = encA + "/" + encB + "/" + encC + "\ta/b/c d\n"
	plain := strings.NewReplacer("{A}", "a", "{B}", "b", "{C}", "c d")
	cipher := strings.NewReplacer("{A}", encA, "{B}", encB, "{C}", encC)
	for about, form := range map[string]string{
		"tree":           ".\n└── {A}\n    └── {B}\n        └── {C}\n",
		"ls":             "{C}\n",
		"ls of two":      "{B}:\n{C}\n",
		"temp-dir":       ">f+++++++++ .{C}.Xa81bQ\n",
		"strace":         "openat(5, \"{C}\", O_RDONLY|O_NOFOLLOW) = 6\n",
		"namei":          "drwxr-xr-x {A}\n  drwxr-xr-x {B}\n    -rw-r--r-- {C}\n",
		"restic ls":      `{"name":"{C}","type":"file","path":"/snapshot/{A}/{B}/{C}"}` + "\n",
		"restic, a part": `{"name":"{C}","path":"/{B}/{C}"}` + "\n",
		"a mail":         "Hi, what is {C}? It lies in lost+found.\n",
		"a trash can":    "/home/me/.Trash/{B}/{C}\n",
		"a new name":     "{B}/{C}/TheQuickBrownFoxJumpsg\n",
		"no path":        "TheQuickBrownFoxJumpsg/{A}/{B}\n",
	} {
		questions := []string{}
		ask := namesFunc(func(cipher string) (string, bool) {
			questions = append(questions, cipher)
			return "", false
		})
		for _, names := range []Names{nil, ask} {
			var out strings.Builder
			stats, err := Copy(&out, strings.NewReader(cipher.Replace(form)), Options{Names: names, Index: openIndex(t, text)})
			if want := plain.Replace(form); err != nil || out.String() != want {
				t.Errorf("%s: %v, got %q, want %q", about, err, out.String(), want)
			}
			if stats.Indexed == 0 {
				t.Errorf("%s: no answers from the index", about)
			}
		}
		for _, q := range questions {
			if !strings.Contains(q, "Fox") {
				t.Errorf("%s: asked for %s, which is known", about, q)
			}
		}
	}
	// Names of different lines are no path: only the first part decrypts.
	var out strings.Builder
	Copy(&out, strings.NewReader(encC+"/"+encB+"\n"+encB+"\n"), Options{Index: openIndex(t, text)})
	if want := "c d/" + encB + "\nb\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestIndexedPlace shows a new name below a directory that the index alone can place.
func TestIndexedPlace(t *testing.T) {
	const foxes = "TheQuickBrownFoxJumpsg"
	names := paths{encA + "/" + encB + "/" + foxes: "a/b/new"}
	x := openIndex(t, encA+"/"+encB+"\ta/b\n")
	var out strings.Builder
	Copy(&out, strings.NewReader(encB+"/"+foxes+"\n"+foxes+"\n"), Options{Names: names, Index: x})
	if want := "b/new\nnew\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestIndexedWords checks that no random word is taken for a name of an index.
func TestIndexedWords(t *testing.T) {
	var b []byte
	for i := range 1_000_000 {
		b = fmt.Appendf(b, "%021dA/%021dA\t", i/100, i)
		b = strconv.AppendInt(append(strconv.AppendInt(b, int64(i/100), 10), '/'), int64(i), 10)
		b = append(b, '\n')
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	random := rand.New(rand.NewPCG(1, 2))
	var words []byte
	for range 200_000 {
		for range 21 {
			words = append(words, letters[random.IntN(64)])
		}
		words = append(words, 'A', "\n /"[random.IntN(3)])
	}
	var out strings.Builder
	stats, err := Copy(&out, strings.NewReader(string(words)), Options{Index: openIndex(t, string(b))})
	if err != nil || out.String() != string(words) || stats.Indexed > 0 {
		t.Errorf("%v, %d answers", err, stats.Indexed)
	}
}

// TestIndexedOdd decodes text whose names lead to long lines of an index, of which most are
// broken. It took 5 to 200 s for a megabyte.
func TestIndexedOdd(t *testing.T) {
	var b, text strings.Builder
	dirs, plain := strings.Repeat(encA+"/", 110), strings.Repeat(strings.Repeat(`\#012`, 45)+"/", 110)
	for i := range 8 {
		fmt.Fprintf(&b, "%s%s\t%s%s\n%s%021dA\t%sgood\n", dirs, encB, plain, strings.Repeat("x", 300), dirs, i, plain)
	}
	b.WriteString(encC + "\tc\n")
	for text.Len() < 1<<18 {
		fmt.Fprintf(&text, "%s %s %s/%s\n", encA, encB, encA, encB)
	}
	start := time.Now()
	stats, err := Copy(io.Discard, strings.NewReader(text.String()), Options{Index: openIndex(t, b.String())})
	if spent := time.Since(start); err != nil || spent > 10*time.Second || stats.Indexed == 0 {
		t.Errorf("%v, %v, %d answers", err, spent, stats.Indexed)
	}
}
