package decode

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/decode/scan"
)

// TestIndexed shows names that the text does not place, in the words of programs that print
// them so, with a server and without.
func TestIndexed(t *testing.T) {
	const fox = "TheQuickBrownFoxJumpsg"
	known := paths{encA + "/" + encB + "/" + fox: "a/b/new", encD + "/" + fox: "J\ufffd/new"}
	ask := namesFunc(func(cipher string) (string, bool) {
		if !strings.Contains(cipher, fox) && !strings.Contains(cipher, encC+"/"+encB) {
			t.Errorf("asked for %s, which is known", cipher)
		}
		return known.Decrypt(cipher)
	})
	plain := strings.NewReplacer(encA, "a", encB, "b", encC, "c d")
	for _, f := range texts("indexed") {
		for _, names := range []Names{ask, nil} {
			if f.want != "" && names == nil {
				continue
			}
			var out strings.Builder
			x := openIndex(t, encA+"/"+encB+"/"+encC+"\ta/b/c d\n"+encD+"\tJ\\#344\n")
			stats, err := Copy(&out, strings.NewReader(f.line), Options{Names: names, Files: &stubView{}, Index: x})
			if wantSame(t, f.line, cmp.Or(f.want, plain.Replace(f.line)), out.String()); err != nil || f.want == "" && stats.Indexed == 0 {
				t.Errorf("%q: %v, %d answers from the index", f.line, err, stats.Indexed)
			}
		}
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
	start := cpuTime()
	stats, err := Copy(io.Discard, strings.NewReader(text.String()), Options{Files: &stubView{}, Index: openIndex(t, b.String())})
	if spent := cpuTime() - start; err != nil || spent > 10*time.Second || stats.Indexed == 0 {
		t.Errorf("%v, %v, %d answers", err, spent, stats.Indexed)
	}
}

// TestIndexedAlike checks that a name that the index has in another directory stands for the
// file in this one, and is added for this one if that exists.
func TestIndexedAlike(t *testing.T) {
	names := paths{encB: "b", encA + "/" + encB: "a/b"}
	for _, exists := range []bool{false, true} {
		looked, x := "", openIndex(t, encC+"/"+encB+"\tc/b\n")
		view := &stubView{view: View{Sub: encA, Reverse: true, Deterministic: true}}
		view.exists = func(string) bool { return exists }
		view.links = func(cipher, plain, _ string) bool { looked += cipher + " " + plain; return true }
		text := encB + " -> " + strings.Repeat("Q", 44)
		wantSame(t, text, "b -> target", copyAll(t, strings.NewReader(text), Options{Names: names, Files: view, Index: x}))
		if looked != encA+"/"+encB+" a/b" {
			t.Errorf("looked at %s", looked)
		}
		if cipher, _, _ := x.Find(encA+"/", encB, 100); cipher == encA+"/"+encB != exists {
			t.Errorf("%s is added: %v", cipher, !exists)
		}
	}
}

// A forward is a view in forward mode that encrypts the one path first/file.
type forward struct{ namesFunc }

func (forward) Encrypt(plain string) (string, bool) {
	return scan.LongPrefix + strings.Repeat("A", 43) + "/" + encB, plain == "first/file"
}

// TestGenuine has the storage exchange the files of two long names after one was right.
func TestGenuine(t *testing.T) {
	answer := "first/file"
	names := forward{func(cipher string) (plain string, ok bool) {
		if ok = strings.Contains(cipher, "/"); ok {
			plain, answer = answer, "second/file"
		}
		return plain, ok
	}}
	path, _ := names.Encrypt("first/file")
	text := strings.Repeat(path+"\n", 3)
	want := strings.Replace(text, path, "first/file", 1)
	wantSame(t, "exchanged", want, copyAll(t, strings.NewReader(text), Options{Names: names}))
}
