package decode

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/scan"
)

// A fileSystem is a kind of gocryptfs file system. blocks returns the number of
// 16-byte blocks for a name of n bytes.
type fileSystem struct {
	name   string
	blocks func(n int) int
	padded bool // old file systems: with `=`
	long   bool // -longnamemax 62: nearly all are long names
	alike  bool // -deterministic-names: a name is the same in each directory
	cut    bool // the lines are also cut everywhere
}

func byLength(n int) int { return n/16 + 1 }

var fileSystems = []fileSystem{
	{name: "usual", blocks: byLength, cut: true},
	{name: "43 characters", blocks: func(int) int { return 2 }},
	{name: "64 characters", blocks: func(int) int { return 3 }}, // no spare bits
	{name: "235 characters", blocks: func(int) int { return 11 }},
	{name: "padded", blocks: byLength, padded: true, cut: true},
	{name: "padded to 44", blocks: func(int) int { return 2 }, padded: true},
	{name: "long names", long: true},
	{name: "deterministic names", blocks: byLength, alike: true},
	{name: "padded long names", long: true, padded: true, cut: true},
}

// A world is a file system with all files that its lines name. It is in reverse mode.
type world struct {
	stubView // without its spellings
	fileSystem
	names   map[string]string // plain paths by cipher path
	sub     string            // MOUNT
	checked []form            // encrypted lines
}

// placeholder is a name in a line.
var placeholder = regexp.MustCompile(`\{[^{}"][^{}]*\}`)

// check makes the files that forms name and decodes their lines.
func (w *world) check(t *testing.T, forms []form) {
	t.Helper()
	for _, f := range forms {
		for _, p := range placeholder.FindAllString(f.line, -1) {
			p = strings.TrimPrefix(strings.ReplaceAll(p[1:len(p)-1], "|", "/"), "@")
			cipher := w.cipherPath(p)
			for ; p != "." && p[0] != '!'; p, cipher = filepath.Dir(p), filepath.Dir(cipher) {
				w.names[cipher] = p
				if w.alike {
					w.names[filepath.Base(cipher)] = filepath.Base(p)
				}
			}
		}
		want := w.encrypted(f.want)
		if f.want == "" {
			want = shown(f.line)
		}
		w.checkText(t, form{w.encrypted(f.line), want})
	}
}

// checkText decodes the line of f, which is encrypted.
func (w *world) checkText(t *testing.T, f form) {
	t.Helper()
	if got := w.decode(t, strings.NewReader(f.line)); got != f.want {
		t.Errorf("%q\ngot  %q\nwant %q", f.line, got, f.want)
		return
	}
	w.checked = append(w.checked, form{f.line + "\n", f.want + "\n"})
}

// checkCut decodes the lines that have passed again: byte by byte, and cut once at every
// byte of each line. It does so for some file systems only, since it takes time.
func (w *world) checkCut(t *testing.T) {
	t.Helper()
	if !w.cut {
		return
	}
	var pieces []string
	var want strings.Builder
	for _, f := range w.checked {
		for i := range len(f.line) {
			pieces = append(pieces, f.line[:i], f.line[i:])
		}
		for i := range len(f.line) {
			pieces = append(pieces, f.line[i:i+1])
		}
		want.WriteString(strings.Repeat(f.want, len(f.line)+1))
	}
	wantSame(t, "cut", want.String(), w.decode(t, inPieces(pieces...)))
	w.checked = nil
}

func (w *world) decode(t *testing.T, r io.Reader) string {
	t.Helper()
	return copyAll(t, r, Options{Names: namesFunc(w.decrypt), Files: w})
}

func (w *world) decrypt(cipher string) (plain string, ok bool) {
	if !w.alike {
		plain, ok = w.names[cipher]
		return plain, ok
	}
	for c := range strings.SplitSeq(cipher, "/") {
		p, known := w.names[c]
		if !known {
			return "", false
		}
		plain += "/" + p
	}
	return plain[1:], true
}

func (w *world) View() View                { return View{Sub: w.sub, Reverse: true, Deterministic: w.alike} }
func (w *world) Exists(cipher string) bool { return w.names[cipher] != "" }

// Target takes any path for a link.
func (w *world) Target(_, plain string, text []byte) (string, bool) {
	return plainTarget(plain), string(text) == w.cipherTarget(plain)
}

// cipherPath returns the cipher path of a plain one.
func (w *world) cipherPath(plain string) string {
	dir := ""
	if i := strings.LastIndexByte(plain, '/'); i >= 0 {
		dir = w.cipherPath(plain[:i]) + "/"
	}
	return dir + w.cipherName(plain)
}

// cipherName returns the encrypted name of the last component of plain. As in reverse
// mode, it depends on the directory.
func (w *world) cipherName(plain string) string {
	base := filepath.Base(plain)
	if w.alike {
		plain = base
	}
	if w.long {
		return scan.LongPrefix + w.encode(random(plain, sha256.Size))
	}
	return w.encode(random(plain, 16*w.blocks(len(base))))
}

// plainTarget returns the target of the symbolic link plain: either 32 bytes, so that
// the encrypted target is as long as a name, 86 characters, or so many that it is
// longer than any name.
func plainTarget(plain string) string {
	target := "../where it points to/"
	if filepath.Base(plain) == "far" {
		target = strings.Repeat(target, 10)
	}
	return target + base64.RawURLEncoding.EncodeToString(random(plain, 7))
}

func (w *world) cipherTarget(plain string) string {
	return w.encode(random("target of "+plain, 16+len(plainTarget(plain))+16))
}

func (w *world) encode(b []byte) string {
	if w.padded {
		return base64.URLEncoding.EncodeToString(b)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// random returns n pseudorandom bytes for a seed.
func random(seed string, n int) []byte {
	var b []byte
	for len(b) < n {
		sum := sha256.Sum256(append([]byte(seed), b...))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// encrypted returns a line with its names encrypted.
func (w *world) encrypted(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		p = strings.TrimPrefix(p[1:len(p)-1], "!")
		if link, ok := strings.CutPrefix(p, "@"); ok {
			return w.cipherTarget(link)
		}
		dir, below, ok := strings.Cut(p, "|")
		if !ok {
			return w.cipherPath(p)
		}
		return strings.TrimPrefix(w.cipherPath(dir+"/"+below), w.cipherPath(dir)+"/")
	})
}

// shown returns a line with its names in plain.
func shown(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		p = p[1 : len(p)-1]
		if link, ok := strings.CutPrefix(p, "@"); ok {
			return plainTarget(link)
		}
		return p[strings.Index(p, "|")+1:]
	})
}
