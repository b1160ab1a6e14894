package decode

import "strings"

// A rewriter decodes the tokens of a text.
type rewriter struct {
	lookup lookup
	near   vicinity
	scan   scanner
	count  Stats

	before, after string // written around a token that stays encrypted

	text   []byte  // the text to be rewritten
	tokens []token // those of the text
	done   int     // tokens[:done] have been passed
	asked  int     // tokens[:asked] have been asked for
	ahead  string  // the path of tokens[asked] once it is known
}

// begin starts a new text, which is rewritten from offset from on.
func (w *rewriter) begin(text []byte, from int) {
	w.text, w.tokens = text, w.scan.all(w.tokens[:0], text, from)
	w.done, w.asked, w.ahead = 0, 0, ""
}

// prepare asks for the next names, as many as may be under way at the same time, so
// that gocryptfs is never idle.
func (w *rewriter) prepare() {
	for ; w.asked < len(w.tokens); w.asked++ {
		c := chain{&w.lookup, w.text, w.tokens[w.asked].names}
		if w.ahead == "" && c.names != nil { // a link target has none
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
func (w *rewriter) next(b []byte, from int) (t token, ok bool) {
	for w.done < len(w.tokens) && w.tokens[w.done].start < from {
		w.done++
	}
	if w.done == len(w.tokens) || w.tokens[w.done].end > len(b) {
		return token{}, false
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
		w.near.pass(b, from, t.start)
		w.lookup.earn(t.end - from)
		dst = append(dst, b[from:t.start]...)
		if n, ok := w.near.self(b, t); ok {
			t = token{start: n.start, end: n.end + n.pad, names: []name{n}}
		}
		if t.names == nil {
			dst, from = w.target(dst, b, t)
			w.near.since += from - t.start
		} else {
			dst, from = w.chain(dst, b, t)
		}
	}
}

// chain appends the chain t of b, decoded, and returns the offset after it.
func (w *rewriter) chain(dst, b []byte, t token) ([]byte, int) {
	last := t.names[len(t.names)-1]
	leaf := string(b[last.start:last.end])
	p, ok := chain{&w.lookup, b, t.names}.decrypt(&w.near)
	if !ok && len(t.names) == 1 {
		word := t
		word.end = max(t.end, wordEnd(b, t.end))
		if target, n := w.readLink(b, word); n > 0 {
			return appendEscaped(dst, target), t.start + n
		}
	}
	whole := p.last == len(t.names) && p.first == 0
	if whole {
		w.count.Decoded++
	} else {
		if w.count.Encrypted == 0 {
			w.count.First = string(b[t.start:t.end])
		}
		w.count.Encrypted++
		if ok {
			w.count.Partly++
		}
	}
	w.near = vicinity{cipher: p.cipher, plain: p.plain, whole: p.last == len(t.names), leaf: leaf, header: w.near.header}
	if !ok {
		return w.appendEncrypted(dst, b[t.start:t.end]), t.end
	}
	if !p.unsure && !p.known {
		w.lookup.index.add(p.cipher, p.plain)
	}
	return w.appendPlain(dst, b, t, p), t.end
}

// appendPlain appends the chain t of b, with the names in p decoded.
func (w *rewriter) appendPlain(dst, b []byte, t token, p part) []byte {
	plain := p.plain
	for n := strings.Count(plain, "/") + 1; n > p.last-p.first; n-- {
		_, plain, _ = strings.Cut(plain, "/") // a directory that is not in the chain
	}
	pos := t.start
	for i, n := range t.names {
		dst = append(dst, b[pos:n.start]...)
		pos = n.end
		if i < p.first || i >= p.last {
			dst = w.appendEncrypted(dst, b[n.start:n.end])
			continue
		}
		if n.isHousekeeping(b) {
			dst = append(dst, longPrefix...)
		}
		var s string
		s, plain, _ = strings.Cut(plain, "/")
		dst = appendEscaped(dst, s)
		if p.padded {
			pos += n.pad
		}
	}
	return append(dst, b[pos:t.end]...)
}

// appendEncrypted appends a token that stays as it is.
func (w *rewriter) appendEncrypted(dst, text []byte) []byte {
	dst = append(dst, w.before...)
	dst = append(dst, text...)
	return append(dst, w.after...)
}
