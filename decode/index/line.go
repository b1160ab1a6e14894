package index

import (
	"bytes"
	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
	"slices"
	"strings"
)

// maxName bounds a name, in bytes (NAME_MAX).
const maxName = 255

// prefixOf returns the plain path of cipher from the line of cipher or of a path
// below it.
func prefixOf(line []byte, cipher string) (plain string, ok bool) {
	long, escaped, ok := splitLine(line)
	rest, found := bytes.CutPrefix(long, []byte(cipher))
	if !ok || !found || len(rest) > 0 && rest[0] != '/' {
		return "", false
	}
	for range bytes.Count(rest, []byte("/")) {
		escaped = escaped[:bytes.LastIndexByte(escaped, '/')]
	}
	plain = escape.Undo(escaped)
	return plain, arePlain(plain, strings.Count(cipher, "/")+1)
}

// splitLine returns the columns of a line, the second one still escaped, if they look
// like the two paths of a file.
func splitLine(line []byte) (cipher, plain []byte, ok bool) {
	cipher, plain, ok = bytes.Cut(line, []byte("\t"))
	if !ok || slices.ContainsFunc(plain, isControl) ||
		bytes.Count(cipher, []byte("/")) != bytes.Count(plain, []byte("/")) {
		return nil, nil, false
	}
	for name := range bytes.SplitSeq(cipher, []byte("/")) {
		if !scan.IsEncrypted(name) {
			return nil, nil, false
		}
	}
	return cipher, plain, true
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// arePlain reports whether path has n names that files can have.
func arePlain(path string, n int) bool {
	for name := range strings.SplitSeq(path, "/") {
		if n--; name == "" || name == "." || name == ".." || len(name) > maxName || strings.Contains(name, "\x00") {
			return false
		}
	}
	return n == 0
}
