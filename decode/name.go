package decode

import (
	"bytes"
	"encoding/base64"
)

const (
	// minName and maxName are the lengths in characters of the shortest and the
	// longest encrypted name: base64 of 16 bytes and of 11·16 bytes, the most that
	// fits into a file name of 255.
	minName = 22
	maxName = 235

	// maxComponent bounds a component of a path, in bytes (NAME_MAX).
	maxComponent = 255

	// gocryptfs replaces a name that would be too long by longPrefix and its hash, and
	// stores the name in a file with longSuffix (gocryptfs internal/nametransform).
	longPrefix = "gocryptfs.longname."
	longSuffix = ".name"
	hashLen    = 43

	// maxSequence bounds a control sequence without its last byte, in bytes.
	maxSequence = 32
)

// A name is the encrypted name b[start:end].
type name struct {
	start, end int
	pad        int  // number of `=` after end that may belong to it
	long       bool // a long name, including its prefix
}

// nameAt returns the name at the word b[start:end], which may be the hash of a long
// name: the whole word or, if that is no name, the longest name before a suffix.
func nameAt(b []byte, start, end int) (name, bool) {
	if isName(b[start:end]) {
		if n := newName(b, start, end); !n.long || end-start == hashLen {
			n.pad = padding(b, end, end-start)
			return n, true
		}
	}
	return nameBefore(b, start, end)
}

// shorter returns the longest name that n begins with if the rest of n is a suffix,
// as in `NAME-2026-11-23`.
func (n name) shorter(b []byte) (name, bool) {
	start := n.start
	if n.long {
		start += len(longPrefix)
	}
	return nameBefore(b, start, n.end)
}

// nameBefore returns the longest name that begins at start and is followed by a `-`
// or `_` before end.
func nameBefore(b []byte, start, end int) (name, bool) {
	for stop := min(end-1, start+maxName); stop >= start+minName; stop-- {
		if b[stop] != '-' && b[stop] != '_' || !isName(b[start:stop]) {
			continue
		}
		if n := newName(b, start, stop); !n.long || stop-start == hashLen {
			return n, true
		}
	}
	return name{}, false
}

// newName returns the name of the word b[start:end], with the prefix of a long name.
func newName(b []byte, start, end int) name {
	long := longStart(b, start)
	return name{start: long, end: end, long: long < start}
}

// isHousekeeping reports whether n is part of `gocryptfs.longname.X.name`.
func (n name) isHousekeeping(b []byte) bool {
	rest, ok := bytes.CutPrefix(b[n.end+n.pad:], []byte(longSuffix))
	return n.long && ok && (len(rest) == 0 || !isWord(rest[0]) || rest[0] == '-' || rest[0] == '_')
}

var strict = base64.RawURLEncoding.Strict()

// isName reports whether a word is the base64url of k·16 bytes, with k from 1 to 11
// and the spare bits zero. It decodes only the last digits, which have these bits.
func isName(word []byte) bool {
	n := len(word)
	if n < minName || n > maxName || strict.DecodedLen(n)%16 != 0 {
		return false
	}
	var last [3]byte
	_, err := strict.Decode(last[:], word[n&^3:])
	return err == nil
}

// isEncrypted reports whether a whole component of a path is an encrypted name.
func isEncrypted(part []byte) bool {
	hash, long := bytes.CutPrefix(part, []byte(longPrefix))
	word := bytes.TrimRight(hash, "=")
	return isName(word) && (!long || len(word) == hashLen) && (len(word) == len(hash) || len(hash)%4 == 0)
}

// padding returns the number of `=` at end that pad a name of n characters to a
// multiple of four, or 0 if they are not all there.
func padding(b []byte, end, n int) int {
	pad := -n & 3
	if end+pad > len(b) || bytes.Count(b[end:end+pad], []byte("=")) < pad {
		return 0
	}
	return pad
}

// holdsName reports whether a word of b[i:end] is an encrypted name.
func holdsName(b []byte, i, end int) bool {
	b = b[:end]
	for start, end := nextWord(b, wordEnd(b, i)); start < len(b); start, end = nextWord(b, end) {
		if isName(b[start:end]) {
			return true
		}
	}
	return false
}

// longStart returns the offset of the long name whose hash begins at start, or start
// if there is no prefix before it.
func longStart(b []byte, start int) int {
	if i := start - len(longPrefix); i >= 0 && string(b[i:start]) == longPrefix && atBoundary(b, i) {
		return i
	}
	return start
}

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
		return b[i] != '[' || at < i
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
