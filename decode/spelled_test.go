package decode

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/scan"

	"github.com/google/go-cmp/cmp"
)

// glue is what may touch a name in front.
var glue = []string{
	"-", "_", "._", "__", "2026-01-01_", "2026-01-02T03-04-05-", "send-",
	".f..t....x", ">fcstpoguax", "<f.st...a.x", ">f.....o", "cd+++++++++",
	`\n`, `\t`, `\r\n`, `\\n`, `\0`, `\Z`, "`n", `\cJ`, `\012`, `\0012`, `\27`, `\00000a`, `\x0a`, `\x0A`, `\'0a`,
	`\u000a`, `\u003c`, `\u00fc`, `\\u000a`, `%u000A`, `\U0000000a`, `\U0001f600`,
	`#012`, `#011`, `\#012`, `#0A`, `%0A`, `%0a`, `%2F`, `%252F`, `%25252f`, `=0A`, `=3D`, `=C3=BC`,
	`^M`, `^J`, `^@`, `M-CM-<`, `M-bM-^@M-^X`, `M-^J`, `M-a`,
	`\u001b[32m`, `\x1b[0m`, `\e[0m\e[01;34m`, `\033[1m`, `\27[K`, `#033[32m`, `^[[32m`, `^[[0m^[[38;5;12m`, `M-^[[m`,
	`&#27;[1m`, `[32m`, `%1B%5B32m`, `%1B%5B01%3B34m`, `=1B[1m`, `\u009b[1;2H`,
	`&#10;`, `&quot;`, `&lt;br&gt;`, `\"`, `\/`, `""`, `''`, "\x1b[32m",
}

// tail is what may touch a name behind.
var tail = []string{
	"-", "_", "-2026-01-01", "_old", `\n`, `\012`, `\u001b[0m`, `#012`, `%0A`, `%2F`, `=0A`, `=\n`, `^M`, `^[[0m`,
	"M-bM-^@M-^Y", `&quot;`, `\"`,
}

// Names that touch each other, and the lines above those of a directory.
var joined = []string{
	"{a}_{b}", "{dir/a}-{dir/b}", "{dir}/{dir|a}_{dir|b}", "{a}_{dir/b}", "{dir/b}_{dir/a}", "x-{a}_{b}_y",
	"{dir}/._{dir|a}", "mount/{dir/sub}/._{dir/sub|a}", "{dir}/send-{dir|sub}/{dir/sub|a}", "_{dir}_/_{dir|sub}_/-{dir/sub|a}-",
	"[-{a}-]{+{b}+}", "*_{a}_* ~~{b}~~ __{dir/a}__",
	"backed up {dir/a} to {dir/a}-2026-11-22__17-24-40", "backed up {dir/sub/a} to {dir/sub/a}-backup-20261123-0310",
	`{"stdout":"{dir}/\n{dir/a}\n{dir/sub}/\n{dir/sub/a}\n{a}"}`, "{dir}/#012{dir/a}#012{a}",
	"http://host/?path={dir}%2F{dir|sub}%2F{dir/sub|a}", `"{dir}\/{dir|sub}\/{dir/sub|a}"`,
	`"./{dir/sub}:\n{dir/sub|a}\n{dir/sub|b}\n\n./{dir}:\n{dir|a}"`,
	"{dir/sub}/:\n{dir/sub|a}\n{dir/sub|b}\n\n{dir}/:\n{dir|a}", `"./{dir/sub}/":` + "\n" + `"{dir/sub|a}"` + "\n" + `"{dir/sub|b}"`,
	"'{dir/sub}/':\n{dir/sub|a}", "{dir/sub}: \n{dir/sub|a}", "{dir/sub}:\r\n{dir/sub|a}\r\n{dir/sub|b}", "{dir/sub}/: \r\n{dir/sub|a}",
	"\x1b[01;34m{dir/sub}\x1b[0m:\n{dir/sub|a}", "\x1b[34m{dir/sub}\x1b[0m/:\n{dir/sub|a}", "{dir/sub}:\x1b[0m\n{dir/sub|a}",
	"\x1b[34m{dir/sub}:\x1b[0m\x1b[K \r\n{dir/sub|a}", "\x1b[34m\"{dir/sub}/\"\x1b(B\x1b[m:\n{dir/sub|a}",
}

// equals are ways to spell `=`.
var equals = []string{"=3D", "%3D", "%3d", "%253D", `\u003d`, `\x3D`, `\075`, "#075", "#3D", "&#61;", "&#x3D;", "&equals;"}

