package decode

import (
	"slices"
	"strings"
	"testing"
)

// control writes the control characters of testdata/forms.txt as themselves.
var control = strings.NewReplacer("␊", "\n", "␍", "\r", "␉", "\t", "␛", "\x1b", "␀", "\x00", "◂", "\x9b", "▮", "\xff").Replace

// TestForms decodes all lines, for several kinds of gocryptfs file systems, whole and cut.
func TestForms(t *testing.T) {
	var touching []form
	for _, g := range strings.Fields(section("forms", "before a name")) {
		touching = append(touching, form{line: g + "{a}"})
		if strings.ContainsAny(g[:1], "2cMs") {
			touching = append(touching, form{line: "x: " + g + "{dir/a}"}) // it would be glued to a name
		} else {
			touching = append(touching, form{line: "{dir/a}" + g + "{dir/b}" + g})
		}
	}
	for _, s := range strings.Fields(section("forms", "after a name")) {
		touching = append(touching, form{line: "{a}" + s}, form{line: "{dir/a}" + s + " {dir/b}" + s + ` \n{dir/a}` + s})
	}
	for i, fs := range fileSystems {
		t.Run(fs.name, func(t *testing.T) {
			t.Parallel()
			w := &world{fileSystem: fs, names: map[string]string{}}
			w.check(t, touching)
			if fs.long {
				w.checked = nil // to cut them takes long
			}
			w.check(t, forms("forms", "everywhere", control))
			if i == 0 {
				w.check(t, forms("forms", "usual names", control))
			}
			if !fs.alike { // there, a name decodes in any place
				w.check(t, forms("forms", "not with deterministic names", control))
			}
			for _, e := range strings.Fields(section("forms", "for =")) {
				if spell := strings.NewReplacer("=", e).Replace; fs.padded {
					w.checkText(t, form{spell(w.encrypted("{a}")) + " x" + spell(w.encrypted(`\n{dir/a}`)) + "%0A", `a x\ndir/a%0A`})
				}
			}
			w.checkCut(t)
			w.sub = w.cipherPath("dir/sub")
			w.check(t, forms("forms", "below MOUNT, which is dir/sub", control))
			w.checkCut(t)
		})
	}
}

// TestShape checks that exactly the words that gocryptfs can have made are asked for.
func TestShape(t *testing.T) {
	word := strings.Repeat("Ab-_9z", 50)
	lengths := []int{22, 43, 64, 86, 107, 128, 150, 171, 192, 214, 235} // of k·16 bytes
	for n := range 300 {
		// By the zero bits at its end. Two characters after a multiple of four hold
		// 12 bits, of which 4 are spare; of three characters, 2 bits are spare.
		for last, zeros := range map[string]int{"A": 6, "Q": 4, "E": 2, "B": 0} {
			w := word[:n] + last
			spare := [4]int{2: 4, 3: 2}[len(w)%4]
			want := slices.Contains(lengths, len(w)) && zeros >= spare
			asked := false
			names := namesFunc(func(cipher string) (string, bool) {
				asked = asked || cipher == w
				return "", false
			})
			copyAll(t, strings.NewReader("x "+w+" y\n"), Options{Names: names})
			if asked != want {
				t.Errorf("%d characters with %s at the end: asked %v, want %v", len(w), last, asked, want)
			}
		}
	}
}

// TestOneQuestion checks that a path that decrypts takes one question and no look at files, also
// if something touches it, unless the word is as long as another name, and below MOUNT.
func TestOneQuestion(t *testing.T) {
	for _, g := range append(strings.Fields(section("forms", "before a name")), "") {
		for _, path := range []string{encA + "/" + encB, encA + "/" + encB + "/" + encC} {
			for _, sub := range []string{"", encD + "/"} {
				asked, view := 0, &stubView{view: View{Sub: strings.TrimSuffix(sub, "/"), Reverse: true}}
				names := namesFunc(func(cipher string) (string, bool) {
					asked++
					return strings.Repeat("d/", strings.Count(cipher, "/")) + "d", cipher == sub+path
				})
				if copyAll(t, strings.NewReader("x "+g+path+"/ y"), Options{Names: names, Files: view}); asked != 1 {
					t.Errorf("%s before a name below %q: %d questions", g, sub, asked)
				}
			}
		}
	}
}
