package scan

import (
	"bytes"
	"strings"
)

// whole returns the token t, whose first name is the last one of s, with the rest of its path.
//
//	mount/2Kj…A/.~tmp~/x0Q…w/.pB7…g.Xa81bQ      one path of three names
func (s *Scanner) whole(b []byte, t Token) Token {
	b = b[:min(len(b), t.Start+maxWait)]
	first := len(s.names) - len(t.Names)
	for i := first; i < len(s.names); i++ {
		n := &s.names[i]
		n.Meta = n.isMeta(b)
		t.End = max(t.End, n.end())
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
	if n.After >= n.wordEnd {
		return Token{}, false
	}
	next, ok := nameAt(b[:t.End], n.After, n.wordEnd)
	if !ok {
		return Token{}, false
	}
	s.names = append(s.names, next)
	return s.whole(b[:t.End], Token{Start: n.After, Names: s.names[len(s.names)-1:]}), true
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
		for end < len(b) && end-i <= maxComponent && (isWord[b[end]] || b[end] == '.' || b[end] == '~') {
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
		if n, ok := nameAt(b, start, stop); ok && !n.Loose {
			return n, true
		}
		start, more = stop, stop < end
	}
	return Name{}, false
}

// skipDir returns the offset after the path component at i, if that is a directory that
// starts with a dot (--partial-dir, `.~tmp~`).
func skipDir(b []byte, i int) (next int, ok bool) {
	end := i
	for end < len(b) && end-i <= maxComponent && isPath[b[end]] && b[end] != '/' {
		end++
	}
	dir := string(b[i:end])
	ok = strings.HasPrefix(dir, ".") && dir != ".." && len(dir) <= maxComponent
	return end + 1, ok && end < len(b) && b[end] == '/' && !containsName(b, i, end)
}
