package scan

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/tokens.txt anew")

// placeholders are how testdata/tokens.txt writes names, and bytes that do not show.
var placeholders = []string{
	"{22}", "ikFrxDZ5DfCpwm4Myx-3TA",
	"{22b}", "imzeAOOgEnocI27OWHX1BQ",
	"{43}", "7Bpjnp1viZys3tcxhuw953ZVVLqXr86N33m00i2o2lI",
	"{64}", strings.Repeat("0123456789abcdef", 4),
	"{43+}", "7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI",
	"{text}", strings.Repeat("Qz", 36), // base64, of no name's length
	"{200}", strings.Repeat("q", 200),
	"{21}", strings.Repeat("q", 21),
	"{.x}", strings.Repeat(".x/", 2666),
	"␊", "\n", "␛", "\x1b",
}

func expand(line string) []byte { return []byte(strings.NewReplacer(placeholders...).Replace(line)) }

func shorten(line []byte) string {
	for i := 0; i < len(placeholders); i += 2 {
		line = bytes.ReplaceAll(line, []byte(placeholders[i+1]), []byte(placeholders[i]))
	}
	return string(line)
}

// marked returns the text b with its tokens in «», their names in ‹›, an arrow before a token
// that follows one, ° after a name that stands in `gocryptfs.longname.X.name`, and ¦ at the
// offset up to which b is settled, if that is not its end.
func marked(b []byte) string {
	marks := map[int]string{}
	var s Scanner
	if end := s.Settled(b, 0, 0); end < len(b) {
		marks[end] = "¦"
	}
	for _, t := range s.All(nil, b, 0) {
		marks[t.Start] += map[bool]string{true: "→«", false: "«"}[t.Arrow]
		for _, n := range t.Names {
			marks[n.Start] += "‹"
			marks[n.After] += map[bool]string{true: "›°", false: "›"}[n.Meta]
		}
		marks[t.End] += "»"
	}
	var out []byte
	for i := range len(b) + 1 {
		out = append(append(out, marks[i]...), b[i:min(i+1, len(b))]...)
	}
	return shorten(out)
}

// TestTokens finds the tokens of each line of testdata/tokens.txt; the next one shows them.
func TestTokens(t *testing.T) {
	const file = "testdata/tokens.txt"
	table, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line)
		if !strings.HasPrefix(line, "# ") {
			text := expand(strings.TrimSuffix(line, "\n"))
			out.WriteString("\t" + marked(text) + "\n")
			checkSettled(t, text)
		}
	}
	if *update {
		t.Log("written", os.WriteFile(file, []byte(out.String()), 0o666))
		return
	}
	if diff := cmp.Diff(string(table), out.String()); diff != "" {
		t.Error("want (-), got (+):\n" + diff)
	}
}

// checkSettled checks that what is settled of a text that is cut anywhere has the tokens that
// it has in the whole text.
func checkSettled(t *testing.T, text []byte) {
	var s, parts Scanner
	all, from, seen := s.All(nil, text, 0), 0, 0
	for cut := 0; cut < len(text); cut += 1 + len(text)/500 {
		end := parts.Settled(text[:cut], from, seen)
		for _, got := range parts.All(nil, text[:end], from) {
			if len(all) == 0 || got.Start != all[0].Start || got.End != all[0].End || len(got.Names) != len(all[0].Names) {
				t.Fatalf("%.200s, cut at %d: a token at %d, want %v", shorten(text), cut, got.Start, all)
			}
			all = all[1:]
		}
		if end < from || len(all) > 0 && all[0].Start < end {
			t.Fatalf("%.200s, cut at %d: settled from %d to %d, want %v", shorten(text), cut, from, end, all)
		}
		from, seen = end, cut
	}
}
