package decode

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/djherbis/times"
)

const (
	// stale is how long the kernel may remember an entry of a gocryptfs mount: a second
	// (go-fuse, EntryTimeout), and some more. A listing is always fresh.
	stale = 2 * time.Second

	// tick is longer than the clock of a system takes to advance. A file that has not
	// changed for that long gets a new change time with its next change.
	tick = 20 * time.Millisecond

	// lookAgain is the pause before a directory that could not be used is tried
	// again.
	lookAgain = time.Second

	// listingBytes bounds the memory of the listings that are kept, and so of each.
	listingBytes = 8 << 20
	maxListings  = 4096

	// entriesPerFile is the number of directory entries that are read in the time of a look
	// at a file.
	entriesPerFile = 8
)

// A Tree is the encrypted view that MOUNT belongs to, and the plain directory that
// the view shows or is shown as. Only one goroutine may use it; a nil Tree knows
// nothing.
//
// It reads only below these two directories (os.Root) and keeps neither of them
// open, so that they can be unmounted. After a look that takes longer than the
// timeout, there is no other look until the first one ends: a file system that hangs
// must not stop the stream.
type Tree struct {
	mount, given string // MOUNT and -plain
	timeout      time.Duration
	view         view
	found        time.Time // when the view was last looked for

	mu   sync.Mutex
	hung bool

	listings *lru.LRU[string, *listing] // by plain directory; a look has it for itself
	listed   int                        // bytes in listings
	seed     maphash.Seed

	// sameFile and readLinks, except in tests, where files change meanwhile.
	same  func(encrypted, plain fs.FileInfo) bool
	links func(view, plain *os.Root, cipherName, plainName string) (encrypted, target string, err error)
}

// OpenTree finds the encrypted view that mount lies in, and its plain directory. If
// plain is empty, the mount table names that directory. A look at either of them
// takes at most the timeout. What cannot be found is reported by a call of warn,
// with what is wrong and what to do about it, and looked for again when needed.
func OpenTree(mount, plain string, timeout time.Duration, warn func(what, hint string)) *Tree {
	t := newTree(mount, plain, timeout)
	if p := t.find(); p != nil {
		warn(p.what, p.hint)
	}
	return t
}

func newTree(mount, given string, timeout time.Duration) *Tree {
	t := &Tree{mount: mount, given: given, timeout: timeout, seed: maphash.MakeSeed(), same: sameFile, links: readLinks}
	var err error
	t.listings, err = lru.NewLRU(maxListings, func(_ string, l *listing) { t.listed -= l.size })
	if err != nil {
		panic(err) // only if the size is below one
	}
	return t
}

// find looks for the view. It returns nil if there is no problem.
func (t *Tree) find() *problem {
	type result struct {
		view view
		p    *problem
	}
	t.found = time.Now()
	r, ok := look(t, func() (r result) {
		r.view, r.p = findView(t.mount, t.given)
		return r
	})
	if !ok {
		return &problem{t.mount + " does not answer", "is gocryptfs stopped? targets of links stay encrypted until it goes on"}
	}
	t.view = r.view
	return r.p
}

// now returns the view. It looks again for what is not known of it.
func (t *Tree) now() view {
	if t == nil {
		return view{}
	}
	if (t.view.plain == "" || t.view.dir == "") && time.Since(t.found) > lookAgain {
		t.find()
	}
	return t.view
}

// ready reports whether both directories are known.
func (t *Tree) ready() bool { v := t.now(); return v.plain != "" && v.dir != "" }

// sub returns the cipher path of MOUNT, empty if that is the root of the view.
func (t *Tree) sub() string { return t.now().sub }

// exists reports whether the view has a file with this cipher path. It returns false
// if the view is not known or does not answer.
func (t *Tree) exists(cipher string) bool {
	if t.now().dir == "" {
		return false
	}
	exists, ok := look(t, func() bool {
		_, err := inRoot(t.view.dir, cipher, (*os.Root).Lstat)
		return err == nil
	})
	return ok && exists
}

// target returns the plain target of the symbolic link with the paths cipher and plain
// if text begins with its encrypted target, which takes n bytes. n is 0 if text does
// not, or if the files do not prove it.
func (t *Tree) target(cipher, plain string, text []byte) (target string, n int) {
	if !t.ready() {
		return "", 0
	}
	type links struct{ plain, encrypted string }
	r, ok := look(t, func() (r links) {
		var encrypted, target string
		err := errors.New("not read")
		before, ok := t.trail(cipher, plain, func(view, dir *os.Root, cipherName, plainName string) {
			encrypted, target, err = t.links(view, dir, cipherName, plainName)
		})
		if !ok || err != nil || encrypted == "" || !bytes.HasPrefix(text, []byte(encrypted)) {
			return r
		}
		if after, ok := t.trail(cipher, plain, nil); ok && after == before {
			return links{target, encrypted}
		}
		return r
	})
	if !ok {
		return "", 0
	}
	return r.plain, len(r.encrypted)
}

