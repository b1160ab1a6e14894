package decode

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An observer is a server that writes down what is done.
type observer struct{ events []string }

func (o *observer) add(what string, paths ...string) {
	o.events = append(o.events, what+" "+strings.Join(paths, " "))
}

func (o *observer) Prepare(ciphers []string) func() {
	list := slices.Clone(ciphers)
	o.add("prepare", list...)
	return func() { o.add("wait for", list...) }
}

func (o *observer) Decrypt(cipher string) (string, bool) {
	o.add("decrypt", cipher)
	return strings.ToLower(cipher[:1]), true
}

func (o *observer) Encrypt(string) (string, bool) { return "", false }

func (o *observer) Write(p []byte) (int, error) {
	o.add("write", fmt.Sprintf("%q", p))
	return len(p), nil
}

// TestWindows has the names of a window asked for together, and those of the next
// before the answers are waited for. A window ends with its line.
func TestWindows(t *testing.T) {
	name := func(c byte) string { return strings.Repeat(string(c), 21) + "A" }
	a, b, c, d, e := name('A'), name('B'), name('C'), name('D'), name('E')
	text := "one " + a + "\ntwo " + b + " " + c + "\nno name\nthree " + d + "\n" + e + "\nthe end\n"
	two := []string{
		"prepare " + a + " " + b + " " + c,
		"prepare " + d + " " + e,
		"wait for " + a + " " + b + " " + c,
		"decrypt " + a, "decrypt " + b, "decrypt " + c, `write "one a\ntwo b c\n"`,
		"wait for " + d + " " + e,
		"decrypt " + d, "decrypt " + e, `write "no name\nthree d\ne\n"`,
		`write "the end\n"`,
	}
	for _, tt := range []struct {
		about string
		Options
		want []string
	}{
		{"a name", Options{Window: 1}, []string{
			"prepare " + b + " " + c, // one by itself need not be
			"decrypt " + a, `write "one a\n"`,
			"wait for " + b + " " + c,
			"decrypt " + b, "decrypt " + c, `write "two b c\n"`,
			"decrypt " + d, `write "no name\nthree d\n"`,
			"decrypt " + e, `write "e\n"`,
			`write "the end\n"`,
		}},
		{"two names", Options{Window: 2}, two},
		{"two names, in colour", Options{Window: 2, Colour: true}, two},
	} {
		t.Run(tt.about, func(t *testing.T) {
			var o observer
			tt.Names = &o
			if _, err := Copy(&o, strings.NewReader(text), tt.Options); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, o.events); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPrepared asks for nothing that has not been prepared, in text of every kind,
// but for what a name is that does not decrypt as a whole.
func TestPrepared(t *testing.T) {
	var text strings.Builder
	for _, s := range []string{encName, "mount/" + encName + "/" + encDashes, encName + "/.~tmp~/" + encDashes,
		"." + encName + ".Xa81bQ", encName + "/gocryptfs.diriv", encName + "==/" + encDashes, encName + " => " + encDashes} {
		fmt.Fprintf(&text, ">f+++++++++ %s\ndeleting %s/\n", s, s)
	}
	var o observer
	if _, err := Copy(io.Discard, strings.NewReader(text.String()), Options{Names: &o, Window: 8}); err != nil {
		t.Fatal(err)
	}
	prepared := map[string]bool{}
	n := 0
	for _, e := range o.events {
		what, paths, _ := strings.Cut(e, " ")
		switch what {
		case "prepare":
			for _, p := range strings.Fields(paths) {
				prepared[p] = true
			}
		case "decrypt":
			n++
			if !prepared[paths] {
				t.Errorf("%s was not prepared", paths)
			}
		}
	}
	if n < 14 {
		t.Errorf("%d questions, want one for each name at least", n)
	}
}
