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

	"gocryptfs-rsync-pretty/decode/tree"
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
	_, err := Copy(&out, strings.NewReader(in), Options{Names: names})
	if err == nil || !strings.Contains(err.Error(), "a defect") {
		t.Errorf("error %v", err)
	}
	want := "a" + in[len(encA):]
	wantSame(t, "a panic", want, out.String())
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
		wantSame(t, "junk", text.String(), got)
	}
}

// An insideView is that of a MOUNT inside the view. It has no links, and counts the looks at
// them and at the directories above. Any other look panics.
type insideView struct {
	Files
	sub   string
	looks int
}

func (v *insideView) View() View { return View{Sub: v.sub, Reverse: true} }

func (v *insideView) Target(cipher, _ string, _ []byte) (string, bool) {
	v.looks += 1 + strings.Count(cipher, "/")
	return "", false
}

// TestDoubtAlone checks that a directory confirms junk below it only if the text places it,
// and that a heading is a directory only if all of it decrypts.
func TestDoubtAlone(t *testing.T) {
	names := paths{encA: "dir", encA + "/" + encB: "dir/sub", encA + "/" + encB + "/" + encC: "dir/sub/\u00dcg\t0\r"}
	for in, want := range map[string]string{
		encA + "/" + encB + "/" + encC:               `dir/sub/` + "\u00dcg\t" + `0\#015`,
		"Only in " + encA + ": " + encB + "/" + encC: "Only in dir: sub/" + encC,
		encA + "/" + encC + ":\n" + encB:             "dir/" + encC + ":\n" + encB,
	} {
		wantSame(t, in, want, copyAll(t, strings.NewReader(in), Options{Names: names}))
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

// TestHostileWork checks the bound on questions for hostile text: one for each token,
// and one more for each 32 bytes; a long one counts as several, and so does a look at a
// link. It does not depend on where MOUNT lies.
func TestHostileWork(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat(encA+"/", 100), "/")
	for about, line := range map[string]string{
		"a real path and junk": deep + "/" + encB + "\n",
		"arrows":               deep + strings.Repeat(" -> "+encB+encC, 30) + "\n",
		"names after a path":   deep + strings.Repeat(" "+encB, 30) + "\n",
		"4 KB of names":        strings.Repeat(encB+"/", 178) + "\n",
		"8 KB of names":        strings.Repeat(encB+"/", 356) + "\n",
		"foreign names first":  strings.Repeat(encB+"-"+encC+"=/", 7) + deep + "\n",
		"few names after them": strings.Repeat(encB+"/", 7) + encA + "\n",
		"suffixes":             encA + ": " + strings.Repeat(encB+"-", 11) + "\n",
		"words":                encB + "\n",
	} {
		for _, sub := range []string{"", encA, deep} {
			asked := 0 // of a server that knows the path deep
			names := namesFunc(func(cipher string) (string, bool) {
				asked += 1 + len(cipher)/longPath
				if strings.HasPrefix(deep+"/", cipher+"/") {
					return strings.Repeat("d/", strings.Count(cipher, "/")) + "d", true
				}
				return "", false
			})
			text := strings.Repeat(line, 1<<18/len(line))
			view := &insideView{sub: sub}
			stats, err := Copy(io.Discard, strings.NewReader(text), Options{Names: names, Files: view})
			most := len(strings.Fields(text)) + len(text)/price + maxCredit + maxRefund*int(stats.Decoded+stats.Partly)
			if asked+perLook*view.looks > most || err != nil {
				t.Errorf("%s, MOUNT %d deep: %d questions, %d looks, want at most %d", about, strings.Count(sub, "/"), asked, view.looks, most)
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
	copyAll(t, strings.NewReader(strings.Repeat(encB+"\n", 1000)), Options{Names: names, Files: &insideView{sub: encA}})
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

// A linkTo is a view whose links all have this encrypted target.
type linkTo struct {
	noFiles
	text string
}

func (l linkTo) Target(_, _ string, text []byte) (string, bool) {
	return "target", string(text) == l.text
}

// TestCount checks that whatever looks encrypted and stays is counted, names and targets of
// links alike, and nothing else. A path counts once, also with a directory that is no name.
func TestCount(t *testing.T) {
	const other, third = "m91YAV0v95v-ak-wALAQAw", "ZkFrxDZ5DfCpwm4Myx-3TA"
	long, target, dashed := fmt.Sprintf("%064d", 1), strings.Repeat("Q", 44), encB+"-"+strings.Repeat("Q", 50)
	for text, want := range map[string]Stats{
		encA + " -> " + target:                                 {Decoded: 1, Encrypted: 1, Targets: 1, First: target},
		encA + " -> " + target + "=":                           {Decoded: 1, Encrypted: 1, Targets: 1, First: target + "="},
		encA + " -> `" + target + "`":                          {Decoded: 1, Encrypted: 1, Targets: 1, First: target},
		encA + " -> /rsyncd-munged/" + target:                  {Decoded: 1, Encrypted: 1, Targets: 1, First: target},
		other + ` -> "` + target + `"`:                         {Encrypted: 2, Targets: 1, First: other},
		"Renaming local dir: '" + encA + "' -> '" + long + "'": {Decoded: 1, Encrypted: 1, Targets: 1, First: long},
		"'a' -> '" + long + "'":                                {Encrypted: 1, Targets: 1, First: long},
		encA + " -> " + target + "Q":                           {Decoded: 1}, // no base64
		encA + ": updating symlink: " + dashed:                 {Decoded: 2}, // not a name with a suffix
		encA + "_" + other:                                     {Decoded: 1, Encrypted: 1, First: other},
		other + "_" + encA:                                     {Decoded: 1, Encrypted: 1, First: other},
		other + "_" + third + "/" + encA:                       {Decoded: 1, Encrypted: 1, First: other + "_" + third},
		other + "/" + encA + " x":                              {Encrypted: 1, Partly: 1, First: other},
		`list\n` + other + `\n` + encA:                         {Decoded: 1}, // other is loose
		"x" + other + "/" + encA:                               {Decoded: 1}, // likewise
		"2026-11-23_" + encA:                                   {Decoded: 1},
		"link -> " + target:                                    {},
		encA + " " + target:                                    {Decoded: 1},
		encA + "/" + other + " " + encA + " => " + other:       {Decoded: 1, Encrypted: 2, Partly: 1, First: other},
		encA + "/.~tmp~/" + encB:                               {Decoded: 1},
		encA + "//" + encB:                                     {Decoded: 2},
		encA + "~/." + encB + ".Xa81b":                         {Decoded: 1},
		encA + "/x/" + encB:                                    {Decoded: 2},
		encA + "/../" + encB:                                   {Decoded: 2},
		encA + "/.a b/" + encB:                                 {Decoded: 2},
		encA + "/.old." + encB + "/" + encB:                    {Decoded: 2},
		encA + "/.a/b/" + encB:                                 {Decoded: 2},
	} {
		names := namesFunc(func(cipher string) (string, bool) {
			return cipher, strings.Trim(strings.NewReplacer(encA, "", encB, "").Replace(cipher), "/") == ""
		})
		got, err := Copy(io.Discard, strings.NewReader(text), Options{Names: names, Files: linkTo{text: dashed}})
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// TestLoose does not show a doubtful name that something is glued to, even if its file exists.
func TestLoose(t *testing.T) {
	names := paths{encA: "a\tb", encB: "b"}
	for in, want := range map[string]string{encA: "a\tb", "x" + encB: "xb", "x" + encA: "x" + encA} {
		wantSame(t, in, want, copyAll(t, strings.NewReader(in), Options{Names: names, Files: existing{names: names}}))
	}
}

// A countingSpelling is a view that spells no name, and counts how often it is asked for one.
type countingSpelling struct {
	noFiles
	asked int
}

func (c *countingSpelling) Spelling(string, string) (string, int, bool) {
	c.asked++
	return "", 10_000, false
}

// TestSpellings bounds the spellings that are looked up: a directory is long.
func TestSpellings(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		text.WriteString(encryptedName(i) + "\n")
	}
	names := namesFunc(func(cipher string) (string, bool) { return "\ufffd", true })
	files := &countingSpelling{}
	if copyAll(t, strings.NewReader(text.String()), Options{Names: names, Files: files}); files.asked == 0 || files.asked > 20 {
		t.Errorf("%d spellings", files.asked)
	}
}

// countingLinks is a view whose files are all links, which counts the looks at them.
type countingLinks struct {
	noFiles
	looks int
}

func (l *countingLinks) Target(string, string, []byte) (string, bool) {
	l.looks++
	return "target", true
}

// TestRemembered checks that a target is remembered, but not forever: memory is bounded.
func TestRemembered(t *testing.T) {
	const n = 10_000
	var text strings.Builder
	for i := range 2*n + 1 {
		link := max(0, i/2-i%2) // each of them twice, with another one in between; the first again at the end
		text.WriteString(encryptedName(link%n) + " -> " + strings.Repeat("Q", 100) + "\n")
	}
	var files countingLinks
	names := namesFunc(func(cipher string) (string, bool) { return cipher, true })
	copyAll(t, strings.NewReader(text.String()), Options{Names: names, Files: &files})
	if files.looks <= n || files.looks > n+10 {
		t.Errorf("%d looks at %d links, want few more", files.looks, n)
	}
}

// TestCopyPlainAllocs checks that passing a record allocates nothing: all allocations
// are for the run and its buffers.
func TestCopyPlainAllocs(t *testing.T) {
	allocs := func(text []byte) float64 {
		return testing.AllocsPerRun(3, func() {
			if _, err := Copy(io.Discard, bytes.NewReader(text), Options{Names: paths{}}); err != nil {
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
