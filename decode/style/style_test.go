package style_test

import (
	"slices"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/style"

	"github.com/rogpeppe/go-internal/txtar"
)

// section returns the lines of a section of testdata/records.txt.
func section(t *testing.T, name string) (lines []string) {
	t.Helper()
	a, _ := txtar.ParseFile("testdata/records.txt")
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	text := strings.NewReplacer("␍", "\r", "␉", "\t", "␛", "\x1b", "␀", "\x00", "␠", " ").Replace(string(a.Files[i].Data))
	for line := range strings.Lines(text) {
		lines = append(lines, strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "␊", "\n"))
	}
	return lines
}

// kinds are the names and the colors of each kind.
var kinds = map[style.Kind][2]string{
	style.Added: {"added", "\x1b[32m"}, style.Changed: {"changed", "\x1b[36m"}, style.Unchanged: {"unchanged"}, style.Deleted: {"deleted", "\x1b[31m"},
	style.Warning: {"warning", "\x1b[35m"}, style.Failure: {"failure", "\x1b[1;31m"}, style.Progress: {"progress"}, style.Ordinary: {"ordinary"},
}

// TestKinds judges each record alone and after the prefixes of other programs, also when it
// comes in two reads: its first part has its color, or waits.
func TestKinds(t *testing.T) {
	prefixes := section(t, "prefixes")
	for kind, k := range kinds {
		for i, line := range section(t, k[0]) {
			checkKind(t, kind, line, true)
			if !strings.HasSuffix(line, "\r") && line != "\n" {
				checkKind(t, kind, line+"\n", true)
			}
			if kind == style.Progress || strings.Contains(line, "openrsync(") || strings.Contains(line, "timemachine: ") {
				continue
			}
			for _, prefixed := range filled("RECORD", []string{line}, prefixes) {
				checkKind(t, kind, prefixed, i == 0)
			}
		}
	}
}

// checkKind checks the kind of a record, whole and, if cut is set, cut at each byte.
func checkKind(t *testing.T, kind style.Kind, line string, cut bool) {
	t.Helper()
	b := []byte(line)
	for i := range len(b) + 1 { // cut at the end, too: then the last read has no bytes
		if i > 0 && !cut {
			return
		}
		s := style.New(true, false, true, "")
		pieces := slices.Clone(s.Judge(b[:i], 0, i, false))
		pieces = append(pieces, s.Judge(b, end(pieces), len(b), true)...)
		for _, p := range pieces {
			if p.SGR != kinds[kind][1] {
				t.Errorf("cut at %d, %q has the color %q, want that of %s", i, b[p.Start:p.End], p.SGR, kinds[kind])
			}
		}
		if s.Counts[kind]--; s.Counts != style.New(false, false, true, "").Counts {
			t.Errorf("cut at %d, %q is not counted as one record, %s: %v", i, b, kinds[kind], s.Counts)
		}
	}
}

// end returns the offset after the pieces of a text.
func end(pieces []style.Piece) int {
	if len(pieces) == 0 {
		return 0
	}
	return pieces[len(pieces)-1].End
}

// TestAtOnce checks that prompts and progress do not wait for more text.
func TestAtOnce(t *testing.T) {
	for _, prompt := range section(t, "prompts") {
		checkAtOnce(t, style.New(true, false, false, ""), prompt)
		checkAtOnce(t, style.New(false, false, true, ""), prompt+"\x1b")
	}
	for _, figures := range section(t, "progress")[1:] {
		checkAtOnce(t, style.New(true, false, false, ""), strings.TrimSuffix(figures, "\r"))
		checkAtOnce(t, style.New(false, true, false, ""), strings.TrimSuffix(figures, "\r"))
	}
}

func checkAtOnce(t *testing.T, s style.Style, text string) {
	t.Helper()
	if n := end(s.Judge([]byte(text), 0, len(text), false)); n != len(text) {
		t.Errorf("%q waits after %d bytes", text, n)
	}
}

// TestHousekeeping checks which records are about a housekeeping file and nothing else. No
// error that names one is hidden, in whoever's words and whatever stands before it.
func TestHousekeeping(t *testing.T) {
	const mount = "/my disk/the view"
	anywhere, below := style.New(false, true, false, ""), style.New(false, true, false, mount)
	checkHidden(t, true, anywhere, section(t, "housekeeping"))
	checkHidden(t, true, below, section(t, "housekeeping below \""+mount+"\""))
	checkHidden(t, false, anywhere, section(t, "not housekeeping"))
	checkHidden(t, false, below, section(t, "failures there"))

	files := section(t, "files")
	verdicts := filled("VERDICT", section(t, "verdicts"), section(t, "places of a VERDICT and FILE"))
	for i, line := range verdicts { // one of the files in turn, to save time
		verdicts[i] = strings.ReplaceAll(line, "FILE", files[i%len(files)])
	}
	checkHidden(t, false, below, verdicts)
	prefixes := slices.Concat([]string{"RECORD"}, section(t, "prefixes"), section(t, "what others write before a failure"))
	checkHidden(t, false, below, filled("RECORD", filled("FILE", files, section(t, "failures with FILE")), prefixes))
}

// filled returns the lines with each of the texts in place of a word.
func filled(word string, texts, lines []string) (all []string) {
	for _, line := range lines {
		for _, text := range texts {
			all = append(all, strings.ReplaceAll(line, word, text))
		}
	}
	return all
}

// checkHidden checks that all lines are hidden, or that none is. They end in a line feed and in
// a carriage return in turn, the last one in nothing.
func checkHidden(t *testing.T, want bool, s style.Style, lines []string) {
	t.Helper()
	var text []byte
	for i, line := range lines {
		text = append(append(text, "\r\n"[i%2]), line...)
	}
	for _, p := range s.Judge(text, 1, len(text), true) {
		if p.Hidden != want {
			t.Errorf("hidden is %v: %q", p.Hidden, text[p.Start:p.End])
		}
	}
}
