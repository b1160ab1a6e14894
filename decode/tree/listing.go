package tree

import (
	"hash/maphash"
	"io"
	"os"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// spell returns the one of several spellings that the last name of a cipher path has in
// the directory dir, or an empty string if nothing proves it.
func (t *Tree) spell(l *listing, cipher, dir string, spellings []string) string {
	if len(spellings) > 1 && time.Since(l.changed) < entryTimeout {
		return ""
	}
	// Once: gocryptfs opens each directory above it. For each spelling, 128 names six deep
	// would take 1.2 s instead of 0.15.
	file, err := lstat(t.view.dir, cipher)
	if err != nil {
		return ""
	}
	found := ""
	for _, s := range spellings {
		if fi, err := lstat(t.view.plain, dir+s); err == nil && t.same(file, fi) {
			if found != "" {
				return "" // either may be the one
			}
			found = s
		}
	}
	if now, ok := t.changed(dir); !ok || !now.Equal(l.changed) {
		return ""
	}
	return found
}

// A listing holds the names of a plain directory that are not UTF-8, and others that
// look the same in JSON. It is empty if the directory was changing, too big or not to be
// read.
type listing struct {
	changed      time.Time           // the change time of the directory
	read         time.Time           // when the directory was read
	names        map[string][]string // by their form in JSON
	cipherHashes map[uint64]bool     // hashes of the names in the view
	same         bool                // both directories are known to be the same
	size         int                 // in memory, about
}

// unique returns the one spelling that leaf, a name with U+FFFD, can have in the directory
// if the view has its cipher name, given by its hash. It returns an empty string if there
// are several.
func (l *listing) unique(hash uint64, leaf string) string {
	if s := l.names[leaf]; l.same && l.cipherHashes[hash] && len(s) == 1 {
		return s[0]
	}
	return ""
}

// readListing returns the listing of a directory, given by its path on both sides. entries is the
// number of those that had to be read for it.
func (t *Tree) readListing(cipherDir, dir string) (l *listing, entries int) {
	changed, ok := t.changed(dir)
	if !ok || isRecent(changed) {
		return &listing{}, 0
	}
	l, known := t.listings[dir]
	if known && l.changed.Equal(changed) && (l.same || time.Since(l.read) < lookAgain) {
		return l, 0
	}
	if known {
		t.listed -= l.size
	}
	empty := emptyListing + len(dir)
	l = &listing{changed: changed, read: time.Now(), names: map[string][]string{}, cipherHashes: map[uint64]bool{}, size: empty}
	add := func(bytes int) bool {
		entries++
		l.size += bytes
		return l.size <= t.maxListed
	}
	ok = t.each(t.view.plain, dir+".", func(s string) bool {
		// JSON replaces every byte that is not UTF-8 by U+FFFD, as []rune does.
		r := string([]rune(s))
		if !strings.ContainsRune(r, utf8.RuneError) {
			return add(0)
		}
		l.names[r] = append(l.names[r], s)
		return add(120 + len(r) + len(s)) // two strings and their place in the map
	})
	ok = ok && t.each(t.view.dir, cipherDir, func(s string) bool {
		l.cipherHashes[maphash.String(t.seed, s)] = true
		return add(24)
	})
	if now, still := t.changed(dir); !ok || !still || !now.Equal(changed) {
		l.names, l.cipherHashes, l.size = nil, nil, empty
	} else if cipherDir != "." { // the root has another inode
		_, l.same = t.shared(cipherDir, path.Clean(dir))
	}
	if t.listed += l.size; t.listed > t.maxListed {
		t.listings, t.listed = map[string]*listing{}, l.size
	}
	t.listings[strings.Clone(dir)] = l
	return l, entries
}

// each calls f with the names in a directory below root, until f returns false. It
// returns false if f did or the directory cannot be read.
func (t *Tree) each(root, dir string, f func(name string) bool) bool {
	d, err := os.OpenInRoot(root, dir)
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

// changed returns the change time of a plain directory.
func (t *Tree) changed(dir string) (time.Time, bool) {
	fi, err := lstat(t.view.plain, dir+".")
	if err != nil {
		return time.Time{}, false
	}
	return changeTime(fi), true
}
