package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The nasty tree of the oracle, as a table: every row is a path with what was
// there at the first backup and what is there at the second one. A state is
//
//	file V [MODE] [later]  a small file; V is its content, later a younger date
//	big V                  20 kB and a bit, so that a size limit can tell it
//	dir [MODE]             a directory (those above a row need no row)
//	pipe                   a FIFO
//	-> TARGET              a symbolic link
//	= PATH                 a hard link
//
// and nothing at all when empty.
type row struct{ path, was, is string }

// Names that commands and exceptions refer to.
const (
	umlautFile = "Übergrößen für Jürgen.txt"
	cjkDir     = "日本語の フォルダ"
	spaceDir   = "My Documents"
	goneDir    = "gone forever"
	deepDir    = "deep/zwei/drei 3/vier/fünf 5/six"
	fileToDir  = "was a file"
	errDir     = "only errors" // what the commands that fail work on
	bigDir     = "only big"
	linkDir    = "only links"
	hardDir    = "hard links"

	danglingDir = "only dangling links"

	// lookalike has the shape of an encrypted name: 22 letters of base64url,
	// spare bits zero.
	lookalike = "TheQuickBrownFoxJumpsg"
)

var (
	maxName = long("max ", 255) // as long as a name can be
	longDir = long("dir ", 230)
)

// long returns a name of n bytes, which gocryptfs stores as a long name from
// 176 on.
func long(start string, n int) string {
	return start + strings.Repeat("0123456789", 26)[:n-len(start)]
}

