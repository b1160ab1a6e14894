package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// comparison is a command of the oracle; see testdata/oracle/commands.txt.
type comparison struct {
	sh               string // a shell script; {path} is a plain path, encrypted on the other side
	few, hide, alone bool
	inside           string // a plain path
	aside            string // a pattern
}

// readCommands returns the commands of the oracle.
func readCommands(t *testing.T) (list []comparison) {
	t.Helper()
	var next comparison
	var words []string
	for line := range strings.Lines(read(t, "testdata/oracle/commands.txt")) {
		line = strings.TrimSuffix(line, "\n")
		word, value, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '\t':
			list[len(list)-1].sh += "\n" + line
		case strings.HasPrefix(value, "= "):
			words = append(words, word, value[2:])
		case word == "@few":
			next.few = true
		case word == "@hide":
			next.hide = true
		case word == "@alone":
			next.alone = true
		case word == "@inside":
			next.inside = pad(value)
		case word == "@aside":
			next.aside = value
		default:
			next.sh = strings.NewReplacer(words...).Replace(line)
			list, next = append(list, next), comparison{}
		}
	}
	return list
}

// padded matches NAME…N.
var padded = regexp.MustCompile(`[^/]*…[0-9]+`)

// pad replaces NAME…N in a path by a name of N bytes.
func pad(path string) string {
	return padded.ReplaceAllStringFunc(path, func(name string) string {
		start, n, _ := strings.Cut(name, "…")
		size, _ := strconv.Atoi(n)
		return long(start, size)
	})
}

// long returns a name of n bytes. From 176 bytes on, gocryptfs stores it as a long name.
func long(start string, n int) string {
	return start + strings.Repeat("0123456789", n/10+1)[:n-len(start)]
}

// row is an entry of the tree: its state at the first backup, and at the second; see
// testdata/oracle/tree.txt.
type row struct{ was, is, path string }

// readTree returns the tree, with the names of hard links.
func readTree(t *testing.T, hard []string) (rows []row) {
	t.Helper()
	for _, fields := range table(t, "oracle/tree.txt") {
		for i := range fields {
			for n, name := range hard {
				fields[i] = strings.Replace(fields[i], fmt.Sprintf("$%d", n+1), name, 1)
			}
		}
		rows = append(rows, row{fields[0], fields[1], fields[2]})
	}
	return rows
}

// table returns the rows of a table in testdata, with tabs between the fields. "-" is an empty
// field, one in quotes has escapes as in Go, and NAME…N is a name of N bytes.
func table(t *testing.T, file string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(read(t, "testdata/"+file)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) == 1 || line[0] == '#' {
			continue
		}
		for i, f := range fields {
			if strings.HasPrefix(f, `"`) {
				f, _ = strconv.Unquote(f)
			}
			if fields[i] = pad(f); f == "-" {
				fields[i] = ""
			}
		}
		rows = append(rows, fields)
	}
	return rows
}

// hardNames picks five names below hardDir whose cipher names are in the same order: from
// each forty candidates, the one that comes next.
func hardNames(t testing.TB, m *mount) (names []string) {
	t.Helper()
	last := ""
	for k := range 5 {
		var next []string
		for i := range 40 {
			name := fmt.Sprintf("%s/härd %d %02d", hardDir, k, i)
			if cipher := m.encrypt(t, name); cipher > last {
				next = append(next, cipher+"\n"+name)
			}
		}
		cipher, name, _ := strings.Cut(slices.Min(next), "\n")
		last, names = cipher, append(names, name)
	}
	return names
}

// setDate dates an entry of the tree to the first day or the second, and a link itself. Nothing
// depends on when the test runs: rsync -vvv shows each time that it sets, but not this second.
func setDate(t testing.TB, path string, second bool) {
	t.Helper()
	month := map[bool]time.Month{false: time.January, true: time.February}[second]
	date := unix.NsecToTimeval(time.Date(2026, month, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	check(t, unix.Lutimes(path, []unix.Timeval{date, date}))
}

// buildTree makes the first state of rows in root.
func buildTree(t testing.TB, root string, rows []row) {
	t.Helper()
	for _, r := range rows {
		if r.was != "" {
			create(t, root, r.path, r.was)
		}
	}
	dateDirs(t, root, nil)
}

// changeTree turns the first state into the second. Directories in which something
// changed get a younger date.
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
		check(t, os.RemoveAll(filepath.Join(root, r.path)))
		// Directories that this has left empty go, too.
		for dir := filepath.Dir(r.path); dir != "." && os.Remove(filepath.Join(root, dir)) == nil; {
			dir = filepath.Dir(dir)
		}
	}
	for _, r := range rows {
		if r.was != r.is && r.is != "" {
			create(t, root, r.path, r.is)
		}
	}
	dateDirs(t, root, changed)
}

// create makes one entry of the tree and replaces what is there. A file is overwritten,
// so that its hard links stay.
func create(t testing.TB, root, path, state string) {
	t.Helper()
	full := filepath.Join(root, path)
	check(t, os.MkdirAll(filepath.Dir(full), 0o755))
	kind, rest, _ := strings.Cut(state, " ")
	isFile := kind == "file" || kind == "big"
	info, err := os.Lstat(full)
	replaces := err == nil && !(isFile && info.Mode().IsRegular() || kind == "dir" && info.IsDir())
	if replaces {
		os.Remove(full)
	}
	mode := ""
	switch {
	case kind == "dir":
		check(t, os.MkdirAll(full, 0o755))
		mode = rest
	case kind == "pipe":
		check(t, syscall.Mkfifo(full, 0o644))
		setDate(t, full, replaces)
	case kind == "->":
		check(t, os.Symlink(rest, full))
		setDate(t, full, replaces)
	case kind == "=":
		check(t, os.Link(filepath.Join(root, rest), full))
	case isFile:
		var version string
		version, mode, _ = strings.Cut(rest, " ")
		size := map[string]int{"file": 1, "big": 20_000}[kind]
		content := version + " " + strings.Repeat(path+"\n", 1+size/(len(path)+1))
		// In a forward file system, what is written again is encrypted again.
		if old, err := os.ReadFile(full); err != nil || string(old) != content {
			check(t, os.WriteFile(full, []byte(content), 0o644))
		}
		setDate(t, full, version != "1" || mode == "later")
	default:
		t.Fatalf("%q: unknown state %q", path, state)
	}
	if bits, err := strconv.ParseUint(mode, 8, 32); err == nil {
		check(t, os.Chmod(full, os.FileMode(bits)))
	}
}

// dateDirs dates the directories of the tree, from the leaves up.
func dateDirs(t testing.TB, root string, changed map[string]bool) {
	t.Helper()
	var dirs []string
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	}))
	for _, dir := range slices.Backward(dirs) {
		rel, err := filepath.Rel(root, dir)
		check(t, err)
		setDate(t, dir, changed[rel])
	}
}
