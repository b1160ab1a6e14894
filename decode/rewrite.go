package decode

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Names translates paths relative to the root of the encrypted view. Its methods
// are called from several goroutines. They report false if there is no such name
// or nobody to ask.
type Names interface {
	// Prepare is told of cipher paths that Decrypt will be called with, and may ask
	// for them already. The function that it returns waits for the answers.
	Prepare(ciphers []string) (wait func())
	// Decrypt returns the plain path of a cipher path, with as many components.
	Decrypt(cipher string) (plain string, ok bool)
	// Encrypt is the inverse of Decrypt.
	Encrypt(plain string) (cipher string, ok bool)
}

// A rewriter replaces the tokens of a text. It belongs to one goroutine.
type rewriter struct {
	scanner
	names Names
	tree  *Tree
	index *Index
	count Stats

	mark    func(dst []byte, text []byte) []byte // appends what stayed encrypted; may be nil
	path    []byte                               // scratch: a cipher path
	ciphers []string                             // scratch: those of a window
}

// A window is a part of the text that ends where a line does, or at least no token
// is cut. Its names are asked for together, which is much faster than one after the
// other.
type window struct {
	end    int
	tokens bool   // there are any
	wait   func() // for the answers; nil if nothing has been asked
}

// prepare begins a window at b[from], and has its names asked for: n of them, if
// there are as many, and those in the rest of the line.
func (w *rewriter) prepare(b []byte, from, n int) (next window) {
	w.ciphers = w.ciphers[:0]
	for next.end = len(b); ; {
		t, ok := w.next(b[:next.end], from, true)
		if !ok {
			break
		}
		next.tokens = true
		from = t.end
		if t.names == nil {
			continue // a link target: who points to it is asked for
		}
		w.path = appendCipher(w.path[:0], b, t.names, true)
		w.ciphers = append(w.ciphers, w.tree.bases(w.path)[0]+string(w.path))
		if len(w.ciphers) == n {
			next.end = lineEnd(b[:next.end], from)
		}
	}
	if len(w.ciphers) > 1 {
		next.wait = w.names.Prepare(w.ciphers)
	}
	return next
}

// A found part of a chain, names[first:last], has been decrypted.
type found struct {
	first, last   int
	padded        bool   // the `=` behind its names belong to them
	cipher, plain string // of the last name, from the root of the view
}

// rewrite appends b[from:] to dst, with its tokens decoded. What stands in front
// of from has been dealt with; it only tells what a link target belongs to.
func (w *rewriter) rewrite(dst, b []byte, from int) []byte {
	for {
		t, ok := w.next(b, from, true)
		if !ok {
			return append(dst, b[from:]...)
		}
		dst = append(dst, b[from:t.start]...)
		if t.names == nil {
			dst, from = w.target(dst, b, t)
			continue
		}
		dst = w.chain(dst, b, t)
		from = t.end
	}
}

// chain appends the decoded chain t of b.
func (w *rewriter) chain(dst, b []byte, t token) []byte {
	f, ok := w.resolve(b, t.names)
	if !ok {
		w.count.Encrypted++
		return w.appendEncrypted(dst, b[t.start:t.end])
	}
	if f.last-f.first < len(t.names) {
		w.count.Encrypted++
	} else {
		w.count.Decoded++
	}
	w.index.add(f.cipher, f.plain)
	plain := f.plain
	for n := strings.Count(plain, "/") + 1; n > f.last-f.first; n-- {
		_, plain, _ = strings.Cut(plain, "/") // the path is relative to that
	}
	pos := t.start
	for i, n := range t.names {
		dst = append(dst, b[pos:n.start]...)
		pos = n.end
		if i < f.first || i >= f.last {
			dst = w.appendEncrypted(dst, b[n.start:n.end])
			continue
		}
		if n.isHousekeeping(b) {
			dst = append(dst, longPrefix...)
		}
		var s string
		s, plain, _ = strings.Cut(plain, "/")
		dst = appendEscaped(dst, s)
		if f.padded {
			pos += n.pad
		}
	}
	return append(dst, b[pos:t.end]...)
}

// isHousekeeping reports whether n is the hash in `gocryptfs.longname.X.name`.
func (n name) isHousekeeping(b []byte) bool {
	rest, ok := bytes.CutPrefix(b[n.end+n.pad:], []byte(longSuffix))
	return n.long && ok && (len(rest) == 0 || !isWord(rest[0]))
}