// spelling returns the exact plain path of a cipher path whose last name is not
// UTF-8. plain is that path with U+FFFD in its last name, and only there. ok is false
// if the files do not prove the spelling, or if they would have to be looked at and may
// not. read is the number of directory entries that had to be read, each file that was
// looked at counting as some.
func (t *Tree) spelling(cipher, plain string, may bool) (exact string, read int, ok bool) {
	if !t.ready() || t.isHung() {
		return "", 0, false
	}
	dir, leaf := path.Split(plain)
	hash := maphash.String(t.seed, path.Base(cipher))
	// What a listing has proved stays true, whatever has become of the directory.
	if l, known := t.listings.Get(dir); known && l.only(hash, leaf) != "" {
		return dir + l.only(hash, leaf), 0, true
	}
	if !may {
		return "", 0, false
	}
	type result struct {
		name string
		read int
	}
	r, ok := look(t, func() (r result) {
		l, fresh := t.list(path.Dir(cipher), dir)
		if fresh {
			r.read = l.entries
		}
		// If the listing of the view has no such file, the kernel may only remember it.
		if r.name = l.only(hash, leaf); r.name == "" && l.view[hash] {
			spellings := strings.Split(l.names[leaf], "/")
			r.read += entriesPerFile * len(spellings)
			r.name = t.spell(l, cipher, dir, spellings)
		}
		return r
	})
	return dir + r.name, r.read, ok && r.name != ""
}

