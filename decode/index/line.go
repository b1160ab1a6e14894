package index

import (
	"bytes"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
)

// maxName bounds a name, in bytes (NAME_MAX).
const maxName = 255

// A line is a cipher path and its plain path, still escaped.
type line struct{ cipher, plain []byte }

// parse returns the line without its newline. ok is false if that is not the line of a
// file.
func parse(text []byte) (l line, ok bool) {
	l, ok = split(text)
	return l, ok && isCipher(l.cipher) && isPlain(l.plain)
}

// split returns the columns of a line if they may be paths of the same length. Where the
// writing of a line was cut short, tabs follow it.
func split(text []byte) (l line, ok bool) {
	l.cipher, l.plain, ok = bytes.Cut(text, []byte("\t"))
	return l, ok && bytes.IndexByte(l.plain, '\t') < 0 && bytes.IndexByte(l.plain, 0) < 0 &&
		bytes.Count(l.cipher, []byte("/")) == bytes.Count(l.plain, []byte("/"))
}

// isTorn reports whether text is the beginning of a line.
func isTorn(text []byte) bool {
	cipher, _, ok := bytes.Cut(text, []byte("\t"))
	return ok && isCipher(cipher)
}

// isSpace reports whether text is what stands in the place of a line before it is written.
func isSpace(text []byte) bool { return len(text) > 0 && len(bytes.Trim(text, "\t")) == 0 }

// isCipher reports whether path consists of encrypted names.
func isCipher(path []byte) bool {
	for name := range bytes.SplitSeq(path, []byte("/")) {
		if !scan.IsEncrypted(name) {
			return false
		}
	}
	return true
}

// isPlain reports whether path, which is escaped, consists of names that files can have.
func isPlain(path []byte) bool {
	for _, c := range path {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	for name := range bytes.SplitSeq(path, []byte("/")) {
		if len(name) > maxName || bytes.Contains(name, []byte(`\#`)) {
			name = []byte(escape.Undo(name))
		}
		if len(name) == 0 || len(name) > maxName || string(name) == "." || string(name) == ".." ||
			bytes.ContainsAny(name, "/\x00") {
			return false
		}
	}
	return true
}

// upTo returns the paths of the directory, or of the file, that the first end bytes of
// the cipher path are.
func (l line) upTo(end int) (cipher, plain string) {
	p := l.plain
	for range bytes.Count(l.cipher[end:], []byte("/")) {
		p = p[:bytes.LastIndexByte(p, '/')]
	}
	return string(l.cipher[:end]), escape.Undo(p)
}

// endOf returns the end offset in path, a cipher path, of the last name of key, or 0 if
// key does not stand in it. A key that begins with a slash stands at the beginning.
func endOf(path, key []byte) int {
	key, rooted := bytes.CutPrefix(key, []byte("/"))
	for from := 0; ; from++ {
		i := bytes.Index(path[from:], key)
		from += i
		end := from + len(key)
		switch {
		case i < 0 || rooted && from > 0:
			return 0
		case (from == 0 || path[from-1] == '/') && (end == len(path) || path[end] == '/'):
			return end
		}
	}
}
