package decode

import (
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

	// listingBytes bounds the memory of the listings that are kept, and so of each. An
	// empty one takes about emptyListing.
	listingBytes = 8 << 20
	emptyListing = 256

	// entriesPerFile is the number of directory entries that are read in the time of a look
	// at a file.
	entriesPerFile = 8
)

// A Tree is the encrypted view that MOUNT belongs to, and the plain directory that
// the view shows or is shown as. Only one goroutine may use it; a nil Tree knows
// nothing.
//
// It reads only below these two directories and keeps neither of them open, so that they
// can be unmounted.
// After a look that takes longer than the timeout, there is no other look until the first
// one ends: a file system that hangs must not stop the stream.
type Tree struct {
	mount, given string // MOUNT and -plain
	timeout      time.Duration
	view         view
	found        time.Time // when the view was last looked for

	looking sync.Mutex // held during a look, so for as long as it hangs

	listings map[string]*listing // by plain directory; a look has it for itself
	listed   int                 // bytes in listings, about
	seed     maphash.Seed

	// sameFile and readLinks, except in tests, where files change meanwhile.
	same  func(encrypted, plain fs.FileInfo) bool
	links func(cipher string, dir *os.Root, name string) (encrypted, target string, err error)
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
	return &Tree{mount: mount, given: given, timeout: timeout, listings: map[string]*listing{},
		seed: maphash.MakeSeed(), same: sameFile, links: readLinks}
}

// find looks for the view. It returns nil if there is no problem.
func (t *Tree) find() *problem {
	t.found = time.Now()
	v, p, ok := look(t, func() (view, *problem) { return findView(t.mount, t.given) })
	if !ok {
		return &problem{t.mount + " does not answer", "is gocryptfs stopped? targets of links stay encrypted until it goes on"}
	}
	t.view = v
	return p
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
	_, err, ok := look(t, func() (fs.FileInfo, error) { return lstat(t.view.dir, cipher) })
	return ok && err == nil
}

// target returns the plain target of the symbolic link with the paths cipher and plain
// if text begins with its encrypted target, which takes n bytes. n is 0 if text does
// not, or if the files do not prove it.
func (t *Tree) target(cipher, plain string, text []byte) (target string, n int) {
	if !t.ready() {
		return "", 0
	}
	encrypted := string(text) // text may change while a look hangs
	target, n, _ = look(t, func() (string, int) {
		before, ok := t.trail(cipher, plain)
		if !ok || !strings.HasPrefix(encrypted, before.encrypted) {
			return "", 0
		}
		if after, ok := t.trail(cipher, plain); !ok || after != before {
			return "", 0
		}
		return before.target, len(before.encrypted)
	})
	return target, n
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
	if l, known := t.listings[dir]; known && l.only(hash, leaf) != "" {
		return dir + l.only(hash, leaf), 0, true
	}
	if !may {
		return "", 0, false
	}
	name, read, ok := look(t, func() (name string, read int) {
		l, read := t.list(path.Dir(cipher), dir)
		// If the listing of the view has no such file, the kernel may only remember it.
		if name = l.only(hash, leaf); name == "" && l.view[hash] {
			spellings := strings.Split(l.names[leaf], "/")
			read += entriesPerFile * len(spellings)
			name = t.spell(l, cipher, dir, spellings)
		}
		return name, read
	})
	return dir + name, read, ok && name != ""
}

