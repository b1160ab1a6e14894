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
	ok = !bytes.ContainsFunc(l.plain, unicode.IsControl)
	for name := range bytes.SplitSeq(l.cipher, []byte("/")) {
		ok = ok && scan.IsEncrypted(name)
	}
	plain := l.plain
	if bytes.Contains(plain, []byte(`\#`)) {
		plain = []byte(escape.Undo(plain))
		ok = ok && bytes.Count(plain, []byte("/")) == bytes.Count(l.cipher, []byte("/")) && bytes.IndexByte(plain, 0) < 0
	}
	for name := range bytes.SplitSeq(plain, []byte("/")) {
		ok = ok && len(name) > 0 && len(name) <= 255 /* NAME_MAX */ && string(name) != "." && string(name) != ".."
	}
	return l, ok
}

// split returns the line with this text, or an empty one. A tab follows one whose writing was
// cut short. An editor may have ended lines with CR LF.
func split(text []byte) line {
	cipher, plain, ok := bytes.Cut(bytes.TrimSuffix(text, []byte("\r")), []byte("\t"))
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
