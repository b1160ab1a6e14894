package scan

import "bytes"

// targetAt returns the token of the word b[start:end], which may be a link target.
func targetAt(b []byte, start, end int) Token {
	arrow := afterArrow(b, start)
	padded := end
	for i := 0; i < 2 && padded < len(b) && b[padded] == '='; i++ {
		padded++ // on old file systems
	}
	if padded == len(b) || !isWord(b[padded]) {
		end = padded
	}
	t := Token{Start: start, End: end, Arrow: arrow}
	if arrow {
		t.Lead, _ = nameAt(b, start, wordEnd(b, start))
	}
	return t
}

// afterArrow reports whether the word at start follows an arrow, as TEXT does in
// `NAME -> TEXT`.
func afterArrow(b []byte, start int) bool {
	b = bytes.TrimSuffix(b[:start], []byte(munged))
	for i := 0; i < 2 && len(b) > 0 && isQuote(b[len(b)-1]); i++ {
		b = b[:len(b)-1]
	}
	return bytes.HasSuffix(b, []byte(" -> "))
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }
