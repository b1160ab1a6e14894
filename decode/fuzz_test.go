package decode

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"
)

// vocabulary is what the bytes from 128 on stand for in the input of a fuzz target, so that
// tokens and their neighbors are one mutation away.
var vocabulary = []string{
	"/", ".~tmp~/", "/../", "//", "/rsyncd-munged/", " -> ", " => ", "\",\"name\":\"", ":\n", "Only in ",
	encA, encB, encC, encA + "-2026", "-2026-11-23", "_bak", ".name", "==",
	"gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI", "7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI",
	"gocryptfs.longname.", "gocryptfs.longname.g", "gocryptfs.", "go",
	"gocryptfs.longname.gocryptfs5DfCpwm4Myx-3TAimzeAOOgEnocI27OWHXA",
	"BpjnpSviZys3tc_huw953ZVVLqXr86N33m00i2o2lJHhM3nm",
	"\x1b[01;34m", "\x1b[K", "\x1b(B", "\x9b1G", "\x1bM", "\x9b-", "\x1b-", "\x1b7", "\x1b(0", "ö", "\xc3", "\x1b]0;", "\u009d8;;", "\u009c", "\u009b1",
	"gocryptfs.diriv", "gocryptfs.conf", " is uptodate", ": Permission denied",
	">f+++++++++ ", ".f          ", "*deleting   ", "deleting ", "deleting in ", "rsync: ", "[ERROR] ",
	"2026/11/22 17:29:36 [123] ", "Nov 23 03:10:00 ", "host backup[123]: ", "openrsync(12): ",
	"              4 100%    0.36kB/s    0:00:00 (xfr#1, to-chk=7/9)", "  90  90%    1.00MB/s    0:00:09  ",
	"(xfr#1, ir-chk=7/9)", "1 1% 1:1:1 ",
	strings.Repeat(encA+"/", 50), strings.Repeat("abcdefgh", 40), strings.Repeat(".x/", 1000), strings.Repeat("Q", 8<<10),
	strings.Repeat("1 1% 1:1:1 ", 1600),
	`\n`, `\u000a`, `#012`, "%0A", "^M", "M-CM-<", `\u001b[32m`, "%1B%5B01%3B34m", ".f..t....x", "._", "%3D", "=3D", `\u003d`, "&#61;",
	": \r\n", "/\":\n", "\x1b[0m:\n", `:\n"}` + "\n", ".name-", strings.Repeat("-", 300),
}

