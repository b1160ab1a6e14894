package decode

import (
	"slices"
	"strings"

	"gocryptfs-rsync-pretty/decode/scan"
)

// maxStarts bounds the names of a chain that are tried as the first one below the
// root. The names before it may be foreign directories that look encrypted.
const maxStarts = 8

// A match is the names[first:last] of a chain, decrypted. The zero value is none.
type match struct {
	names         []scan.Name // of the chain; one may have been replaced by what else its word holds
	first, last   int
	padded        bool   // the `=` after its names belong to them
	base          string // the directory of the first name, empty or with a trailing slash
	cipher, plain string // paths of the last name, from the root of the view
	fromIndex     bool
}

// found reports whether anything decrypts.
func (m match) found() bool { return m.last > 0 }

// A chain is the names of b that are to be decrypted.
type chain struct {
	lookup   *lookup
	b        []byte
	names    []scan.Name
	unplaced bool // the text does not say in which directory they lie
}

// decrypt returns the part of the chain that decrypts: the longest one from the first name
// that decrypts below the root or, failing that, in one of the directories near it. One
// question is always asked.
func (c chain) decrypt(near *nearby) match {
	c.lookup.budget.begin()
	bases := c.bases()
	for first := range min(len(c.names), maxStarts) {
		for i, base := range bases {
			if m := c.grow(base, first, first+i == 0); m.found() {
				return m
			}
		}
	}
	c.unplaced = true
	for first := 0; first == 0 || first < len(c.names) && c.names[first-1].Loose; first++ {
		for _, dir := range near.dirs() {
			if m := c.grow(dir+"/", first, false); m.found() {
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
	path := c.cipher(0, len(c.names), true)
	for last := sub; last != ""; _, last, _ = strings.Cut(last, "/") {
		if rest, ok := strings.CutPrefix(path, last); ok && (rest == "" || rest[0] == '/') {
			return slices.Insert(bases, 0, strings.TrimSuffix(sub, last))
		}
	}
	return bases
}

// grow decrypts the longest part from first on that lies in the directory base. The first
// question is asked for any price if free is set.
//
//	decrypts  does not    tried next, of a/b/c/d/e
//	-         -           a/b/c/d/e   all names, mostly the last try
//	-         a/b/c/d/e   a           one
//	a         a/b/c/d/e   a/b/c       half of the rest
//	a/b       a/b/c       a/b/C       another name that the word of c may hold
//	a/b/C     -           a/b/C/d/e   all names again
func (c chain) grow(base string, first int, free bool) (best match) {
	n := len(c.names)
	// names[first:good] decrypts, and names[first:bad] does not.
	for good, bad := first, n+1; good < n && (free || c.lookup.budget.has(1)); free = false {
		if good+1 == bad {
			m := c.replace(base, first, bad)
			if !m.found() {
				break
			}
			c.names, best, base, good, bad = m.names, m, m.base, bad, n+1
			continue
		}
		last := (good + bad) / 2
		switch {
		case bad > n:
			last = n
		case good == first:
			last = first + 1
		}
		if m := c.try(base, first, last); m.found() {
			best, good = m, last
			if m.base != base {
				base, bad = m.base, n+1 // the index knows the directory
			}
		} else {
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
	implied := strings.Count(base, "/") // components that do not stand in the text
	if c.unplaced {
		implied += last - first
	}
	padded := slices.ContainsFunc(c.names[first:last], func(n scan.Name) bool { return n.Pad > 0 })
	for more := true; more; more, padded = padded && c.lookup.budget.has(1), false {
		names := c.cipher(first, last, padded)
		cipher, plain, fromIndex := c.lookup.decrypt(base, names, implied)
		if cipher != "" && loose && isDoubtful(plain) {
			break
		}
		if cipher != "" {
			if loose {
				c.lookup.budget.loose += looseGain * loosePrice
			}
			return match{names: c.names, first: first, last: last, padded: padded,
				base: strings.TrimSuffix(cipher, names), cipher: cipher, plain: plain, fromIndex: fromIndex}
		}
	}
	return match{}
}

// cipher returns the path of names[first:last], with their padding if pad is set.
func (c chain) cipher(first, last int, pad bool) string {
	dst := make([]byte, 0, 512) // on the stack, for most paths
	for i, n := range c.names[first:last] {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = n.Append(dst, c.b, pad)
	}
	return string(dst)
}
