package decode

import (
	"slices"
	"strings"

	"gocryptfs-rsync-pretty/decode/scan"
)

// maxStarts bounds the names of a chain that are tried as the first one below the
// root. The names before it may be foreign directories that look encrypted.
const maxStarts = 8

// A match is the names[first:last] of a chain, decrypted. If it is empty, nothing decrypts.
type match struct {
	names         []scan.Name // of the chain; one may have been replaced by what else its word holds
	first, last   int
	base          string // the directory of the first name, empty or with a trailing slash
	cipher, plain string // paths of the last name, from the root of the view
	fromIndex     bool
}

// found reports whether anything decrypts.
func (m match) found() bool { return m.last > 0 }

// A chain is the names of b that are to be decrypted.
type chain struct {
	lookup  *lookup
	b       []byte
	names   []scan.Name
	implied int // components of a path that do not stand in the text, at least
}

// decrypt returns the part of the chain that decrypts: the longest one from the first name
// that decrypts below the root or, failing that, in one of the directories near it.
func (c chain) decrypt(near *nearby) match {
	c.lookup.budget.begin()
	m := c.below(c.bases(), maxStarts)
	if !m.found() {
		c.implied = scan.MaxToken // all: the text does not say where they lie
		m = c.below(near.dirs(), 1)
	}
	if m.found() {
		c.lookup.budget.refund()
	} else if c.names[0].Loose {
		c.lookup.budget.loose -= c.lookup.budget.spent * loosePrice
	}
	if c.names[0].Loose && (m.first > 0 || !m.found()) { // ordinary text
		m.names, m.first, m.last = m.names[1:], max(0, m.first-1), max(0, m.last-1)
	}
	return m
}

// below decrypts the longest part in one of the directories dirs, from one of the first names,
// as many as starts.
func (c chain) below(dirs []string, starts int) match {
	for first := range min(len(c.names), starts) {
		for _, dir := range dirs {
			if m := c.grow(dir, first); m.found() {
				return m
			}
		}
	}
	return match{names: c.names}
}

var root = []string{""} // the directories of most chains

// bases returns the directories that the chain may be relative to, each with a trailing
// slash. If MOUNT lies inside the view, these are MOUNT and the root. If the chain begins
// with the last names of MOUNT's own path, as for a source without a trailing slash, the
// directory above these names comes first.
func (c chain) bases() []string {
	sub := c.lookup.files.View().Sub
	if sub == "" {
		return root
	}
	bases := []string{sub + "/", ""}
	path := c.cipher(0, len(c.names))
	for last := sub; last != ""; _, last, _ = strings.Cut(last, "/") {
		if rest, ok := strings.CutPrefix(path, last); ok && (rest == "" || rest[0] == '/') {
			return slices.Insert(bases, 0, strings.TrimSuffix(sub, last))
		}
	}
	return bases
}

// grow decrypts the longest part from first on that lies in the directory base.
//
//	decrypts  does not    tried next, of a/b/c/d/e
//	-         -           a/b/c/d/e   all names, mostly the last try
//	-         a/b/c/d/e   a           one
//	a         a/b/c/d/e   a/b/c       half of the rest
//	a/b       a/b/c       a/b/C       another name that the word of c may hold
//	a/b/C     -           a/b/C/d/e   all names again
func (c chain) grow(base string, first int) (best match) {
	n := len(c.names)
	// names[first:good] decrypts, and names[first:bad] does not.
	for good, bad := first, n+1; good < n && c.lookup.budget.has(1); {
		try, last := c.try, (good+bad)/2
		switch {
		case bad > n:
			last = n
		case good+1 == bad:
			try, last = c.replace, bad
		case good == first:
			last = first + 1
		}
		m := try(base, first, last)
		switch {
		case m.found():
			if last == bad || m.base != base {
				bad = n + 1 // another name, or the index knows the directory
			}
			c.names, base, best, good = m.names, m.base, m, last
		case last == bad:
			return best
		default:
			bad = last
		}
	}
	return best
}

// replace tries names[first:last] with other names in place of the last one.
func (c chain) replace(base string, first, last int) match {
	c.names = slices.Clone(c.names)
	for other := range scan.Others(c.b, c.names[last-1]) {
		if !c.lookup.budget.has(2) || other.Loose && c.lookup.budget.loose <= 0 {
			break
		}
		c.names[last-1] = other
		c.lookup.budget.charge(1) // not asked ahead, it takes twice the time of another question
		if m := c.try(base, first, last); m.found() {
			return m
		}
	}
	return match{}
}

// try decrypts names[first:last] in the directory base: with their padding, if there
// is any, and then without.
func (c chain) try(base string, first, last int) match {
	loose := slices.ContainsFunc(c.names[first:last], func(n scan.Name) bool { return n.Loose })
	if loose && c.lookup.budget.loose <= 0 {
		return match{}
	}
	for names := c.cipher(first, last); ; {
		cipher, plain, fromIndex := c.lookup.decrypt(base, names, max(c.implied, strings.Count(base, "/")))
		if cipher != "" && !(loose && isDoubtful(plain)) {
			if loose {
				c.lookup.budget.loose += looseGain * loosePrice
			}
			return match{names: c.names, first: first, last: last, base: strings.TrimSuffix(cipher, names),
				cipher: cipher, plain: plain, fromIndex: fromIndex}
		}
		bare := strings.ReplaceAll(names, "=", "")
		if bare == names || !c.lookup.budget.has(1) {
			return match{}
		}
		names = bare
	}
}

// cipher returns the path of names[first:last], with their padding.
func (c chain) cipher(first, last int) string {
	dst := make([]byte, 0, 512) // on the stack, for most paths
	for i, n := range c.names[first:last] {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = append(append(dst, c.b[n.Start:n.End]...), "=="[:n.Pad]...)
	}
	return string(dst)
}
