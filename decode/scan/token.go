// Package scan finds what looks encrypted in a text: where tokens begin and end, and the
// shape of names. It knows bytes only.
//
// Each file calls only those after it: token.go, path.go, find.go, housekeeping.go, name.go,
// word.go.
package scan

import "bytes"

const (
	// minTarget is the length in characters of the shortest encrypted link target:
	// base64 of one byte, 16 bytes of nonce and 16 of tag.
	minTarget = 44

	// MaxToken bounds a chain or a link target, in bytes. It is above the 4981 bytes
	// that can be asked for, and above the 5504 characters that a target of PATH_MAX
	// bytes takes. Where a chain would grow longer, a new one begins.
	MaxToken = 8 << 10

	// maxWait bounds, in bytes, a token and the words after it that decide where it ends.
	maxWait = MaxToken + 2*maxWord

	// munged is what rsync --munge-links puts before a target (rsync.h,
	// SYMLINK_PREFIX).
	munged = "/rsyncd-munged/"
)

// A Token is a range of the text that may be ciphertext: a path, or a word that may be the
// target of a symbolic link. It may be both.
type Token struct {
	Start, End int    // including the words that hold the first name and the last one
	Names      []Name // of a path; only the first one may be loose
	Arrow      bool   // it follows ` -> `
	Target     bool   // it is one word, base64 of the length of a target
}

// A Scanner finds tokens by their shape alone. Its zero value is ready to use.
type Scanner struct {
	names []Name // those of all tokens found in a text
}

// All appends to dst the tokens of b[i:]. It overwrites the names of those found before.
func (s *Scanner) All(dst []Token, b []byte, i int) []Token {
	s.names = s.names[:0]
	for t, ok := s.next(b, i); ok; t, ok = s.next(b, t.End) {
		t = s.whole(b, t)
		dst = append(dst, t)
	}
	return dst
}

// next returns the first token of b[i:]; if that is a path, only up to its first name. i must not
// lie within a token.
func (s *Scanner) next(b []byte, i int) (t Token, ok bool) {
	if i > 0 && i < len(b) && isWord[b[i-1]] && isWord[b[i]] && wordEnd(b, i)-wordStart(b, i) > maxWord {
		i = wordEnd(b, i)
	}
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		t := Token{Start: longStart(b, start), End: end}
		t.Arrow = end-start <= MaxToken && afterArrow(b, t.Start)
		n, named := nameAt(b, start, end)
		if stop, ok := targetEnd(b, start, end); ok && start == t.Start && (t.Arrow || end-start <= maxWord) {
			t.End, t.Target = stop, true
			named = named && !(t.Arrow && n.End-n.Start < end-start)
		}
		if named {
			s.names = append(s.names, n)
			t.Names = s.names[len(s.names)-1:]
		}
		if named || t.Target || t.Arrow {
			return t, true // what follows an arrow may grow into a target
		}
	}
	return Token{}, false
}

// whole returns the token t, whose first name is the last one of s, with the rest of its path.
//
//	mount/2Kj…A/.~tmp~/x0Q…w/.pB7…g.Xa81bQ      one path of three names
func (s *Scanner) whole(b []byte, t Token) Token {
	b = b[:min(len(b), t.Start+maxWait)]
	first := len(s.names) - len(t.Names)
	for i := first; i < len(s.names); i++ {
		n := s.names[i]
		if t.End = max(t.End, n.After, n.wordEnd); n.Meta {
			t.End = n.After + len(LongSuffix)
		}
		if next, ok := follow(b, n.After); ok && next.End-t.Start <= MaxToken {
			s.names = append(s.names, next)
		}
	}
	t.Names = s.names[first:]
	t.Target = t.Target && len(t.Names) <= 1
	return t
}

// Rest returns the first token in the rest of the word that holds n, a name of the path t
// of b: two names may stand in a word.
func (s *Scanner) Rest(b []byte, t Token, n Name) (Token, bool) {
	next, ok := nameAt(b[:t.End], n.End, n.wordEnd)
	if !ok {
		return Token{}, false
	}
	s.names = append(s.names, next)
	return s.whole(b[:t.End], Token{Start: n.After, Names: s.names[len(s.names)-1:]}), true
}

// targetEnd returns the offset after the padding of the word b[start:end]. ok reports whether
// the word may be the encrypted target of a link.
func targetEnd(b []byte, start, end int) (stop int, ok bool) {
	pad := b[end:min(len(b), end+2)] // on old file systems
	stop = end + len(pad) - len(bytes.TrimLeft(pad, "="))
	if stop < len(b) && isWord[b[stop]] {
		stop = end
	}
	return stop, end-start >= minTarget && isBase64(b[start:end]) && (stop == len(b) || b[stop] != '/')
}

// afterArrow reports whether an arrow stands before start, as before TEXT in `NAME -> TEXT`.
func afterArrow(b []byte, start int) bool {
	b = bytes.TrimRight(bytes.TrimSuffix(b[:start], []byte(munged)), "\"'`")
	return bytes.HasSuffix(b, []byte(" -> "))
}

// Settled returns the offset in b up to which later bytes cannot change anything. A
// token may begin there. from is what it returned for b[:seen], or 0. It overwrites the
// names of the tokens found before.
//
// No token spans a blank, a quote or the like. What follows the last of these waits, from
// its first token on, for the next one.
func (s *Scanner) Settled(b []byte, from, seen int) int {
	s.names = s.names[:0]
	i := len(b)
	for i > seen && isPath[b[i-1]] {
		i--
	}
	if i == seen {
		i = from
	}
	for {
		t, ok := s.next(b, i)
		switch {
		case !ok:
			return lastWord(b, i)
		case len(b)-t.Start <= maxWait:
			return t.Start
		}
		i = s.whole(b, t).End
	}
}

// lastWord returns the offset of the word at the end of b, or of the long name that it may
// be part of. If there is none, or if it is too long, it returns len(b).
func lastWord(b []byte, from int) int {
	i := wordStart(b, len(b))
	if len(b)-i > maxWord {
		return len(b)
	}
	end := i - 1 // of the word before a dot
	long := end - len(longWord)
	if long >= 0 && bytes.HasPrefix([]byte(LongPrefix), b[long:]) && end-wordStart(b, end) <= maxWord {
		i = wordStart(b, end)
	}
	return max(from, longStart(b, i))
}
