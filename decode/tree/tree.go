// Package tree reads the files behind the names: the encrypted view that MOUNT belongs to,
// and the plain directory.
//
// It reads only below these two directories, in their mounts, and keeps nothing open between
// two looks, so that they can be unmounted. Inode numbers and change times identify a file
// only within one file system, so nothing is proved as soon as another one is mounted.
//
// From the top: tree.go has the questions, runner.go runs what answers them, trail.go proves that
// two paths lead to the same file, listing.go spells names that are not UTF-8, mount.go finds
// the view, table.go has the mount table, problem.go says what is wrong, and file.go calls the
// system. A file calls only those after it.
package tree

import (
	"path"
	"strings"
	"sync/atomic"
	"time"
)

// lookAgain is the pause before a view that is not known is looked for again.
const lookAgain = time.Second

// A Server is the gocryptfs that answers at CTLSOCK.
type Server interface {
	// Trust tells it who has mounted the file system that MOUNT lies in.
	Trust(uid uint32)
	// Peer returns the number of its process, 0 if that has none here. ok is false until
	// there was a connection.
	Peer() (pid int, ok bool)
}

// A Tree is the encrypted view that MOUNT belongs to, and the plain directory that
// the view shows or is shown as. Only one goroutine may use it.
//
// After a look that takes longer than the timeout, there is no other look until the first
// one ends: a file system that hangs must not stop the stream. Looking for the view again
// never makes the text wait.
type Tree struct {
	mount, plainFlag string // MOUNT and -plain
	timeout          time.Duration

	view            atomic.Pointer[view]
	searched        time.Time // when the last search for it began
	looks, searches runner

	server    Server // may be nil
	peer      int    // the process that elsewhere is about
	elsewhere bool   // it lives in another mount namespace

	listed *listing // the last one
	disk   disk
}

// New returns the Tree of MOUNT, after looking for its view. If plain is empty, the mount
// table names the plain directory. A look at files takes at most the timeout. server may be nil.
func New(mount, plain string, timeout time.Duration, server Server) *Tree {
	t := newTree(mount, plain, timeout, server)
	t.search(timeout)
	t.current()
	return t
}

func newTree(mount, plain string, timeout time.Duration, server Server) *Tree {
	t := &Tree{mount: mount, plainFlag: plain, timeout: timeout, server: server, peer: -1, listed: &listing{}, disk: system}
	t.view.Store(&view{dir: mount, deterministic: true, problem: wrong(Silent, mount)})
	return t
}

// A View is what is known of the view. See decode.View.
type View = struct {
	Sub, Plain             string
	Reverse, Deterministic bool
}

// View returns what is known of the view. It never waits.
func (t *Tree) View() View {
	v := *t.current()
	if t.isElsewhere() {
		v.plain = ""
	}
	return View{Sub: v.sub, Plain: v.plain, Reverse: v.reverse, Deterministic: v.deterministic}
}

// Exists reports whether the view has a file with this cipher path. It returns false
// if the view is not known or does not answer.
func (t *Tree) Exists(cipher string) bool {
	v := t.current()
	return v.ids[0] != 0 && t.look(v, func() answer {
		found, err := t.disk.walk(v.dir, v.ids[0], cipher)
		found.close()
		return answer{err: err}
	}).err == nil
}

// Target returns the plain target of the symbolic link with the paths cipher and plain
// if text is its encrypted target. ok is false if it is not, or if the files do not prove it.
func (t *Tree) Target(cipher, plain string, text []byte) (target string, ok bool) {
	v, ok := t.ready()
	if !ok {
		return "", false
	}
	want := string(text) // text may change while a look hangs
	a := t.look(v, func() (a answer) {
		a.err = t.disk.prove(v, cipher, plain, func(c, p trail) (err error) {
			a.text, err = t.disk.readTarget(c, p, want)
			return err
		})
		return a
	})
	return a.text, a.err == nil
}

