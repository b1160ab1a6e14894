package decode

import (
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"
)

// maxFirst bounds Stats.First, in bytes: a long path of names.
const maxFirst = 512

// A rewriter decodes the tokens of a text.
type rewriter struct {
	lookup lookup
	near   nearby
	scan   scan.Scanner
	count  Stats

	markOn, markOff string // written around a token that stays encrypted

	text       []byte       // the text to be rewritten
	tokens     []scan.Token // those of the text
	passed     int          // tokens[:passed] have been passed
	prefetched int          // tokens[:prefetched] have been asked for
	nextPath   string       // the path of tokens[prefetched] once it is known
}

// begin starts a new text, which is rewritten from offset from on.
func (w *rewriter) begin(text []byte, from int) {
	w.text, w.tokens = text, w.scan.All(w.tokens[:0], text, from)
	w.passed, w.prefetched, w.nextPath = 0, 0, ""
}

// prefetch asks for the next names, as many as may be under way at the same time, so
// that gocryptfs is never idle.
func (w *rewriter) prefetch() {
	for ; w.prefetched < len(w.tokens); w.prefetched++ {
		t := w.tokens[w.prefetched]
		c := chain{&w.lookup, w.text, t.Names}
		if w.nextPath == "" && !t.IsTarget() {
			w.nextPath = c.bases()[0] + c.cipher(0, len(c.names), true)
		}
		if w.nextPath != "" && !w.lookup.prepare(w.nextPath) {
			return
		}
		w.nextPath = ""
	}
}

// next returns the first token of the text that begins at from or after it. ok is false if
// that does not end within b, a prefix of the text.
func (w *rewriter) next(b []byte, from int) (t scan.Token, ok bool) {
	for w.passed < len(w.tokens) && w.tokens[w.passed].Start < from {
		w.passed++
	}
	if w.passed == len(w.tokens) || w.tokens[w.passed].End > len(b) {
		return scan.Token{}, false
	}
	return w.tokens[w.passed], true
}

// rewrite appends b[from:] to dst, with its tokens decoded. b is a prefix of the text.
func (w *rewriter) rewrite(dst, b []byte, from int) []byte {
	for {
		w.prefetch()
		t, ok := w.next(b, from)
		if !ok {
			w.near.pass(b, from, len(b))
			w.lookup.budget.earn(len(b) - from)
			return append(dst, b[from:]...)
		}
		w.near.pass(b, from, t.Start)
		w.lookup.budget.earn(t.End - from)
		dst = append(dst, b[from:t.Start]...)
		if w.near.repeatsLeaf(b, t) {
			t.Names = []scan.Name{t.Lead}
		}
		if t.IsTarget() {
			dst, from = w.appendTarget(dst, b, t)
			w.near.gap += from - t.Start
		} else {
			dst, from = w.appendChain(dst, b, t)
		}
	}
}

// appendChain appends the chain t of b, decoded, and returns the offset after it.
func (w *rewriter) appendChain(dst, b []byte, t scan.Token) ([]byte, int) {
	m := chain{&w.lookup, b, t.Names}.decrypt(&w.near)
	if !m.found() && len(t.Names) == 1 {
		if target, ok := w.readLink(b[t.Start:t.End]); ok {
			w.count.Decoded++
			return escape.Append(dst, target), t.End
		}
	}
	rest, more := scan.Token{}, false
	if m.found() {
		rest, more = w.scan.Rest(b, t, m.names[m.last-1])
	}
	if more {
		m.names, t.End = m.names[:m.last], rest.Start
	}
	w.tally(b, t, m)
	w.near.path(m.leaf(b, t), m.cipher, m.plain, m.toEnd())
	if !m.found() {
		dst = append(dst, b[t.Start:t.First()]...)
		return w.appendEncrypted(dst, b, t.First(), t.End), t.End
	}
	if !m.fromIndex {
		w.lookup.learn(m.cipher, m.plain)
	}
	dst = w.appendPlain(dst, b, t, m)
	if more {
		return w.appendChain(dst, b, rest)
	}
	return dst, t.End
}

// tally counts the token t of b, of which m decrypts.
func (w *rewriter) tally(b []byte, t scan.Token, m match) {
	left := m.left(b, t)
	if m.whole() {
		w.count.Decoded++
		if !scan.IsEncrypted(left) {
			return
		}
	}
	if w.count.Encrypted == 0 {
		w.count.First = string(left[:min(len(left), maxFirst)])
	}
	w.count.Encrypted++
	if m.found() && !m.whole() {
		w.count.Partly++
	}
}

// appendPlain appends the chain t of b, with the names in m decoded.
func (w *rewriter) appendPlain(dst, b []byte, t scan.Token, m match) []byte {
	plain := m.plain
	for n := strings.Count(plain, "/") + 1; n > m.last-m.first; n-- {
		_, plain, _ = strings.Cut(plain, "/") // a directory that is not in the chain
	}
	pos := t.Start
	for i, n := range m.names {
		dst = append(dst, b[pos:n.Start]...)
		pos = n.End
		if i < m.first || i >= m.last {
			dst = w.appendEncrypted(dst, b, n.Start, n.End)
			continue
		}
		if n.Meta {
			dst = append(dst, scan.LongPrefix...)
		}
		var s string
		s, plain, _ = strings.Cut(plain, "/")
		dst = escape.Append(dst, s)
		if m.padded {
			pos = n.After
		}
	}
	return append(dst, b[pos:t.End]...)
}

// appendEncrypted appends b[i:j], which stays as it is.
func (w *rewriter) appendEncrypted(dst, b []byte, i, j int) []byte {
	if w.markOn == "" || len(style.OpenSequence(b[:i])) > 0 {
		return append(dst, b[i:j]...)
	}
	dst = append(dst, w.markOn...)
	dst = append(dst, b[i:j]...)
	return append(dst, w.markOff...)
}

// appendTarget appends the word t of b and returns the offset after it. The word is decoded
// if it is the target of the link before it.
func (w *rewriter) appendTarget(dst, b []byte, t scan.Token) ([]byte, int) {
	if target, ok := w.readLink(b[t.Start:t.End]); ok {
		w.count.Decoded++
		return escape.Append(dst, target), t.End
	}
	// Any long word is such a token, but few look encrypted: a name, and what stands after
	// a path and an arrow.
	if t.Arrow && (t.Lead.After == t.End || w.near.leaf != "" && t.LooksEncrypted(b)) {
		w.tally(b, t, match{})
		w.count.Targets++
		return w.appendEncrypted(dst, b, t.Start, t.End), t.End
	}
	return append(dst, b[t.Start:t.End]...), t.End
}

// readLink returns the plain target of the link whose path stands before word in the
// same record, if word is the encrypted one. The target is read from the link because
// gocryptfs encrypts targets like the content of files and cannot be asked for them.
func (w *rewriter) readLink(word []byte) (target string, ok bool) {
	if !w.near.whole || len(word) < scan.MinTarget || !w.lookup.budget.has(1) {
		return "", false
	}
	return w.lookup.linkTarget(w.near.cipher, w.near.plain, word)
}
