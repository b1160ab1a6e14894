package decode

import "bytes"

const (
	// minTarget is the length of the shortest encrypted link target: one byte,
	// with 16 bytes of nonce and 16 of tag.
	minTarget = 44

	// maxToken is the longest chain or link target. It is above the 4980 bytes
	// that can be asked for, and above the 5504 characters that a target of
	// PATH_MAX bytes takes. Where a chain would grow longer, a new one begins.
	maxToken = 8 << 10

	// munged is what rsync --munge-links puts in front of a target (rsync.h,
	// SYMLINK_PREFIX).
	munged = "/rsyncd-munged/"
)

// A token is a part of the text that may be ciphertext: a chain of names, or
// else a word that may be the target of a symbolic link.
type token struct {
	start, end int
	names      []name // of a chain; overwritten when the next token is looked for
	arrow      bool   // it is what the path in front of ` -> ` points to
	open       bool   // bytes that follow could still change it
}

// A scanner finds tokens by their shape alone. Its zero value is ready to use.
type scanner struct {
	names []name
}

// next finds the first token of b[i:], where i must not lie in a token. With
// final, nothing follows b; otherwise a token may be open.
//
//	mount/2Kj…A/.~tmp~/x0Q…w/.pB7…g.Xa81bQ      one chain of three names
func (s *scanner) next(b []byte, i int, final bool) (t token, ok bool) {
	if !atBoundary(b, i) {
		i = wordEnd(b, i) // the rest of a word that proved too long, or of a suffix
	}
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		arrow := end-start <= maxToken && afterArrow(b, start)
		if !arrow && end-start > maxPart {
			continue
		}
		if end == len(b) && !final {
			return token{start: longStart(b, start), open: true}, true
		}
		if arrow && end-start >= minTarget && (end == len(b) || b[end] != '/') {
			return target(b, start, end, final), true
		}
		if n, ok := nameAt(b, start, end); ok {
			t := s.chain(b, n, final)
			t.arrow = arrow
			return t, true
		}
		if end-start >= minTarget {
			return target(b, start, end, final), true
		}
	}
	return token{}, false
}

// settled returns the end of the part of b that bytes to come cannot change; what
// follows there may be the beginning of a token. from is where b was settled
// before.
func (s *scanner) settled(b []byte, from int) int {
	i := len(b)
	for i > from && isPath(b[i-1]) {
		i-- // no token reaches across any other byte
	}
	for {
		t, ok := s.next(b, i, false)
		if !ok {
			return lastWord(b, i)
		}
		if t.open {
			return t.start
		}
		i = t.end
	}
}

// lastWord returns where the word or the prefix of a long name begins that b ends
// with, but no earlier than at from, and len(b) if there is none that could grow
// into a name.
func lastWord(b []byte, from int) int {
	i := len(b)
	for i > from && isWord(b[i-1]) {
		i--
	}
	start := len(b) // next has seen what is longer
	if atBoundary(b, i) && len(b)-i < minName+maxSequence {
		start = longStart(b, afterSequence(b, i))
	}
	for k := len(longPrefix); k > 0; k-- {
		if i := len(b) - k; i >= from && string(b[i:]) == longPrefix[:k] && atBoundary(b, i) {
			return min(i, start)
		}
	}
	return start
}

// chain follows the path whose first encrypted name is n.
func (s *scanner) chain(b []byte, n name, final bool) token {
	t := token{start: n.start}
	s.names = append(s.names[:0], n)
	for {
		t.end = n.end + n.pad
		next, found := s.follow(b, t.end, final)
		// What a full chain could still become does not matter any more.
		if found == undecided && len(b)-t.start <= maxToken {
			t.open = true
			return t
		}
		if found != encrypted || next.end-t.start > maxToken {
			t.names = s.names
			return t
		}
		n = next
		s.names = append(s.names, n)
	}
}

// What stands at a place in a path.
type place int

const (
	other     place = iota // nothing that belongs to a chain
	encrypted              // an encrypted name
	passage                // a directory that may stand in a chain
	undecided              // more bytes have to come
)

// follow finds the next encrypted name of the chain whose last one ends at i,
// behind that one's tail and any passages.
func (s *scanner) follow(b []byte, i int, final bool) (name, place) {
	i, found := tail(b, i, final)
	for found == passage {
		var n name
		if n, i, found = component(b, i, final); found == encrypted {
			return n, found
		}
	}
	return name{}, found
}

// tail skips what may follow a name in the component of a directory (`~`, `.bak`,
// `-old`) and the slash. It finds a passage, nothing, or too little.
func tail(b []byte, i int, final bool) (next int, found place) {
	end := i
	if end < len(b) && bytes.IndexByte([]byte(".~-_"), b[end]) >= 0 {
		for end < len(b) && end-i <= maxPart && (isWord(b[end]) || b[end] == '.' || b[end] == '~') {
			end++
		}
	}
	switch {
	case end-i > maxPart:
		return i, other
	case !final && (end == len(b) || string(b[end:]) == "="):
		return i, undecided
	case end == len(b) || b[end] != '/' || holdsName(b, i, end):
		return i, other
	}
	return end + 1, passage
}

// component looks at the path component that begins at b[i]: an encrypted name,
// perhaps behind a dot; a passage, that is another directory with a dot in front
// (--partial-dir, `.~tmp~`) or none between two slashes; or something else. next
// is where the component after a passage begins.
func component(b []byte, i int, final bool) (n name, next int, found place) {
	start := i
	if start < len(b) && b[start] == '.' {
		start++
	}
	hash := start
	if rest := b[start:]; bytes.HasPrefix(rest, []byte(longPrefix)) {
		hash += len(longPrefix)
	} else if !final && len(rest) < len(longPrefix) && string(rest) == longPrefix[:len(rest)] {
		return n, i, undecided
	}
	end := wordEnd(b, hash)
	if end == len(b) && !final && end-hash <= maxPart {
		return n, i, undecided
	}
	if n, ok := nameAt(b, hash, end); ok && n.start == start {
		return n, end, encrypted
	}
	for end = i; end < len(b) && end-i <= maxPart && isPath(b[end]) && b[end] != '/'; end++ {
	}
	switch dir := b[i:end]; {
	case len(dir) > maxPart, len(dir) > 0 && dir[0] != '.':
		return n, i, other
	case end == len(b) && !final:
		return n, i, undecided
	case end == len(b) || b[end] != '/' || string(dir) == ".." || holdsName(b, i, end):
		return n, i, other
	}
	return n, end + 1, passage
}

// target is the token of the word b[start:end] that may be a link target.
func target(b []byte, start, end int, final bool) token {
	arrow := afterArrow(b, start)
	for i := 0; i < 2 && end < len(b) && b[end] == '='; i++ {
		end++ // padding of old file systems
	}
	return token{start: start, end: end, arrow: arrow, open: end == len(b) && !final}
}

// afterArrow reports whether the word at start is what a path points to, as in
// `NAME -> TEXT`.
func afterArrow(b []byte, start int) bool {
	b = bytes.TrimSuffix(b[:start], []byte(munged))
	for i := 0; i < 2 && len(b) > 0 && isQuote(b[len(b)-1]); i++ {
		b = b[:len(b)-1]
	}
	return bytes.HasSuffix(b, []byte(" -> "))
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }
