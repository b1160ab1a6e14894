package index

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/decode/scan"
)

const (
	encA = "ikFrxDZ5DfCpwm4Myx-3TA"
	encB = "imzeAOOgEnocI27OWHX1BQ"
	encC = "m91YAV0v95v-ak-wALAQAg"
)

// find returns the plain path of exactly this cipher path.
func (x *Index) find(cipher string) (plain string, ok bool) {
	found, plain, _ := x.Find("", cipher, 1_000_000)
	return plain, found == cipher
}

// quiet collects the troubles with an index.
type quiet []string

func (q *quiet) warn(what, hint string) { *q = append(*q, what+"; "+hint) }

func openIndex(t *testing.T, path string, add bool) (*Index, *quiet) {
	t.Helper()
	q := &quiet{}
	return Open(path, add, q.warn), q
}

// TestIndex writes paths of any bytes and reads them and their parents back, also after
// a restart.
func TestIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, _ := openIndex(t, path, true)
	known := map[string]string{
		encA + "/" + encB + "/" + encC: "a dir/b\t\n\\#011/\xff\u202e" + strings.Repeat("x", 240),
		encC:                           "\\",
		scan.LongPrefix + "7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI": "long",
	}
	check := func(when string) {
		t.Helper()
		for cipher, plain := range known {
			if got, ok := x.find(cipher); !ok || got != plain {
				t.Errorf("%s: %s is %q, %v, want %q", when, cipher, got, ok, plain)
			}
		}
		for _, cipher := range []string{encB, encA + "/" + encC, encA[:21], encA + "/"} {
			if got, ok := x.find(cipher); ok {
				t.Errorf("%s: %s is %q", when, cipher, got)
			}
		}
	}
	for cipher, plain := range known {
		x.Add(cipher, plain)
	}
	known[encA], known[encA+"/"+encB] = "a dir", "a dir/b\t\n\\#011"
	check("before it is written")
	x.Flush()
	check("written")
	if !x.Close() {
		t.Error("trouble")
	}
	x, _ = openIndex(t, path, false)
	defer x.Close()
	check("read again")
}

// TestIndexLines checks that a broken line affects no other line.
func TestIndexLines(t *testing.T) {
	good := encA + "/" + encB + "\ta/b\n"
	for about, line := range map[string]string{
		"none":                     "",
		"empty":                    "\n",
		"no tab":                   encC + "\n",
		"two tabs":                 encC + "\tx\ty\n",
		"another number of names":  encC + "\tx/y\n",
		"an empty name":            encC + "\t\n",
		"a step":                   encC + "\t..\n",
		"an escaped step":          encC + "\t\\#056.\n",
		"an escaped slash":         encC + "\tx\\#057y\n",
		"a control byte":           encC + "\tx\x00\n",
		"too long a name":          encC + "\t" + strings.Repeat("x", 256) + "\n",
		"a line of 1 MB":           strings.Repeat("x", 1<<20) + encC + "\tx\n",
		"1 MB after a tab":         encC + "\t" + strings.Repeat("x", 1<<20) + "\n",
		"what encrypts to no name": "x" + encC + "\tx\n",
		"a million of garbage":     strings.Repeat(encC+" \tx\n", 1_000_000),
	} {
		path := filepath.Join(t.TempDir(), "index")
		if err := os.WriteFile(path, []byte(line+good+line), 0o600); err != nil {
			t.Fatal(err)
		}
		x, q := openIndex(t, path, false)
		if got, ok := x.find(encC); ok {
			t.Errorf("%s: %q", about, got)
		}
		if got, ok := x.find(encA + "/" + encB); !ok || got != "a/b" {
			t.Errorf("%s: the good line is %q, %v", about, got, ok)
		}
		if !x.Close() {
			t.Error(about, *q)
		}
	}
}

