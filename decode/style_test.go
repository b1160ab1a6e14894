package decode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"

	"github.com/google/go-cmp/cmp"
)

// Encrypted names. encDashes looks like an option.
const (
	encName   = "ikFrxDZ5DfCpwm4Myx-3TA"
	encLong   = "gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI"
	encDashes = "--FrxDZ5DfCpwm4Myx-3TA"
)

// hidden are texts and what is left of them with -hide-meta.
var hidden = []struct{ about, in, want string }{
	{"names", "A\ngocryptfs.conf\nB\n", "A\nB\n"},
	{"all of it", "gocryptfs.conf\ngocryptfs.diriv\n", ""},
	{"progress without blanks after it", "gocryptfs.conf\n1 1% 1:1:1\nA\ngocryptfs.conf\n1 1% 1:1:1\r\ngocryptfs.conf\n1 1% 1:1:1", "A\n"},
	{"empty lines of CRLF", "gocryptfs.conf\r\n\r\n1 1% 1:1:1\r\n", "\n1 1% 1:1:1\r\n"},
	{"no progress: a name follows, or something else", "gocryptfs.conf\n1 1% 1:1:1/A\ngocryptfs.conf\n1 1% 1:1:1 (A)\n", "1 1% 1:1:1/A\n(A)\n"},
	{"many figures in a line", "gocryptfs.conf\n" + strings.Repeat("1 1% 1:1:1 ", 2000) + "A\n", "A\n"},
	{"figures of any length", "gocryptfs.conf\n1 1% 1:1:1" + strings.Repeat(" ", 1014) + "\nA\n", "A\n"},
	{"figures of full length and a record", "1 1% 1:1:1" + strings.Repeat(" ", 1014) + "gocryptfs.conf\nA\n",
		"1 1% 1:1:1" + strings.Repeat(" ", 1014) + "A\n"},
	{"figures that are too long", "gocryptfs.conf\n1 1% 1:1:1" + strings.Repeat(" ", 1014) + " \nA\n", " \nA\n"},
	{"without a last newline", "A\ngocryptfs.conf", "A\n"},
	{"a last line", "gocryptfs.conf\nA", "A"},
	{"progress", "A\n" + figures(10, 50) + figures(100, 100) + " (xfr#1, to-chk=1/3)\n" +
		"gocryptfs.conf\n" + figures(3, 50) + figures(6, 100) + " (xfr#2, to-chk=0/3)\n\nsent\n",
		"A\n" + figures(10, 50) + figures(100, 100) + " (xfr#1, to-chk=1/3)\n\nsent\n"},
	{"progress before any name", figures(10, 50) + "\ngocryptfs.conf\n" + figures(16, 100) + "\nA\n" + figures(20, 100) + "\n",
		figures(10, 50) + "\nA\n" + figures(20, 100) + "\n"},
	{"a name that only looks so when it is plain", encName + "\n", "gocryptfs.conf\n"},
	{"below a directory", encName + "/gocryptfs.diriv\n" + encName + "\n", "gocryptfs.conf\n"},
	{"an error in between", "gocryptfs.conf\nrsync: x\n" + figures(6, 100) + "\n", "rsync: x\n" + figures(6, 100) + "\n"},
	{"an empty line ends it", "gocryptfs.conf\n\n" + figures(6, 100) + "\n", "\n" + figures(6, 100) + "\n"},
	{"CR ends a record too", "A\rgocryptfs.conf\rB\r", "A\rB\r"},
	{"a long line", strings.Repeat("x ", scan.MaxToken) + "gocryptfs.conf\nA\n", strings.Repeat("x ", scan.MaxToken) + "gocryptfs.conf\nA\n"},
	{"a line that takes several reads", strings.Repeat("x ", 2*readSize) + "gocryptfs.conf\nA\n", strings.Repeat("x ", 2*readSize) + "gocryptfs.conf\nA\n"},
	{"after a long line", strings.Repeat("x ", scan.MaxToken) + "\ngocryptfs.conf\nA\n", strings.Repeat("x ", scan.MaxToken) + "\nA\n"},
	{"after ts's prefix", "Nov 23 03:10:00 A\nNov 23 03:10:01 gocryptfs.conf\nNov 23 03:10:01 \r" + figures(6, 100)[1:] + "\nNov 23 03:10:02 B\n",
		"Nov 23 03:10:00 A\nNov 23 03:10:02 B\n"},
	{"after journalctl's", "2026-11-23T03:10:00+0100 host backup[1]: >f+++++++++ gocryptfs.diriv\n", ""},
	// rsync pulls, and two processes write (-vv --progress).
	{"a line after hidden progress", "gocryptfs.conf\n" + figures(0, 0) + "A is uptodate\n", "A is uptodate\n"},
	{"housekeeping after progress", "A\n" + figures(0, 0) + "gocryptfs.conf is uptodate\n", "A\n" + figures(0, 0)},
	{"after two figures", "1 1% 1:1:1 1 1% 1:1:1 gocryptfs.diriv\nnext\n", "1 1% 1:1:1 1 1% 1:1:1 next\n"},
	{"CRLF, as script(1) records it", "A\r\ngocryptfs.conf\r\n" + figures(6, 100) + "\r\nB\r\n", "A\r\nB\r\n"},
	{"progress of the whole run, to its end (--info=progress2)",
		">f+++++++++ A\n" + figures(90, 90) + "(xfr#1, to-chk=1/2)\ngocryptfs.diriv\n" + figures(100, 100) + "(xfr#2, to-chk=0/2)\n",
		">f+++++++++ A\n" + figures(90, 90) + "(xfr#1, to-chk=1/2)\n" + figures(100, 100) + "(xfr#2, to-chk=0/2)\n"},
	{"many", strings.Repeat("gocryptfs.conf\n"+figures(6, 100)+"\nA\n"+figures(6, 100)+"\n", 60),
		strings.Repeat("A\n"+figures(6, 100)+"\n", 60)},
	{"many batches", strings.Repeat("gocryptfs.conf\n"+figures(6, 100)+"\nA\n"+figures(6, 100)+"\n", 5000),
		strings.Repeat("A\n"+figures(6, 100)+"\n", 5000)},
	{"progress over many batches", "gocryptfs.conf\n" + strings.Repeat(figures(6, 50), 500) + "\nA\n" + strings.Repeat(figures(7, 50), 500) + "\n",
		"A\n" + strings.Repeat(figures(7, 50), 500) + "\n"},
}

