package scan

import "strings"

const (
	// minName is the length in characters of the shortest encrypted name: base64 of 16
	// bytes. Shorter words are passed over.
	minName = 22

	// maxWord bounds the words that are searched for names, in bytes: two names of the
	// greatest length, and what joins them.
	maxWord = 512

	// LongPrefix and a hash replace a name that would be too long (gocryptfs
	// internal/nametransform). It begins with longWord.
	LongPrefix = "gocryptfs.longname."
	longWord   = "gocryptfs"
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

// wordEnd returns the offset after the word that holds b[i-1] or begins at i. A long name
// begins a new word.
func wordEnd(b []byte, i int) int {
	for i < len(b) && isWord[b[i]] {
		i++
	}
	if long := i - len(longWord); longStart(b, long+len(LongPrefix)) == long {
		return long
	}
	return i
}

// wordStart returns the offset of the word that holds b[i-1], or i if there is none. If more
// than maxWord bytes of the word come before i, the result lies within it.
func wordStart(b []byte, i int) int {
	start := i
	for start > 0 && isWord[b[start-1]] && i-start <= maxWord {
		start--
	}
	return start
}

// longStart returns the offset of the long name whose hash begins at start, or start
// if there is no prefix before it.
func longStart(b []byte, start int) int {
	if i := start - len(LongPrefix); i >= 0 && start <= len(b) && string(b[i:start]) == LongPrefix {
		if end := i + len(longWord); end-wordStart(b, end) <= maxWord {
			return i
		}
	}
	return start
}

// isJoint reports whether c joins what stands in a word.
func isJoint(c byte) bool { return c == '-' || c == '_' }

// table returns the bytes for which in reports true.
func table(in func(c byte) bool) (t [256]bool) {
	for c := range t {
		t[c] = in(byte(c))
	}
	return t
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

var (
	// isWord holds the bytes that may stand in an encrypted name.
	isWord = table(func(c byte) bool { return strings.IndexByte(digits, c) >= 0 })

	// isSuffix holds those that may follow a name in its component of a path.
	isSuffix = table(func(c byte) bool { return isWord[c] || c == '.' || c == '~' })

	// isPath holds those that may stand in a path: no blank, control character, quote,
	// bracket or the like.
	isPath = table(func(c byte) bool { return c > ' ' && strings.IndexByte("\"'`<>|()[]{};,*?\x7f", c) < 0 })
)
