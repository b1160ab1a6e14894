package style

import "regexp"

// openForm matches a control sequence without its last byte, and the beginning of a control
// string, such as a title or the target of a hyperlink (ECMA-48, 5.4 and 5.6).
var openForm = regexp.MustCompile(`^(?:(?:\x1b[ -/]*|(?:\x1b\[|\x{9b})[ -?]*|\x{fffd})$|\x1b[]PX^_]|[\x{90}\x{98}\x{9d}-\x{9f}])`)

// OpenSequence returns the control sequence or string at the end of b that is not complete:
// no other one may be put into it.
func OpenSequence(b []byte) []byte {
	const most = 2 << 10 // bytes, so that hostile text costs little
	b = b[max(0, len(b)-most):]
	start := len(b)
	for i := start - 1; i >= 0 && b[i] != '\a' && b[i] != '\r' && b[i] != '\n'; i-- {
		// ESC, or U+0080 to U+009F, of which only one byte may be there.
		if b[i] == 0x1b || b[i] == 0xc2 && (i+1 == len(b) || b[i+1] < 0xa0) {
			if !openForm.Match(b[i:start]) {
				break
			}
			start = i
		}
	}
	return b[start:]
}
