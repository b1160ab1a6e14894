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

	// tick is longer than the clock of any file system takes to advance. A file that
	// has not changed for that long gets a new change time with its next change.
	tick = 20 * time.Millisecond

	// lookAgain is the pause before a directory that could not be used is tried
	// again.
	lookAgain = time.Second

	// maxListings bounds the listings that are kept, and listingBytes the names in each.
	maxListings  = 4
	listingBytes = 2 << 20
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

	listings *lru.LRU[string, *listing] // by plain directory
	seed     maphash.Seed

	// sameFile and readLinks, except in tests, where files change meanwhile.
	same  func(encrypted, plain fs.FileInfo) bool
	links func(v view, cipher, plain string) (encrypted, target string, err error)
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
	listings, err := lru.NewLRU[string, *listing](maxListings, nil)
	if err != nil {
		panic(err) // only if the size is below one
	}
	return &Tree{mount: mount, given: given, timeout: timeout, listings: listings, seed: maphash.MakeSeed(),
		same: sameFile, links: readLinks}
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

// Sub returns the cipher path of MOUNT, empty if that is the root of the view.
func (t *Tree) Sub() string { return t.now().sub }

// Exists reports whether the view has a file with this cipher path. It returns false
// if the view is not known or does not answer.
func (t *Tree) Exists(cipher string) bool {
	if t.now().dir == "" {
		return false
	}
	exists, ok := look(t, func() bool {
		_, err := inRoot(t.view.dir, cipher, (*os.Root).Lstat)
		return err == nil
	})
	return ok && exists
}

// Target returns the plain target of the symbolic link with the paths cipher and plain
// if text begins with its encrypted target, which takes n bytes. n is 0 if text does
// not, or if the files do not prove it.
func (t *Tree) Target(cipher, plain string, text []byte) (target string, n int) {
	if !t.ready() {
		return "", 0
	}
	type links struct{ plain, encrypted string }
	r, ok := look(t, func() (r links) {
		// This proves nothing, but saves the rest for most text that is no target: below
		// 100 directories 3 s of CPU time a MB (make bench, hostile).
		if first, err := inRoot(t.view.dir, cipher, (*os.Root).Readlink); err != nil || !bytes.HasPrefix(text, []byte(first)) {
			return r
		}
		before, ok := t.trail(cipher, plain)
		if !ok {
			return r
		}
		encrypted, target, err := t.links(t.view, cipher, plain)
		if err != nil || encrypted == "" || !bytes.HasPrefix(text, []byte(encrypted)) {
			return r
		}
		if after, ok := t.trail(cipher, plain); ok && after == before {
			return links{target, encrypted}
		}
		return r
	})
	if !ok {
		return "", 0
	}
	return r.plain, len(r.encrypted)
}

// Spelling returns the exact plain path of a cipher path whose last name is not
// UTF-8. plain is that path with U+FFFD in its last name, and only there. ok is false
// if the files do not prove the spelling.
func (t *Tree) Spelling(cipher, plain string) (exact string, ok bool) {
	if !t.ready() {
		return "", false
	}
	dir, leaf := path.Split(plain)
	hash := maphash.String(t.seed, path.Base(cipher))
	// What a listing has proved stays true, whatever has become of the directory.
	if l, known := t.listings.Get(dir); known && l.only(hash, leaf) != "" {
		return dir + l.only(hash, leaf), true
	}
	exact, ok = look(t, func() string {
		l := t.list(path.Dir(cipher), dir)
		if l == nil || !l.view[hash] {
			return "" // the kernel may only remember the file
		}
		if only := l.only(hash, leaf); only != "" {
			return dir + only
		}
		spellings := strings.Split(l.names[leaf], "/")
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
			if fi, err := inRoot(t.view.plain, dir+s, (*os.Root).Lstat); err == nil && inode(fi) == inode(file) {
				if found != "" {
					return "" // either may be the one
				}
				found = s
			}
		}
		if now, ok := t.changed(dir); found == "" || !ok || !now.Equal(l.changed) {
			return ""
		}
		return dir + found
	})
	return exact, ok && exact != ""
}

