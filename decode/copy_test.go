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

	"gocryptfs-rsync-pretty/decode/style"
	"gocryptfs-rsync-pretty/decode/tree"

	"github.com/google/go-cmp/cmp"
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
	in := encA + "\n" + strings.Repeat("x", 2*style.PieceSize) + "\n" + encC + "\n" + encB + "\n" + strings.Repeat(encA+"\n", 30_000) // several reads
	var out strings.Builder
	_, err := Copy(&out, strings.NewReader(in), Options{Names: names})
	if err == nil || !strings.Contains(err.Error(), "a defect") {
		t.Errorf("error %v", err)
	}
	want := "a" + in[len(encA):]
	if got := out.String(); got != want {
		t.Errorf("got %.200q, of %d bytes, want %d", got, len(got), len(want))
	}
}

// recorder is a server with a window of two that knows no name.
type recorder struct{ events, pending []string }

func (r *recorder) Prepare(cipher string) bool {
	if len(r.pending) == 2 {
		return false
	}
	r.pending = append(r.pending, cipher)
	return true
}

func (*recorder) Encrypt(string) (string, bool) { return "", false }

func (r *recorder) Decrypt(cipher string) (string, bool) {
	r.events = append(r.events, cipher)
	if len(r.pending) > 0 && r.pending[0] == cipher {
		r.pending = r.pending[1:]
	} else {
		r.events = append(r.events, "not prepared")
	}
	return "x", true
}

