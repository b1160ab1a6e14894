package encrypt

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
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
	exist, indexed     []string
	root, mount, plain string // directories
}

// newFileSystem returns the one of testdata/files.txt.
func newFileSystem(t *testing.T, s shape) *fileSystem {
	all := lines(t, "testdata/files.txt")
	for i, file := range all {
		all[i] = unquote(t, file)
	}
	gone := slices.Index(all, "gone:")
	fs := &fileSystem{shape: s, exist: slices.Clone(all[:gone]), indexed: slices.Delete(all, gone, gone+1)}
	for _, file := range fs.exist {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			fs.exist = append(fs.exist, dir)
		}
	}
	// Typed absolute paths have links of these names.
	fs.root = t.TempDir()
	fs.mount, fs.plain = path.Join(fs.root, "view", fs.cipher(s.inside)), path.Join(fs.root, "Documents")
	for _, dir := range []string{fs.mount, fs.plain, fs.root + "/elsewhere"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("view", fs.root+"/mount link")
	os.Symlink(".", fs.root+"/up")
	os.Symlink("Documents", fs.root+"/link")
	return fs
}

func (fs *fileSystem) View() View {
	return View{Sub: fs.cipher(fs.inside), Plain: fs.plain, Reverse: !fs.forward, Deterministic: fs.deterministic}
}

func (fs *fileSystem) Exists(cipher string) bool {
	return cipher == "." || slices.ContainsFunc(fs.exist, func(plain string) bool { return fs.cipher(plain) == cipher })
}

func (fs *fileSystem) Decrypt(cipher string) (plain string, ok bool) {
	return fs.inside, cipher == fs.cipher(fs.inside)
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
func (fs *fileSystem) needed(plain string, ivs bool) (text string) {
	sub, names := fs.cipher(fs.inside), strings.Split(fs.cipher(plain), "/")
	if sub == "" {
		text = "gocryptfs.conf\n"
	}
	switch plain {
	case "gocryptfs.conf":
		return text
	case ".":
		return text + ".\n"
	}
	below := 0
	if sub != "" {
		below = 1
	}
	names = names[below:]
	for i, name := range names {
		dir := strings.Join(names[:i+1], "/")
		if ivs {
			text += path.Join(path.Dir(dir), "gocryptfs.diriv") + "\n"
		}
		if strings.HasPrefix(name, "gocryptfs.longname.") && !fs.plaintext {
			text += dir + ".name\n"
		}
	}
	if last := strings.Join(names, "/"); strings.HasPrefix(last, "#") || strings.HasPrefix(last, ";") {
		return text + "./" + last + "\n"
	}
	return text + strings.Join(names, "/") + "\n"
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
func (fs *fileSystem) run(t *testing.T, input io.Reader, names, index, pathsOnly bool) (out, said string) {
	e := Encrypter{PathsOnly: pathsOnly, Fail: func(path, why string) { said += path + ": " + why + "\n" }}
	if names {
		e.Names, e.Files, e.Mount = fs, fs, fs.mount
	}
	if index {
		e.Index = fs.index
	}
	var b strings.Builder
	if _, _, err := e.Copy(&b, input); err != nil {
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
			typed, want := strings.ReplaceAll(unquote(t, columns[0]), "ROOT", fs.root), unquote(t, columns[len(columns)-1])
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
	out, said := fs.run(t, strings.NewReader(typed+"\n"), names, index, false)
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
		out, said := fs.run(t, strings.NewReader("new\\#012line\n"), true, false, true)
		if s.inside != "" {
			continue
		}
		if want := fs.cipher("new\nline") + "\n"; out != want && !s.plaintext || s.plaintext && (out != "" || said == "") {
			t.Errorf("%s: got %q and the message %q", s.name, out, said)
		}
	}
}