// figures is a progress update.
func figures(n, percent int) string {
	return fmt.Sprintf("\r%15d %3d%% %7.2fkB/s    0:00:00  ", n, percent, 1.0)
}

func TestHideMeta(t *testing.T) {
	known := paths{encName: "gocryptfs.conf"}
	for _, tt := range hidden {
		o := Options{Names: known, HideMeta: true}
		if diff := cmp.Diff(tt.want, copyAll(t, strings.NewReader(tt.in), o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.about, diff)
		}
		everywhere(t, tt.about, tt.in, tt.want, o)
	}
}

// everywhere checks that the output does not depend on where the input is cut.
func everywhere(t *testing.T, about, text, want string, o Options) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 50)
	for i := range random {
		random[i] = byte(r.IntN(80))
	}
	cuts := [][]byte{{255, 1}, random}
	if len(text) < scan.MaxToken { // a longer text takes minutes
		cuts = append(cuts, []byte{1}, []byte{2}, []byte{3}, []byte{13})
		for i := 1; i < min(len(text), 100); i++ {
			cuts = append(cuts, append([]byte{byte(i)}, bytes.Repeat([]byte{255}, 100)...))
		}
	}
	for _, c := range cuts {
		if diff := cmp.Diff(want, copyAll(t, &cutReader{data: []byte(text), cuts: c}, o)); diff != "" {
			t.Errorf("%s, cut into %v (-want +got):\n%s", about, c, diff)
			return
		}
	}
}

// colors are those of a style.
var colors = style.New(true, false, false, "").Palette

// ofEachKind are records of each kind, in its color.
var ofEachKind = []string{
	">f+++++++++ name", ">f.st...... name", "*deleting   name", "skipping directory name", "rsync error: x",
	"gocryptfs.conf", "name", "          4 100%    0.36kB/s    0:00:00",
}

// TestColorChangesNothing checks that color adds only sequences to the text, and that
// each color ends in its record, before the line end.
func TestColorChangesNothing(t *testing.T) {
	var text strings.Builder
	for _, group := range forms {
		for _, line := range group.lines {
			fmt.Fprint(&text, placeholder.ReplaceAllString(line, encName+"/"+encDashes), "\n")
		}
	}
	text.WriteString(strings.Join(ofEachKind, "\r\n"))
	text.WriteString("no end")
	for name, names := range map[string]Names{"nobody": nobody, "anybody": anybody} {
		want := copyAll(t, strings.NewReader(text.String()), Options{Names: names})
		for _, cuts := range [][]byte{nil, {1}, {2}, {50, 3}} {
			got := copyAll(t, &cutReader{data: []byte(text.String()), cuts: cuts}, Options{Names: names, Color: true})
			if !strings.Contains(got, colors.Reset) {
				t.Errorf("%s: no color", name)
			}
			if diff := cmp.Diff(want, sequences.Replace(got)); diff != "" {
				t.Errorf("%s, cut into %v, without sequences (-want +got):\n%s", name, cuts, diff)
			}
			for _, rec := range strings.FieldsFunc(got, func(r rune) bool { return r == '\r' || r == '\n' }) {
				if i := strings.LastIndex(rec, "\x1b"); i >= 0 && !strings.HasPrefix(rec[i:], colors.Reset) {
					t.Errorf("%s, cut into %v: color goes on after %q", name, cuts, rec)
				}
			}
		}
	}
}

// sequences removes all sequences from the text that is written.
var sequences = func() *strings.Replacer {
	pairs := []string{colors.Dim, "", colors.Reset, ""}
	for _, s := range colors.Kinds {
		pairs = append(pairs, s, "")
	}
	return strings.NewReplacer(pairs...)
}()

// TestColorLong checks that a record of more than scan.MaxToken, which is never seen as a
// whole, has the color of its beginning, from there to its end.
func TestColorLong(t *testing.T) {
	rest := strings.Repeat("x ", scan.MaxToken)
	got := copyAll(t, inPieces("*deleting   ", rest, rest, "\ny"), Options{Names: nobody, Color: true})
	if want := colors.Kinds[style.Deleted] + "*deleting   " + rest + rest + colors.Reset + "\ny"; got != want {
		t.Errorf("begins %q, ends %q", got[:20], got[len(got)-30:])
	}
}

// TestColorInString checks that a name within a control string, which a sequence would end,
// is not marked, and that one after it is.
func TestColorInString(t *testing.T) {
	for _, text := range []string{
		"\x1b]8;;file://host/" + encName + "\x1b\\|" + encName + "|\x1b]8;;\x1b\\|", "\x1b]0;" + encName + "\a|" + encName + "|", "\x1b]0;\n|" + encName + "|",
		"\x1b-" + encLong,
	} {
		mark := colors.Reset + colors.Dim + encName + colors.Reset
		want := strings.ReplaceAll(text, "|"+encName+"|", "|"+mark+"|")
		if got := copyAll(t, strings.NewReader(text), Options{Names: nobody, Color: true}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
