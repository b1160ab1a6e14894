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
	l = split(text)
	ok, rest := !bytes.ContainsFunc(l.plain, unicode.IsControl), l.plain
	for name := range bytes.SplitSeq(l.cipher, []byte("/")) {
		plain, below, _ := bytes.Cut(rest, []byte("/"))
		ok, rest = ok && scan.IsEncrypted(name) && isName(plain), below
	}
	return l, ok
}

// isName reports whether a file can have this name, which is escaped.
func isName(name []byte) bool {
	escaped := bytes.Contains(name, []byte(`\#`))
	if escaped {
		name = []byte(escape.Undo(name))
	}
	return len(name) > 0 && len(name) <= 255 /* NAME_MAX */ && string(name) != "." && string(name) != ".." &&
		!(escaped && bytes.ContainsAny(name, "/\x00"))
}

// split returns the line with this text, or an empty one. A tab follows one whose writing was
// cut short.
func split(text []byte) line {
	cipher, plain, ok := bytes.Cut(text, []byte("\t"))
	if !ok || bytes.IndexByte(plain, '\t') >= 0 || bytes.IndexByte(plain, 0) >= 0 ||
		bytes.Count(cipher, []byte("/")) != bytes.Count(plain, []byte("/")) {
		return line{}
	}
	return line{cipher, plain}
}

// isDoubtful reports whether a plain path, which is escaped, may be junk. Nearly all junk has
// a control character or bytes that are not UTF-8.
func isDoubtful(plain []byte) bool {
	return bytes.Contains(plain, []byte(`\#`)) || !utf8.Valid(plain) || bytes.Contains(plain, []byte("\ufffd"))
}

// endOf returns the end offset in path, a cipher path, of the last name of key, or 0 if
// key does not stand in it. A key that begins with a slash stands at the beginning.
func endOf(path, key []byte) int {
	key, rooted := bytes.CutPrefix(key, []byte("/"))
	for rest, more := path, true; more; more = more && !rooted {
		if after, ok := bytes.CutPrefix(rest, key); ok && (len(after) == 0 || after[0] == '/') {
			return len(path) - len(after)
		}
		_, rest, more = bytes.Cut(rest, []byte("/"))
	}
	return 0
}
