package index

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gocryptfs-rsync-pretty/decode/scan"

	"github.com/rogpeppe/go-internal/txtar"
)

const (
	encA = "ikFrxDZ5DfCpwm4Myx-3TA"
	encB = "imzeAOOgEnocI27OWHX1BQ"
	encC = "m91YAV0v95v-ak-wALAQAg"
	long = scan.LongPrefix + "7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI"
)

// openIndex opens the index at path. Any trouble fails the test.
func openIndex(t *testing.T, path string, add bool) *Index {
	t.Helper()
	x := Open(path, add, func(what, hint string) { t.Error(what, hint) })
	t.Cleanup(func() { x.Close() })
	return x
}

func write(t *testing.T, lines string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "index")
	os.WriteFile(path, []byte(lines), 0o600)
	return path
}

// find returns the plain path of exactly this cipher path, or "".
func (x *Index) find(cipher string) (plain string) {
	if found, plain, _ := x.Find("", cipher, 1_000_000); found == cipher {
		return plain
	}
	return ""
}

// expect looks for cipher paths, each of which is followed by its plain path.
func expect(t *testing.T, x *Index, about string, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if plain := x.find(pairs[i]); plain != pairs[i+1] {
			t.Errorf("%.50q: %.50s is %.50q, want %.50q", about, pairs[i], plain, pairs[i+1])
		}
	}
}

// TestFind asks for the rows of testdata/find.txt before what is added is written, after that,
// and when it has been read again.
func TestFind(t *testing.T) {
	odd := "a/b/\\t\n\\#011\xff\u202e\t" + strings.Repeat("x", 240)
	a, _ := txtar.ParseFile("testdata/find.txt")
	names := strings.NewReplacer("{A}", encA, "{B}", encB, "{C}", encC, "{L}", long, "{odd}", odd, "{1}", encryptedName(1),
		"{2}", encryptedName(2), "{3}", encryptedName(3), "{A-}", encA[:21], "{B-}", encB[:21], "␁", "\x01")
	x := openIndex(t, write(t, names.Replace(string(a.Files[0].Data))), true)
	x.Add(encC+"/"+encC, "c/c")
	x.Add(encA+"/"+encB+"/"+long, odd)
	x.Add(encB, "x\x00")
	x.Add(encB+"/"+encB, "one name")
	x.Add(encB+strings.Repeat("/"+encB, 200), "b"+strings.Repeat("/"+strings.Repeat("b", 200), 200))
	for _, when := range []string{"before it is written", "written", "read again"} {
		for row := range strings.Lines(string(a.Files[1].Data)) {
			want := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
			for i := range want {
				want[i] = names.Replace(want[i])
			}
			cipher, plain, read := x.Find(want[0], want[1], 100)
			if cipher != want[2] || plain != want[3] {
				t.Errorf("%s: %s is %q, %q", when, row, cipher, plain)
			}
			if when == "read again" && want[2] != "" && (!x.Has(want[0]+want[1]) || read == 0) {
				t.Errorf("%s: it is not there, or reading it costs nothing", row)
			}
		}
		x.Flush()
		if when == "written" {
			x = openIndex(t, x.file.path, false)
			x.Add(encA+"/"+encC, "no/where")
		}
	}
	if x.Has(encryptedName(4)) {
		t.Error("an unknown name is there")
	}
}

// TestBrokenLines checks that a broken line affects no other line.
func TestBrokenLines(t *testing.T) {
	const good = encA + "/" + encB + "\ta/b\r\n" // as some editors end lines
	for _, line := range []string{
		"", "\n", encC + "\n", encC + "\tx\ty\n", encC + "\tx/y\n", encC + "\t\n", "/" + encC + "\t/x\n", "x" + encC + "\tx\n",
		encC + "\t.\n", encC + "\t..\n", encC + "\t\\#056.\n", encC + "\tx\\#057y\n",
		encC + "\tx\x00\n", encC + "\tx\\#000\n", encC + "\tx\r\r\n", encC + "\tx\x7f\n", encC + "\t" + strings.Repeat("x", 256) + "\n",
		encC + "\t" + strings.Repeat("x", 1<<20) + "\n", strings.Repeat("x", maxLine) + encC + "\tx\n",
	} {
		x := openIndex(t, write(t, good+line+encC+"/"+encA+"\tc/a\n"), true)
		expect(t, x, line, encA+"/"+encB, "a/b", encC+"/"+encA, "c/a", encC, "c")
		back, want := map[string]string{"a/b": "", "c": "", "x": ""}, map[string]string{"a/b": encA + "/" + encB, "c": encC, "x": ""}
		if Encrypt(x.file.path, nil, back); !maps.Equal(back, want) {
			t.Errorf("%.50q: the way back: %q", line, back)
		}
	}
}

