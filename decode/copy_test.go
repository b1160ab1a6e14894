package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gocryptfs-rsync-pretty/decode/scan"
)

// TestPanic checks that the rest of the text passes unchanged after a panic.
func TestPanic(t *testing.T) {
	known := paths{encA: "a", encC: "c"}
	names := namesFunc(func(cipher string) (string, bool) {
		if cipher == encB {
			panic("a defect")
		}
		return known.Decrypt(cipher)
	})
	in := encA + "\n" + strings.Repeat("x", 2*pieceSize) + "\n" + encC + "\n" + encB + "\n" + strings.Repeat(encA+"\n", 30_000) // several reads
	var out strings.Builder
	_, err := Copy(&out, strings.NewReader(in), Options{Names: names, Files: &stubView{}})
	if err == nil || !strings.Contains(err.Error(), "a defect") {
		t.Errorf("error %v", err)
	}
	wantSame(t, "a panic", "a"+in[len(encA):], out.String())
}

// TestStyle hides records, and the progress that follows them, and lays on color, but within no
// control string.
func TestStyle(t *testing.T) {
	for _, f := range texts("hidden") {
		checkCuts(t, f.line, f.want, Options{Names: paths{encA: "gocryptfs.conf"}, HideMeta: true})
	}
	for _, f := range texts("colored") {
		checkCuts(t, f.line, f.want, Options{Names: paths{}, Color: true})
	}
}

// recorder is a server with a window of two.
type recorder struct {
	paths
	events, pending []string
}

func (r *recorder) Prepare(cipher string) bool {
	if len(r.pending) == 2 {
		return false
	}
	r.pending = append(r.pending, cipher)
	return true
}

func (r *recorder) Decrypt(cipher string) (string, bool) {
	r.events = append(r.events, cipher)
	if len(r.pending) > 0 && r.pending[0] == cipher {
		r.pending = r.pending[1:]
	} else {
		r.events = append(r.events, "not prepared")
	}
	return "x", true
}

// TestPrepare checks that names are asked for in the order in which they are needed, and those in
// the index not at all.
func TestPrepare(t *testing.T) {
	r, x := &recorder{}, openIndex(t, "")
	var want []string
	for i := range 300 {
		want = append(want, encryptedName(i))
	}
	for range 2 { // then all are in the index
		copyAll(t, strings.NewReader(strings.Join(want, "\n")), Options{Names: r, Index: x})
		if got := strings.Join(r.events, " "); got != strings.Join(want, " ") || len(r.pending) > 0 {
			t.Errorf("asked %.500s", got)
		}
	}
}

// TestDoubt checks that junk is never shown: no file, line of the index, or directory
// above it confirms it.
func TestDoubt(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		text.WriteString(encryptedName(i) + " " + encryptedName(i) + "-old " + encA + "/" + encryptedName(i) + ": x\n")
	}
	// Every word decrypts to valid UTF-8 with a control character.
	junk := namesFunc(func(cipher string) (string, bool) {
		return strings.Repeat("O\u00dcg\t0\r/", strings.Count(cipher, "/")) + "O\u00dcg\t0\r", true
	})
	for _, files := range []Files{nil, &stubView{exists: paths{}.has}} {
		wantSame(t, "junk", text.String(), copyAll(t, strings.NewReader(text.String()), Options{Names: junk, Files: files}))
	}
}

// TestDoubtful shows doubtful names where something confirms them.
func TestDoubtful(t *testing.T) {
	const mount, below = "m91YAV0v95v-ak-wALAQAw", "m91YAV0v95v-ak-wALAQAw/TheQuickBrownFoxJumpsg"
	names := paths{encA: "dir", encA + "/" + encB: "dir/sub", encA + "/" + encB + "/" + encC: "dir/sub/\u00dcg\t0\r", encD: "a\tb",
		mount: "m", below: "m/dir", below + "/" + encD: "m/dir/a\tb"}
	for _, f := range texts("doubtful") {
		files := &stubView{view: View{Sub: mount, Reverse: true}, exists: func(cipher string) bool { return cipher == encD }}
		wantSame(t, f.line, f.want, copyAll(t, strings.NewReader(f.line), Options{Names: names, Files: files}))
	}
}

// TestLoose has names that something is glued to, each of them after a few that do not decrypt:
// these are not asked for if they are many, but as long as some of them decrypt.
func TestLoose(t *testing.T) {
	asked, words := 0, strings.Repeat(strings.Repeat("2026"+encC+"\n", 3)+"2026"+encB+"\n", 1000)
	names := namesFunc(func(cipher string) (string, bool) { asked++; return "b", cipher == encB })
	wantSame(t, "glued", strings.ReplaceAll(words, encB, "b"), copyAll(t, strings.NewReader(words), Options{Names: names}))
	asked = 0
	if copyAll(t, strings.NewReader(strings.Repeat("2026"+encC+"\n", 4000)), Options{Names: names}); asked > 200 {
		t.Errorf("%d questions", asked)
	}
}

