package index

import (
	"bytes"
	"fmt"
	"gocryptfs-rsync-pretty/decode/scan"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	encA = "ikFrxDZ5DfCpwm4Myx-3TA"
	encB = "imzeAOOgEnocI27OWHX1BQ"
	encC = "m91YAV0v95v-ak-wALAQAg"
)

// find returns the plain path of exactly this cipher path.
func (x *Index) find(cipher string) (plain string, ok bool) {
	found, plain, _ := x.Find("", cipher, 100)
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

// TestIndexRepeated loads a file that has the same path over and over.
func TestIndexRepeated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, bytes.Repeat([]byte(encA+"/"+encB+"\ta/b\n"), 1_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	x, _ := openIndex(t, path, false)
	defer x.Close()
	if n := x.tables[0].used; n != 2 {
		t.Errorf("%d slots", n)
	}
	for cipher, plain := range map[string]string{encA: "a", encA + "/" + encB: "a/b"} {
		if got, _ := x.find(cipher); got != plain {
			t.Errorf("%s is %q", cipher, got)
		}
	}
}

// TestIndexTorn checks that a part of a name is never taken for the whole name.
func TestIndexTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, []byte(encA+"\ta\n"+encB+"\tbro"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		x, q := openIndex(t, path, true)
		if got, ok := x.find(encB); ok {
			t.Errorf("torn: %q", got)
		}
		if _, ok := x.find(encA); !ok {
			t.Error("lost what is whole")
		}
		x.Add(encC, "c")
		x.Flush()
		if got, _ := x.find(encC); got != "c" {
			t.Errorf("new: %q", got)
		}
		if !x.Close() {
			t.Error(*q)
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
	const n, long = 500, 60
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

// TestIndexNewest checks that the newest lines are remembered.
func TestIndexNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	var b []byte
	const n = 2_000_000
	for i := range n {
		b = fmt.Appendf(b, "%s\t%d\n", encryptedName(i), i)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	x, _ := openIndex(t, path, false)
	defer x.Close()
	for i := max(0, n-2*maxUsed); i < n; i += 997 {
		if got, _ := x.find(encryptedName(i)); got != fmt.Sprint(i) {
			t.Fatalf("%d is %q", i, got)
		}
	}
	for _, table := range x.tables {
		if len(table.slots) > maxSlots {
			t.Errorf("%d slots", len(table.slots))
		}
	}
}
