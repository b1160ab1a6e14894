package decode

import (
	"errors"
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

// TestWorkers has the same text and the same counts however many workers there are.
func TestWorkers(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		switch i % 97 {
		case 0:
			fmt.Fprintf(&text, "\r%15d  50%%    1.00MB/s    0:00:01 \r", i)
		case 1:
			text.WriteString(strings.Repeat("x ", i%7000) + encDashes + strings.Repeat("y", i%300) + "\n")
		case 2:
			fmt.Fprintf(&text, "%s/%s -> %s\n", encName, encDashes, strings.Repeat("Q", 50))
		default:
			fmt.Fprintf(&text, ">f+++++++++ %s/%021dA\n", encName, i)
		}
	}
	for _, o := range []Options{{}, {Colour: true}, {HideMeta: true}} {
		o.Names, o.Window = anybody{}, 8
		copied := func(workers int) (string, Stats) {
			var out strings.Builder
			o.Workers = workers
			s, err := Copy(&out, strings.NewReader(text.String()), o)
			if err != nil {
				t.Fatal(err)
			}
			return out.String(), s
		}
		want, counts := copied(1)
		if counts.Decoded < 5000 || counts.Encrypted < 1000 {
			t.Fatalf("%+v: too few to tell", counts)
		}
		for workers := 2; workers < 6; workers++ {
			got, n := copied(workers)
			if got != want || n != counts {
				t.Errorf("%d workers, colour %v, %d bytes, %+v, want %d, %+v", workers, o.Colour, len(got), n, len(want), counts)
			}
		}
	}
}

// TestWorkersWriteError ends with the error of a write, of whichever part it is.
func TestWorkersWriteError(t *testing.T) {
	text := strings.Repeat(encName+"\n", 20_000)
	for _, left := range []int{0, 10_000, 30_000, 60_000, 100_000} {
		first := errors.New("disk full")
		w := &failing{left: left, err: first}
		_, err := Copy(w, strings.NewReader(text), Options{Names: nobody{}, Window: 8, Workers: 3})
		if !errors.Is(err, first) || w.writes != 1 {
			t.Errorf("after %d bytes: %v, %d writes", left, err, w.writes)
		}
	}
}