// TestTrouble checks that trouble is reported once and the text goes on.
func TestTrouble(t *testing.T) {
	const first, wrong = encA + "\ta\n", encB + "\twrong\n"
	rewrite := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0) }
	}
	for _, tt := range []struct {
		want  string
		spoil func(path string) error
	}{
		{"was deleted or replaced meanwhile; names of this run are not in it", os.Remove},
		{"was deleted or replaced", func(path string) error { return os.Rename(write(t, wrong), path) }},
		{"was truncated while in use; names of this run may be missing in it", rewrite(strings.Repeat("x", len(first)) + wrong)},
		{"was truncated", rewrite(first + encB + "\t\tw\n")},
		{"was truncated", rewrite(first + encB + "\t\x00w\n")},
	} {
		var said []string
		path := write(t, "")
		x := Open(path, true, func(what, hint string) { said = append(said, what+"; "+hint) })
		x.Add(encA, "a")
		x.Add(encB, "b")
		x.Add(encC+"/"+long, "c/"+strings.Repeat("l", 200))
		x.Flush()
		tt.spoil(path)
		if plain := x.find(encB); plain != "" && plain != "b" {
			t.Errorf("%s: %q", tt.want, plain)
		}
		x.Add(encC+"/"+encB, "c/b")
		x.Flush()
		expect(t, x, tt.want, encC+"/"+encB, "c/b", encC, "c")
		x.Add(encA+"/"+encC, "a/c")
		if x.Close() || len(said) != 1 || !strings.Contains(said[0], path+" "+tt.want) {
			t.Errorf("%q, want %q", said, tt.want)
		}
	}
}

// TestShared checks that two processes may add to one file at the same time, also lines
// that are longer than a page.
func TestShared(t *testing.T) {
	const n = 200
	file := filepath.Join(t.TempDir(), "new")
	path := func(i int) string { return strings.Repeat(encA+"/", 100) + encryptedName(i) }
	var group sync.WaitGroup
	for j := range 2 {
		group.Go(func() {
			x := Open(file, true, func(what, hint string) { t.Error(what, hint) })
			defer x.Close()
			for i := range n {
				x.Add(path(2*i+j), path(2*i+j))
				if i%7 == j {
					x.Flush()
				}
				expect(t, x, "at once", path(2*i+j), path(2*i+j))
			}
		})
	}
	group.Wait()
	x := openIndex(t, file, false)
	for i := range 2 * n {
		expect(t, x, "at the end", path(i), path(i))
	}
	b, _ := os.ReadFile(file)
	// One of them may have found the other's line half written, and sealed it.
	if bytes.Count(b, []byte("\n"))-bytes.Count(b, []byte("\t\n")) != 2*n {
		t.Error("lines are lost or repeated")
	}
}

// TestTorn cuts a write at each byte, before another process opens the file or after that:
// no part of a name is taken for the whole, and no whole line of the other one is lost.
func TestTorn(t *testing.T) {
	const first, whole = encA + "\ta\n", encB + "\tbroken\n" + encC + "\tc\n"
	for cut := range 2 * len(whole) {
		path, torn := write(t, first), whole[:cut/2]
		tear := func() { os.WriteFile(path, []byte(first+torn), 0) }
		if cut%2 == 0 {
			tear()
		}
		x := openIndex(t, path, true)
		if cut%2 == 1 {
			tear()
		}
		x.Add(encA+"/"+encC, "a/c")
		x.Flush()
		for _, x := range []*Index{x, openIndex(t, path, false)} {
			expect(t, x, torn, encA, "a", encA+"/"+encC, "a/c")
			if plain := x.find(encB); plain != "" && plain != "broken" {
				t.Fatalf("%q: %q", torn, plain)
			}
		}
	}
}