// hard are the names of hard links: rsync shows the first in its list as the
// file, the others as `=> first`. The list is sorted, so names are needed
// whose order encryption keeps; see hardNames.
func nastyTree(hard []string) []row {
	rows := []row{
		{"plain.txt", "file 1", "file 1"},
		{"changed.txt", "file 1", "file 2"},
		{"only newer", "file 1", "file 1 later"},
		{"only mode", "file 1 644", "file 1 600"},
		{" leading blank", "", "file 1"},
		{"trailing blank ", "file 1", "file 2"},
		{"  two  blanks  inside  ", "file 1", "file 2"},
		{`it's "quoted".txt`, "file 1", "file 2"},
		{`back\slash\n.txt`, "file 1", "file 2"},
		{`hash\#123 and \#999`, "file 1", "file 2"},
		{`hash\#12`, "", "file 1"},
		{umlautFile, "file 1", "file 2"},
		{"decomposed e\u0301 o\u0308", "", "file 1"},
		{"日本語の名前.txt", "", "file 1"},
		{"🎉 party 🥳.jpg", "file 1", "file 2"},
		{"& < > | ; $HOME `id` *?[]", "file 1", "file 2"},
		{"arrow -> and => inside", "file 1", "file 2"},
		{"colon: (paren) is uptodate", "file 1", "file 2"},
		{"100% 1.00MB/s 0:00:00", "", "file 1"},
		{lookalike, "file 1", "file 2"},
		{"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeQ", "file 1", "file 2"},
		{"gocryptfs.longname.not one", "", "file 1"},
		{".dotfile", "file 1", "file 2"},
		{"..two dots", "", "file 1"},
		{"trailing dot.", "", "file 1"},
		{"-n", "", "file 1"},
		{"--delete", "file 1", "file 2"},
		{"~tilde~", "file 1", "file 2"},

		// Control bytes. None starts with CR: rsync prints such a line with
		// the CR raw (log.c, for its progress lines).
		{"new\nline", "file 1", "file 2"},
		{"tab\tbed", "file 1", "file 2"},
		{"esc\x1b[31mred", "", "file 1"},
		{"carriage\rreturn", "file 1", "file 2"},
		{"del\x7fete", "", "file 1"},
		{"c1\u0085control", "", "file 1"},
		{"all\x01\x02\x07\x08\x0b\x0c\x0e\x1f", "", "file 1"},

		// Not UTF-8. Never deleted: the control socket's JSON has lost those bytes.
		{"latin1 \xe4\xf6\xfc", "file 1", "file 2"},
		{"only bad \xff\xfe", "", "file 1"},
		{"bad dir \xe9/in it", "file 1", "file 2"},
		{"bad dir \xe9/bad in it \xe9", "", "file 1"},
		{long("long bad \xe9 ", 210), "file 1", "file 2"},

		// Long names: 175 bytes are the last short one. Never deleted in a
		// reverse mount, where long names are found by listing the directory.
		{long("175 ", 175), "file 1", "file 2"},
		{long("176 ", 176), "file 1", "file 2"},
		{long("long für ", 200), "file 1", "file 2"},
		{long("long\nline ", 220), "", "file 1"},
		{maxName, "", "file 1"},
		{longDir + "/" + long("below ", 190), "file 1", "file 2"},
		{longDir + "/short", "", "file 1"},
		{longDir + "/empty in long", "", "dir"},

		{"big file.iso", "big 1", "big 2"},
		{"new big file.iso", "", "big 1"},
		{"a pipe", "pipe", "pipe"},
		{"new pipe ü", "", "pipe"},
		{"empty", "dir", "dir"},
		{"empty new ö", "", "dir"},

		{spaceDir + "/Letter to Ann.odt", "file 1", "file 2"},
		{spaceDir + "/Ümläut.txt", "file 1", "file 2"},
		{spaceDir + "/kept", "file 1", "file 1"},
		{spaceDir + "/" + goneDir, "file 1", ""},
		{spaceDir + "/sub/one", "file 1", "file 2"},
		{spaceDir + "/sub/new two", "", "file 1"},
		{cjkDir + "/ファイル", "file 1", "file 2"},
		{cjkDir + "/新しい", "", "file 1"},
		{deepDir + "/seven", "file 1", "file 2"},
		{deepDir + "/new\tseven", "", "file 1"},
		{"deep/zwei/new here/too", "", "file 1"},
		{lookalike + "gh0Q/" + lookalike, "file 1", "file 2"},

		// Deleted, or another kind of thing now. No directory becomes a file:
		// an empty one gives way to it, but no directory is empty in the
		// encrypted view. The commands that fail have it.
		{"gone.txt", "file 1", ""},
		{"gone Ä 日本 🎈", "file 1", ""},
		{"kept/gone\nwith newline", "file 1", ""},
		{"kept/stays", "file 1", "file 1"},
		{`gone\#123`, "file 1", ""},
		{goneDir + "/one", "file 1", ""},
		{goneDir + "/zwei ü/three", "file 1", ""},
		{goneDir + "/zwei ü/vier\t", "file 1", ""},
		{"gone link", "-> plain.txt", ""},
		{"gone pipe", "pipe", ""},
		{fileToDir, "file 1", ""},
		{fileToDir + "/content", "", "file 2"},
		{"file to link", "file 1", "-> plain.txt"},
		{"link to file", "-> plain.txt", "file 2"},
		{"link to dir", "-> plain.txt", ""},
		{"link to dir/content", "", "file 2"},
		{"pipe to file", "pipe", "file 2"},

		// For root only.
		{"unreadable ü", "", "file 1 0"},
		{"unreadable dir ü/content", "", "file 1"},
		{"unreadable dir ü", "", "dir 700"},

		{errDir + "/Brief an Käthe", "file 1", "file 2"},
		{errDir + "/new ß", "", "file 1"},
		{errDir + "/sub dir/unter ü", "", "file 1"},
		{errDir + "/" + long("long ", 200), "file 1", "file 2"},
		{bigDir + "/Film größer als die Platte.mkv", "", "big 1"},

		{danglingDir + "/ä", "", "-> no such file"},
		{danglingDir + "/" + long("long ", 200), "", "-> no such file"},
		{"link to nowhere", "", "-> no such file"},
		{linkDir + "/short", "", "-> x"},
		{linkDir + "/changed ü", "-> ../plain.txt", "-> ../changed.txt"},
		{linkDir + "/kept", "-> ../plain.txt", "-> ../plain.txt"},
		{linkDir + "/absolute", "", "-> /etc/hostname"},
		{linkDir + "/to a dir", "", "-> ../" + spaceDir},
		{linkDir + "/upwards", "", "-> ../../../../../x"},
		{linkDir + "/arrow -> in it", "", "-> a -> b => c"},
		{linkDir + "/blanks", "", "->  leading and trailing "},
		{linkDir + "/umlaut ü", "", "-> ../" + umlautFile},
		{linkDir + "/control", "", "-> tab\t newline\n esc\x1b[0m cr\r \\#123"},
		{linkDir + "/latin1", "", "-> \xe4\xf6"},
		{linkDir + "/looks encrypted", "", "-> " + lookalike},
		{linkDir + "/long", "", "-> " + strings.Repeat("0123456789/", 100)},
		{linkDir + "/" + long("long ", 200), "", "-> ../plain.txt"},
		{linkDir + "/new\nline", "-> ../plain.txt", "-> ../changed.txt"},

		{hard[0], "file 1", "file 2"},
		{hard[1], "= " + hard[0], "= " + hard[0]},
		{hard[2], "", "file 1"},
		{hard[3], "", "= " + hard[2]},
		{hard[4], "", "= " + hard[2]},
	}
	// Encrypted, a target of 16·k bytes is as long as an encrypted name.
	for k := 1; k <= 6; k++ {
		rows = append(rows, row{fmt.Sprintf("%s/16·%d", linkDir, k), "", "-> " + long("", 16*k)})
	}
	return rows
}