// spell returns the one of several spellings that the last name of a cipher path has in
// the directory dir, or an empty string if nothing proves it.
func (t *Tree) spell(l *listing, cipher, dir string, spellings []string) string {
	if len(spellings) > 1 && time.Since(l.changed) < stale {
		return ""
	}
	file, err := inRoot(t.view.dir, cipher, (*os.Root).Lstat)
	if err != nil {
		return ""
	}
	found := ""
	for _, s := range spellings {
		if s == "" {
			continue
		}
		if fi, err := inRoot(t.view.plain, dir+s, (*os.Root).Lstat); err == nil && t.same(file, fi) {
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
	changed time.Time         // the change time of the directory
	read    time.Time         // when the directory was read
	names   map[string]string // by their form in JSON, joined by slashes
	view    map[uint64]bool   // hashes of the names in the view
	same    bool              // both directories are known to be the same
	entries int               // of both directories
	size    int               // in memory, about
}

// only returns the one spelling that leaf, a name with U+FFFD, can have in the directory
// if the view has its cipher name, given by its hash. It returns an empty string if there
// are several.
func (l *listing) only(hash uint64, leaf string) string {
	if s := l.names[leaf]; l.same && l.view[hash] && !strings.Contains(s, "/") {
		return s
	}
	return ""
}

// list returns the listing of a directory, given by its path on both sides, and whether
// it was read just now.
func (t *Tree) list(cipherDir, dir string) (l *listing, fresh bool) {
	changed, ok := t.changed(dir)
	if !ok || isRecent(changed) {
		return &listing{}, false
	}
	l, known := t.listings.Get(dir)
	if known && l.changed.Equal(changed) && (l.same || time.Since(l.read) < lookAgain) {
		return l, false
	}
	l = &listing{changed: changed, read: time.Now(), names: map[string]string{}, view: map[uint64]bool{}}
	add := func(bytes int) bool {
		l.entries++
		l.size += bytes
		return l.size <= listingBytes
	}
	ok = t.each(t.view.plain, dir+".", func(s string) bool {
		// JSON replaces every byte that is not UTF-8 by U+FFFD, as []rune does.
		r := string([]rune(s))
		if !strings.ContainsRune(r, utf8.RuneError) {
			return add(0)
		}
		all := s
		if l.names[r] != "" {
			all = l.names[r] + "/" + s
		}
		l.names[r] = all
		return add(100 + len(r) + len(s)) // two strings and their place in the map
	})
	ok = ok && t.each(t.view.dir, cipherDir, func(s string) bool {
		l.view[maphash.String(t.seed, s)] = true
		return add(24)
	})
	if now, still := t.changed(dir); !ok || !still || !now.Equal(changed) {
		l.names, l.view, l.size = nil, nil, 0
	} else if cipherDir != "." { // the root has another inode
		encrypted, err := inRoot(t.view.dir, cipherDir, (*os.Root).Lstat)
		clear, plainErr := inRoot(t.view.plain, path.Clean(dir), (*os.Root).Lstat)
		l.same = err == nil && plainErr == nil && t.same(encrypted, clear)
	}
	t.listings.Remove(dir)
	t.listings.Add(strings.Clone(dir), l)
	for t.listed += l.size; t.listed > listingBytes; {
		t.listings.RemoveOldest()
	}
	return l, true
}

// each calls f with the names in a directory below root, until f returns false. It
// returns false if f did or the directory cannot be read.
func (t *Tree) each(root, dir string, f func(name string) bool) bool {
	d, err := inRoot(root, dir, (*os.Root).Open)
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
	fi, err := inRoot(t.view.plain, dir+".", (*os.Root).Stat)
	if err != nil {
		return time.Time{}, false
	}
	return changeTime(fi), true
}

// trail describes the files at both paths and the directories above them, from the roots
// down. ok is false if the two sides are not the same files, or have changed too recently.
// If two trails are equal, nothing was moved between them. read, if not nil, is called
// with both directories and the names of the file in them.
func (t *Tree) trail(cipher, plain string, read func(view, dir *os.Root, cipherName, plainName string)) (trail string, ok bool) {
	var b strings.Builder
	view, err := os.OpenRoot(t.view.dir)
	if err != nil {
		return "", false
	}
	defer func() { view.Close() }()
	dir, err := os.OpenRoot(t.view.plain)
	if err != nil {
		return "", false
	}
	defer func() { dir.Close() }()
	for {
		cipherName, cipherRest, more := strings.Cut(cipher, "/")
		plainName, plainRest, plainMore := strings.Cut(plain, "/")
		encrypted, err := view.Lstat(cipherName)
		clear, plainErr := dir.Lstat(plainName)
		if err != nil || plainErr != nil || more != plainMore || !t.same(encrypted, clear) || isRecent(changeTime(clear)) {
			return "", false
		}
		fmt.Fprintln(&b, inode(clear), changeTime(clear).UnixNano())
		if !more {
			if read != nil {
				read(view, dir, cipherName, plainName)
			}
			return b.String(), true
		}
		if !enter(&view, cipherName) || !enter(&dir, plainName) {
			return "", false
		}
		cipher, plain = cipherRest, plainRest
	}
}

// enter goes down into a directory.
func enter(root **os.Root, name string) bool {
	below, err := (*root).OpenRoot(name)
	if err != nil {
		return false
	}
	(*root).Close()
	*root = below
	return true
}

// readLinks returns the targets of a link, the encrypted one read last.
func readLinks(view, plain *os.Root, cipherName, plainName string) (encrypted, target string, err error) {
	target, err = plain.Readlink(plainName)
	encrypted, encryptedErr := view.Readlink(cipherName)
	return encrypted, target, errors.Join(err, encryptedErr)
}

// sameFile reports whether entries of the two sides are the same file. gocryptfs hands
// the change time through. Without it, a snapshot would be taken for what it was made of.
func sameFile(encrypted, plain fs.FileInfo) bool {
	return inode(encrypted) == inode(plain) && changeTime(encrypted).Equal(changeTime(plain))
}

// isRecent reports whether what changed then may change once more without another change
// time. Some file systems, such as ext3, have only seconds.
func isRecent(changed time.Time) bool {
	if changed.Nanosecond() == 0 {
		return time.Since(changed) < stale
	}
	return time.Since(changed) < tick
}

// inode identifies a file on both sides: gocryptfs hands inode numbers through. It
// adds a tag in the upper 16 bits if the file is not on the device of the root
// (gocryptfs internal/inomap), which is removed here.
func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino) & (1<<48 - 1)
	}
	return 0
}

func changeTime(fi fs.FileInfo) time.Time {
	if ts := times.Get(fi); ts.HasChangeTime() {
		return ts.ChangeTime()
	}
	return fi.ModTime()
}

// inRoot calls f, a method of os.Root, with the directory dir and a path in it.
func inRoot[T any](dir, path string, f func(*os.Root, string) (T, error)) (T, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		var none T
		return none, err
	}
	defer root.Close()
	return f(root, path)
}

// isHung reports whether a look hangs. Until it ends, all that looks change is its own.
func (t *Tree) isHung() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hung
}

// look returns the result of f. ok is false if f takes longer than the timeout, or if
// another look still hangs.
func look[T any](t *Tree, f func() T) (result T, ok bool) {
	if t.isHung() {
		return result, false
	}
	var defect any
	done := make(chan struct{})
	var r T // written before done is closed
	go func() {
		defer func() {
			defect = recover()
			t.mu.Lock()
			defer t.mu.Unlock()
			t.hung = false
			close(done)
		}()
		r = f()
	}()
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.mu.Lock()
		defer t.mu.Unlock()
		select {
		case <-done:
		default:
			t.hung = true
			return result, false
		}
	}
	if defect != nil {
		panic(defect)
	}
	return r, true
}