// TestPrepare checks that names are asked for in the order in which they are needed.
func TestPrepare(t *testing.T) {
	r := &recorder{}
	var want []string
	for i := range 300 {
		want = append(want, encryptedName(i))
	}
	copyAll(t, strings.NewReader(strings.Join(want, "\n")), Options{Names: r})
	if got := strings.Join(r.events, " "); got != strings.Join(want, " ") || len(r.pending) > 0 {
		t.Errorf("asked %.500s", got)
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
	files := tree.New(t.TempDir(), t.TempDir(), time.Minute, nil)
	for _, files := range []Files{nil, files} {
		got := copyAll(t, strings.NewReader(text.String()), Options{Names: junk, Files: files})
		if got != text.String() {
			t.Errorf("got %.200q", got)
		}
	}
}

// An insideView is that of a MOUNT inside the view, whose files nobody may look at.
type insideView string

func (s insideView) Sub() string                                       { return string(s) }
func (s insideView) Reverse() bool                                     { return true }
func (s insideView) Deterministic() bool                               { panic("a look") }
func (s insideView) Exists(string) bool                                { panic("a look") }
func (s insideView) Same(string, string) bool                          { panic("a look") }
func (s insideView) Spelling(string, string, bool) (string, int, bool) { panic("a look") }
func (s insideView) Target(string, string, []byte) (string, bool)      { return "", false }

// TestDoubtAlone checks that a directory confirms junk below it only if the text places it.
func TestDoubtAlone(t *testing.T) {
	names := paths{encA: "dir", encA + "/" + encB: "dir/sub", encA + "/" + encB + "/" + encC: "dir/sub/\u00dcg\t0\r"}
	for in, want := range map[string]string{
		encA + "/" + encB + "/" + encC:               `dir/sub/` + "\u00dcg\t" + `0\#015`,
		"Only in " + encA + ": " + encB + "/" + encC: "Only in dir: sub/" + encC,
	} {
		if got := copyAll(t, strings.NewReader(in), Options{Names: names}); got != want {
			t.Errorf("%s is shown as %q, want %q", in, got, want)
		}
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
	copyAll(t, strings.NewReader(strings.Repeat(encA+"/", 20)), Options{Names: names, Timeout: 10 * time.Millisecond})
	if asked != 2 { // the whole, and one that took too long
		t.Errorf("%d questions", asked)
	}
}

// TestCounts counts paths: a directory that is no name may stand in one.
func TestCounts(t *testing.T) {
	for in, want := range map[string]Stats{
		encA + "/" + encB:                   {Decoded: 1},
		encA + "/.~tmp~/" + encB:            {Decoded: 1},
		encA + "//" + encB:                  {Decoded: 1},
		encA + "~/." + encB + ".Xa81b":      {Decoded: 1},
		encA + "/x/" + encB:                 {Decoded: 2},
		encA + "/../" + encB:                {Decoded: 2},
		encA + "/.a b/" + encB:              {Decoded: 2},
		encA + "/.old." + encB + "/" + encB: {Decoded: 2},
		encA + "/.a/b/" + encB:              {Decoded: 2},
		encA + "/" + encC:                   {Encrypted: 1, Partly: 1, First: encC},
	} {
		names := namesFunc(func(cipher string) (string, bool) {
			return cipher, !strings.Contains(cipher, encC)
		})
		got, err := Copy(io.Discard, strings.NewReader(in), Options{Names: names})
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
}

// TestHostileWork checks the bound on questions for hostile text: one for each token,
// and one more for each 32 bytes; a long one counts as several. It does not depend on where
// MOUNT lies.
func TestHostileWork(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat(encA+"/", 100), "/")
	for about, line := range map[string]string{
		"a real path and junk": deep + "/" + encB + "\n",
		"arrows":               deep + strings.Repeat(" -> "+encB+encC, 30) + "\n",
		"names after a path":   deep + strings.Repeat(" "+encB, 30) + "\n",
		"4 KB of names":        strings.Repeat(encB+"/", 178) + "\n",
		"8 KB of names":        strings.Repeat(encB+"/", 356) + "\n",
		"foreign names first":  strings.Repeat(encB+"-"+encC+"=/", 7) + deep + "\n",
		"suffixes":             encA + ": " + strings.Repeat(encB+"-", 11) + "\n",
		"words":                encB + "\n",
	} {
		for _, sub := range []string{"", encA, deep[:10*len(encA+"/")-1], deep} {
			asked := 0 // of a server that knows the path deep
			names := namesFunc(func(cipher string) (string, bool) {
				asked += 1 + len(cipher)/longPath
				if strings.HasPrefix(deep+"/", cipher+"/") {
					return strings.Repeat("d/", strings.Count(cipher, "/")) + "d", true
				}
				return "", false
			})
			text := strings.Repeat(line, 1<<19/len(line))
			copyAll(t, strings.NewReader(text), Options{Names: names, Files: insideView(sub)})
			if most := len(text)/22 + (len(text)+maxCredit)/price; asked > most {
				t.Errorf("%s, MOUNT %d deep: %d questions, want at most %d", about, strings.Count(sub, "/"), asked, most)
			}
		}
	}
}

// TestInsideWork checks that names below MOUNT cost one question each, and no look at
// files, even if they decrypt in every directory.
func TestInsideWork(t *testing.T) {
	asked := 0
	names := namesFunc(func(cipher string) (string, bool) {
		asked++
		return strings.Repeat("d/", strings.Count(cipher, "/")) + "d", true
	})
	copyAll(t, strings.NewReader(strings.Repeat(encB+"\n", 1000)), Options{Names: names, Files: insideView(encA)})
	if asked > 1001 { // and whether names are the same everywhere
		t.Errorf("%d questions", asked)
	}
}

// TestErrors checks that the text before an error of reading comes out, and the error.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader(encA+" x"), iotest.ErrReader(broken))
	var out strings.Builder
	if _, err := Copy(&out, in, Options{Names: paths{encA: "a"}}); !errors.Is(err, broken) || out.String() != "a x" {
		t.Errorf("read: %v, %q", err, out.String())
	}
}

// TestCount checks that whatever looks encrypted and stays is counted, names and targets of
// links alike, and nothing else.
func TestCount(t *testing.T) {
	const other = "m91YAV0v95v-ak-wALAQAw"
	long, target := encryptedLong(1), strings.Repeat("Q", 44)
	for text, want := range map[string]Stats{
		encA + " -> " + target:                                 {Decoded: 1, Encrypted: 1, Targets: 1, First: target},
		encA + " -> " + target + "=":                           {Decoded: 1, Encrypted: 1, Targets: 1, First: target + "="},
		other + ` -> "` + target + `"`:                         {Encrypted: 2, Targets: 1, First: other},
		"Renaming local dir: '" + encA + "' -> '" + long + "'": {Decoded: 1, Encrypted: 1, Targets: 1, First: long},
		"'a' -> '" + long + "'":                                {Encrypted: 1, Targets: 1, First: long},
		encA + " -> " + target + "Q":                           {Decoded: 1}, // no base64
		encA + "_" + other:                                     {Decoded: 1, Encrypted: 1, First: other},
		other + "_" + encA:                                     {Decoded: 1, Encrypted: 1, First: other},
		other + "/" + encA + " x":                              {Encrypted: 1, Partly: 1, First: other},
		`list\n` + other + `\n` + encA:                         {Decoded: 1, Encrypted: 1, First: other},
		"2026-11-23_" + encA:                                   {Decoded: 1},
		"link -> " + target:                                    {},
		encA + " " + target:                                    {Decoded: 1},
		encA + "/" + other + " " + encA + " => " + other:       {Decoded: 1, Encrypted: 2, Partly: 1, First: other},
	} {
		var out strings.Builder
		got, err := Copy(&out, strings.NewReader(text), Options{Names: paths{encA: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// encryptedLong returns an encrypted name of 64 characters.
func encryptedLong(i int) string { return fmt.Sprintf("%064d", i) }

// TestCopyPlainAllocs checks that passing a record allocates nothing: all allocations
// are for the run and its buffers.
func TestCopyPlainAllocs(t *testing.T) {
	allocs := func(text []byte) float64 {
		return testing.AllocsPerRun(3, func() {
			if _, err := Copy(io.Discard, bytes.NewReader(text), Options{Names: nobody}); err != nil {
				t.Error(err)
			}
		})
	}
	text := plainRecords(4 << 20)
	records := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r"))
	more := allocs(text) - allocs(text[:1<<18])
	if more > float64(records)/100 {
		t.Errorf("%.0f allocations for %d records", more, records)
	}
}

// plainRecords returns about n bytes of lines and progress, without a name.
func plainRecords(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "docs/2026/report number %d.txt\n\r%15d %3d%%  %7.2fMB/s    0:00:%02d ", i, i<<15, i%101, float64(i%900)/9, i%60)
		b = fmt.Appendf(b, "\r%15d 100%%  %7.2fMB/s    0:00:%02d (xfr#%d, to-chk=%d/%d)\n", i<<16, float64(i%800)/8, i%60, i, i%300, i+300)
	}
	return b
}