// spell returns the one of several spellings that the last name of a cipher path has in
// the directory dir, or an empty string if nothing proves it.
func (t *Tree) spell(l *listing, cipher, dir string, spellings []string) string {
	if len(spellings) > 1 && time.Since(l.changed) < stale {
		return ""
	}
	file, err := lstat(t.view.dir, cipher)
	if err != nil {
		return ""
	}
	found := ""
	for _, s := range spellings {
		if s == "" {
			continue
		}
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
	changed time.Time         // the change time of the directory
	read    time.Time         // when the directory was read
	names   map[string]string // by their form in JSON, joined by slashes
	view    map[uint64]bool   // hashes of the names in the view
	same    bool              // both directories are known to be the same
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

// list returns the listing of a directory, given by its path on both sides. entries is the
// number of those that had to be read for it.
func (t *Tree) list(cipherDir, dir string) (l *listing, entries int) {
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
	l = &listing{changed: changed, read: time.Now(), names: map[string]string{}, view: map[uint64]bool{}, size: empty}
	add := func(bytes int) bool {
		entries++
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
		l.names, l.view, l.size = nil, nil, empty
	} else if cipherDir != "." { // the root has another inode
		encrypted, err := lstat(t.view.dir, cipherDir)
		clear, plainErr := lstat(t.view.plain, path.Clean(dir))
		l.same = err == nil && plainErr == nil && t.same(encrypted, clear)
	}
	if t.listed += l.size; t.listed > listingBytes {
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

// A trail describes a link and the directories above it, from the roots down. If two
// trails are equal, nothing was moved between them.
type trail struct {
	files             string
	encrypted, target string // what the link reads on both sides
}

// trail goes down to the link at both paths. ok is false if the two sides are not the same
// files, or have changed too recently, or are no links.
//
// In the view, it gives the kernel whole paths, up to PATH_MAX, because gocryptfs has to
// open and close a directory that is opened: with that, a link ten deep takes twice as
// long.
func (t *Tree) trail(cipher, plain string) (found trail, ok bool) {
	at := t.view.dir
	dir, err := os.OpenRoot(t.view.plain)
	if err != nil {
		return found, false
	}
	defer func() { dir.Close() }()
	for {
		name, cipherRest, more := strings.Cut(cipher, "/")
		plainName, plainRest, plainMore := strings.Cut(plain, "/")
		at += "/" + name
		encrypted, err := os.Lstat(at)
		clear, plainErr := dir.Lstat(plainName)
		if err != nil || plainErr != nil || more != plainMore || more != encrypted.IsDir() ||
			!t.same(encrypted, clear) || isRecent(changeTime(clear)) {
			return found, false
		}
		found.files += fmt.Sprintln(inode(clear), changeTime(clear).UnixNano())
		if !more {
			found.encrypted, found.target, err = t.links(at, dir, plainName)
			return found, err == nil
		}
		below, err := dir.OpenRoot(plainName)
		if err != nil {
			return found, false
		}
		dir.Close()
		dir = below
		cipher, plain = cipherRest, plainRest
	}
}

// readLinks returns the targets of a link, the encrypted one read last.
func readLinks(cipher string, dir *os.Root, name string) (encrypted, target string, err error) {
	target, err = dir.Readlink(name)
	encrypted, encryptedErr := os.Readlink(cipher)
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
	return uint64(fi.Sys().(*syscall.Stat_t).Ino) & (1<<48 - 1)
}

func changeTime(fi fs.FileInfo) time.Time { return times.Get(fi).ChangeTime() }

// lstat describes the file at a path in the directory dir.
func lstat(dir, path string) (fs.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Lstat(path)
}

// isHung reports whether a look hangs. Until it ends, all that looks change is its own.
func (t *Tree) isHung() bool {
	if !t.looking.TryLock() {
		return true
	}
	t.looking.Unlock()
	return false
}

// look returns the results of f. ok is false if f takes longer than the timeout, or if
// another look still hangs.
func look[A, B any](t *Tree, f func() (A, B)) (a A, b B, ok bool) {
	if !t.looking.TryLock() {
		return a, b, false
	}
	var x A // x, y and defect are written before done is closed
	var y B
	var defect any
	done := make(chan struct{})
	go func() {
		defer func() {
			defect = recover()
			t.looking.Unlock()
			close(done)
		}()
		x, y = f()
	}()
	select {
	case <-done:
	case <-time.After(t.timeout):
		return a, b, false
	}
	if defect != nil {
		panic(defect)
	}
	return x, y, true
}