// Spelling returns the exact plain path of a cipher path whose last name is not
// UTF-8. plain is that path with U+FFFD in its last name, and only there. ok is false
// if the files do not prove the spelling. read is the number of directory entries that had
// to be read, each file that was looked at counting as some.
func (t *Tree) Spelling(cipher, plain string) (exact string, read int, ok bool) {
	v, ok := t.ready()
	if !ok {
		return "", 0, false
	}
	dir, leaf := path.Split(plain)
	l := t.listed
	if l.view != v || l.dir != dir {
		l = &listing{view: v, dir: dir}
	}
	cipherDir, name := path.Split(cipher)
	if s := l.unique(name, leaf); s != "" {
		return dir + s, 0, true // true for ever, whatever has become of the directory
	}
	a := t.look(v, func() answer {
		a := answer{listing: l, read: entriesPerFile * (1 + strings.Count(cipher, "/"))}
		a.err = t.disk.prove(v, cipherDir+".", dir+".", func(c, p trail) (err error) {
			if l.file != p.files[0] {
				a.listing = list(l, c, p)
				a.read += a.listing.read
			}
			a.read += entriesPerFile * len(a.listing.spellings[leaf])
			a.text, err = t.disk.spell(a.listing, c, p, name, leaf)
			return err
		})
		return a
	})
	if a.err == nil || a.err == errNoSpelling { // nothing has changed meanwhile
		t.listed = a.listing
	}
	return dir + a.text, a.read, a.err == nil
}

// Check calls warn with what is wrong if the view or its plain directory was not found. If a root has changed a moment ago, it looks for them again, for
// up to two seconds: the kernel may not know the change yet.
func (t *Tree) Check(warn func(p Problem, details ...any)) {
	p, late := t.view.Load().problem, time.Now().Add(entryTimeout)
	for p != nil && p.passing && time.Now().Before(late) {
		time.Sleep(clockStep)
		t.search(t.timeout)
		p = t.view.Load().problem
	}
	if p == nil && t.isElsewhere() {
		p = wrong(Elsewhere)
	}
	if p != nil {
		warn(p.kind, p.details...)
	}
}

// search looks for the view, and waits for that up to limit.
func (t *Tree) search(limit time.Duration) {
	t.searched = time.Now()
	t.searches.run(limit, func() answer {
		v, old := findView(t.mount, t.plainFlag, t.disk.mounts), t.view.Load()
		if v.problem != nil && v.sub == "" && old.sub != "" { // MOUNT is gone; its path is still the same
			kept := *old
			kept.problem, kept.owner = v.problem, v.owner
			v = kept
		}
		t.view.Store(&v)
		return answer{}
	})
}

// current returns the view. It has what is not known of it looked for again, in the
// background and not more often than every second.
func (t *Tree) current() *view {
	if !t.view.Load().isKnown() && time.Since(t.searched) > lookAgain {
		t.search(0)
	}
	v := t.view.Load()
	if t.server != nil {
		t.server.Trust(uint32(v.owner))
	}
	return v
}

// ready returns the view. ok is false unless both of its directories are known.
func (t *Tree) ready() (v *view, ok bool) {
	v = t.current()
	return v, v.isKnown() && !t.isElsewhere()
}

// isElsewhere reports whether paths of the mount table mean something else to gocryptfs. It
// looks again when another process answers.
func (t *Tree) isElsewhere() bool {
	if t.server == nil || t.plainFlag != "" {
		return false
	}
	if pid, ok := t.server.Peer(); ok && pid != t.peer {
		t.peer, t.elsewhere = pid, livesElsewhere(pid)
	}
	return t.elsewhere
}

// look returns the answer of f, which looks at files of the view. If a root is not what was
// found, another file system is mounted there, and the view has to be looked for again.
func (t *Tree) look(v *view, f func() answer) answer {
	a := t.looks.run(t.timeout, f)
	if a.err == errLost {
		lost := *v
		lost.ids = [2]mountID{}
		t.view.CompareAndSwap(v, &lost)
	}
	return a
}
