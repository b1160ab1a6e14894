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

// prefetch asks for the next names, as many as may be under way at once, so that gocryptfs is
// never idle: for no target, as it is hardly ever a name, and for loose names if few of them fail.
func (w *rewriter) prefetch() {
	for ; w.prefetched < len(w.tokens); w.prefetched++ {
		t := w.tokens[w.prefetched]
		if len(t.Names) == 0 || t.Arrow && t.Target || t.Names[0].Loose && w.lookup.budget.loose < maxLoose*3/4 {
			continue
		}
		c := chain{lookup: &w.lookup, b: w.text, names: t.Names}
		if !w.lookup.prepare(c.bases()[0] + c.cipher(0, len(c.names))) {
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
		w.lookup.budget.earn(t.Start - from)
		dst, from = w.appendToken(append(dst, b[from:t.Start]...), b, t)
		w.lookup.budget.earn(from - t.Start)
	}
}

// appendToken appends the token t of b, decoded, and returns the offset after it. If another
// name may follow in the same word, that begins the next token.
//
// What stands after an arrow, or has no shape but that of a target, is first tried as the
// target of the link before it in the same record. The target is read from that link: gocryptfs
// encrypts targets like the content of files and cannot be asked for them.
func (w *rewriter) appendToken(dst, b []byte, t scan.Token) ([]byte, int) {
	w.near.gap += t.End - t.Start
	m := match{names: t.Names}
	linkFirst := t.Arrow || len(t.Names) == 0 || t.Names[0].Loose
	for _, link := range []bool{linkFirst, !linkFirst} {
		if link && t.Target && w.near.whole {
			if target, ok := w.lookup.linkTarget(w.near.cipher, w.near.plain, w.near.heading, b[t.Start:t.End]); ok {
				w.count.Decoded++
				return escape.Append(dst, target), t.End
			}
		}
		if !link && len(t.Names) > 0 {
			if m = (chain{lookup: &w.lookup, b: b, names: t.Names}).decrypt(&w.near); m.found() {
				break
			}
		}
	}
	switch {
	case m.found():
		t.End = max(t.End, m.names[m.last-1].After) // another name of a word may have other padding
		if rest, more := w.scan.Rest(b, t, m.names[m.last-1]); more {
			m.names, t.End, w.tokens[w.passed] = m.names[:m.last], rest.Start, rest
		}
		w.near = nearby{cipher: m.cipher, plain: m.plain, whole: m.last == len(m.names), named: true, heading: w.near.heading}
		if !m.fromIndex {
			w.lookup.learn(m.cipher, m.plain)
		}
	case len(m.names) > 0:
		w.near.named = true
	case t.Target && t.Arrow && w.near.named:
		m.names = []scan.Name{{Start: t.Start}}
	default:
		return append(dst, b[t.Start:t.End]...), t.End
	}
	return w.appendNames(dst, b, t, m), t.End
}

// appendNames appends the token t of b, with the names in m decoded, and counts it. The names
// before these stay encrypted, and so does all after them.
func (w *rewriter) appendNames(dst, b []byte, t scan.Token, m match) []byte {
	start, end, after := t.Start, t.Start, t.End // b[start:end] and b[after:t.End] stay
	if m.first > 0 {
		start, end = m.names[0].Start, m.names[m.first-1].End
	} else if glued := max(t.Start, m.names[0].Start-1); m.found() && scan.IsEncrypted(b[t.Start:glued]) {
		end = glued // `A` in `A_B`
	}
	if m.last < len(m.names) {
		after = m.names[m.last].Start
	}
	encrypted := b[after:t.End]
	if start < end {
		encrypted = b[start:end]
		dst = w.appendEncrypted(append(dst, b[t.Start:start]...), b, start, end)
	}
	w.tally(t, m, encrypted)
	plain, padded := m.plain, strings.Contains(m.cipher, "=")
	for range strings.Count(m.base, "/") {
		_, plain, _ = strings.Cut(plain, "/") // a directory that is not in the chain
	}
	for _, n := range m.names[m.first:m.last] {
		dst = append(dst, b[end:n.Start]...)
		if n.Meta {
			dst = append(dst, scan.LongPrefix...)
		}
		var name string
		name, plain, _ = strings.Cut(plain, "/")
		dst = escape.Append(dst, name)
		if end = n.End; padded {
			end = n.After
		}
	}
	return w.appendEncrypted(append(dst, b[end:after]...), b, after, t.End)
}

// tally counts a token of which m decrypts and a part stays encrypted, if it is not empty.
func (w *rewriter) tally(t scan.Token, m match, encrypted []byte) {
	switch {
	case m.found() && m.first == 0 && m.last == len(m.names):
		w.count.Decoded++
	case m.found():
		w.count.Partly++
	case t.Target && t.Arrow:
		w.count.Targets++
	}
	if len(encrypted) > 0 {
		if w.count.Encrypted++; w.count.Encrypted == 1 {
			w.count.First = string(encrypted[:min(len(encrypted), maxFirst)])
		}
	}
}

// appendEncrypted appends b[i:j], which stays as it is.
func (w *rewriter) appendEncrypted(dst, b []byte, i, j int) []byte {
	if i == j || w.markOn == "" || len(style.OpenSequence(b[:i])) > 0 {
		return append(dst, b[i:j]...)
	}
	return append(append(append(dst, w.markOn...), b[i:j]...), w.markOff...)
}
