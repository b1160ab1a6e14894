package scan

import (
	"bytes"
	"encoding/base64"
)

const (
	// maxName is the length in characters of the longest encrypted name: base64 of 11·16
	// bytes, the most that fits into a file name of 255.
	maxName = 235

	// maxComponent bounds a component of a path, in bytes (NAME_MAX).
	maxComponent = 255

	// LongPrefix and a hash replace a name that would be too long. The name is stored in a
	// file with longSuffix (gocryptfs internal/nametransform).
	LongPrefix = "gocryptfs.longname."
	longSuffix = ".name"
	hashLen    = 43
)

// A Name is the encrypted name b[Start:End].
type Name struct {
	Start, End int
	Pad        int  // number of `=` after End that may belong to it
	long       bool // including its prefix
}

// nameAt returns the name at the word b[start:end], which may be the hash of a long
// name: the whole word or, if that is no name, the longest name before a suffix.
func nameAt(b []byte, start, end int) (Name, bool) {
	if isName(b[start:end]) {
		if n := newName(b, start, end); !n.long || end-start == hashLen {
			n.Pad = padding(b, end, end-start)
			return n, true
		}
	}
	return nameBefore(b, start, end)
}

// Shorter returns the longest name that n begins with if the rest of n is a suffix,
// as in `NAME-2026-11-23`.
func (n Name) Shorter(b []byte) (Name, bool) {
	start := n.Start
	if n.long {
		start += len(LongPrefix)
	}
	return nameBefore(b, start, n.End)
}

// nameBefore returns the longest name that begins at start and is followed by a `-`
// or `_` before end.
func nameBefore(b []byte, start, end int) (Name, bool) {
	for stop := min(end-1, start+maxName); stop >= start+minName; stop-- {
		if b[stop] != '-' && b[stop] != '_' || !isName(b[start:stop]) {
			continue
		}
		if n := newName(b, start, stop); !n.long || stop-start == hashLen {
			return n, true
		}
	}
	return Name{}, false
}

// newName returns the name of the word b[start:end], with the prefix of a long name.
func newName(b []byte, start, end int) Name {
	long := longStart(b, start)
	return Name{Start: long, End: end, long: long < start}
}

// IsHousekeeping reports whether n is part of `gocryptfs.longname.X.name`.
func (n Name) IsHousekeeping(b []byte) bool {
	rest, ok := bytes.CutPrefix(b[n.End+n.Pad:], []byte(longSuffix))
	return n.long && ok && (len(rest) == 0 || !isWord(rest[0]) || rest[0] == '-' || rest[0] == '_')
}

var strict = base64.RawURLEncoding.Strict()

// isName reports whether a word is the base64url of k·16 bytes, with k from 1 to 11
// and the spare bits zero.
func isName(word []byte) bool {
	n := len(word)
	return n >= minName && n <= maxName && strict.DecodedLen(n)%16 == 0 && isBase64(word)
}

// isBase64 reports whether a word is base64url with spare bits of zero. It decodes only
// the last digits, which have these bits.
func isBase64(word []byte) bool {
	var last [3]byte
	_, err := strict.Decode(last[:], word[len(word)&^3:])
	return err == nil
}

// IsEncrypted reports whether a whole component of a path is an encrypted name.
func IsEncrypted(part []byte) bool {
	hash, long := bytes.CutPrefix(part, []byte(LongPrefix))
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

// containsName reports whether a word of b[i:end] is an encrypted name.
func containsName(b []byte, i, end int) bool {
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
	if i := start - len(LongPrefix); i >= 0 && string(b[i:start]) == LongPrefix && atBoundary(b, i) {
		return i
	}
	return start
}
