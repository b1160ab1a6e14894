// Package scan finds what looks encrypted in a text: where tokens begin and end, and the
// shape of names. It knows bytes only.
package scan

import "bytes"

const (
	// MinTarget is the length in characters of the shortest encrypted link target:
	// base64 of one byte, 16 bytes of nonce and 16 of tag.
	MinTarget = 44

	// MaxToken bounds a chain or a link target, in bytes. It is above the 4980 bytes
	// that can be asked for, and above the 5504 characters that a target of PATH_MAX
	// bytes takes. Where a chain would grow longer, a new one begins.
	MaxToken = 8 << 10

	// maxWait bounds, in bytes, a token and the words after it that decide where it ends.
	maxWait = MaxToken + 2*maxWord

	// munged is what rsync --munge-links puts before a target (rsync.h,
	// SYMLINK_PREFIX).
	munged = "/rsyncd-munged/"
)

// A Token is a range of the text that may be ciphertext: a chain of names, or a
// word that may be the target of a symbolic link.
type Token struct {
	Start, End int    // including the words that hold the first name and the last one
	Names      []Name // of a chain, at least one; nil for a link target
	Arrow      bool   // it follows ` -> `
	Lead       Name   // the name that a link target after an arrow begins with, if there is one
}

// IsTarget reports whether t is no chain, but a word that may be a link target.
func (t *Token) IsTarget() bool { return t.Names == nil }

// LooksEncrypted reports whether the link target t of b may have been made by gocryptfs.
func (t *Token) LooksEncrypted(b []byte) bool {
	return isBase64(bytes.TrimRight(b[t.Start:t.End], "="))
}

// First returns the offset of the first name, or of the link target.
func (t *Token) First() int {
	if t.IsTarget() {
		return t.Start
	}
	return t.Names[0].Start
}

// A Scanner finds tokens by their shape alone. Its zero value is ready to use.
type Scanner struct {
	names []Name // those of all tokens found in a text
}

// All appends to dst the tokens of b[i:]. It overwrites the names of those found before.
func (s *Scanner) All(dst []Token, b []byte, i int) []Token {
	s.names = s.names[:0]
	for t, ok := s.next(b, i); ok; t, ok = s.next(b, t.End) {
		dst = append(dst, t)
	}
	return dst
}

// next returns the first token of b[i:]. i must not lie within a token.
//
//	mount/2Kj…A/.~tmp~/x0Q…w/.pB7…g.Xa81bQ      one chain of three names
func (s *Scanner) next(b []byte, i int) (t Token, ok bool) {
	if i < len(b) && isWord(b[i]) && !atBoundary(b, i) && (tooLong(b, i) || !mayBegin(b, i)) {
		i = wordEnd(b, i) // of a suffix, or of a word that has been passed over in part
	}
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		arrow := end-start <= MaxToken && afterArrow(b, start)
		if !arrow && end-start > maxWord {
			continue
		}
		end = beforeLong(b, start, end)
		if arrow && end-start >= MinTarget && (end == len(b) || b[end] != '/') {
			return targetAt(b, start, end), true
		}
		if n, ok := nameAt(b, start, end); ok {
			t := s.chainFrom(b, n)
			t.Arrow = arrow
			return t, true
		}
		if end-start >= MinTarget {
			return targetAt(b, start, end), true
		}
	}
	return Token{}, false
}

// Settled returns the offset in b up to which later bytes cannot change anything. A
// token may begin there. b[:from] has been settled before. It overwrites the names of
// the tokens found before.
//
// No token spans a blank, a quote or the like. What follows the last of these waits, from
// its first token on, for the next one.
func (s *Scanner) Settled(b []byte, from int) int {
	s.names = s.names[:0]
	i := len(b)
	for i > from && (isPath(b[i-1]) || b[i-1] == ';') {
		i-- // `&#61;` may be padding
	}
	for {
		t, ok := s.next(b, i)
		switch {
		case !ok:
			return lastWord(b, i)
		case len(b)-t.Start <= maxWait:
			return t.Start
		}
		i = t.End
	}
}

