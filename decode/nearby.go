package decode

import (
	"bytes"
	"gocryptfs-rsync-pretty/decode/scan"
	"strings"
)

// A vicinity holds the directories that the text has named last. A name that is
// written without its directory may lie in one of them. A vicinity depends on the
// text alone, not on how it is cut.
//
//	Only in 2KjA…Q/x0Q7…w: pB7j…A             the path before it
//	{"path":"2KjA…Q/x0Q7…w","name":"x0Q7…w"}  its parent
//	2KjA…Q/x0Q7…w:                            the last record that was a path and a colon
type vicinity struct {
	// The last path of this record, as far as it decrypts; empty if there is none.
	cipher, plain string
	whole         bool   // it decrypts to its end
	leaf          string // its last name, as it stands in the text
	since         int    // bytes of this record after it

	header string // the cipher path of the last record that was a path and a colon
}

// dirs returns the cipher paths of the directories to try for a name, most likely
// first.
func (v *vicinity) dirs() (dirs []string) {
	if v.cipher != "" {
		dirs = append(dirs, v.cipher)
		if i := strings.LastIndexByte(v.cipher, '/'); i >= 0 {
			dirs = append(dirs, v.cipher[:i])
		}
	}
	if v.header != "" {
		dirs = append(dirs, v.header)
	}
	return dirs
}

// pass takes note of b[i:j], which holds no path.
func (v *vicinity) pass(b []byte, i, j int) {
	end := bytes.IndexAny(b[i:j], "\r\n")
	if end < 0 {
		v.since += j - i
		return
	}
	v.since += end
	v.endRecord(b[:i+end])
	if rest := b[i+end : j]; bytes.Contains(rest, []byte(":\n")) || bytes.Contains(rest, []byte(":\r")) {
		v.header = "" // this may be a directory outside the view
	}
}

// endRecord takes note of the end of a record, at the end of b.
func (v *vicinity) endRecord(b []byte) {
	header := v.header
	if b, colon := bytes.CutSuffix(b, []byte(":")); colon {
		header = ""
		quoted := v.since == 2 && scan.IsQuote(b[len(b)-1])
		if v.whole && (v.since == 1 || quoted) {
			header = v.cipher
		}
	}
	*v = vicinity{header: header}
}

// self reports whether the link target t of b begins with the name that the path before
// the arrow ends in. Then t is a path after all, as in
// `rename "/dst/.NAME.XXXXXX" -> "NAME"`.
func (v *vicinity) self(b []byte, t scan.Token) bool {
	return t.IsTarget() && t.Lead.End > 0 && string(b[t.Lead.Start:t.Lead.End]) == v.leaf
}
