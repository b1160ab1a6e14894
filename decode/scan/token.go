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

	incomplete bool // bytes that follow could still change it
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
	for t, ok := s.next(b, i, true); ok; t, ok = s.next(b, t.End, true) {
		dst = append(dst, t)
	}
	return dst
}

// next returns the first token of b[i:]. i must not lie within a token. If final is
// set, nothing follows b; otherwise the token may be incomplete.
//
//	mount/2Kj…A/.~tmp~/x0Q…w/.pB7…g.Xa81bQ      one chain of three names
func (s *Scanner) next(b []byte, i int, final bool) (t Token, ok bool) {
	if i < len(b) && isWord(b[i]) && !atBoundary(b, i) && (tooLong(b, i) || !mayBegin(b, i)) {
		i = wordEnd(b, i) // of a suffix, or of a word that has been passed over in part
	}
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		arrow := end-start <= MaxToken && afterArrow(b, start)
		// The end of a word that is too long may be held back, as the beginning of LongPrefix.
		if open := end == len(b) && !final && end-start <= maxWord+len(longWord); !arrow && end-start > maxWord && !open {
			continue
		}
		stop, incomplete := beforeLong(b, start, end, final)
		if incomplete || end == len(b) && !final {
			return Token{Start: longStart(b, start), incomplete: true}, true
		}
		end = stop
		if arrow && end-start >= MinTarget && (end == len(b) || b[end] != '/') {
			return targetAt(b, start, end, final), true
		}
		if n, ok := nameAt(b, start, end); ok {
			t := s.chainFrom(b, n, final)
			t.Arrow = arrow
			return t, true
		}
		if end-start >= MinTarget {
			return targetAt(b, start, end, final), true
		}
	}
	return Token{}, false
}

// Settled returns the offset in b up to which later bytes cannot change anything. A
// token may begin there. b[:from] has been settled before. It overwrites the names of
// the tokens found before.
func (s *Scanner) Settled(b []byte, from int) int {
	s.names = s.names[:0]
	i := len(b)
	for i > from && (isPath(b[i-1]) || b[i-1] == ';') {
		i-- // no token spans any other byte; `&#61;` may be padding
	}
	for {
		t, ok := s.next(b, i, false)
		if !ok {
			return lastWord(b, i)
		}
		if t.incomplete {
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
	start := len(b) // next has checked longer words
	if mayBegin(b, i) && len(b)-i < minName+maxSequence {
		start = longStart(b, afterSequence(b, i))
	}
	for k := len(LongPrefix); k > 0; k-- {
		if i := len(b) - k; i >= from && string(b[i:]) == LongPrefix[:k] && mayBegin(b, i) {
			return min(i, start)
		}
	}
	return start
}

// chainFrom returns the token of the path whose first encrypted name is n.
func (s *Scanner) chainFrom(b []byte, n Name, final bool) Token {
	t := Token{Start: min(n.Start, n.wordStart)}
	first := len(s.names)
	for {
		next, found := s.follow(b, n.After, final)
		n.Meta = n.isMeta(b)
		// What follows `.name` in its word is passed over with that word.
		if !final && (growsIntoPadding(b[n.End:]) || n.Meta && isOpen(b, n.After+1)) {
			found = undecided
		}
		// A chain of full length does not wait for more bytes than its last suffix takes.
		if found == undecided && len(b)-t.Start <= MaxToken+2*maxWord {
			t.incomplete = true
			return t
		}
		s.names = append(s.names, n)
		if found != encrypted || next.End-t.Start > MaxToken {
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
	return s.chainFrom(b[:t.End], next, true), true
}

// A place is what stands at an offset in a path.
type place int

const (
	other     place = iota // nothing that belongs to a chain
	encrypted              // an encrypted name
	plainDir               // another directory that may stand in a chain
	undecided              // more bytes are needed
)

// follow finds the next encrypted name of the chain whose last name ends at i. It
// skips the suffix of that name and any plainDirs.
func (s *Scanner) follow(b []byte, i int, final bool) (Name, place) {
	i, found := skipSuffix(b, i, final)
	for found == plainDir {
		var n Name
		if n, i, found = component(b, i, final); found == encrypted {
			return n, found
		}
	}
	return Name{}, found
}

// skipSuffix skips what may follow a name in the component of a directory (`~`, `.bak`,
// `-old`), and the slash after it. It finds plainDir, other or undecided.
func skipSuffix(b []byte, i int, final bool) (next int, found place) {
	end := i
	if end < len(b) && bytes.IndexByte([]byte(".~-_"), b[end]) >= 0 {
		for end < len(b) && end-i <= maxComponent && (isWord(b[end]) || b[end] == '.' || b[end] == '~') {
			end++
		}
	}
	switch {
	case end-i > maxComponent:
		return i, other
	case end == len(b) && !final:
		return i, undecided
	case end == len(b) || b[end] != '/' || containsName(b, i, end):
		return i, other
	}
	return end + 1, plainDir
}

// component finds what stands at b[i], where a path component begins: an encrypted
// name, perhaps after a dot; a plainDir, which is another directory that starts with
// a dot (--partial-dir, `.~tmp~`) or nothing between two slashes; or something else.
// next is the offset of the component after a plainDir.
func component(b []byte, i int, final bool) (n Name, next int, found place) {
	start := i
	if start < len(b) && b[start] == '.' {
		start++
	}
	for more := true; more && start-i <= maxWord; start += len(LongPrefix) {
		end := wordEnd(b, start)
		if end == len(b) && !final && end-start <= maxWord {
			return n, i, undecided
		}
		stop, incomplete := beforeLong(b, start, end, final)
		if incomplete {
			return n, i, undecided
		}
		if n, ok := nameAt(b, start, stop); ok {
			return n, end, encrypted
		}
		start, more = stop, stop < end
	}
	var end int
	for end = i; end < len(b) && end-i <= maxComponent && isPath(b[end]) && b[end] != '/'; end++ {
	}
	switch dir := b[i:end]; {
	case len(dir) > maxComponent, len(dir) > 0 && dir[0] != '.':
		return n, i, other
	case end == len(b) && !final:
		return n, i, undecided
	case end == len(b) || b[end] != '/' || string(dir) == ".." || containsName(b, i, end):
		return n, i, other
	}
	return n, end + 1, plainDir
}
