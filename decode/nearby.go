package decode

import (
	"bytes"
	"regexp"
	"strings"
)

// maxHeading bounds what of the end of a record is searched for a colon, in bytes.
const maxHeading = 128

// A heading is a record that ends in a colon, perhaps with blanks, a color or the mark of a
// line's end after it, and what a program that logs each line has put around it. If it is
// the path of a directory, what follows lies in that.
const (
	sgr   = `\x1b\[[0-9;]*[mK]|\x1b\(B`
	colon = `:(?:[ \t]|` + sgr + `)*(?:\^M)?(?:[\\$]|\\[rn][^\r\n]*)?`
)

var (
	heading = regexp.MustCompile(colon + `$`)

	// afterDir is what follows the path: `:`, `/:`, `":`, `/":`, with colors between them.
	afterDir = regexp.MustCompile(`^(?:` + sgr + `)*/?(?:` + sgr + ")*[\"'`]?(?:" + sgr + `)*` + colon + `$`)
)

// A nearby holds the directories that the text has named last. A name that is
// written without its directory may lie in one of them. It depends on the text alone,
// not on how that is cut.
//
//	Only in 2KjA…Q/x0Q7…w: pB7j…A             the path before it
//	{"path":"2KjA…Q/x0Q7…w","name":"x0Q7…w"}  its parent
//	2KjA…Q/x0Q7…w:                            the last heading
type nearby struct {
	// The last path of this record, as far as it decrypts; empty if there is none.
	cipher, plain string
	whole         bool // it decrypts to its end
	named         bool // this record has a path, decrypted or not
	gap           int  // bytes of this record after the last path that decrypts

	header string // the cipher path of the last heading
}

// dirs returns the cipher paths of the directories to try for a name, most likely first.
func (n *nearby) dirs() (dirs []string) {
	if n.cipher != "" {
		dirs = append(dirs, n.cipher)
		if i := strings.LastIndexByte(n.cipher, '/'); i >= 0 {
			dirs = append(dirs, n.cipher[:i])
		}
	}
	if n.header != "" {
		dirs = append(dirs, n.header)
	}
	return dirs
}

// pass takes note of b[i:j], which holds no path.
func (n *nearby) pass(b []byte, i, j int) {
	end := bytes.IndexAny(b[i:j], "\r\n")
	if end < 0 {
		n.gap += j - i
		return
	}
	n.gap += end
	n.endRecord(b[:i+end])
	for at := i + end + 1; n.header != ""; at += end + 1 {
		if end = bytes.IndexAny(b[at:j], "\r\n"); end < 0 {
			return
		}
		if isHeading(b[:at+end]) {
			n.header = "" // this may be a directory outside the view
		}
	}
}

// isHeading reports whether the record that ends with b is a heading.
func isHeading(b []byte) bool {
	end := b[max(0, len(b)-maxHeading):]
	if bytes.IndexByte(end, ':') < 0 {
		return false // nearly always
	}
	return heading.Match(end[bytes.LastIndexAny(end, "\r\n")+1:])
}

// endRecord takes note of the end of a record, at the end of b.
func (n *nearby) endRecord(b []byte) {
	next := nearby{header: n.header}
	if isHeading(b) {
		next.header = ""
		if n.whole && n.gap <= maxHeading && afterDir.Match(b[len(b)-n.gap:]) {
			next.header = n.cipher
		}
	}
	*n = next
}