// TestIndexTrouble checks that trouble is reported once and the text goes on.
func TestIndexTrouble(t *testing.T) {
	for about, spoil := range map[string]func(path string) error{
		"deleted":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 1) },
		"replaced": func(path string) error {
			os.WriteFile(path+"2", []byte(encB+"\twrong\n"), 0o600)
			return os.Rename(path+"2", path)
		},
	} {
		path := filepath.Join(t.TempDir(), "index")
		x, q := openIndex(t, path, true)
		x.Add(encA, "a")
		x.Add(encB, "b")
		x.Flush()
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		if got, ok := x.find(encB); ok && got != "b" {
			t.Errorf("%s: %q", about, got)
		}
		x.Add(encC, "c")
		x.Flush()
		x.Add(encA+"/"+encC, "a/c")
		if x.Close() || len(*q) != 1 {
			t.Errorf("%s: %q", about, *q)
		}
	}
}

// TestIndexShared checks that two processes may add to one file at the same time, also
// lines that are longer than a page.
func TestIndexShared(t *testing.T) {
	const n, long = 200, 60
	path := filepath.Join(t.TempDir(), "index")
	cipher := func(i int) string { return strings.Repeat(encA+"/", long) + encryptedName(i) }
	plain := func(i int) string { return strings.Repeat(strings.Repeat("x", 200)+"/", long) + fmt.Sprint(i) }
	var group sync.WaitGroup
	for j := range 2 {
		group.Go(func() {
			x, q := openIndex(t, path, true)
			for i := range n {
				x.Add(cipher(2*i+j), plain(2*i+j))
				if i%7 == j {
					x.Flush()
				}
				if got, _ := x.find(cipher(2*i + j)); got != plain(2*i+j) {
					t.Errorf("%d is %q", i, got)
				}
			}
			if !x.Close() {
				t.Error(*q)
			}
		})
	}
	group.Wait()
	x, _ := openIndex(t, path, false)
	for i := range 2 * n {
		if got, _ := x.find(cipher(i)); got != plain(i) {
			t.Fatalf("%d is %.50q", i, got)
		}
	}
	b, _ := os.ReadFile(path)
	// One of them may have found the other's line half written, and sealed it.
	if bytes.Count(b, []byte("\n"))-bytes.Count(b, []byte("\t\n")) != 2*n {
		t.Error("lines are lost or repeated")
	}
}

func encryptedName(i int) string { return fmt.Sprintf("%021dA", i) }