// TestOther checks that a file is used only if it is an index.
func TestOther(t *testing.T) {
	var said []string
	open := func(path string) *Index {
		said = nil
		return Open(path, true, func(what, hint string) { said = append(said, what+"; "+hint) })
	}
	const good, end = encA + "\ta\n", encC + "\tc\n"
	for text, want := range map[string]string{
		"dear diary\n": "", "dear\tdiary\n": "", "\tdear\n": "", "dear diary": "", "\ta\n\t\t": "", encA + "\n" + good: "",
		"dear diary\n" + good: "", "\n\n\x00\n" + good: "", strings.Repeat("x", 1<<16) + good: "",
		"": end, good: good + end, "\n": "\n" + end, "\t\n": "\t\n" + end, "\t\t\t": "\t\t\t\t\n" + end,
		encA + "\tb": encA + "\tb\t\n" + end, encA + "\tb\t\nx\n": encA + "\tb\t\nx\n" + end,
		strings.Repeat("\t", 1<<16) + "\n" + good: strings.Repeat("\t", 1<<16) + "\n" + good + end,
	} {
		path, ok := write(t, text), want != ""
		if Encrypt(path, func(what, hint string) {}, nil) != ok {
			t.Errorf("%.50q can be read: %v", text, !ok)
		}
		x := open(path)
		x.Add(encC, "c")
		if x.Close() != ok || ok == (len(said) == 1) {
			t.Errorf("%.50q: %q", text, said)
		}
		if b, _ := os.ReadFile(path); string(b) != cmp.Or(want, text) {
			t.Errorf("%.50q became %.50q", text, b)
		}
	}
	for _, text := range []string{"", good} {
		path := write(t, text)
		os.Truncate(path, maxBroken+2*maxLine) // no more is read of a sparse file, however large
		if x := open(path); x.Close() || len(said) != 1 {
			t.Errorf("a line without an end after %q: %q", text, said)
		}
	}
	if Encrypt("/proc/self/mem", func(what, hint string) {}, nil) { // on Linux, it can be opened
		t.Error("what cannot be read counts as read")
	}
}

func encryptedName(i int) string { return fmt.Sprintf("%021dA", i) }

// trees are paths in different kinds of trees.
func trees(size int) map[string][]string {
	kinds, n := map[string][]string{}, encryptedName
	add := func(kind string, path ...string) { kinds[kind] = append(kinds[kind], strings.Join(path, "/")) }
	for i := range size {
		add("one directory", n(1), n(2+i))
		add("a name in each", n(2+i), n(1))
		add("a name in each", n(2+i), n(1), n(1))
		add("renamed", n(i%3), n(3), n(4+i/3))
		add("repeated", n(1), n(2))
		add("scattered", n(i%7), n(10+i%11), n(100+i))
		add("copies", n(9+i%20)+strings.Repeat("/"+n(1), 18), n(9+i/20))
		if i < size/10 {
			deep := []string{n(i)}
			for j := range 90 {
				deep = append(deep, n(100*i+j))
			}
			add("deep", deep...)
		}
	}
	return kinds
}

// TestTrees looks for each path and directory, and for each without its first name, also if
// all hashes are alike.
func TestTrees(t *testing.T) {
	for _, tt := range []struct {
		size, step int
		mask       uint64
	}{{30, 1, 0}, {30, 1, 1 << offsetBits}, {30, 1, 1<<64 - 1}, {3000, 50, 1<<64 - 1}} {
		for kind, lines := range trees(tt.size) {
			x := openIndex(t, write(t, ""), true)
			good := x.search.hash
			x.search.hash = func(key []byte) uint64 { return good(key) & tt.mask }
			for i, path := range lines {
				if x.Add(path, path); i%50 == 0 {
					x.Flush()
				}
			}
			for range 2 {
				for i := 0; i < len(lines); i += tt.step {
					for path := lines[i]; path != "."; path = filepath.Dir(path) {
						expect(t, x, lines[i], path, path)
						_, rest, more := strings.Cut(path, "/")
						if cipher, plain, _ := x.Find("", rest, 1_000_000); more && (!strings.HasSuffix("/"+cipher, "/"+rest) || plain != cipher) {
							t.Fatalf("%s is %q, %q", rest, cipher, plain)
						}
					}
				}
				x.Flush()
			}
			if n := x.search.tables[0].used; kind == "repeated" && n > 2 {
				t.Errorf("%d slots for two paths", n)
			}
			if _, _, read := x.Find("", encryptedName(1), 100); tt.size > 30 && read > 6 {
				t.Errorf("%s: %d lines read for a name alone", kind, read)
			}
		}
	}
}

// TestNewest inserts names into tables that have room for one only: the newest are found, and
// the directory of all.
func TestNewest(t *testing.T) {
	x := openIndex(t, write(t, encA+"/"+encB+"\ta/b\n"), true)
	for i, file := range []string{"a/b", "a/b", "a/b", ""} {
		expect(t, x, fmt.Sprint(i), encA+"/"+encB, file, encA, "a")
		x.search.tables[0].used = maxUsed - 1
		x.search.insert(line{cipher: []byte(encA + "/" + encryptedName(i))}, 0)
	}
	for _, table := range x.search.tables {
		if table.used > maxUsed {
			t.Errorf("%d of %d slots", table.used, len(table.slots))
		}
	}
}