// lastWord returns the offset of the word, or of the beginning of LongPrefix, at the
// end of b, if it could grow into a name; otherwise it returns len(b). The result is
// at least from.
func lastWord(b []byte, from int) int {
	i := len(b)
	for i > from && isWord(b[i-1]) {
		i--
	}
	if len(b)-i > maxWord || !mayBegin(b, i) {
		return len(b)
	}
	start := longStart(b, afterSequence(b, i))
	for k := len(LongPrefix); k > 0; k-- {
		if i := len(b) - k; i >= from && string(b[i:]) == LongPrefix[:k] && mayBegin(b, i) && !tooLong(b, i) {
			return min(i, start)
		}
	}
	return start
}

// chainFrom returns the token of the path whose first encrypted name is n.
func (s *Scanner) chainFrom(b []byte, n Name) Token {
	t := Token{Start: min(n.Start, n.wordStart)}
	b = b[:min(len(b), t.Start+maxWait)]
	first := len(s.names)
	for {
		next, found := follow(b, n.After)
		n.Meta = n.isMeta(b)
		s.names = append(s.names, n)
		if !found || next.End-t.Start > MaxToken {
			t.Names, t.End = s.names[first:], n.end()
			return t
		}
		n = next
	}
}

// Rest returns the first token in the rest of the word that holds n, a name of the chain t
// of b: two names may be joined by `-` or `_`.
func (s *Scanner) Rest(b []byte, t Token, n Name) (Token, bool) {
	if n.After >= n.wordEnd {
		return Token{}, false
	}
	next, ok := nameAt(b[:t.End], n.After, n.wordEnd)
	if !ok {
		return Token{}, false
	}
	return s.chainFrom(b[:t.End], next), true
}

// follow returns the next encrypted name of the chain whose last name ends at i. It skips
// the suffix of that name and other directories that may stand in a chain.
func follow(b []byte, i int) (n Name, ok bool) {
	for i, ok = skipSuffix(b, i); ok; i, ok = skipDir(b, i) {
		if n, ok = leafAt(b, i); ok {
			return n, true
		}
	}
	return Name{}, false
}

// skipSuffix returns the offset after what may follow a name in the component of a
// directory (`~`, `.bak`, `-old`), and after the slash. ok is false if no slash follows.
func skipSuffix(b []byte, i int) (next int, ok bool) {
	end := i
	if end < len(b) && bytes.IndexByte([]byte(".~-_"), b[end]) >= 0 {
		for end < len(b) && end-i <= maxComponent && (isWord(b[end]) || b[end] == '.' || b[end] == '~') {
			end++
		}
	}
	return end + 1, end-i <= maxComponent && end < len(b) && b[end] == '/' && !containsName(b, i, end)
}

// leafAt returns the encrypted name of the path component at i, perhaps after a dot.
func leafAt(b []byte, i int) (Name, bool) {
	start := i
	if start < len(b) && b[start] == '.' {
		start++
	}
	for more := true; more && start-i <= maxWord; start += len(LongPrefix) {
		end := wordEnd(b, start)
		stop := beforeLong(b, start, end)
		if n, ok := nameAt(b, start, stop); ok {
			return n, true
		}
		start, more = stop, stop < end
	}
	return Name{}, false
}

// skipDir returns the offset after the path component at i, if that is a directory that
// starts with a dot (--partial-dir, `.~tmp~`) or nothing between two slashes.
func skipDir(b []byte, i int) (next int, ok bool) {
	end := i
	for end < len(b) && end-i <= maxComponent && isPath(b[end]) && b[end] != '/' {
		end++
	}
	dir := string(b[i:end])
	ok = dir == "" || dir[0] == '.' && dir != ".." && len(dir) <= maxComponent
	return end + 1, ok && end < len(b) && b[end] == '/' && !containsName(b, i, end)
}
