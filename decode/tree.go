package decode

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/moby/sys/mountinfo"
)

// Tree is the encrypted view that MOUNT belongs to, and the plain directory that
// it shows or is shown as. Its methods may be called from any number of
// goroutines; those of a nil Tree know nothing.
//
// It reads only below the two directories (os.Root), and keeps neither of them
// open, so that they can be unmounted. A look that takes longer than the timeout
// is the last one: a file system that hangs must not stop the stream.
type Tree struct {
	view    view
	timeout time.Duration
	hung    atomic.Bool

	exact *lru.Cache[string, confirmed] // by cipher path

	mu      sync.Mutex
	listing listing // the last one read
}

// confirmed is what became of a doubtful answer.
type confirmed struct {
	plain string
	ok    bool
}

// exactEntries bounds the doubtful names remembered, and listingEntries the names
// that are not UTF-8 of one directory.
const (
	exactEntries   = 1024
	listingEntries = 1 << 16
)

// A MountError says why MOUNT is not the encrypted side of a gocryptfs mount.
type MountError struct {
	What, Hint string
}

func (e *MountError) Error() string { return e.What }

// OpenTree finds the encrypted view that mount lies in, and the plain directory
// in the mount table, unless plain names it. A look at either of them takes at
// most the timeout. It always returns a Tree: with an error, a *MountError, one
// that knows what can be known.
func OpenTree(mount, plain string, timeout time.Duration) (*Tree, error) {
	exact, err := lru.New[string, confirmed](exactEntries)
	if err != nil {
		panic(err) // only for a size below one
	}
	t := &Tree{timeout: timeout, exact: exact}
	type result struct {
		view
		err error
	}
	r, ok := within(t, func() (r result) {
		r.view, r.err = findView(mount, plain)
		return r
	})
	if !ok {
		r.err = &MountError{mount + " does not answer", "is gocryptfs stopped?"}
	}
	t.view = r.view
	return t, r.err
}

// bases returns the directories that a path in the text may be relative to, each
// with a slash behind it: MOUNT, if that is inside of the view, and the root. A
// path that begins with the last names of MOUNT's own comes from above these, as
// with a source that has no slash at its end; that one is the first.
func (t *Tree) bases(path []byte) []string {
	if t == nil || t.view.sub == "" {
		return []string{""}
	}
	bases := []string{t.view.sub + "/", ""}
	for i := 0; ; {
		if tail := t.view.sub[i:]; bytes.HasPrefix(append(path, '/'), []byte(tail+"/")) {
			return slices.Insert(bases, 0, t.view.sub[:i])
		}
		n := strings.IndexByte(t.view.sub[i:], '/')
		if n < 0 {
			break
		}
		i += n + 1
	}
	return bases
}

// A view is an encrypted directory, as the mount table has it.
type view struct {
	dir   string // its root
	plain string // the plain directory, empty if it is not known
	sub   string // MOUNT's own cipher path, empty if MOUNT is the root
}

// findView returns the view that mount lies in. The mount table need not know it
// if the plain directory is given.
func findView(mount, plain string) (view, error) {
	v := view{dir: mount, plain: plain}
	if mount == "" {
		return v, &MountError{"MOUNT is empty", "is a variable of the script not set?"}
	}
	if err := checkDir(mount, "give the encrypted directory that rsync reads"); err != nil {
		return v, err
	}
	listed, err := lookUp(mount)
	if plain == "" {
		return listed, err
	}
	if err == nil {
		v.dir, v.sub = listed.dir, listed.sub
	}
	return v, checkDir(plain, "give the directory that gocryptfs encrypts")
}

// lookUp searches the mount table for the gocryptfs that has mount on its
// encrypted side: below the mount point in reverse mode, below the source in
// forward mode.
func lookUp(mount string) (view, error) {
	v := view{dir: mount}
	dir, err := filepath.EvalSymlinks(mount)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return v, &MountError{err.Error(), "give the directory that rsync reads"}
	}
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return v, &MountError{"no mount table: " + err.Error(), "give the plain directory with -plain"}
	}
	err = &MountError{mount + " is no gocryptfs mount",
		"give the directory that rsync reads, or -plain for the targets of links"}
	longest := -1
	for _, m := range table {
		encrypted, plain := m.Mountpoint, m.Source
		switch {
		case strings.HasSuffix(m.FSType, "gocryptfs-reverse"):
		case strings.HasSuffix(m.FSType, "gocryptfs"):
			encrypted, plain = plain, encrypted
		default:
			continue
		}
		if sub, ok := below(encrypted, dir); ok && len(encrypted) >= longest {
			v, longest, err = view{dir: encrypted, plain: plain, sub: sub}, len(encrypted), nil
		} else if _, ok := below(plain, dir); ok && longest < 0 {
			err = &MountError{mount + " is the plain side of a gocryptfs mount",
				"give the encrypted one: " + encrypted}
		}
	}
	return v, err
}

// checkDir explains why dir is no directory, with a hint if it is something else.
func checkDir(dir, hint string) error {
	fi, err := os.Stat(dir)
	switch {
	case err != nil:
		return &MountError{err.Error(), "targets of symbolic links will stay encrypted"}
	case fi.Mode().Type() == fs.ModeSocket:
		return &MountError{dir + " is a socket", "the operands are CTLSOCK and MOUNT, in this order"}
	case !fi.IsDir():
		return &MountError{dir + " is not a directory", hint}
	}
	return nil
}

