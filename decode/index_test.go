package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIndex(t *testing.T) {
	var out bytes.Buffer
	x := NewIndex(&out)
	for _, e := range [][2]string{
		{"A", "a file"}, {"A/B", "a file/tab\tnew\nline"}, {"A", "a file"},
		{"A/B", "a file/tab\tnew\nline"}, {"C", "latin1 \xe4 \\#123 ä"}, {"A/D", "a file"},
	} {
		x.add(e[0], e[1])
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "A\ta file\nA/B\ta file/tab\\#011new\\#012line\nC\tlatin1 \\#344 \\#134#123 ä\nA/D\ta file\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

func TestIndexNil(t *testing.T) {
	var x *Index
	x.add("A", "a")
	if err := x.Flush(); err != nil {
		t.Error(err)
	}
}

// TestIndexForgets has a name again only after more than indexRecent others, and no
// more than two sets of so many in memory.
func TestIndexForgets(t *testing.T) {
	x := NewIndex(io.Discard)
	add := func(i int) (written bool) {
		before := x.w.Buffered()
		x.add(fmt.Sprint(i), "x")
		written = x.w.Buffered() != before
		if err := x.Flush(); err != nil {
			t.Fatal(err)
		}
		if len(x.recent) > indexRecent || len(x.old) > indexRecent {
			t.Fatalf("after %d: %d and %d names in memory", i, len(x.recent), len(x.old))
		}
		return written
	}
	const n = 2*indexRecent + 2
	for i := range n {
		if !add(i) {
			t.Fatalf("number %d is not written", i)
		}
	}
	for i := n - indexRecent; i < n; i += 100 {
		if add(i) {
			t.Fatalf("number %d is written again, after %d others", i, n-i)
		}
	}
	if !add(0) {
		t.Error("the first is still known")
	}
}

// TestIndexKeepsUsed has a name that comes again and again once only, however many
// others there are.
func TestIndexKeepsUsed(t *testing.T) {
	var out bytes.Buffer
	x := NewIndex(&out)
	for i := range 2*indexRecent + 2 {
		if i%(indexRecent/2) == 0 {
			x.add("again", "x")
		}
		x.add(fmt.Sprint(i), "x")
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "again\tx\n"); n != 1 {
		t.Errorf("%d times", n)
	}
}

// failing fails after some bytes.
type failing struct {
	left   int
	err    error
	writes int // after the error
}

func (w *failing) Write(p []byte) (int, error) {
	if w.left < len(p) {
		n := w.left
		w.left = 0
		w.writes++
		return n, w.err
	}
	w.left -= len(p)
	return len(p), nil
}

// TestIndexWriteError keeps the first error, and writes nothing after it.
func TestIndexWriteError(t *testing.T) {
	for name, size := range map[string]int{"in Flush": 10, "in add": 100_000} {
		t.Run(name, func(t *testing.T) {
			first := errors.New("disk full")
			w := &failing{left: 5, err: first}
			x := NewIndex(w)
			for i := range size / 10 {
				x.add(fmt.Sprintf("%07d", i), "x")
			}
			for range 3 {
				if err := x.Flush(); !errors.Is(err, first) {
					t.Errorf("error %v, want %v", err, first)
				}
				x.add("more", "x")
				w.err = errors.New("another error")
			}
			if w.writes != 1 {
				t.Errorf("%d writes at the error and after it", w.writes)
			}
		})
	}
}

// TestCopyIndexError copies all of the text though the index cannot be written.
func TestCopyIndexError(t *testing.T) {
	first := errors.New("disk full")
	x := NewIndex(&failing{err: first})
	text := strings.Repeat("ikFrxDZ5DfCpwm4Myx-3TA/imzeAOOgEnocI27OWHX1BQ\n", 1000)
	want := copyAll(t, strings.NewReader(text), Options{Names: anybody{}})
	got := copyAll(t, strings.NewReader(text), Options{Names: anybody{}, Index: x})
	if want == text || got != want {
		t.Errorf("%d bytes are copied, want %d", len(got), len(want))
	}
	if err := x.Flush(); !errors.Is(err, first) {
		t.Errorf("error %v, want %v", err, first)
	}
}

// TestCopyIndex has in the index what is shown, from the root of the tree, in the
// order of the text, and nothing that stayed encrypted.
func TestCopyIndex(t *testing.T) {
	const a, b, c = "ikFrxDZ5DfCpwm4Myx-3TA", "imzeAOOgEnocI27OWHX1BQ", "m91YAV0v95v-ak-wALAQAg"
	known := table{a: "a", a + "/" + b: "a/b", c: "c"}
	var out bytes.Buffer
	x := NewIndex(&out)
	text := "x/" + a + "/" + b + "\n" + c + " is uptodate\n" + a + "/" + c + "\n" + b + "\n" +
		"*deleting   " + a + "/gocryptfs.diriv\n" + c + "\n"
	got := copyAll(t, strings.NewReader(text), Options{Names: known, Index: x, Window: 4})
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	shown := "x/a/b\nc is uptodate\na/" + c + "\n" + b + "\n*deleting   a/gocryptfs.diriv\nc\n"
	if diff := cmp.Diff(shown, got); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	want := a + "/" + b + "\ta/b\n" + c + "\tc\n" + a + "\ta\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

// table is a server that knows some paths.
type table map[string]string

func (table) Prepare([]string) func() { return nil }

func (m table) Decrypt(cipher string) (string, bool) {
	plain, ok := m[cipher]
	return plain, ok
}

func (m table) Encrypt(string) (string, bool) { return "", false }
