package tree

import (
	"errors"
	"hash/maphash"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// entriesPerFile is the number of directory entries that are read in the time of a look at a
// file.
const entriesPerFile = 8

var (
	maxListed     = 8 << 20 // bytes in a listing, about
	seed          = maphash.MakeSeed()
	errNoSpelling = errors.New("nothing proves a spelling")
)

// A listing holds the names of a plain directory that are not UTF-8, and others that look
// the same in JSON. It is empty if the directory is too big or not to be read.
type listing struct {
	view      *view
	dir       string              // the plain path, empty or with a slash at the end
	file      file                // what the directory was
	spellings map[string][]string // by their form in JSON
	hashes    map[uint64]bool     // of the names in the view
	read      int                 // entries
}

// unique returns the one spelling that leaf, a name with U+FFFD, can have in the directory if
// the view has its cipher name. It returns an empty string if there are several, or in the
// root: that of another file system may look the same.
func (l *listing) unique(cipher, leaf string) string {
	if s := l.spellings[leaf]; len(s) == 1 && l.dir != "" && l.has(cipher) {
		return s[0]
	}
	return ""
}

// has reports whether the view has a cipher name in the directory. The kernel remembers names
// that are gone, but not in a listing.
func (l *listing) has(cipher string) bool { return l.hashes[maphash.String(seed, cipher)] }

// list returns the listing of a directory, with what l has of it.
func list(l *listing, cipher, plain trail) *listing {
	l = &listing{view: l.view, dir: l.dir, file: plain.files[0], spellings: map[string][]string{}, hashes: map[uint64]bool{}}
	size := 0
	add := func(bytes int) bool {
		l.read++
		size += bytes
		return size <= maxListed
	}
	ok := each(plain.in, func(s string) bool {
		// JSON replaces every byte that is not UTF-8 by U+FFFD, as []rune does.
		r := string([]rune(s))
		if !strings.ContainsRune(r, utf8.RuneError) {
			return add(0)
		}
		l.spellings[r] = append(l.spellings[r], s)
		return add(120 + len(r) + len(s)) // two strings and their place in the map
	}) && each(cipher.in, func(s string) bool {
		l.hashes[maphash.String(seed, s)] = true
		return add(24)
	})
	if !ok {
		l.spellings, l.hashes = nil, nil
	}
	return l
}

// spell returns the spelling of leaf that a cipher name has in a directory.
func (d disk) spell(l *listing, c, p trail, cipher, leaf string) (found string, err error) {
	spellings := l.spellings[leaf]
	if found = l.unique(cipher, leaf); found != "" {
		return found, nil
	}
	if !l.has(cipher) || len(spellings) > 1 && time.Since(l.file.changed) < entryTimeout {
		return "", errNoSpelling
	}
	file, err := d.stat(c.in, cipher)
	for _, s := range spellings {
		plain, plainErr := d.stat(p.in, s)
		if err != nil || plainErr != nil || !d.same(file, plain) {
			continue
		}
		if found != "" {
			return "", errNoSpelling // either may be the one
		}
		found = s
	}
	if found == "" {
		return "", errNoSpelling
	}
	return found, nil
}

// each calls f with the names in an open directory until f returns false. It returns false
// if f did or the directory cannot be read.
func each(dir int, f func(name string) bool) bool {
	d, err := openToRead(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if !f(name) {
				return false
			}
		}
		if err != nil {
			return err == io.EOF
		}
	}
}