// write writes an index.
func write(t *testing.T, lines string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFind asks for paths, also from inside the view, and for names alone.
func TestFind(t *testing.T) {
	x, _ := openIndex(t, write(t, encA+"/"+encB+"\ta/b\n"+encC+"/"+encB+"/"+encA+"\tc/b/a\n"), true)
	defer x.Close()
	x.Add(encC+"/"+encC, "c/c")
	for _, tt := range []struct{ dir, names, cipher, plain string }{
		{"", encB, encA + "/" + encB, "a/b"},
		{encC + "/", encB, encC + "/" + encB, "c/b"},
		{encB + "/", encB, encA + "/" + encB, "a/b"},
		{"", encB + "/" + encA, encC + "/" + encB + "/" + encA, "c/b/a"},
		{"", encA, encA, "a"},
		{encB + "/", encA, encA, "a"},
		{"", encC + "/" + encC, encC + "/" + encC, "c/c"},
		{"", encC, encC, "c"},
		{encC + "/", encC, encC + "/" + encC, "c/c"},
		{"", encB + "/" + encC, "", ""},                                                        // the end of no path
		{"", encA + "/" + encC, "", ""},                                                        // names of different lines
		{"", encA + "/" + encB + "/" + encA, "", ""},                                           // likewise
		{"", encA[1:], "", ""}, {"", encB + "/", "", ""}, {"", encB[:21] + "/" + encA, "", ""}, // parts of a name
	} {
		if cipher, plain, _ := x.Find(tt.dir, tt.names, 100); cipher != tt.cipher || plain != tt.plain {
			t.Errorf("%q in %q is %q, %q; want %q, %q", tt.names, tt.dir, cipher, plain, tt.cipher, tt.plain)
		}
	}
}

// trees are lines of different kinds of trees. Their plain paths are those in which each
// name is the number in its encrypted name.
func trees(size int) map[string][]string {
	kinds := map[string][]string{}
	for i := range size {
		n := func(i int) string { return encryptedName(i + 1) }
		kinds["one directory"] = append(kinds["one directory"], n(0)+"/"+n(i+1))
		kinds["a name in each"] = append(kinds["a name in each"], n(i+1)+"/"+n(0), n(i+1)+"/"+n(0)+"/"+n(0))
		kinds["renamed"] = append(kinds["renamed"], n(i%3)+"/"+n(3)+"/"+n(4+i/3))
		kinds["repeated"] = append(kinds["repeated"], n(0)+"/"+n(1))
		kinds["scattered"] = append(kinds["scattered"], n(i%7)+"/"+n(10+i%11)+"/"+n(100+i))
		if i < size/10 {
			deep := n(i)
			for j := range 90 {
				deep += "/" + n(100*i+j)
			}
			kinds["deep"] = append(kinds["deep"], deep)
		}
	}
	return kinds
}

func plainOf(cipher string) string {
	names := strings.Split(cipher, "/")
	for i, name := range names {
		names[i] = strings.TrimLeft(strings.TrimSuffix(name, "A"), "0")
	}
	return strings.Join(names, "/")
}

// check looks for each path and directory of the lines, and for each end of them.
func check(t *testing.T, x *Index, lines []string, step int) {
	t.Helper()
	for i := 0; i < len(lines); i += step {
		path := lines[i]
		for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
			path := path[:end]
			if plain, ok := x.find(path); !ok || plain != plainOf(path) {
				t.Fatalf("%s is %q", path, plain)
			}
			_, rest, more := strings.Cut(path, "/")
			if !more {
				break
			}
			if cipher, plain, _ := x.Find("", rest, 1_000_000); !strings.HasSuffix("/"+cipher, "/"+rest) || plain != plainOf(cipher) {
				t.Fatalf("%s is %q, %q", rest, cipher, plain)
			}
		}
	}
}

// TestEqualHashes checks that names are found even if all hashes are alike.
func TestEqualHashes(t *testing.T) {
	for kind, lines := range trees(30) {
		for _, mask := range []uint64{0, 1 << offsetBits, 1<<64 - 1} {
			x, _ := openIndex(t, write(t, ""), true)
			good := x.hash
			x.hash = func(key []byte) uint64 { return good(key) & mask }
			for i, line := range lines {
				x.Add(line, plainOf(line))
				if i%50 == 0 {
					x.Flush()
				}
			}
			check(t, x, lines, 1)
			x.Flush()
			check(t, x, lines, 1)
			if n := x.tables[0].used; kind == "repeated" && n > 2 {
				t.Errorf("%d slots for two paths", n)
			}
			if !x.Close() {
				t.Error(kind, mask)
			}
		}
	}
}

// TestBounds loads two million lines: as many names are found as the tables are meant to
// hold, and every directory.
func TestBounds(t *testing.T) {
	const size = 2_000_000
	var b []byte
	path := func(i int) string { return encA + "/" + encryptedName(i+1) }
	for i := range size {
		b = strconv.AppendInt(append(append(b, path(i)...), "\tdir/"...), int64(i), 10)
		b = append(b, '\n')
	}
	x, _ := openIndex(t, write(t, string(b)), false)
	defer x.Close()
	for i := 0; i < size; i += 9973 {
		if plain, _ := x.find(path(i)); plain != fmt.Sprint("dir/", i) {
			t.Fatalf("%d is %q", i, plain)
		}
	}
	if plain, _ := x.find(encA); plain != "dir" {
		t.Errorf("the directory is %q", plain)
	}
	for _, table := range x.tables {
		if len(table.slots) > maxSlots {
			t.Errorf("%d slots", len(table.slots))
		}
	}
	lines := trees(10_000)
	for _, kind := range []string{"deep", "a name in each"} {
		var b strings.Builder
		for _, line := range lines[kind] {
			fmt.Fprintf(&b, "%s\t%s\n", line, plainOf(line))
		}
		x, _ := openIndex(t, write(t, b.String()), false)
		check(t, x, lines[kind], 100)
		if _, _, read := x.Find("", encryptedName(1), 100); read > 2*len(x.tables) {
			t.Errorf("%s: %d lines read for a name alone", kind, read)
		}
		x.Close()
	}
}

