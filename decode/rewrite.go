package decode

import (
	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
	"strings"
)

// A rewriter decodes the tokens of a text.
type rewriter struct {
	lookup lookup
	near   vicinity
	scan   scan.Scanner
	count  Stats

	before, after string // written around a token that stays encrypted

	text   []byte       // the text to be rewritten
	tokens []scan.Token // those of the text
	done   int          // tokens[:done] have been passed
	asked  int          // tokens[:asked] have been asked for
	ahead  string       // the path of tokens[asked] once it is known
}

// begin starts a new text, which is rewritten from offset from on.
func (w *rewriter) begin(text []byte, from int) {
	w.text, w.tokens = text, w.scan.All(w.tokens[:0], text, from)
	w.done, w.asked, w.ahead = 0, 0, ""
}

// prepare asks for the next names, as many as may be under way at the same time, so
// that gocryptfs is never idle.
func (w *rewriter) prepare() {
	for ; w.asked < len(w.tokens); w.asked++ {
		c := chain{&w.lookup, w.text, w.tokens[w.asked].Names}
		if w.ahead == "" && !w.tokens[w.asked].IsTarget() {
			w.ahead = c.bases()[0] + c.cipher(0, len(c.names), true)
		}
		if w.ahead != "" && !w.lookup.prepare(w.ahead) {
			return
		}
		w.ahead = ""
	}
}

// next returns the first token of the text that begins at from or after it. ok is false if
// that does not end within b, a prefix of the text.
func (w *rewriter) next(b []byte, from int) (t scan.Token, ok bool) {
	for w.done < len(w.tokens) && w.tokens[w.done].Start < from {
		w.done++
	}
	if w.done == len(w.tokens) || w.tokens[w.done].End > len(b) {
		return scan.Token{}, false
	}
	return w.tokens[w.done], true
}

// rewrite appends b[from:] to dst, with its tokens decoded. b is a prefix of the text.
func (w *rewriter) rewrite(dst, b []byte, from int) []byte {
	for {
		w.prepare()
		t, ok := w.next(b, from)
		if !ok {
			w.near.pass(b, from, len(b))
			w.lookup.earn(len(b) - from)
			return append(dst, b[from:]...)
		}
		w.near.pass(b, from, t.Start)
		w.lookup.earn(t.End - from)
		dst = append(dst, b[from:t.Start]...)
		if w.near.self(b, t) {
			t.End, t.Names = t.Lead.End+t.Lead.Pad, []scan.Name{t.Lead}
		}
		if t.IsTarget() {
			dst, from = w.target(dst, b, t)
			w.near.since += from - t.Start
		} else {
			dst, from = w.chain(dst, b, t)
		}
	}
}

// chain appends the chain t of b, decoded, and returns the offset after it.
func (w *rewriter) chain(dst, b []byte, t scan.Token) ([]byte, int) {
	last := t.Names[len(t.Names)-1]
	leaf := string(b[last.Start:last.End])
	p, ok := chain{&w.lookup, b, t.Names}.decrypt(&w.near)
	if !ok && len(t.Names) == 1 {
		word := t
		word.End = t.WordEnd
		if target, n := w.readLink(b, word); n > 0 {
			return escape.Append(dst, target), t.Start + n
		}
	}
	whole := p.last == len(t.Names) && p.first == 0
	if whole {
		w.count.Decoded++
	} else {
		if w.count.Encrypted == 0 {
			w.count.First = string(b[t.Start:t.End])
		}
		w.count.Encrypted++
		if ok {
			w.count.Partly++
		}
	}
	w.near = vicinity{cipher: p.cipher, plain: p.plain, whole: p.last == len(t.Names), leaf: leaf, header: w.near.header}
	if !ok {
		return w.appendEncrypted(dst, b[t.Start:t.End]), t.End
	}
	if !p.unsure && !p.known {
		w.lookup.index.Add(p.cipher, p.plain)
	}
	return w.appendPlain(dst, b, t, p), t.End
}

// appendPlain appends the chain t of b, with the names in p decoded.
func (w *rewriter) appendPlain(dst, b []byte, t scan.Token, p part) []byte {
	plain := p.plain
	for n := strings.Count(plain, "/") + 1; n > p.last-p.first; n-- {
		_, plain, _ = strings.Cut(plain, "/") // a directory that is not in the chain
	}
	pos := t.Start
	for i, n := range t.Names {
		dst = append(dst, b[pos:n.Start]...)
		pos = n.End
		if i < p.first || i >= p.last {
			dst = w.appendEncrypted(dst, b[n.Start:n.End])
			continue
		}
		if n.IsHousekeeping(b) {
			dst = append(dst, scan.LongPrefix...)
		}
		var s string
		s, plain, _ = strings.Cut(plain, "/")
		dst = escape.Append(dst, s)
		if p.padded {
			pos += n.Pad
		}
	}
	return append(dst, b[pos:t.End]...)
}

// appendEncrypted appends a token that stays as it is.
func (w *rewriter) appendEncrypted(dst, text []byte) []byte {
	dst = append(dst, w.before...)
	dst = append(dst, text...)
	return append(dst, w.after...)
}

// target appends the word t of b and returns the offset after it. The word is decoded
// if it is the target of the link before it.
func (w *rewriter) target(dst, b []byte, t scan.Token) ([]byte, int) {
	target, n := w.readLink(b, t)
	switch {
	case n > 0:
		return escape.Append(dst, target), t.Start + n
	case t.Arrow:
		return w.appendEncrypted(dst, b[t.Start:t.End]), t.End
	}
	return append(dst, b[t.Start:t.End]...), t.End
}

// readLink returns the plain target of the link whose path stands before t in the
// same record. t has to begin with the encrypted target, which takes n bytes;
// otherwise n is 0. The target is read from the link because gocryptfs encrypts
// targets like the content of files and cannot be asked for them.
func (w *rewriter) readLink(b []byte, t scan.Token) (target string, n int) {
	v := &w.near
	if !v.whole || t.End-t.Start < scan.MinTarget || !w.lookup.more() {
		return "", 0
	}
	return w.lookup.target(v.cipher, v.plain, b[t.Start:t.End])
}
