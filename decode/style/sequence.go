package style

import (
	"bytes"
	"regexp"
)

// InString reports whether a control string of a terminal, such as a title or the target of
// a hyperlink, is open at the end of b (ECMA-48, 5.6).
func InString(b []byte) bool {
	const most = 2 << 10 // bytes before a name, so that hostile text costs little
	b = b[max(0, len(b)-most):]
	i := bytes.LastIndexByte(b, 0x1b)
	return i >= 0 && len(b) > i+1 && bytes.IndexByte([]byte("]PX^_"), b[i+1]) >= 0 && !bytes.ContainsAny(b[i:], "\a\r\n")
}

// openForm matches a control sequence of a terminal without its last byte. Another one
// must not be put into it.
var openForm = regexp.MustCompile(`(?:(?:\x1b|(?:\x1b\[|\x{9b})[0-?]*)[ -/]*)+$`)

// OpenSequence returns the control sequence at the end of b that is not complete.
func OpenSequence(b []byte) []byte {
	const most = 32 // bytes
	return openForm.Find(b[max(0, len(b)-most):])
}
