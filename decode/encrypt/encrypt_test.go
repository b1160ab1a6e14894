package encrypt

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/escape"
)

// A shape is a kind of file system.
type shape struct {
	name                                            string
	forward, deterministic, plaintext, long, padded bool
	inside                                          string // the plain path of MOUNT
}

var shapes = []shape{
	{name: "reverse"},
	{name: "forward", forward: true},
	{name: "deterministic", deterministic: true},
	{name: "forward deterministic", forward: true, deterministic: true},
	{name: "plaintext", plaintext: true, deterministic: true},
	{name: "long", long: true},
	{name: "padded", padded: true},
	{name: "inside", inside: "docs"},
	{name: "forward inside", forward: true, inside: "docs"},
}

// cipher returns the cipher path of a plain path. gocryptfs makes each name for its directory;
// here, it is a hash, which is enough for the way back.
func (s shape) cipher(plain string) (cipher string) {
	if plain == "" || s.plaintext {
		return plain
	}
	coding := base64.RawURLEncoding
	if s.padded {
		coding = base64.URLEncoding
	}
	for name := range strings.SplitSeq(plain, "/") {
		dir := cipher
		if s.deterministic {
			dir = ""
		}
		hash := sha256.Sum256([]byte(dir + "/" + name))
		if s.long && len(name) > 5 || len(name) > 175 {
			cipher = path.Join(cipher, "gocryptfs.longname."+coding.EncodeToString(hash[:]))
		} else {
			cipher = path.Join(cipher, coding.EncodeToString(hash[:16]))
		}
	}
	return cipher
}

// A fileSystem has files, given by their plain paths, and is their gocryptfs.
type fileSystem struct {
	shape
	exist, indexed []string
}

// newFileSystem returns the one of testdata/files.txt.
func newFileSystem(t *testing.T, s shape) *fileSystem {
	all := lines(t, "testdata/files.txt")
	for i, file := range all {
		all[i] = unquote(t, file)
	}
	gone := slices.Index(all, "gone:")
	fs := &fileSystem{shape: s, exist: all[:gone], indexed: slices.Delete(all, gone, gone+1)}
	for _, file := range fs.exist {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			fs.exist = append(fs.exist, dir)
		}
	}
	return fs
}

func (fs *fileSystem) PrepareEncrypt(string) bool { return true }

// Encrypt answers as gocryptfs: in forward mode, the directory has to exist.
func (fs *fileSystem) Encrypt(plain string) (cipher string, ok bool) {
	dir := path.Dir(plain)
	if fs.forward && dir != "." && !slices.Contains(fs.exist, dir) || !utf8.ValidString(plain) {
		return "", false
	}
	return fs.cipher(plain), true
}

// index visits the lines of an index.
func (fs *fileSystem) index(visit func(cipher, plain []byte)) {
	for _, file := range fs.indexed {
		if !fs.plaintext {
			visit([]byte(fs.cipher(file)), []byte(strings.ReplaceAll(escape.String(file), "\t", `\#011`)))
		}
	}
}

// needed returns what it takes to read a path elsewhere, with or without the IVs.
func (fs *fileSystem) needed(plain string, ivs bool) string {
	cipher := fs.cipher(plain)
	sub := fs.cipher(fs.inside)
	var list []string
	if sub == "" {
		list = append(list, "gocryptfs.conf")
	}
	for dir, rest := sub, strings.TrimPrefix(strings.TrimPrefix(cipher, sub), "/"); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if ivs {
			list = append(list, path.Join(dir, "gocryptfs.diriv"))
		}
		if strings.HasPrefix(name, "gocryptfs.longname.") && !fs.plaintext {
			list = append(list, path.Join(dir, name)+".name")
		}
		dir = path.Join(dir, name)
	}
	for i := range list {
		list[i] = strings.TrimPrefix(list[i], sub+"/")
	}
	list = append(list, strings.TrimPrefix(strings.TrimPrefix(cipher, sub), "/"))
	return strings.Join(list, "\n") + "\n"
}

// lines returns the lines of a file, without comments.
func lines(t *testing.T, file string) (list []string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line != "\n" && !strings.HasPrefix(line, "# ") {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}
	return list
}

// unquote returns what has Go's escapes.
func unquote(t *testing.T, text string) string {
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatal(text, err)
	}
	return s
}

// run returns the output for an input, and the messages.
func (fs *fileSystem) run(input string, names, index, pathsOnly bool) (out, said string) {
	o := Options{PathsOnly: pathsOnly, Fail: func(path string, why error) { said += path + ": " + why.Error() + "\n" }}
	if names {
		o.Names, o.NoIVs, o.Sub, o.PlainSub = fs, fs.deterministic, fs.cipher(fs.inside), fs.inside
	}
	if index {
		o.Index = fs.index
	}
	var b strings.Builder
	if err := Copy(&b, strings.NewReader(input), o); err != nil {
		said += err.Error()
	}
	return b.String(), said
}

// TestRows has each row of testdata/rows.txt answered by gocryptfs, the index, and both, in each
// kind of file system: with the right path or with a message.
func TestRows(t *testing.T) {
	for _, s := range shapes {
		fs := newFileSystem(t, s)
		rows := lines(t, "testdata/rows.txt")
		inside := slices.Index(rows, "inside:")
		if rows = rows[:inside]; s.inside != "" {
			rows = lines(t, "testdata/rows.txt")[inside+1:]
		}
		for _, row := range rows {
			columns := strings.Split(row, "\t")
			typed, want := unquote(t, columns[0]), unquote(t, columns[len(columns)-1])
			if s.inside == "" && !s.plaintext {
				fs.check(t, "index", typed, want, false, true)
			}
			want = unquote(t, columns[1])
			fs.check(t, "socket", typed, want, true, false)
			fs.check(t, "both", typed, want, true, true)
		}
	}
}

func (fs *fileSystem) check(t *testing.T, source, typed, want string, names, index bool) {
	t.Helper()
	out, said := fs.run(typed+"\n", names, index, false)
	if message, fails := strings.CutPrefix(want, "! "); fails {
		if out != "" || !strings.Contains(said, message) {
			t.Errorf("%s, %s: %q: got %q and the message %q, want %q", fs.name, source, typed, out, said, message)
		}
	} else if want = fs.needed(want, !fs.deterministic || !names); out != want || said != "" {
		t.Errorf("%s, %s: %q: got\n%s%swant\n%s", fs.name, source, typed, out, said, want)
	}
}

// TestLineEnd has a name of two lines. Without encryption, these would be two files.
func TestLineEnd(t *testing.T) {
	for _, s := range shapes {
		fs := newFileSystem(t, s)
		out, said := fs.run("new\\#012line\n", true, false, true)
		if s.inside != "" {
			continue
		}
		if want := fs.cipher("new\nline") + "\n"; out != want && !s.plaintext || s.plaintext && (out != "" || said == "") {
			t.Errorf("%s: got %q and the message %q", s.name, out, said)
		}
	}
}