// TestSpelled decodes names that touch other bytes, for all kinds of file systems, whole
// and cut at every byte.
func TestSpelled(t *testing.T) {
	lines := joined
	for _, g := range glue {
		lines = append(lines, g+"{a}", "x: "+g+"{dir/a}")
		if !strings.ContainsAny(g[:1], "2cMs") { // else it would be glued to a name
			lines = append(lines, "{dir/a}"+g+"{dir/b}"+g)
		}
	}
	for _, e := range tail {
		lines = append(lines, "{a}"+e, "{dir/a}"+e+" {dir/b}"+e+` \n{dir/a}`+e)
	}
	for _, fs := range fileSystems {
		t.Run(fs.name, func(t *testing.T) {
			w := newWorld(t, fs)
			for _, line := range lines {
				w.add(line)
				if w.alike && strings.Contains(line, "\n") {
					continue // there, a name decodes in any place
				}
				w.check(t, "spelled", line, shown(line))
			}
			if w.padded { // the padding is spelled out, too
				for _, e := range equals {
					w.checkText(t, "padding", e, strings.ReplaceAll(w.encrypted("{a}"), "=", e)+" x"+strings.ReplaceAll(w.encrypted(`\n{dir/a}`), "=", e)+"%0A", "a x\\ndir/a%0A")
				}
			}
			if w.cut || w.padded {
				w.checkCut(t)
			}
		})
	}
}

// TestMetaWithSuffix checks that a long run of word characters after `.name` changes nothing,
// wherever it is cut.
func TestMetaWithSuffix(t *testing.T) {
	meta := "gocryptfs.longname." + strings.Repeat("x", 42) + "A.name"
	names := namesFunc(func(string) (string, bool) { return "a", true })
	for n := range 300 {
		for _, sep := range []string{"-", "_", "x"} {
			text := meta + sep + strings.Repeat("y", n+230) + ":\n"
			want := copyAll(t, strings.NewReader(text), Options{Names: names})
			for _, cuts := range [][]byte{{1}, {200}, {255, 1}} {
				if got := copyAll(t, &cutReader{data: []byte(text), cuts: cuts}, Options{Names: names}); got != want {
					t.Fatalf("%d after %q, cut into %v:\ngot  %q\nwant %q", n, sep, cuts, got, want)
				}
			}
		}
	}
}

// TestBoundsCut checks that text at the bounds of a word and of a heading is decoded in the
// same way wherever it is cut.
func TestBoundsCut(t *testing.T) {
	known := paths{encA: "dir", encA + "/" + encB: "dir/file"}
	var texts []string
	for n := 480; n < 540; n++ {
		word := encA + "-" + strings.Repeat("x", n-len(encA)-2) + "_"
		texts = append(texts, word+"g", word+"gzzz", word+"gocryptfs", word+scan.LongPrefix+"z")
	}
	for _, n := range []int{1, 120, 200} {
		texts = append(texts, encA+":\nx\nfoo:"+strings.Repeat(" ", n)+"\n"+encB+"\n", encA+":"+strings.Repeat(" ", n)+"\n"+encB+"\n")
	}
	for _, text := range texts {
		want := copyAll(t, strings.NewReader(text), Options{Names: known})
		for at := max(0, len(text)-30); at < len(text); at++ {
			if got := copyAll(t, inPieces(text[:at], text[at:]), Options{Names: known}); got != want {
				t.Fatalf("cut at %d of %q:\ngot  %q\nwant %q", at, text, got, want)
			}
		}
		if got := copyAll(t, inPieces(slices.Collect(strings.Lines(text))...), Options{Names: known}); got != want {
			t.Errorf("line by line: %q\ngot  %q\nwant %q", text, got, want)
		}
	}
}

// TestOneQuestion checks that a path that decrypts takes one question, also if something
// touches it, unless the word is as long as another name.
func TestOneQuestion(t *testing.T) {
	w := newWorld(t, fileSystems[0])
	for _, g := range append([]string{""}, glue...) {
		for _, line := range []string{"{dir/a}", "x " + "{dir/sub/b}/ y"} {
			line = strings.Replace(line, "{", g+"{", 1)
			w.add(line)
			asked := 0
			count := namesFunc(func(cipher string) (string, bool) { asked++; return w.Decrypt(cipher) })
			if copyAll(t, strings.NewReader(w.encrypted(line)), Options{Names: count}); asked != 1 {
				t.Errorf("%s: %d questions", line, asked)
			}
		}
	}
}

// TestTwoNames decodes names joined by `-` or `_`, of all pairs of lengths. Some of the
// words hold what has the shape of a third one.
func TestTwoNames(t *testing.T) {
	names := paths{}
	var text, want strings.Builder
	for i := range 3000 {
		for j, n := range []int{16 * (1 + i%4), 16 * (1 + i/4%4), 16} {
			cipher, plain := base64.RawURLEncoding.EncodeToString(random(fmt.Sprint(i, j), n)), fmt.Sprintf("<%d, %d>", i, j)
			names[cipher] = plain
			text.WriteString(cipher + "_-\n"[j:j+1])
			want.WriteString(plain + "_-\n"[j:j+1])
		}
	}
	if diff := cmp.Diff(want.String(), copyAll(t, strings.NewReader(text.String()), Options{Names: names})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
