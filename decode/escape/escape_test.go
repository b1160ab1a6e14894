package escape

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

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

// TestEscape compares with testdata/names.txt, and that with what rsync prints for files with
// these names, and with one name for each byte that a name can have.
func TestEscape(t *testing.T) {
	printed := map[string]string{}
	names, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(names)) {
		if line == "\n" || line[0] == '#' {
			continue
		}
		texts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i := range texts {
			texts[i], _ = strconv.Unquote(texts[i])
		}
		name, want := texts[0], "before "+texts[len(texts)-1]
		printed[name] = texts[1]
		if got := string(Append([]byte("before "), name)); got != want {
			t.Errorf("%q is shown as %s, want %s", name, got, want)
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
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
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