// seed is the input of a fuzz target that stands for a text.
func seed(text string) []byte {
	longest := slices.SortedFunc(slices.Values(vocabulary), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range longest {
		pairs = append(pairs, s, string([]byte{byte(128 + slices.Index(vocabulary, s))}))
	}
	return []byte(strings.NewReplacer(pairs...).Replace(text))
}

// expand returns the text for the input of a fuzz target, up to 80 KiB.
func expand(data []byte) (b []byte) {
	for _, c := range data {
		if i := int(c) - 128; len(b) > 56<<10 {
			break
		} else if i >= 0 && i < len(vocabulary) {
			b = append(b, vocabulary[i]...)
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

// seeds are texts with every word next to others.
var seeds = []string{
	"plain text, \x00\xff no names\r\n",
	encA + "/" + encB + "\nmount/" + encA + "/" + encC + "/.name\r" + encB + " (1)\n",
	encA + " -> " + encB + "\n\"" + encA + ".123456\" -> \"" + encA + "\"\n",
	encA + "==/" + encB + "=/" + encC + "==\n" + encA + "====\n",
	"mount/" + encA + "/gocryptfs.diriv\n.~tmp~/" + encB + "/.x/" + encC + "/../" + encA + "//" + encB + "\n",
	strings.Repeat(encA+"/", 300) + encB + strings.Repeat("abcdefgh", 40) + "\n",
	encA + " -> " + strings.Repeat("Q", 8<<10) + "\n" + encA + " -> /rsyncd-munged/" + strings.Repeat("Q", 8<<10) + "x/\n",
	"\x1b[01;34m" + encA + "\x1b[K/\x1b(B" + encB + "\x9b1G" + encC + "\x1bM" + encA + "\x9b-\x1b-\x1b7\x1b(0\n",
	encA + "/" + encB + ":\n" + encC + "\nOnly in " + encA + ": " + encB + "\n{\"path\":\"" + encA + "\",\"name\":\"" + encB + "\"}\n",
	encA + "-2026-11-23/" + encB + "_bak gocryptfs.longname.g\ngo\ngocryptfs.longname.gocryptfs5DfCpwm4Myx-3TAimzeAOOgEnocI27OWHXA",
	">f+++++++++ gocryptfs.diriv\n\r  90  90%    1.00MB/s    0:00:09  (xfr#1, ir-chk=7/9)\n*deleting   " + encA + "/gocryptfs.diriv\r\n",
	"gocryptfs.conf\n1 1% 1:1:1 1 1% 1:1:1 " + encA + " is uptodate\r\ngocryptfs.conf: Permission denied\n",
	"gocryptfs.conf\n" + strings.Repeat("1 1% 1:1:1 ", 1600) + "gocryptfs.conf is uptodate\r" + strings.Repeat(" ", 2000) + "\n",
	"2026/11/22 17:29:36 [123] deleting ö\n\x1b[01;34m\xc3\nNov 23 03:10:00 host backup[123]: rsync: \xc3\x1b[\n" +
		"openrsync(12): [ERROR] " + strings.Repeat("ö", 9000) + encA + "\n",
	encB + "=3D=3D" + encC,
	"rsync: \x1b\x1b[\nrsync: \x1b\x1b-" + encA + "\n",
	"deleting in .f          gocryptfs.conf\ndeleting " + encA + "\nrsync: \"/home/jörg/" + encB + "\": Permission denied",
	"1 1% 0:00:" + strings.Repeat("1", 42) + "0/" + encA + "\n1 1% 0:0:" + strings.Repeat("1", 300) + "x gocryptfs.conf\n",
	"          4 100%    0.36kB/s    0:00:7" + strings.Repeat("B", 20) + "A/" + encA + "\n",
	"gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI.name-" + strings.Repeat("abcdefgh", 40) + "/" + encA + "\n",
	"gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI.name" + strings.Repeat("-", 301) + "0",
	"rename \"" + strings.Repeat("C", 64) + "\" -> \"" + strings.Repeat("C", 64) + ".bak/" + encA + "/" + encB + "\"\n",
	`"a\n` + encA + "/" + encB + `\u000a` + encA + `\u001b[32m` + encC + `"} #012` + encB + "%0A" + encC + "^M" + encA + "M-CM-<" + encB + "M-CM-<\n",
	encA + "_" + encB + "/" + encC + "-" + encA + "_" + encA + "/" + encB + "/._" + encC + " .f..t....x" + encA + "%1B%5B01%3B34m" + encB + "\n",
	encA + "%3D%3D/" + encB + "=3D=3D/" + encC + `\u003d=` + encA + "=3D" + encC + "&#61;%3D_" + encB + "=\n",
	"_gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI_gocryptfs.longname.gocryptfs5DfCpwm4Myx-3TAimzeAOOgEnocI27OWHXA.name-" +
		strings.Repeat("-", 300) + encA + "\n",
	"gocryptfs.longname.gocryptfs-lo" + encA + "imze------gocryptfs.longname.gocryptfs-lo" + encA + "imzeAOOgA.name\n",
	">f+++++++++ A\r\n>f.st...... A\r\n*deleting   " + encA + "\r\nskipping directory A\r\nrsync error: " + encA + "\r\nrsync: no end",
	"rsync: \x1b]0;title\nrsync: \u009d8;;" + encA + "\u009c" + encA + "\u009b1\nrsync: \xc2\ndeleting \u009d" + encB,
	encC + "/" + encA + " " + encC + "/" + encB + " " + encC + "/" + encC + "\n" + encC + "\n",
	encA + "/\":\n" + encB + ": \r\n" + encC + "\x1b[0m:\n" + encB + `:\n"}` + "\n" + encC + "\n",
}

// FuzzPassThrough checks that nothing changes when nobody knows a name.
func FuzzPassThrough(f *testing.F) {
	for _, text := range seeds {
		f.Add(seed(text), []byte{3})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		text := expand(data)
		got := copyAll(t, &cutReader{data: text, cuts: sparse(text, cuts)}, Options{Names: paths{}})
		wantSame(t, "passed through", string(text), got)
	})
}

// FuzzCut checks that the output does not depend on where the input is cut, with any set of
// flags, and that color adds only sequences, each of which ends in its record, and none of
// them within a character or another sequence.
func FuzzCut(f *testing.F) {
	for _, text := range seeds {
		f.Add(seed(text), []byte{7, 30, 1}, byte(0))
		f.Add(seed(text), []byte{200, 17}, byte(1))
		f.Add(seed(text), []byte{7, 30, 1}, byte(2))
		f.Add(seed(text), []byte{200, 17}, byte(15))
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
	o := Options{Names: anybody, Color: flags&1 != 0, HideMeta: flags&2 != 0, Report: flags&8 != 0}
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
