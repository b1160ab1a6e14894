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
}

// begin starts a new text, which is rewritten from offset from on.
func (w *rewriter) begin(text []byte, from int) {
	w.text, w.tokens = text, w.scan.All(w.tokens[:0], text, from)
	w.passed, w.prefetched = 0, 0
}

// prefetch asks for the next names, as many as may be under way at the same time, so
// that gocryptfs is never idle. What may be a target is no name, mostly, and a loose name
// is one only in text in which few names fail.
func (w *rewriter) prefetch() {
	for ; w.prefetched < len(w.tokens); w.prefetched++ {
		t := w.tokens[w.prefetched]
		if len(t.Names) == 0 || t.Arrow && t.Target || t.Names[0].Loose && w.lookup.budget.loose < maxLoose*3/4 {
			continue
		}
		c := chain{lookup: &w.lookup, b: w.text, names: t.Names}
		if !w.lookup.prepare(c.bases()[0] + c.cipher(0, len(c.names), true)) {
			return
		}
	}
}

// rewrite appends b[from:] to dst, with its tokens decoded. b is a prefix of the text.
func (w *rewriter) rewrite(dst, b []byte, from int) []byte {
	for {
		w.prefetch()
		for w.passed < len(w.tokens) && w.tokens[w.passed].Start < from {
			w.passed++
		}
		if w.passed == len(w.tokens) || w.tokens[w.passed].End > len(b) {
			w.near.pass(b, from, len(b))
			w.lookup.budget.earn(len(b) - from)
			return append(dst, b[from:]...)
		}
		t := w.tokens[w.passed]
		w.near.pass(b, from, t.Start)
		w.lookup.budget.earn(t.End - from)
		dst, from = w.appendToken(append(dst, b[from:t.Start]...), b, t)
	}
}

// appendToken appends the token t of b, decoded, and returns the offset after it. What stands
// after an arrow, or has no shape but that of a target, is first tried as the target of the
// link before it in the same record. The target is read from that link: gocryptfs encrypts
// targets like the content of files and cannot be asked for them.
func (w *rewriter) appendToken(dst, b []byte, t scan.Token) ([]byte, int) {
	w.near.gap += t.End - t.Start
	linkFirst := t.Arrow || len(t.Names) == 0 || t.Names[0].Loose
	for _, link := range []bool{linkFirst, !linkFirst} {
		if link && t.Target && w.near.whole {
			if target, ok := w.lookup.linkTarget(w.near.cipher, w.near.plain, b[t.Start:t.End]); ok {
				w.count.Decoded++
				return escape.Append(dst, target), t.End
			}
		}
		if !link && len(t.Names) > 0 {
			if m := (chain{lookup: &w.lookup, b: b, names: t.Names}).decrypt(&w.near); m.found() {
				return w.appendPath(dst, b, t, m)
			}
		}
	}
	return w.appendStaying(dst, b, t), t.End
}

// appendStaying appends the token t of b, which stays as it is.
func (w *rewriter) appendStaying(dst, b []byte, t scan.Token) []byte {
	start := t.Start
	if len(t.Names) > 0 && t.Names[0].Loose {
		t.Names = t.Names[1:] // ordinary text
		w.lookup.budget.loose -= w.lookup.budget.spent * loosePrice
	}
	if len(t.Names) > 0 {
		start, w.near.named = t.Names[0].Start, true
	} else if !t.Target || !t.Arrow || !w.near.named {
		return append(dst, b[t.Start:t.End]...)
	}
	if t.Target && t.Arrow {
		w.count.Targets++
	}
	w.countEncrypted(b[start:t.End])
	return w.appendEncrypted(append(dst, b[t.Start:start]...), b, start, t.End)
}

// countEncrypted counts a token that stays encrypted, or of which a part does.
func (w *rewriter) countEncrypted(part []byte) {
	if w.count.Encrypted == 0 {
		w.count.First = string(part[:min(len(part), maxFirst)])
	}
	w.count.Encrypted++
}

// appendPath appends the path t of b, of which m decrypts, and returns the offset after it.
func (w *rewriter) appendPath(dst, b []byte, t scan.Token, m match) ([]byte, int) {
	if m.first > 0 && m.names[0].Loose { // ordinary text
		m.names, m.first, m.last = m.names[1:], m.first-1, m.last-1
	}
	rest, more := w.scan.Rest(b, t, m.names[m.last-1])
	if more {
		m.names, t.End = m.names[:m.last], rest.Start
	}
	encrypted := m.encrypted(b, t)
	if m.whole() {
		w.count.Decoded++
	} else {
		w.count.Partly++
	}
	if !m.whole() || scan.IsEncrypted(encrypted) {
		w.countEncrypted(encrypted)
	}
	w.near = nearby{cipher: m.cipher, plain: m.plain, whole: m.toEnd(), named: true, heading: w.near.heading}
	if !m.fromIndex {
		w.lookup.learn(m.cipher, m.plain)
	}
	dst = w.appendPlain(dst, b, t, m)
	if more {
		return w.appendToken(dst, b, rest)
	}
	return dst, t.End
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
	return append(append(append(dst, w.markOn...), b[i:j]...), w.markOff...)
}