// resolve decrypts a chain: the whole of it or, if that fails, the longest part
// from the first name that decrypts as the root of the tree.
func (w *rewriter) resolve(b []byte, names []name) (found, bool) {
	if f, ok := w.ask(b, names, 0, len(names)); ok || len(names) == 1 {
		return f, ok
	}
	for first := range names {
		f, ok := w.ask(b, names, first, first+1)
		if !ok {
			continue
		}
		for f.last < len(names) {
			longer, ok := w.ask(b, names, first, f.last+1)
			if !ok {
				break
			}
			f = longer
		}
		return f, true
	}
	return found{}, false
}

// ask decrypts names[first:last]: with padding, if there is any, and without; from
// each directory that the path may be relative to.
func (w *rewriter) ask(b []byte, names []name, first, last int) (found, bool) {
	padded := slices.ContainsFunc(names[first:last], func(n name) bool { return n.pad > 0 })
	for _, pad := range []bool{true, false} {
		if pad && !padded {
			continue
		}
		w.path = appendCipher(w.path[:0], b, names[first:last], pad)
		for _, base := range w.tree.bases(w.path) {
			if f, ok := w.decrypt(base + string(w.path)); ok {
				f.first, f.last, f.padded = first, last, pad
				return f, true
			}
		}
	}
	return found{}, false
}

// appendCipher appends the cipher path that a chain stands for.
func appendCipher(dst, b []byte, names []name, pad bool) []byte {
	for i, n := range names {
		if i > 0 {
			dst = append(dst, '/')
		}
		end := n.end
		if pad {
			end += n.pad
		}
		dst = append(dst, b[n.start:end]...)
	}
	return dst
}

// decrypt asks for one cipher path. A doubtful answer has to be confirmed.
func (w *rewriter) decrypt(cipher string) (found, bool) {
	plain, ok := w.names.Decrypt(cipher)
	if ok && isDoubtful(plain) {
		plain, ok = w.tree.confirm(w.names, cipher, plain)
	}
	return found{cipher: cipher, plain: plain}, ok
}

// isDoubtful reports whether a name may be junk: one in 280 random words of the
// right length decrypts to random bytes. Nearly all of these hold a control
// character, or U+FFFD in place of bytes that are no UTF-8.
func isDoubtful(plain string) bool {
	for _, r := range plain {
		if r == utf8.RuneError || isControl(r) {
			return true
		}
	}
	return false
}

// target appends the link target t of b, in plain if it is known, and returns
// where b goes on. It is a path all the same if it ends in the name that points
// to it: `rename "/dst/.NAME.XXXXXX" -> "NAME"`.
func (w *rewriter) target(dst, b []byte, t token) ([]byte, int) {
	end, _ := beforeArrow(b, t.start)
	names, ok := w.pathBefore(b, end)
	if !ok {
		return w.appendEncrypted(dst, b[t.start:t.end]), t.end
	}
	self := names[len(names)-1]
	if n, ok := nameAt(b, t.start, wordEnd(b, t.start)); ok && bytes.Equal(b[self.start:self.end], b[n.start:n.end]) {
		c := w.scanner.chain(b, n, true)
		return w.chain(dst, b, c), c.end
	}
	f, ok := w.resolve(b, names)
	if ok && f.last == len(names) {
		if plain, n := w.tree.target(f, b[t.start:t.end]); n > 0 {
			return appendEscaped(dst, plain), t.start + n
		}
	}
	return w.appendEncrypted(dst, b[t.start:t.end]), t.end
}

// pathBefore returns the last chain of the record that b[:end] lies in. Most often
// it stands right in front of the arrow, but a format may have put something in
// between; only the right one will turn out to be a link with this target.
func (w *rewriter) pathBefore(b []byte, end int) (names []name, ok bool) {
	i := max(0, end-maxToken)
	for i > 0 && i < end && isPath(b[i-1]) {
		i++
	}
	i += lastRecord(b[i:end])
	for {
		t, ok := w.next(b[:end], i, true)
		if !ok {
			return names, names != nil
		}
		if t.names != nil {
			names = t.names
		}
		i = t.end
	}
}

// appendEncrypted appends a token that stays as it is.
func (w *rewriter) appendEncrypted(dst, text []byte) []byte {
	if w.mark == nil {
		return append(dst, text...)
	}
	return w.mark(dst, text)
}
