package decode

import (
	"bytes"
	"regexp"
	"slices"
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
	gap           int  // bytes of this record after it

	named   bool   // this record has a path, decrypted or not
	heading string // the cipher path of the last heading
}

// dirs returns the directories to try for a name, most likely first, each with a trailing slash.
func (n *nearby) dirs() []string {
	parent := n.cipher[:max(0, strings.LastIndexByte(n.cipher, '/'))]
	return slices.DeleteFunc([]string{n.cipher + "/", parent + "/", n.heading + "/"}, func(dir string) bool { return dir == "/" })
}

// pass takes note of b[i:j], which holds no path. Without a path or a heading before it, there
// is nothing to note.
func (n *nearby) pass(b []byte, i, j int) {
	for n.named || n.heading != "" {
		length := bytes.IndexAny(b[i:j], "\r\n")
		if length < 0 {
			n.gap += j - i
			return
		}
		n.gap += length
		n.endRecord(b[:i+length])
		i += length + 1
	}
}

// endRecord takes note of the end of a record, at the end of b.
func (n *nearby) endRecord(b []byte) {
	dir, last := n.heading, b[max(0, len(b)-maxHeading):]
	if bytes.IndexByte(last, ':') >= 0 && heading.Match(last[bytes.LastIndexAny(last, "\r\n")+1:]) {
		dir = "" // it may lie outside the view
		if n.whole && n.gap <= maxHeading && afterDir.Match(b[len(b)-n.gap:]) {
			dir = n.cipher
		}
	}
	*n = nearby{heading: dir}
}