// A listing holds the names of a plain directory that are not UTF-8, and others that
// look the same in JSON.
type listing struct {
	changed time.Time         // the change time of the directory
	read    time.Time         // when the directory was read
	names   map[string]string // by their form in JSON, joined by slashes
	view    map[uint64]bool   // hashes of the names in the view
	same    bool              // both directories have the same inode
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

// list returns the listing of a directory, given by its path on both sides. It
// returns nil if the directory is changing, too big or cannot be read.
func (t *Tree) list(cipherDir, dir string) *listing {
	changed, ok := t.changed(dir)
	if !ok || time.Since(changed) < tick {
		return nil
	}
	l, known := t.listings.Get(dir)
	if known && l.changed.Equal(changed) && (l.names != nil || time.Since(l.read) < lookAgain) {
		if l.names == nil {
			return nil
		}
		return l
	}
	l = &listing{changed: changed, read: time.Now(), view: map[uint64]bool{}}
	t.listings.Add(strings.Clone(dir), l)
	names, size := map[string]string{}, 0
	ok = t.each(t.view.plain, dir+".", func(s string) bool {
		// JSON replaces every byte that is not UTF-8 by U+FFFD, as []rune does.
		if r := string([]rune(s)); strings.ContainsRune(r, utf8.RuneError) {
			size += len(r) + len(s)
			if names[r] != "" {
				s = names[r] + "/" + s
			}
			names[r] = s
		}
		return size <= listingBytes
	})
	ok = ok && t.each(t.view.dir, cipherDir, func(s string) bool {
		l.view[maphash.String(t.seed, s)] = true
		return len(l.view) <= listingBytes/32
	})
	if now, still := t.changed(dir); !ok || !still || !now.Equal(changed) {
		l.view = nil
		return nil
	}
	if cipherDir != "." { // the root has another inode
		encrypted, err := inRoot(t.view.dir, cipherDir, (*os.Root).Lstat)
		clear, plainErr := inRoot(t.view.plain, path.Clean(dir), (*os.Root).Lstat)
		l.same = err == nil && plainErr == nil && t.same(encrypted, clear)
	}
	l.names = names
	return l
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

// trail describes the files at both paths and the directories above them, up to the
// roots. ok is false if the two sides are not the same files, or have changed too
// recently. If two trails are equal, nothing was moved between them.
func (t *Tree) trail(cipher, plain string) (trail string, ok bool) {
	var b strings.Builder
	cipherEnds, plainEnds := append(slashes(cipher), len(cipher)), append(slashes(plain), len(plain))
	if len(cipherEnds) != len(plainEnds) {
		return "", false
	}
	for i := range cipherEnds {
		encrypted, err := inRoot(t.view.dir, cipher[:cipherEnds[i]], (*os.Root).Lstat)
		if err != nil {
			return "", false
		}
		clear, err := inRoot(t.view.plain, plain[:plainEnds[i]], (*os.Root).Lstat)
		if err != nil || !t.same(encrypted, clear) {
			return "", false
		}
		for _, fi := range []fs.FileInfo{encrypted, clear} {
			changed := changeTime(fi)
			if time.Since(changed) < tick {
				return "", false
			}
			fmt.Fprintln(&b, inode(fi), changed.UnixNano())
		}
	}
	return b.String(), true
}

// sameFile reports whether entries of the two sides are the same file.
func sameFile(encrypted, plain fs.FileInfo) bool { return inode(encrypted) == inode(plain) }

// readLinks returns the targets of a link, the encrypted one read last.
func readLinks(v view, cipher, plain string) (encrypted, target string, err error) {
	target, err = inRoot(v.plain, plain, (*os.Root).Readlink)
	encrypted, encryptedErr := inRoot(v.dir, cipher, (*os.Root).Readlink)
	return encrypted, target, errors.Join(err, encryptedErr)
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

// look returns the result of f. ok is false if f takes longer than the timeout, or if
// another look still hangs.
func look[T any](t *Tree, f func() T) (result T, ok bool) {
	t.mu.Lock()
	hung := t.hung
	t.mu.Unlock()
	if hung {
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