// TestTimeout checks that slow answers to questions about one token end with its time.
func TestTimeout(t *testing.T) {
	asked := 0
	names := namesFunc(func(string) (string, bool) {
		asked++
		time.Sleep(20 * time.Millisecond)
		return "", false
	})
	text := strings.Repeat(encA+"/", 20) + " " + strings.Repeat(encA+"-", 20)
	copyAll(t, strings.NewReader(text), Options{Names: names, Timeout: 10 * time.Millisecond})
	if asked != 4 { // the whole, or the likeliest name, and one that took too long
		t.Errorf("%d questions", asked)
	}
}

// TestHostileWork checks the bound on questions for the texts in testdata/hostile.txt: one for
// each token, and one more for each 32 bytes; a long one counts as several, and so does a look
// at a file. It does not depend on where MOUNT lies.
func TestHostileWork(t *testing.T) {
	for _, g := range hostile() {
		for i, g := range []grammar{g, append(g, "deep")} {
			text, _, o := g.make()
			o.Color, o.HideMeta, o.Report = o.Color && i == 0, o.HideMeta && i == 0, o.Report && i == 0 // to save time
			asked, view := 0, o.Files.(*stubView)
			o.Names = namesFunc(func(cipher string) (string, bool) {
				asked += 1 + len(cipher)/longPath
				return knownNames(cipher)
			})
			var s scan.Scanner
			stats, err := Copy(io.Discard, bytes.NewReader(text), o)
			shown := int(stats.Decoded + stats.Partly)
			most := len(s.All(nil, text, 0)) + len(text)/textPrice + maxCredit + (maxRefund+len(view.view.Sub)/longPath)*shown
			if asked+perLevel*view.looks > most || err != nil {
				t.Errorf("%s: %d questions, %d looks, want at most %d, %v", g, asked, view.looks, most, err)
			}
		}
	}
}

// TestErrors checks that the text before an error of reading comes out, and the error.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader(encA+" x"), iotest.ErrReader(broken))
	var out strings.Builder
	if _, err := Copy(&out, in, Options{Names: paths{encA: "a"}, Files: &stubView{}}); !errors.Is(err, broken) || out.String() != "a x" {
		t.Errorf("read: %v, %q", err, out.String())
	}
}

// TestCount checks that whatever looks encrypted and stays is counted, names and targets of
// links alike, and nothing else. A path counts once, also with a directory that is no name.
func TestCount(t *testing.T) {
	names := namesFunc(func(cipher string) (string, bool) {
		return cipher, strings.Trim(strings.NewReplacer(encA, "", encB, "").Replace(cipher), "/") == ""
	})
	files := &stubView{links: func(_, _, text string) bool { return text == encB+"-"+strings.Repeat("Q", 50) }}
	for _, f := range texts("counted") {
		got, err := Copy(io.Discard, strings.NewReader(f.line), Options{Names: names, Files: files})
		if err != nil || fmt.Sprint(got) != "{"+f.want+" 0 0 0 0 0 0 false}" {
			t.Errorf("%s: %+v, %v, want %s", f.line, got, err, f.want)
		}
	}
}

// TestKnown checks that a spelling that is known is shown when all credit has gone into a listing.
func TestKnown(t *testing.T) {
	o := Options{Names: paths{encA: "\ufffd", encB: "\ufffd"}, Files: &stubView{listed: 1 << 20}}
	if got := copyAll(t, strings.NewReader(encA+"\n"+encB), o); got != encA+"\nknown" {
		t.Errorf("%q", got)
	}
}

// TestRemembered checks that a target is remembered, but not forever: memory is bounded.
func TestRemembered(t *testing.T) {
	const n = 10_000
	var text strings.Builder
	for i := range 2*n + 1 {
		link := max(0, i/2-i%2) // each of them twice, with another one in between; the first again at the end
		text.WriteString(encryptedName(link%n) + " -> " + strings.Repeat("Q", 100) + "\n")
	}
	files := &stubView{links: func(_, _, _ string) bool { return true }}
	copyAll(t, strings.NewReader(text.String()), Options{Names: namesFunc(func(cipher string) (string, bool) { return cipher, true }), Files: files})
	if files.looks <= n || files.looks > n+10 {
		t.Errorf("%d looks at %d links, want few more", files.looks, n)
	}
}

// TestCopyPlainAllocs checks that passing a record allocates nothing: all allocations
// are for the run and its buffers.
func TestCopyPlainAllocs(t *testing.T) {
	allocs := func(text []byte) float64 {
		return testing.AllocsPerRun(3, func() {
			if _, err := Copy(io.Discard, bytes.NewReader(text), Options{Names: paths{}, Files: &stubView{}}); err != nil {
				t.Error(err)
			}
		})
	}
	record := []byte("docs/2026/report 1.txt\n\r      3,276,800  10%    3.12MB/s    0:00:09  \r      4 100%    0.36kB/s    0:00:00 (xfr#1, to-chk=7/9)\n")
	records := 3 * (4 << 20) / len(record)
	text := bytes.Repeat(record, records/3)
	more := allocs(text) - allocs(text[:1<<18])
	if more > float64(records)/100 {
		t.Errorf("%.0f allocations for %d records", more, records)
	}
}
