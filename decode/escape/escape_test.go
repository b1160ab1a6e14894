package escape

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// escapes are names and how they are shown: as rsync 3.5.0 prints them under
// LC_ALL=C.UTF-8 or, if ours is set, as that.
var escapes = []struct {
	about, name, rsync, ours string
}{
	{"plain", "a file.txt", "a file.txt", ""},
	{"blanks", "  a  b  ", "  a  b  ", ""},
	{"quotes", `it's "quoted" ` + "`so`", `it's "quoted" ` + "`so`", ""},
	{"arrows", "a -> b => c", "a -> b => c", ""},
	{"umlaut", "Bäume", "Bäume", ""},
	{"combining", "e\u0301", "e\u0301", ""},
	{"CJK", "日本語", "日本語", ""},
	{"emoji", "🌳👩\u200d🚀", "🌳👩\u200d🚀", ""},
	{"U+FFFD itself", "\ufffd", "\ufffd", ""},
	{"byte order mark", "\ufeffx", "\ufeffx", ""},
	{"last code point", "\U0010ffff", "\U0010ffff", ""},
	{"first beyond C1", "\u00a0", "\u00a0", ""},

	{"newline", "a\nb", `a\#012b`, ""},
	{"CR", "a\rb", `a\#015b`, ""},
	{"ESC", "\x1b[31m", `\#033[31m`, ""},
	{"first and last control", "\x01\x1f", `\#001\#037`, ""},
	{"bell, backspace", "\a\b", `\#007\#010`, ""},
	{"tab", "a\tb", "a\tb", ""},
	{"tab before what looks escaped", "a\t#123", "a\t#123", ""},
	{"overrides", "\u202a\u202e", "\u202a\u202e", `\#342\#200\#252\#342\#200\#256`},
	{"isolates", "\u2066\u2069", "\u2066\u2069", `\#342\#201\#246\#342\#201\#251`},
	{"line and paragraph", "\u2028\u2029", "\u2028\u2029", `\#342\#200\#250\#342\#200\#251`},
	{"DEL", "a\x7fb", "a\x7fb", `a\#177b`},
	{"NEL", "\u0085", "\u0085", `\#302\#205`},
	{"C1, first and last", "\u0080\u009f", "\u0080\u009f", `\#302\#200\#302\#237`},
	{"CSI", "\u009b31m", "\u009b31m", `\#302\#23331m`},

	{"backslash", `a\b`, `a\b`, ""},
	{"backslash at the end", `a\`, `a\`, ""},
	{"backslash, hash", `\#`, `\#`, ""},
	{"looks escaped", `\#123`, `\#134#123`, ""},
	{"looks escaped, not octal", `\#999`, `\#134#999`, ""},
	{"looks escaped, twice", `\#123\#012`, `\#134#123\#134#012`, ""},
	{"two digits", `\#12`, `\#12`, ""},
	{"two digits and a letter", `\#12a`, `\#12a`, ""},
	{"two digits and a control", "\\#12\n", `\#12\#012`, ""},
	{"two backslashes", `\\#123`, `\\#134#123`, ""},
	{"four digits", `\#1234`, `\#134#1234`, ""},

	{"Latin-1", "\xe4\xf6", `\#344\#366`, ""},
	{"continuation bytes alone", "\x80\xbf", `\#200\#277`, ""},
	{"never in UTF-8", "\xc0\xc1\xf5\xff", `\#300\#301\#365\#377`, ""},
	{"cut after one of two", "a\xc3", `a\#303`, ""},
	{"cut after one of two, text", "\xc3a", `\#303a`, ""},
	{"cut after two of three", "\xe6\x97", `\#346\#227`, ""},
	{"cut after two of three, text", "\xe6\x97x", `\#346\#227x`, ""},
	{"cut after three of four", "\xf0\x9f\x8c", `\#360\#237\#214`, ""},
	{"cut, then another", "\xe6\x97ä", `\#346\#227ä`, ""},
	{"overlong slash", "\xc0\xaf", `\#300\#257`, ""},
	{"overlong, three bytes", "\xe0\x80\xaf", `\#340\#200\#257`, ""},
	{"overlong, four bytes", "\xf0\x80\x80\xaf", `\#360\#200\#200\#257`, ""},
	{"surrogate", "\xed\xa0\x80", `\#355\#240\#200`, ""},
	{"pair of surrogates", "\xed\xa0\xbc\xed\xbc\xb3", `\#355\#240\#274\#355\#274\#263`, ""},
	// glibc's iconv, which rsync uses, still accepts those (RFC 2279).
	{"beyond the last code point", "\xf4\x90\x80\x80", "\xf4\x90\x80\x80", `\#364\#220\#200\#200`},
}

func TestEscape(t *testing.T) {
	for _, tt := range escapes {
		want := tt.rsync
		if tt.ours != "" {
			want = tt.ours
		}
		if got := string(Append(nil, tt.name)); got != want {
			t.Errorf("%s: %q is shown as %s, want %s", tt.about, tt.name, got, want)
		}
	}
	if got := string(Append([]byte("in front "), "a\n")); got != `in front a\#012` {
		t.Errorf("appended to what was there: %q", got)
	}
}

// TestEscapeEveryByte checks that what is shown has no raw control byte and is valid
// UTF-8, and that every byte of the name can be restored from it.
func TestEscapeEveryByte(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			name := string([]byte{'\n', byte(a), byte(b), '1', '2', '3'})
			shown := string(Append(nil, name))
			if !utf8.ValidString(shown) || strings.ContainsFunc(shown, isTrick) {
				t.Fatalf("%q is shown as %q", name, shown)
			}
			if back := Undo([]byte(shown)); back != name {
				t.Fatalf("%q is shown as %s, which is %q", name, shown, back)
			}
		}
	}
}

// TestEscapeAsRsync compares with what rsync prints for files with these names, and
// with one name for each byte that a name can have.
func TestEscapeAsRsync(t *testing.T) {
	if _, err := exec.LookPath("rsync"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	names, different := map[string]string{}, map[string]bool{}
	for _, tt := range escapes {
		names[tt.name] = tt.rsync
		different[tt.name] = tt.ours != ""
	}
	for c := 1; c < 256; c++ {
		name := fmt.Sprintf("byte %c", c)
		if c >= utf8.RuneSelf {
			name = "byte " + string([]byte{byte(c)})
		}
		if c != '/' && c != '\t' && c != 0x7f {
			names[name] = string(Append(nil, name))
		}
	}
	dir := t.TempDir()
	for name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("rsync", "-rn", "--out-format=<%n>", dir+"/", filepath.Join(dir, "new"))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for name, want := range names {
		if !slices.Contains(lines, "<"+want+">") {
			t.Errorf("rsync does not print %q as %s", name, want)
		}
		if same := string(Append(nil, name)) == want; same == different[name] {
			t.Errorf("%q: as rsync: %v, want %v", name, same, !different[name])
		}
	}
}
