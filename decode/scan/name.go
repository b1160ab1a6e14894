package scan

import (
	"bytes"
	"encoding/base64"
	"strings"
)

const hashLen = 43 // of a long name

// lengths are those of encrypted names, in characters: base64 of 16 to 11·16 bytes, the most
// that fits into a file name of 255.
var lengths = [...]int{235, 214, 192, 171, 150, 128, 107, 86, 64, 43, 22}

// A Name is the encrypted name b[Start:End].
type Name struct {
	Start, End int
	Pad        int  // number of `=` after it that may belong to it
	After      int  // offset after these, which may be spelled out
	Meta       bool // it is part of `gocryptfs.longname.X.name`
	Loose      bool // glued to other letters: only its length says where it begins or ends

	wordStart, wordEnd int // of the word that holds it, without the prefix of a long name
}

// newName returns the name b[start:end], with the prefix of a long name, in a word.
func newName(b []byte, start, end, wordStart, wordEnd int) Name {
	n := Name{Start: longStart(b, start), End: end, After: end, wordStart: wordStart, wordEnd: wordEnd}
	n.Loose = start > wordStart && !isJoint(b[start-1]) || end < wordEnd && !isJoint(b[end])
	if end == wordEnd {
		n.Pad, n.After = padding(b, end, end-start)
	}
	if rest, ok := bytes.CutPrefix(b[n.After:], []byte(LongSuffix)); ok && n.Start < start {
		n.Meta = len(rest) == 0 || !isWord[rest[0]] || isJoint(rest[0])
	}
	return n
}

var strict = base64.RawURLEncoding.Strict()

// isName reports whether a word is the base64url of k·16 bytes, with k from 1 to 11
// and the spare bits zero.
func isName(word []byte) bool {
	n := len(word)
	return n >= minName && n <= lengths[0] && strict.DecodedLen(n)%16 == 0 && isBase64(word)
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

// padding returns the number of `=` after a name of n characters that pad it to a multiple
// of four, and the offset after them. URLs and quoted-printable spell them out. If they are
// not all there, these are 0 and i.
func padding(b []byte, i, n int) (pad, end int) {
	end = i
	for range -n & 3 {
		switch rest := string(b[end:min(len(b), end+3)]); {
		case rest == "=3D", rest == "%3D", rest == "%3d":
			end += 3
		case strings.HasPrefix(rest, "="):
			end++
		default:
			return 0, i
		}
	}
	return -n & 3, end
}
