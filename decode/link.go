package decode

// self returns the name at the start of the link target t of b if the path before
// the arrow ends in the same name. Then t is a path after all, as in
// `rename "/dst/.NAME.XXXXXX" -> "NAME"`.
func (v *vicinity) self(b []byte, t token) (name, bool) {
	if t.names != nil || !t.arrow {
		return name{}, false
	}
	n, ok := nameAt(b, t.start, wordEnd(b, t.start))
	return n, ok && string(b[n.start:n.end]) == v.leaf
}

// target appends the word t of b and returns the offset after it. The word is decoded
// if it is the target of the link before it.
func (w *rewriter) target(dst, b []byte, t token) ([]byte, int) {
	target, n := w.readLink(b, t)
	switch {
	case n > 0:
		return appendEscaped(dst, target), t.start + n
	case t.arrow:
		return w.appendEncrypted(dst, b[t.start:t.end]), t.end
	}
	return append(dst, b[t.start:t.end]...), t.end
}

// readLink returns the plain target of the link whose path stands before t in the
// same record. t has to begin with the encrypted target, which takes n bytes;
// otherwise n is 0. The target is read from the link because gocryptfs encrypts
// targets like the content of files and cannot be asked for them.
func (w *rewriter) readLink(b []byte, t token) (target string, n int) {
	v := &w.near
	if !v.whole || t.end-t.start < minTarget || !w.lookup.more() {
		return "", 0
	}
	return w.lookup.target(v.cipher, v.plain, b[t.start:t.end])
}