// below returns the path of dir relative to root, empty if they are the same.
func below(root, dir string) (string, bool) {
	if dir == root {
		return "", true
	}
	return strings.CutPrefix(dir, strings.TrimSuffix(root, "/")+"/")
}

// target returns the plain target of the symbolic link f if text begins with its
// encrypted one, which takes n bytes of it. n is 0 if it does not.
func (t *Tree) target(f found, text []byte) (plain string, n int) {
	if t == nil || t.view.plain == "" {
		return "", 0
	}
	links, ok := within(t, func() (links [2]string) {
		links[0], _ = inRoot(t.view.dir, f.cipher, (*os.Root).Readlink)
		links[1], _ = inRoot(t.view.plain, f.plain, (*os.Root).Readlink)
		return links
	})
	if !ok || links[0] == "" || links[1] == "" || !bytes.HasPrefix(text, []byte(links[0])) {
		return "", 0
	}
	return links[1], len(links[0])
}

// confirm checks a doubtful answer, and returns it with the exact bytes of the
// names in it that are not UTF-8.
func (t *Tree) confirm(names Names, cipher, plain string) (string, bool) {
	if t == nil {
		return plain, encrypts(names, cipher, plain)
	}
	if c, known := t.exact.Get(cipher); known {
		return c.plain, c.ok
	}
	c := confirmed{plain, true}
	i, j := strings.LastIndexByte(cipher, '/'), strings.LastIndexByte(plain, '/')
	dir, leaf := "", plain[j+1:]
	if j >= 0 {
		if dir = plain[:j]; isDoubtful(dir) {
			dir, c.ok = t.confirm(names, cipher[:i], dir)
		}
		dir += "/"
	}
	if c.ok && isDoubtful(leaf) {
		leaf, c.ok = t.confirmLeaf(dir, leaf, cipher)
		c.ok = c.ok || encrypts(names, cipher, plain)
	}
	c.plain = dir + leaf
	t.exact.Add(cipher, c)
	return c.plain, c.ok
}

// encrypts reports whether plain is what cipher stands for. It cannot be told of
// names that are not UTF-8.
func encrypts(names Names, cipher, plain string) bool {
	back, ok := names.Encrypt(plain)
	return ok && back == cipher
}

// confirmLeaf looks for the name leaf in the plain directory dir, and returns it
// with its exact bytes. Failing that, it is enough if the view has its cipher
// path.
func (t *Tree) confirmLeaf(dir, leaf, cipher string) (string, bool) {
	c, ok := within(t, func() confirmed {
		view, viewErr := inRoot(t.view.dir, cipher, (*os.Root).Lstat)
		exact := t.spellings(dir, leaf)
		if len(exact) > 1 && viewErr == nil {
			exact = slices.DeleteFunc(exact, func(s string) bool {
				fi, err := inRoot(t.view.plain, dir+s, (*os.Root).Lstat)
				return err != nil || inode(fi) != inode(view)
			})
		}
		switch {
		case len(exact) == 1:
			return confirmed{exact[0], true}
		case len(exact) > 1:
			return confirmed{leaf, false} // nothing tells which one
		}
		return confirmed{leaf, viewErr == nil}
	})
	return c.plain, ok && c.ok
}

// inode identifies a file on both sides: gocryptfs hands inode numbers through.
func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}

// A listing has those names of a directory that hold U+FFFD or bytes that are no
// UTF-8, by what JSON makes of them.
type listing struct {
	dir   string
	mtime time.Time
	names map[string][]string
}

// spellings returns the names in the plain directory dir that JSON turns into
// leaf.
func (t *Tree) spellings(dir, leaf string) []string {
	if t.view.plain == "" {
		return nil
	}
	if !strings.ContainsRune(leaf, utf8.RuneError) {
		if _, err := inRoot(t.view.plain, dir+leaf, (*os.Root).Lstat); err != nil {
			return nil
		}
		return []string{leaf}
	}
	f, err := inRoot(t.view.plain, dir+".", (*os.Root).Open)
	if err != nil {
		return nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listing.dir != dir || !t.listing.mtime.Equal(fi.ModTime()) {
		t.listing = listing{dir, fi.ModTime(), list(f)}
	}
	return slices.Clone(t.listing.names[leaf])
}

// list reads a directory, up to listingEntries names that matter.
func list(dir *os.File) map[string][]string {
	names := map[string][]string{}
	for n := 0; n < listingEntries; {
		some, err := dir.Readdirnames(1024)
		if err != nil {
			break
		}
		for _, s := range some {
			// JSON has U+FFFD for every byte that is no UTF-8, as []rune has.
			if r := string([]rune(s)); strings.ContainsRune(r, utf8.RuneError) {
				names[r] = append(names[r], s)
				n++
			}
		}
	}
	return names
}

// inRoot calls a method of the root directory dir for one path in it.
func inRoot[T any](dir, path string, f func(*os.Root, string) (T, error)) (T, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		var none T
		return none, err
	}
	defer root.Close()
	return f(root, path)
}

// within returns what f does, if it does in time.
func within[T any](t *Tree, f func() T) (result T, ok bool) {
	if t.hung.Load() {
		return result, false
	}
	done := make(chan T, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	select {
	case result = <-done:
		return result, true
	case <-timer.C:
		t.hung.Store(true)
		return result, false
	}
}
