package index

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
)

// A line is a cipher path and its plain path, still escaped.
type line struct{ cipher, plain []byte }

// parse returns the line of a file: an encrypted name for each name that a file can have.
func parse(text []byte) (l line, ok bool) {
	l, ok = split(text)
	plain := l.plain
	for name := range bytes.SplitSeq(l.cipher, []byte("/")) {
		p, rest, _ := bytes.Cut(plain, []byte("/"))
		ok, plain = ok && scan.IsEncrypted(name) && isName(p), rest
	}
	return l, ok && !bytes.ContainsFunc(l.plain, unicode.IsControl)
}

// isName reports whether a file can have this name, which is escaped.
func isName(name []byte) bool {
	if bytes.Contains(name, []byte(`\#`)) {
		name = []byte(escape.Undo(name))
	}
	return len(name) > 0 && len(name) <= 255 /* NAME_MAX */ && string(name) != "." && string(name) != ".." &&
		!bytes.ContainsAny(name, "/\x00")
}

// split returns the columns of a line. A tab follows one whose writing was cut short.
func split(text []byte) (l line, ok bool) {
	l.cipher, l.plain, ok = bytes.Cut(text, []byte("\t"))
	return l, ok && !bytes.Contains(l.plain, []byte("\t")) && !bytes.Contains(l.plain, []byte("\x00")) &&
		bytes.Count(l.cipher, []byte("/")) == bytes.Count(l.plain, []byte("/"))
}

// isDoubtful reports whether a plain path, which is escaped, may be junk. Nearly all junk has
// a control character or bytes that are not UTF-8.
func isDoubtful(plain []byte) bool {
	return bytes.Contains(plain, []byte(`\#`)) || bytes.Contains(plain, []byte("\ufffd")) || !utf8.Valid(plain)
}

// upTo returns the line of the directory, or of the file, that the first end bytes of the
// cipher path are.
func (l line) upTo(end int) line {
	for range bytes.Count(l.cipher[end:], []byte("/")) {
		l.plain = l.plain[:bytes.LastIndexByte(l.plain, '/')]
	}
	return line{l.cipher[:end], l.plain}
}

// endOf returns the end offset in path, a cipher path, of the last name of key, or 0 if
// key does not stand in it. A key that begins with a slash stands at the beginning.
func endOf(path, key []byte) int {
	key, rooted := bytes.CutPrefix(key, []byte("/"))
	for rest, more := path, true; more; _, rest, more = bytes.Cut(rest, []byte("/")) {
		if after, ok := bytes.CutPrefix(rest, key); ok && (len(after) == 0 || after[0] == '/') {
			return len(path) - len(after)
		}
		if rooted {
			break
		}
	}
	return 0
}
