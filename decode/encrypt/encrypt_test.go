package encrypt

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/ctlsock"
	"gocryptfs-rsync-pretty/decode"
	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/tree"
)

// A fileSystem has files, given by their plain paths, and is their gocryptfs.
type fileSystem struct {
	name                                            string
	forward, deterministic, plaintext, long, padded bool
	inside                                          string // the plain path of MOUNT

	exist, indexed    []string
	root, mount, base string // directories: of all that a test has, MOUNT and the plain one
	machine           *tree.Tree
}

var fileSystems = []fileSystem{
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

// cipher returns the cipher path of a plain path, after which a housekeeping file may stand with two
// slashes. Each name is made for its directory, as by gocryptfs; here it is a hash.
func (fs *fileSystem) cipher(plain string) (cipher string) {
	plain, tail, _ := strings.Cut(plain, "//")
	if plain == "" || plain == "." || fs.plaintext {
		return path.Join(plain, tail)
	}
	coding := base64.RawURLEncoding
	if fs.padded {
		coding = base64.URLEncoding
	}
	for name := range strings.SplitSeq(plain, "/") {
		dir := cipher
		if fs.deterministic {
			dir = ""
		}
		hash := sha256.Sum256([]byte(dir + "/" + name))
		switch {
		case fs.long && len(name) > 5:
			cipher = path.Join(cipher, "gocryptfs.longname."+coding.EncodeToString(hash[:]))
		default:
			cipher = path.Join(cipher, coding.EncodeToString(hash[:16]))
		}
	}
	return path.Join(cipher, tail)
}

func (fs *fileSystem) View() decode.View {
	return decode.View{Sub: fs.cipher(fs.inside), Plain: fs.base, Reverse: !fs.forward, Deterministic: fs.deterministic}
}

func (fs *fileSystem) Exists(cipher string) bool {
	return cipher == "." || slices.ContainsFunc(fs.exist, func(plain string) bool { return fs.cipher(plain) == cipher })
}

// Resolve answers for this machine, and as if a file lay in its root.
func (fs *fileSystem) Resolve(path string) iter.Seq[string] {
	if path == "/swapfile" {
		return slices.Values([]string{path})
	}
	return fs.machine.Resolve(path)
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

// index fills in the newest cipher paths of plain ones.
func (fs *fileSystem) index(wanted map[string]string) {
	index.Encrypt(fs.root+"/names.tsv", func(what, hint string) {}, wanted)
}

// fill gives the file system the files of testdata/files.txt, and links to its directories.
func (fs *fileSystem) fill(t *testing.T) {
	all := lines(t, "testdata/files.txt")
	for i, file := range all {
		all[i] = unquote(t, file)
	}
	gone := slices.Index(all, "gone:")
	fs.exist, fs.indexed = slices.Clone(all[:gone]), slices.Delete(all, gone, gone+1)
	for _, file := range fs.exist {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			fs.exist = append(fs.exist, dir)
		}
	}
	fs.root, fs.machine = t.TempDir(), tree.New("", "", time.Minute, ctlsock.New("", time.Minute, nil))
	fs.mount, fs.base = path.Join(fs.root, "view", fs.cipher(fs.inside)), path.Join(fs.root, "Documents")
	var names strings.Builder
	for _, file := range fs.indexed {
		names.WriteString(fs.cipher(file) + "\t" + strings.ReplaceAll(escape.String(file), "\t", `\#011`) + "\n")
	}
	err := errors.Join(os.WriteFile(fs.root+"/names.tsv", []byte(names.String()), 0o600), os.MkdirAll(fs.mount, 0o755), os.Mkdir(fs.base, 0o755), os.Mkdir(fs.root+"/elsewhere", 0o755),
		os.Symlink("view", fs.root+"/mount link"), os.Symlink(".", fs.root+"/up"), os.Symlink("Documents", fs.root+"/link"),
		os.Symlink("Documents/docs", fs.root+"/to docs"),
		os.Mkdir(fs.base+"/docs", 0o755), os.WriteFile(fs.base+"/docs/tax.pdf", nil, 0o600),
		os.Symlink("Documents/docs/tax.pdf", fs.root+"/to tax"), os.Symlink("docs", fs.base+"/inner"), os.Symlink("../elsewhere", fs.base+"/out"))
	if err != nil {
		t.Fatal(err)
	}
}

// needed returns what it takes to read a path elsewhere, with or without the IVs.
func (fs *fileSystem) needed(plain string, ivs bool) string {
	var list []string
	names := strings.Split(fs.cipher(plain), "/")
	if fs.inside == "" {
		list = append(list, "gocryptfs.conf")
	} else {
		names = names[1:]
	}
	for i, name := range names {
		dir := strings.Join(names[:i], "/")
		if ivs && plain != "." && plain != "//gocryptfs.conf" {
			list = append(list, path.Join(dir, "gocryptfs.diriv"))
		}
		if strings.HasPrefix(name, "gocryptfs.longname.") && !fs.plaintext {
			list = append(list, path.Join(dir, name)+".name")
		}
	}
	last := cmp.Or(strings.Join(names, "/"), ".")
	if strings.ContainsAny(last[:1], "#;") {
		last = "./" + last
	}
	return strings.Join(slices.Compact(append(list, last)), "\n") + "\n"
}

// lines returns the lines of a file, without comments.
func lines(t *testing.T, file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(string(b), "\n")
	return slices.DeleteFunc(list, func(s string) bool { return s == "" || strings.HasPrefix(s, "# ") })
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
func (fs *fileSystem) run(input io.Reader, names, index bool) (out, said string) {
	e := Encrypter{Names: ctlsock.New("", 0, nil), Files: fs.machine, Index: func(map[string]string) {},
		Fail: func(path, why string) { said += path + ": " + why + "\n" }}
	if names {
		e.Names, e.Files, e.View, e.Mount, e.Plain = fs, fs, fs.View(), fs.mount, fs.root+"/elsewhere"
	}
	if index {
		e.Index = fs.index
	}
	var b strings.Builder
	if _, err := e.Copy(&b, input); err != nil {
		said += err.Error()
	}
	return b.String(), said
}

// TestRows has each row of testdata/rows.txt answered by gocryptfs, the index, and both, in each
// kind of file system: with the right path or with a message.
func TestRows(t *testing.T) {
	all := lines(t, "testdata/rows.txt")
	inside := slices.Index(all, "inside:")
	for _, fs := range fileSystems {
		fs.fill(t)
		rows := all[:inside]
		if fs.inside != "" {
			rows = all[inside+1:]
		}
		for _, row := range rows {
			columns := strings.Split(row, "\t")
			typed := strings.ReplaceAll(unquote(t, columns[0]), "ROOT", fs.root)
			for i, source := range []string{"index", "socket", "both"} {
				names, index, want := i > 0, i != 1, unquote(t, columns[1])
				if !names && (fs.inside != "" || fs.plaintext) {
					continue
				} else if !names {
					want = unquote(t, columns[len(columns)-1])
				}
				out, said := fs.run(strings.NewReader(typed+"\n"), names, index)
				if fs.plaintext && strings.Contains(want, "\n") {
					want = "! line end" // these would be two files
				}
				message, fails := strings.CutPrefix(want, "! ")
				if !fails {
					want = fs.needed(want, !fs.deterministic || !names)
				}
				if fails && (out != "" || !strings.Contains(said, message)) || !fails && (out != want || said != "") {
					t.Errorf("%s, %s: %q: got %q and the message %q, want %q", fs.name, source, typed, out, said, want)
				}
			}
		}
	}
}

// TestCut has reading fail in the middle of a line: what is there of it is no path.
func TestCut(t *testing.T) {
	fs := fileSystems[0]
	fs.fill(t)
	input := io.MultiReader(strings.NewReader("docs/tax.pdf\ndocs/ta"), iotest.ErrReader(errors.New("cut")))
	if out, said := fs.run(input, true, true); out != fs.needed("docs/tax.pdf", true) || said != "cut" {
		t.Errorf("got %q and the message %q", out, said)
	}
}
