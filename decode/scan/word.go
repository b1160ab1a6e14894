package scan

import "bytes"

const (
	// minName is the length in characters of the shortest encrypted name: base64 of 16
	// bytes. Shorter words are passed over.
	minName = 22

	// maxWord bounds the words that are searched for names, in bytes: two names of the
	// greatest length, and what joins them.
	maxWord = 512
)

// nextWord returns the first word of b[i:] that is long enough for a name, or
// len(b), len(b) if there is none. i must not lie within a word.
func nextWord(b []byte, i int) (start, end int) {
	for i+minName <= len(b) {
		k := i + minName - 1
		for k >= i && isWord[b[k]] {
			k--
		}
		if k < i {
			return i, wordEnd(b, i+minName)
		}
		i = k + 1
	}
	return len(b), len(b)
}

// wordEnd returns the offset after the word at i.
func wordEnd(b []byte, i int) int {
	for i < len(b) && isWord[b[i]] {
		i++
	}
	return i
}

// wordStart returns the offset of the word that holds b[i-1], or i if there is none. If the
// word is too long up to i, the result lies within it.
func wordStart(b []byte, i int) int {
	start := i
	for start > 0 && isWord[b[start-1]] && i-start <= maxWord {
		start--
	}
	return start
}

// isJoint reports whether c joins what stands in a word.
func isJoint(c byte) bool { return c == '-' || c == '_' }

// isWord holds the bytes that may stand in an encrypted name.
var isWord = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = true
	}
	return t
}()

// isPath holds the bytes that may stand in a path: no blank, control character, quote,
// bracket or the like.
var isPath = func() (t [256]bool) {
	for i := range t {
		t[i] = i > ' ' && i != 0x7f && !bytes.ContainsRune([]byte("\"'`<>|()[]{};,*?"), rune(i))
	}
	return t
}()
