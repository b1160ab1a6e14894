package escape

import (
	"cmp"
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
	name, rsync, ours string
}{
	{"  it's \"quoted\" `so` -> b => c  ", "  it's \"quoted\" `so` -> b => c  ", ""},
	{"Bäume e\u0301 日本語 🌳👩\u200d🚀", "Bäume e\u0301 日本語 🌳👩\u200d🚀", ""},
	{"\u00a0\u2027\u202f\u2065\u206a\ufeff\ufffd\U0010ffff", "\u00a0\u2027\u202f\u2065\u206a\ufeff\ufffd\U0010ffff", ""},

	{"a\n\r\x1b[31m\x01\x1fb", `a\#012\#015\#033[31m\#001\#037b`, ""},
	{"a\tb\t#123", "a\tb\t#123", ""},
	{"\u202a\u202e", "\u202a\u202e", `\#342\#200\#252\#342\#200\#256`},
	{"\u2066\u2069", "\u2066\u2069", `\#342\#201\#246\#342\#201\#251`},
	{"\u2028\u2029", "\u2028\u2029", `\#342\#200\#250\#342\#200\#251`},
	{"a\x7fb", "a\x7fb", `a\#177b`},
	{"\u0080\u009b31m\u009f", "\u0080\u009b31m\u009f", `\#302\#200\#302\#23331m\#302\#237`},

	{`a\b\\#`, `a\b\\#`, ""},
	{`\#123\\#0121`, `\#134#123\\#134#0121`, ""},
	{`\#999\#000`, `\#134#999\#134#000`, ""}, // not octal
	{`\#12a\#1a2\#a12\#12`, `\#12a\#1a2\#a12\#12`, ""},
	{"\\#12\n", `\#12\#012`, ""},

	{"\xe4\xf6", `\#344\#366`, ""}, // Latin-1
	{"\x80\xbf\xc0\xc1\xf5\xff", `\#200\#277\#300\#301\#365\#377`, ""},
	{"\xc3a\xc3", `\#303a\#303`, ""}, // cut off
	{"\xe6\x97x\xf0\x9f\x8cä\xe6\x97", `\#346\#227x\#360\#237\#214ä\#346\#227`, ""},
	{"\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf", `\#300\#257\#340\#200\#257\#360\#200\#200\#257`, ""}, // overlong
	{"\xed\xa0\xbc\xed\xbc\xb3", `\#355\#240\#274\#355\#274\#263`, ""},                            // surrogates
	// glibc's iconv, which rsync uses, still accepts those (RFC 2279).
	{"\xf4\x90\x80\x80", "\xf4\x90\x80\x80", `\#364\#220\#200\#200`},
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
	const none = `\#400\#18\#1`
	if back := Undo([]byte(none)); back != none {
		t.Errorf("%q is taken for an escape", back)
	}
}

// TestEscape compares with what is to be shown, and that with what rsync prints for files
// with these names, and with one name for each byte that a name can have.
func TestEscape(t *testing.T) {
	printed := map[string]string{}
	for _, tt := range escapes {
		printed[tt.name] = tt.rsync
		if got, want := string(Append([]byte("before "), tt.name)), "before "+cmp.Or(tt.ours, tt.rsync); got != want {
			t.Errorf("%q is shown as %s, want %s", tt.name, got, want)
		}
	}
	if _, err := exec.LookPath("rsync"); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	for c := 1; c < 256; c++ {
		if name := "byte " + string([]byte{byte(c)}); c != '/' && c != '\t' && c != 0x7f {
			printed[name] = String(name)
		}
	}
	dir := t.TempDir()
	for name := range printed {
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
	for name, want := range printed {
		if !slices.Contains(lines, "<"+want+">") {
			t.Errorf("rsync does not print %q as %s", name, want)
		}
	}
}
