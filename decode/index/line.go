package index

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

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
	return l, ok && !bytes.Contains(l.plain, []byte("\t")) && !bytes.Contains(l.plain, []byte("\x00")) &&
		bytes.Count(l.cipher, []byte("/")) == bytes.Count(l.plain, []byte("/"))
}

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
	for name := range bytes.SplitSeq(path, []byte("/")) {
		if bytes.Contains(name, []byte(`\#`)) {
			name = []byte(escape.Undo(name))
		}
		if len(name) == 0 || len(name) > maxName || string(name) == "." || string(name) == ".." ||
			bytes.ContainsAny(name, "/\x00") {
			return false
		}
	}
	return !bytes.ContainsFunc(path, unicode.IsControl)
}

// IsDoubtful reports whether a plain path may be junk: one in 280 random words of the right
// length decrypts, to random bytes. Nearly all of these hold a control character, or bytes
// that are not UTF-8, U+FFFD in an answer of gocryptfs. Encrypting it again would prove
// nothing: names are a bijection, so whatever decrypts encrypts back.
func IsDoubtful(plain string) bool {
	return strings.ContainsFunc(plain, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}

// isDoubtful reports whether the plain path is doubtful.
func (l line) isDoubtful() bool {
	odd := bytes.Contains(l.plain, []byte(`\#`)) || !utf8.Valid(l.plain) || bytes.Contains(l.plain, []byte("\ufffd"))
	return odd && IsDoubtful(escape.Undo(l.plain))
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
	for rest, more := path, true; more; _, rest, more = bytes.Cut(rest, []byte("/")) {
		after, ok := bytes.CutPrefix(rest, key)
		if ok && (len(after) == 0 || after[0] == '/') {
			return len(path) - len(after)
		}
		if rooted {
			break
		}
	}
	return 0
}
