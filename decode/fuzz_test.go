package decode

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"
)

// vocabulary is what the bytes from 128 on stand for in the input of a fuzz target, so that
// tokens and their neighbors are one mutation away.
var vocabulary, seeds = texts("vocabulary"), texts("seeds")

// seed is the input of a fuzz target that stands for a text.
func seed(text string) []byte {
	var pairs []string
	for i, v := range vocabulary {
		pairs = append(pairs, v.line, string([]byte{byte(128 + i)}))
	}
	return []byte(strings.NewReplacer(pairs...).Replace(text))
}

// expand returns the text for the input of a fuzz target, up to 80 KiB.
func expand(data []byte) (b []byte) {
	for _, c := range data {
		if i := int(c) - 128; len(b) > 56<<10 {
			break
		} else if i >= 0 && i < len(vocabulary) {
			b = append(b, vocabulary[i].line...)
		} else {
			b = append(b, c)
		}
	}
	return b
}

// sparse returns the cuts for a text: a long one is not read byte by byte, because that
// would take seconds.
func sparse(text, cuts []byte) []byte {
	if len(text) <= 4<<10 {
		return cuts
	}
	return bytes.Map(func(r rune) rune { return r&0x7f | 16 }, append(cuts, 0))
}

// FuzzPassThrough checks that nothing changes when nobody knows a name.
func FuzzPassThrough(f *testing.F) {
	for _, text := range seeds {
		f.Add(seed(text.line), []byte{3})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		text := expand(data)
		wantSame(t, "passed through", string(text), copyAll(t, &cutReader{data: text, cuts: sparse(text, cuts)}, Options{Names: paths{}}))
	})
}

// FuzzCut checks that the output does not depend on where the input is cut, with any set of
// flags, and that color adds only sequences, each of which ends in its record, and none of
// them within a character or another sequence.
func FuzzCut(f *testing.F) {
	for _, text := range seeds {
		f.Add(seed(text.line), []byte{7, 30, 1}, byte(0))
		f.Add(seed(text.line), []byte{200, 17}, byte(1))
		f.Add(seed(text.line), []byte{7, 30, 1}, byte(2))
		f.Add(seed(text.line), []byte{200, 17}, byte(15))
	}
	for i := range scan.LongPrefix {
		// A hash that begins as a long name does, after one and first in a chain.
		hash := scan.LongPrefix[:i] + encA + encB + encC
		hash = scan.LongPrefix + strings.ReplaceAll(hash, ".", "-")[:42] + "A"
		text := "x " + hash + "/" + hash + ".name\n" + hash[:len(scan.LongPrefix)+i]
		f.Add(seed(text), []byte{byte(len(scan.LongPrefix) + 2 + i), 1}, byte(0))
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, flags byte) {
		text := expand(data)
		want, stats := decodeCut(t, text, nil, flags)
		if flags&1 != 0 {
			plain, _ := decodeCut(t, text, nil, flags&^1)
			checkColor(t, plain, want)
		}
		ways := [][]byte{sparse(text, cuts)}
		if len(text) < 1<<10 {
			ways = append(ways, []byte{1}, []byte{2})
		}
		for _, cuts := range ways {
			about := fmt.Sprintf("cut into %v, flags %b", cuts, flags)
			got, counted := decodeCut(t, text, cuts, flags)
			wantSame(t, about, want, got)
			if counted != stats {
				t.Errorf("%s: %+v, want %+v", about, counted, stats)
			}
		}
	})
}

// decodeCut decodes a text with flags: color, -hide-meta, -map and -v.
func decodeCut(t *testing.T, text, cuts []byte, flags byte) (string, Stats) {
	t.Helper()
	o := Options{Names: anybody, Files: &stubView{}, Color: flags&1 != 0, HideMeta: flags&2 != 0, Report: flags&8 != 0}
	if flags&4 != 0 {
		o.Index = openIndex(t, encB+"\tbee\n"+encA+"/"+encB+"\tapple/bee\n"+encC+"\tsea\n")
	}
	var out bytes.Buffer
	stats, err := Copy(&out, &cutReader{data: text, cuts: cuts}, o)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), stats
}

// sequence matches what color adds.
var sequence = regexp.MustCompile(`^\x1b\[(?:1;)?[0-9]+m`)

// colors are those of a style.
var colors = style.New(true, false, false, "").Palette

// checkColor checks that colored is plain with sequences, none of them within a character
// or another sequence. Each color ends in its record.
func checkColor(t *testing.T, plain, colored string) {
	t.Helper()
	rest, last := plain, colors.Reset
	for {
		i := 0
		for i < min(len(rest), len(colored)) && rest[i] == colored[i] {
			i++
		}
		n := 0
		for j := i; j >= max(0, i-8); j-- { // both may have the beginning of a sequence here
			m := len(sequence.FindString(colored[j:]))
			if m > 0 && strings.HasPrefix(colored[j+m:], rest[j:i]) {
				i, n = j, m
			}
		}
		before, passed := plain[:len(plain)-len(rest)+i], rest[:i]
		rest = rest[i:]
		switch {
		case last != colors.Reset && strings.ContainsAny(passed, "\r\n"):
			t.Fatalf("color goes on after %q", passed)
		case n == 0 && rest == colored[i:]:
			return
		case n == 0:
			t.Fatalf("color changes %q to %q", plain, colored[i:])
		case inSequence(before):
			t.Fatalf("%q is within a sequence, after %q", colored[i:i+n], before)
		case rest != "" && !utf8.RuneStart(rest[0]) && utf8.ValidString(plain):
			t.Fatalf("%q is within a character, after %q", colored[i:i+n], before)
		}
		last, colored = colored[i:i+n], colored[i+n:]
	}
}

// inSequence reports whether a terminal that has read text waits for the rest of a control
// sequence or of a short control string. It reads the text from its beginning, as a terminal does.
func inSequence(text string) bool {
	state, start := ' ', 0
	for i, r := range text {
		if state == '\x1b' && i == start+1 && r >= '@' && r <= '_' {
			r += '\u0080' - '@'
		}
		switch {
		case r == '\x1b' || r == '\u009b' || strings.ContainsRune("\u0090\u0098\u009d\u009e\u009f", r):
			state, start = r, i
		case r < ' ' || r == '\u009c' || state == '\x1b' && r > '/' || state == '\u009b' && r > '?': // it ends here
			state = ' '
		}
	}
	return state != ' ' && len(text)-start < 200 // a long one counts as ended
}
