package decode

import "bytes"

const (
	// minName and maxName are the lengths of the shortest and of the longest
	// encrypted name: 16 bytes and, in file names of at most 255, 11·16 bytes.
	minName = 22
	maxName = 235

	// minTarget is the length of the shortest encrypted link target: one byte,
	// with 16 bytes of nonce and 16 of tag.
	minTarget = 44

	// maxToken is the longest chain or link target. It is above the 4980 bytes
	// that can be asked for, and above the 5504 characters that a target of
	// PATH_MAX bytes takes. Where a chain would grow longer, a new one begins.
	maxToken = 8 << 10

	// maxPart is the longest component of a path (NAME_MAX).
	maxPart = 255

	// A name that would be too long is replaced by longPrefix and its hash, and
	// stands in a file with longSuffix (gocryptfs internal/nametransform).
	longPrefix = "gocryptfs.longname."
	longSuffix = ".name"
	hashLen    = 43

	// munged is what rsync --munge-links puts in front of a target (rsync.h,
	// SYMLINK_PREFIX).
	munged = "/rsyncd-munged/"
)

// A name is the encrypted name b[start:end].
type name struct {
	start, end int
	pad        int  // so many `=` behind end may belong to it
	long       bool // a long name, from its prefix on
}

// A token is a part of the text that may be ciphertext: a chain of names, or
// else the target of a symbolic link.
type token struct {
	start, end int
	names      []name // of a chain; overwritten when the next token is looked for
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
	if i > 0 && isWord(b[i-1]) {
		for i < len(b) && isWord(b[i]) {
			i++ // the rest of a word that proved too long
		}
	}
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		_, arrow := beforeArrow(b, start)
		arrow = arrow && end-start <= maxToken
		if !arrow && end-start > maxName {
			continue
		}
		if end == len(b) && !final {
			return token{start: longStart(b, start), open: true}, true
		}
		if arrow && end-start >= minTarget && (end == len(b) || b[end] != '/') {
			return target(b, start, end, final), true
		}
		if n, ok := nameAt(b, start, end); ok {
			return s.chain(b, n, final), true
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
	for k := len(longPrefix); k > 0; k-- {
		if i := len(b) - k; i >= from && string(b[i:]) == longPrefix[:k] && atBoundary(b, i) {
			return i
		}
	}
	i := len(b)
	for i > from && isWord(b[i-1]) {
		i--
	}
	if len(b)-i >= minName || !atBoundary(b, i) {
		return len(b) // next has seen it: it is too long
	}
	return longStart(b, i)
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
type finding int

const (
	other     finding = iota // nothing that belongs to a chain
	encrypted                // an encrypted name
	passage                  // a directory that may stand in a chain
	undecided                // more bytes have to come
)

// follow finds the next encrypted name of the chain whose last one ends at i,
// behind that one's tail and any passages.
func (s *scanner) follow(b []byte, i int, final bool) (name, finding) {
	i, found := tail(b, i, final)
	for found == passage {
		var n name
		if n, i, found = component(b, i, final); found == encrypted {
			return n, found
		}
	}
	return name{}, found
}

// tail skips what may follow a name in the component of a directory (`~`, `.bak`)
// and the slash. It finds a passage, nothing, or too little.
func tail(b []byte, i int, final bool) (next int, found finding) {
	end := i
	if end < len(b) && (b[end] == '.' || b[end] == '~') {
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
func component(b []byte, i int, final bool) (n name, next int, found finding) {
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
	if end == len(b) && !final && end-hash <= maxName {
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

// target is the token of the link target whose base64 text is b[start:end].
func target(b []byte, start, end int, final bool) token {
	for i := 0; i < 2 && end < len(b) && b[end] == '='; i++ {
		end++ // padding of old file systems
	}
	return token{start: start, end: end, open: end == len(b) && !final}
}

// beforeArrow reports whether the word at start is what a path points to, as in
// `NAME -> TEXT`, and where the text in front of the arrow ends.
func beforeArrow(b []byte, start int) (end int, ok bool) {
	b = bytes.TrimSuffix(b[:start], []byte(munged))
	for i := 0; i < 2 && len(b) > 0 && isQuote(b[len(b)-1]); i++ {
		b = b[:len(b)-1]
	}
	b, ok = bytes.CutSuffix(b, []byte(" -> "))
	return len(b), ok
}

// nameAt reports whether the word b[start:end] is an encrypted name, or the hash
// of a long one.
func nameAt(b []byte, start, end int) (name, bool) {
	n := end - start
	if !isNameLen(n) || b64[b[end-1]]&spareBits(n) != 0 {
		return name{}, false
	}
	long := longStart(b, start)
	if long < start && n != hashLen {
		return name{}, false
	}
	return name{start: long, end: end, pad: padding(b, end, n), long: long < start}, true
}

// holdsName reports whether a word of b[i:end] is an encrypted name.
func holdsName(b []byte, i, end int) bool {
	b = b[:end]
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		if _, ok := nameAt(b, start, end); ok {
			return true
		}
	}
	return false
}

// longStart returns where the long name begins whose hash would begin at start,
// which is start itself if there is no prefix.
func longStart(b []byte, start int) int {
	if i := start - len(longPrefix); i >= 0 && string(b[i:start]) == longPrefix && atBoundary(b, i) {
		return i
	}
	return start
}

// isNameLen reports whether k·16 bytes take n characters, for k from 1 to 11.
func isNameLen(n int) bool {
	k := n * 3 / 64
	return n >= minName && n <= maxName && (k*64+2)/3 == n
}

// spareBits masks the bits of the last of n characters that no byte uses, which
// have to be zero.
func spareBits(n int) byte {
	return [4]byte{2: 15, 3: 3}[n%4]
}

// padding returns how many `=` behind a name of n characters make it a multiple
// of four, if they are all there.
func padding(b []byte, end, n int) int {
	pad := -n & 3
	if end+pad > len(b) || bytes.Count(b[end:end+pad], []byte("=")) < pad {
		return 0
	}
	return pad
}

// nextWord returns the first word of b[i:] that is long enough for a name, and
// len(b), len(b) if there is none. i must not lie in a word.
func nextWord(b []byte, i int) (start, end int) {
	for i+minName <= len(b) {
		k := i + minName - 1
		for k >= i && isWord(b[k]) {
			k--
		}
		if k < i {
			return i, wordEnd(b, i+minName)
		}
		i = k + 1
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
func atBoundary(b []byte, i int) bool { return i == 0 || !isWord(b[i-1]) }

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// notB64 marks the bytes that are no base64url digits.
const notB64 = 0xff

// b64 has the value of each base64url digit.
var b64 = func() (t [256]byte) {
	for i := range t {
		t[i] = notB64
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = byte(i)
	}
	return t
}()

// isWord reports whether names are made of c.
func isWord(c byte) bool { return b64[c] != notB64 }

// path marks the bytes that a chain may hold: no blank, control, quote, bracket.
var path = func() (t [256]bool) {
	for i := range t {
		t[i] = i > ' ' && i != 0x7f && !bytes.ContainsRune([]byte("\"'`<>|()[]{};,*?"), rune(i))
	}
	return t
}()

func isPath(c byte) bool { return path[c] }