// hardNames picks five names below hardDir whose cipher names are in the same
// order: of each forty candidates the one that comes next.
func hardNames(t testing.TB, m *mount) []string {
	t.Helper()
	var names []string
	last := ""
	for k := range 5 {
		name, next := "", ""
		for i := range 40 {
			candidate := fmt.Sprintf("%s/härd %d %02d", hardDir, k, i)
			c := m.encrypt(t, candidate)
			if c > last && (name == "" || c < next) {
				name, next = candidate, c
			}
		}
		if name == "" {
			t.Fatalf("no name in order after %q", names)
		}
		names, last = append(names, name), next
	}
	return names
}

// The dates of the tree: nothing depends on when the test runs.
var (
	firstDay  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	secondDay = firstDay.AddDate(0, 1, 0)
)

// buildTree makes the first state of rows in root.
func buildTree(t testing.TB, root string, rows []row) {
	t.Helper()
	for _, r := range rows {
		if r.was != "" {
			create(t, root, r.path, r.was)
		}
	}
	dateDirs(t, root, func(string) time.Time { return firstDay })
}

// changeTree turns the first state into the second one. The directories in
// which something changed are younger then.
func changeTree(t testing.TB, root string, rows []row) {
	t.Helper()
	changed := map[string]bool{}
	for _, r := range rows {
		if r.was != r.is {
			changed[filepath.Dir(r.path)] = true
		}
		if r.was == "" || r.is != "" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, r.path)); err != nil {
			t.Fatal(err)
		}
		removeEmpty(root, filepath.Dir(r.path))
	}
	for _, r := range rows {
		if r.was != r.is && r.is != "" {
			create(t, root, r.path, r.is)
		}
	}
	dateDirs(t, root, func(dir string) time.Time {
		if changed[dir] {
			return secondDay
		}
		return firstDay
	})
}

// removeEmpty removes the directories that the last removal has left empty,
// upwards.
func removeEmpty(root, dir string) {
	for dir != "." && os.Remove(filepath.Join(root, dir)) == nil {
		dir = filepath.Dir(dir)
	}
}

// create makes one thing of the tree; what is there is replaced. A file is
// written over, so that its hard links stay.
func create(t testing.TB, root, path, state string) {
	t.Helper()
	full := filepath.Join(root, path)
	err := os.MkdirAll(filepath.Dir(full), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	kind, rest, _ := strings.Cut(state, " ")
	if info, err := os.Lstat(full); err == nil && !stays(info, kind) {
		os.Remove(full)
	}
	switch kind {
	case "dir":
		if err = os.MkdirAll(full, 0o755); err == nil && rest != "" {
			err = os.Chmod(full, parseMode(t, rest))
		}
	case "pipe":
		err = syscall.Mkfifo(full, 0o644)
	case "->":
		err = os.Symlink(rest, full)
	case "=":
		err = os.Link(filepath.Join(root, rest), full)
	case "file":
		writeFile(t, full, path+"\n", strings.Fields(rest))
	case "big":
		writeFile(t, full, strings.Repeat(path, 1+20_000/len(path)), strings.Fields(rest))
	default:
		t.Fatalf("%q: unknown state %q", path, state)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stays says if what is there can become a thing of that kind.
func stays(info os.FileInfo, kind string) bool {
	switch kind {
	case "file", "big":
		return info.Mode().IsRegular()
	case "dir":
		return info.IsDir()
	}
	return false
}

// writeFile writes a file with the fields of its state: a version, a mode and
// "later", of which only the version must be there.
func writeFile(t testing.TB, full, content string, fields []string) {
	t.Helper()
	version, date, mode := fields[0], firstDay, os.FileMode(0o644)
	if version != "1" {
		date = secondDay
	}
	for _, f := range fields[1:] {
		if f == "later" {
			date = secondDay
			continue
		}
		mode = parseMode(t, f)
	}
	content = version + " " + content
	// What is written anew is encrypted anew in a forward file system.
	if old, err := os.ReadFile(full); err != nil || string(old) != content {
		if err := os.WriteFile(full, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(full, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(full, date, date); err != nil {
		t.Fatal(err)
	}
}

// parseMode parses the mode in a state.
func parseMode(t testing.TB, octal string) os.FileMode {
	t.Helper()
	bits, err := strconv.ParseUint(octal, 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	return os.FileMode(bits)
}

// dateDirs dates the directories of the tree, from the leaves up.
func dateDirs(t testing.TB, root string, date func(dir string) time.Time) {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Backward(dirs) {
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, date(rel), date(rel)); err != nil {
			t.Fatal(err)
		}
	}
}