// TestTorn cuts the last write at each byte and appends a newline: no part of a name is
// taken for the whole, and no whole line is lost.
func TestTorn(t *testing.T) {
	const first, second = encA + "\ta\n", encB + "\tb/\n"
	x, _ := openIndex(t, write(t, first), true)
	x.Add(encB, "broken")
	x.Add(encC, "c")
	whole := string(x.text)
	for cut := range whole {
		x.file.data.Truncate(int64(len(first)))
		x.file.append([]byte(whole))
		at := int64(len(first) + cut)
		x.file.data.WriteAt([]byte(strings.Repeat("\t", len(whole)-cut-1)), at) // what is not written yet
		b, _ := os.ReadFile(x.file.path)
		again, q := openIndex(t, write(t, string(b)+encA+"/"+encC+"\ta/c\n"), true)
		if plain, ok := again.find(encB); ok && plain != "broken" {
			t.Fatalf("cut at %d: %q", cut, plain)
		}
		for cipher, want := range map[string]string{encA: "a", encA + "/" + encC: "a/c"} {
			if plain, _ := again.find(cipher); plain != want {
				t.Errorf("cut at %d: %s is %q", cut, cipher, plain)
			}
		}
		if !again.Close() {
			t.Error(*q)
		}
	}
	// The end of the file is torn, by another program. It is sealed at once.
	path := write(t, first+encB+"\tbro")
	for range 2 {
		x, q := openIndex(t, path, true)
		if !x.Close() {
			t.Error(*q)
		}
	}
	if b, _ := os.ReadFile(path); string(b) != first+encB+"\tbro\t\n" {
		t.Errorf("%q", b)
	}
}

// TestOther checks that a file is used only if it is an index.
func TestOther(t *testing.T) {
	good := encA + "\ta\n"
	for text, ok := range map[string]bool{
		"dear diary\n": false, "dear\tdiary\n": false, "\tdear\n": false, "dear diary": false,
		"dear diary\n\t\n}": false, "a\n\t\t": false,
		"": true, good: true, "\n": true, "\t\n": true, "\t\t\t": true, encA + "\tb": true, "dear diary\n" + good: true,
	} {
		path := write(t, text)
		x, q := openIndex(t, path, true)
		x.Add(encC, "c")
		x.Flush()
		if _, found := x.find(encC); found != ok || x.Close() != ok || ok == (len(*q) == 1) {
			t.Errorf("%q: %v, %q", text, found, *q)
		}
		if b, _ := os.ReadFile(path); ok == (string(b) == text) {
			t.Errorf("%q became %q", text, b)
		}
	}
	path := write(t, good)
	if err := os.Truncate(path, 2<<30); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if x, q := openIndex(t, path, true); x.Close() || len(*q) != 1 || time.Since(start) > 5*time.Second {
		t.Errorf("2 GiB without a line: %v, %q", time.Since(start), *q)
	}
	if os.Geteuid() == 0 {
		os.WriteFile(path, []byte(good), 0o600)
		os.Chown(path, 65534, 65534)
		if x, q := openIndex(t, path, true); x.Close() || len(*q) != 1 {
			t.Error("another user's file is used")
		}
	}
}

// TestReadOnly looks up names in an index that cannot be written.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v %s", err, out)
	}
	defer exec.Command("umount", dir).Run()
	path := filepath.Join(dir, "index")
	if err := os.WriteFile(path, []byte(encA+"\ta\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	x, q := openIndex(t, path, true)
	x.Add(encB, "b")
	x.Flush()
	if plain, _ := x.find(encA); plain != "a" {
		t.Errorf("got %q", plain)
	}
	if x.Close() || len(*q) != 1 || !strings.Contains((*q)[0], "read-only file system; names are looked up there") {
		t.Errorf("%q", *q)
	}
}
