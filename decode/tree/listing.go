package tree

import (
	"hash/maphash"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

var (
	maxListed = 8 << 20 // bytes in a listing, about
	seed      = maphash.MakeSeed()
)

// A listing holds the names of a plain directory that are not UTF-8, and others that look
// the same in JSON. It is empty if the directory is too big or not to be read.
type listing struct {
	dir       string              // the plain path, empty or with a slash at the end
	file      file                // what the directory was
	spellings map[string][]string // by their form in JSON
	hashes    map[uint64]bool     // of the names in the view
	read      int                 // entries
	size      int                 // bytes
}

// unique returns a plain path with the one spelling that its name, with U+FFFD, can have if the
// view has its cipher name, or an empty string.
func (l *listing) unique(cipher, plain string) string {
	dir, leaf := path.Split(plain)
	if s := l.spellings[leaf]; len(s) == 1 && dir == l.dir && l.has(cipher) {
		return dir + s[0]
	}
	return ""
}

// has reports whether the view has a cipher name. A listing has none that are gone.
func (l *listing) has(cipher string) bool { return l.hashes[maphash.String(seed, cipher)] }

// list returns the listing of the plain directory with this path.
func list(dir string, c, p trail) *listing {
	l := &listing{dir: dir, file: p.files[len(p.files)-1], spellings: map[string][]string{}, hashes: map[uint64]bool{}}
	ok := l.each(p, func(name string) {
		// JSON replaces every byte that is not UTF-8 by U+FFFD, as []rune does.
		if r := string([]rune(name)); strings.ContainsRune(r, utf8.RuneError) {
			l.spellings[r] = append(l.spellings[r], name)
			l.size += 120 + len(r) + len(name) // two strings and their place in the map
		}
	}) && l.each(c, func(name string) {
		l.hashes[maphash.String(seed, name)] = true
		l.size += 24
	})
	if !ok {
		l.spellings, l.hashes = nil, nil
	}
	if root, _ := stat(c.in, ".", fresh); dir == "" && !root.changed.Equal(l.file.changed) {
		l.dir = "/" // none: the two roots are not known to be the same
	}
	return l
}

// each calls f with all names in the last directory of a trail. It returns false if the listing
// gets too big or the directory cannot be read.
func (l *listing) each(t trail, f func(name string)) bool {
	fd, err := open(t.in, ".", unix.O_RDONLY)
	dir := os.NewFile(uintptr(fd), ".") // nil after an error
	defer dir.Close()
	for err == nil && l.size <= maxListed {
		var names []string
		names, err = dir.Readdirnames(1024)
		l.read += len(names)
		for _, name := range names {
			f(name)
		}
	}
	return err == io.EOF
}

// spell returns the path of p, plain, with the spelling of its name that the file of c has, and the
// listing of the directory as it is.
func (d disk) spell(l *listing, c, p trail, plain string) answer {
	a := answer{listing: l, err: errUnproved}
	dir, leaf := path.Split(plain)
	if l.file != p.files[len(p.files)-1] {
		l = list(dir, c, p)
		a.listing, a.read = l, l.read
	}
	found := slices.Clone(l.spellings[leaf])
	a.read += entriesPerFile * len(found)
	switch {
	case !l.has(c.name), len(found) > 1 && time.Since(l.file.changed) < entryTimeout:
		return a
	case l.unique(c.name, plain) == "":
		found = slices.DeleteFunc(found, func(s string) bool { return !d.isPair(c, p, s) })
	}
	if len(found) == 1 { // otherwise either may be the one
		a.text, a.err = dir+found[0], nil
	}
	return a
}
