package scan

import "bytes"

const (
	// minName is the length in characters of the shortest encrypted name: base64 of 16
	// bytes. Shorter words are passed over.
	minName = 22

	// maxWord bounds the words that are searched for names, in bytes: two names of the
	// greatest length, and what joins them.
	maxWord = 512

	// maxSequence bounds a control sequence without its last byte, in bytes.
	maxSequence = 32
)

// nextWord returns the first word of b[i:] that is long enough for a name, or
// len(b), len(b) if there is none. i must not lie within a word.
func nextWord(b []byte, i int) (start, end int) {
	for i+minName <= len(b) {
		k := i + minName - 1
		for k >= i && isWord(b[k]) {
			k--
		}
		if k >= i {
			i = k + 1
			continue
		}
		end := wordEnd(b, i+minName)
		if start := afterSequence(b, i); start+minName <= end {
			return start, end
		}
		i = end
	}
	return len(b), len(b)
}

func wordEnd(b []byte, i int) int {
	for i < len(b) && isWord(b[i]) {
		i++
	}
	return i
}

// tooLong reports whether the word at i is longer than maxWord.
func tooLong(b []byte, i int) bool {
	start := i
	for start > 0 && isWord(b[start-1]) && i-start <= maxWord {
		start--
	}
	return wordEnd(b, i)-start > maxWord
}

// atBoundary reports whether a word may begin at i.
func atBoundary(b []byte, i int) bool { return i == 0 || !isWord(b[i-1]) || endsSequence(b, i) }

// afterSequence returns the offset of the word at i without the end of a terminal's
// control sequence: in `ESC [ 0 1 ; 3 4 m NAME` the word would begin with `34m`.
func afterSequence(b []byte, i int) int {
	for end := i + 1; end <= min(len(b), i+maxSequence); end++ {
		if endsSequence(b, end) {
			return end
		}
		if !isDigit(b[end-1]) {
			break
		}
	}
	return i
}

// endsSequence reports whether a terminal's control sequence ends at i (ECMA-48,
// 5.4; ECMA-35, 13.2): `ESC [`, or CSI as a single character, with parameters;
// `ESC ( B` and the like; or ESC and a single character.
func endsSequence(b []byte, i int) bool {
	i-- // at its last byte
	if b[i] < '0' || b[i] > '~' {
		return false
	}
	limit := max(0, i-maxSequence)
	at := i
	for at > limit && b[at-1] >= ' ' && b[at-1] < '0' {
		at--
	}
	if at > 0 && b[at-1] == 0x1b {
		return b[i] != '['
	}
	for at > limit && b[at-1] >= '0' && b[at-1] <= '?' {
		at--
	}
	switch {
	case b[i] < '@' || at == 0:
		return false
	case b[at-1] == '[':
		return at > 1 && b[at-2] == 0x1b
	}
	return b[at-1] == 0x9b && (at == 1 || b[at-2] < 0x80 || b[at-2] == 0xc2) // not the end of another character
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord reports whether c may stand in an encrypted name.
func isWord(c byte) bool { return inWord[c] }

var inWord = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = true
	}
	return t
}()

// isPath reports whether c may stand in a chain: it is no blank, control character,
// quote, bracket or the like.
func isPath(c byte) bool { return inPath[c] }

var inPath = func() (t [256]bool) {
	for i := range t {
		t[i] = i > ' ' && i != 0x7f && !bytes.ContainsRune([]byte("\"'`<>|()[]{};,*?"), rune(i))
	}
	return t
}()
