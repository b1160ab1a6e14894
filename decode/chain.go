package decode

import (
	"gocryptfs-rsync-pretty/decode/scan"
	"path"
	"slices"
	"strings"
)

// maxStarts bounds the names of a chain that are tried as the first one below the
// root. The names before it may be foreign directories that look encrypted.
const maxStarts = 8

// A part is the names[first:last] of a chain, decrypted.
type part struct {
	first, last   int
	padded        bool   // the `=` after its names belong to them
	cipher, plain string // paths of the last name, from the root of the view
	unsure        bool   // the file may lie in another directory
	known         bool   // from the index
}

// A chain is the names of b that are to be decrypted. If a name turns out to have a
// suffix, a shorter one replaces it.
type chain struct {
	lookup *lookup
	b      []byte
	names  []scan.Name
}

// decrypt returns the part of the chain that decrypts. It tries, in this order: the
// whole chain; the longest part from the first name that decrypts below the root;
// the longest part that decrypts in one of the directories near it.
func (c chain) decrypt(near *vicinity) (part, bool) {
	c.lookup.begin()
	n := len(c.names)
	bases := c.bases()
	var whole part
	for _, base := range bases {
		p, ok := c.try(base, 0, n, false)
		if ok && c.lookup.isPlace(p, bases) {
			return p, true
		}
		if ok && whole.last == 0 {
			whole = p
		}
	}
	if whole.last > 0 {
		whole.unsure = true
		return whole, true
	}
	for first := range min(n, maxStarts) {
		for _, base := range bases {
			if p, ok := c.grow(base, first, false); ok {
				p.unsure = !c.lookup.isPlace(p, bases)
				return p, true
			}
		}
	}
	for _, dir := range near.dirs() {
		if p, ok := c.grow(dir+"/", 0, true); ok {
			return p, true
		}
	}
	return part{}, false
}

// bases returns the directories that the chain may be relative to, each with a trailing
// slash. If MOUNT lies inside the view, these are MOUNT and the root. If the chain begins
// with the last names of MOUNT's own path, as for a source without a trailing slash, the
// directory above these names comes first.
func (c chain) bases() []string {
	sub := c.lookup.files.Sub()
	if sub == "" {
		return root
	}
	bases := []string{sub + "/", ""}
	path := c.cipher(0, len(c.names), true) + "/"
	for last := sub; last != ""; _, last, _ = strings.Cut(last, "/") {
		if strings.HasPrefix(path, last+"/") {
			return slices.Insert(bases, 0, strings.TrimSuffix(sub, last))
		}
	}
	return bases
}

// root is what bases returns if MOUNT is the root of the view.
var root = []string{""}

// grow decrypts the longest part from first on that lies in the directory base. It
// tries all names, then one, and then halves. alone means that the text does not
// place the names in base.
func (c chain) grow(base string, first int, alone bool) (best part, ok bool) {
	n := len(c.names)
	// names[first:good] is known to decrypt, and names[first:bad] not to.
	for good, bad := first, n+1; good+1 < bad && c.lookup.more(); {
		last := (good + bad) / 2
		switch {
		case bad > n:
			last = n
		case good == first:
			last = first + 1
		}
		p, ok := c.try(base, first, last, alone)
		suffix := !ok && last == good+1
		if suffix {
			p, ok = c.shorten(base, first, last, alone)
		}
		switch {
		case !ok:
			bad = last
		case suffix:
			best, good, bad = p, last, n+1
		default:
			best, good = p, last
		}
	}
	return best, best.last > 0
}

// shorten tries names[first:last] with shorter names in place of the last one, which
// may have a suffix.
func (c chain) shorten(base string, first, last int, alone bool) (part, bool) {
	whole := c.names[last-1]
	for short, ok := whole.Shorter(c.b); ok && c.lookup.more(); short, ok = short.Shorter(c.b) {
		c.names[last-1] = short
		if p, ok := c.try(base, first, last, alone); ok {
			return p, true
		}
	}
	c.names[last-1] = whole
	return part{}, false
}

// try decrypts names[first:last] in the directory base: with their padding, if there
// is any, and then without.
func (c chain) try(base string, first, last int, alone bool) (part, bool) {
	own := strings.Count(base, "/")
	if alone {
		own = last - first + own
	}
	padded := slices.ContainsFunc(c.names[first:last], func(n scan.Name) bool { return n.Pad > 0 })
	for _, pad := range []bool{true, false} {
		if pad && !padded {
			continue
		}
		cipher := base + c.cipher(first, last, pad)
		if plain, ok := c.lookup.decrypt(cipher, own); ok {
			return part{first: first, last: last, padded: pad, cipher: cipher, plain: plain, known: c.lookup.known}, true
		}
	}
	return part{}, false
}

// cipher returns the path of names[first:last], with their padding if pad is set.
func (c chain) cipher(first, last int, pad bool) string {
	dst := c.lookup.path[:0]
	for i, n := range c.names[first:last] {
		if i > 0 {
			dst = append(dst, '/')
		}
		end := n.End
		if pad {
			end += n.Pad
		}
		dst = append(dst, c.b[n.Start:end]...)
	}
	c.lookup.path = dst
	return string(dst)
}

// isPlace reports whether a part lies in the one of the bases in which it decrypts. It
// may lie in another one only if names are the same in every directory, as with gocryptfs
// -deterministic-names; then its file has to exist. Names are the same if the last one of
// MOUNT's own path also decrypts in MOUNT.
func (l *lookup) isPlace(p part, bases []string) bool {
	if len(bases) == 1 || l.names == nil {
		return true
	}
	if l.alike == nil {
		sub := l.files.Sub()
		_, alike := l.names.Decrypt(sub + "/" + path.Base(sub))
		l.alike = &alike
	}
	return !*l.alike || l.files.Exists(p.cipher)
}
