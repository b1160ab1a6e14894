// Package tree reads the files behind the names: the encrypted view that MOUNT belongs to,
// and the plain directory.
//
// Apart from Resolve, it reads only below these two directories, in their mounts, and keeps
// nothing open between two looks, so that they can be unmounted. A file calls only those after it:
// tree.go has the questions, listing.go spells names, trail.go proves which file is which, mount.go
// finds the view, table.go has the mount table, problem.go the problems, file.go the system calls.
package tree

import (
	"cmp"
	"iter"
	"path"
	"path/filepath"
	"time"
)

// lookAgain is the pause before a view that is not known is looked for again.
const lookAgain = time.Second

// A Server is the gocryptfs that answers at CTLSOCK: a ctlsock.Client.
type Server interface {
	Trust(uid uint32) // is told who has mounted what MOUNT lies in
	Elsewhere() bool  // it is seen to live in another namespace
}

// A Tree is the encrypted view that MOUNT belongs to, and the plain directory that
// the view shows or is shown as. It implements decode.Files. Only one goroutine may use it.
// After a look that takes longer than the timeout, there is no other one until it ends.
type Tree struct {
	mount, plainFlag string // MOUNT and -plain
	timeout          time.Duration

	view            *view
	searched        time.Time // when the last search for it began
	looks, searches runner

	server Server
	listed listing // the last one
	disk   disk
}

// New returns the Tree of MOUNT, after looking for its view. If plain is empty, the mount
// table names the plain directory. A look at files takes at most the timeout.
func New(mount, plain string, timeout time.Duration, server Server) *Tree {
	t := &Tree{mount: mount, plainFlag: plain, timeout: timeout, server: server, disk: system,
		view: &view{dir: mount, known: View{Deterministic: true}, problem: wrong(Unsettled, mount)}}
	t.search(timeout)
	return t
}

// A View is what is known of the view. See decode.View.
type View = struct {
	Sub, Plain             string
	Reverse, Deterministic bool
}

// View returns what is known of the view.
func (t *Tree) View() View { return t.current().known }

// Exists reports whether the view is known to have a file.
func (t *Tree) Exists(cipher string) bool {
	v := t.current()
	return v.ids[0] != 0 && t.look(func() answer {
		found, err := t.disk.walk(v.dir, v.ids[0], cipher)
		defer found.close()
		if err == nil {
			_, err = t.disk.look(found, found.name)
		}
		return answer{err: err}
	}).err == nil
}

// Resolve yields a path of this machine without symbolic links above its last name, as far as that
// can be looked at, and then without any. It yields nothing if no name of the path is there.
func (t *Tree) Resolve(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		at, _ := filepath.Abs(path)
		for _, whole := range []bool{false, true} {
			a := t.looks.run(t.timeout, func() answer { return resolve(at, whole, 32) }) // deeper links stay
			if path == "" || a.text != "" && a.read == 0 || !yield(cmp.Or(a.text, at)) {
				return
			}
		}
	}
}

// Target returns the plain target of a link.
func (t *Tree) Target(cipher, plain string, text []byte) (target string, ok bool) {
	want := string(text) // text may change while a look hangs
	a := t.prove(cipher, plain, func(c, p trail) answer { return t.disk.readTarget(c, p, want) })
	return a.text, a.err == nil
}

// Spelling returns the exact plain path of a name that is not UTF-8, without look only if the last
// listing tells. Each file that was looked at counts as some entries that were read.
func (t *Tree) Spelling(cipher, plain string, look bool) (exact string, read int, ok bool) {
	l := t.listed
	if exact = l.unique(path.Base(cipher), plain); exact != "" || !look {
		return exact, 0, exact != "" // true for ever, whatever has become of the directory
	}
	a := t.prove(cipher, plain, func(c, p trail) answer { return t.disk.spell(&l, c, p, plain) })
	if a.listing != nil { // nothing has changed meanwhile
		t.listed = *a.listing
	}
	return a.text, a.read, a.err == nil
}

// Check calls warn with what is wrong if the view or its plain directory was not found. After a
// recent change of a root, which the kernel may not know yet, it looks again for two seconds.
func (t *Tree) Check(warn func(p Problem, details ...any)) {
	for late := time.Now().Add(entryTimeout); t.view.passing && time.Now().Before(late); t.search(t.timeout) {
		time.Sleep(clockStep)
	}
	if p := t.current().problem; p != nil {
		warn(p.kind, p.details...)
	}
}

// prove returns what read makes of the trails of two paths.
func (t *Tree) prove(cipher, plain string, read func(c, p trail) answer) answer {
	v := t.current()
	if v.problem != nil {
		return answer{err: errUnproved}
	}
	return t.look(func() answer { return t.disk.prove(v, cipher, plain, read) })
}

// look returns the answer of f, which looks at files of the view. If another file system is
// mounted at a root, the view has to be looked for again.
func (t *Tree) look(f func() answer) answer {
	a := t.looks.run(t.timeout, f)
	if a.err == errLost {
		t.view.problem = wrong(Unsettled, t.mount)
	}
	return a
}

// current returns the view, and has it looked for again if it is not known, at most every second.
// Where paths mean something else to gocryptfs, only -plain names the plain directory.
func (t *Tree) current() view {
	if t.view.problem != nil {
		t.search(0)
	}
	v := *t.view
	if t.plainFlag == "" && t.server.Elsewhere() {
		v.known.Plain, v.problem = "", cmp.Or(v.problem, wrong(Elsewhere))
	}
	return v
}

// search uses the view that a search has found, or looks for it and waits for that up to limit. If
// that is 0, it does not look again at once.
func (t *Tree) search(limit time.Duration) {
	v := t.searches.late().view
	if v == nil && (limit > 0 || time.Since(t.searched) > lookAgain) {
		t.searched = time.Now()
		v = t.searches.run(limit, func() answer { return answer{view: findView(t.mount, t.plainFlag, t.disk.mounts)} }).view
	}
	switch {
	case v == nil:
		return
	case v.problem != nil && v.known.Sub == "" && t.view.known.Sub != "": // MOUNT is gone; its path is still the same
		t.view.problem, t.view.passing = v.problem, v.passing
	default:
		t.view, t.listed = v, listing{}
	}
	t.server.Trust(uint32(v.owner))
}

// An answer is what a look or a search has found.
type answer struct {
	text    string
	view    *view
	listing *listing
	read    int // directory entries
	err     error
	defect  any // why there is no answer: what ran has panicked
}

// A runner runs one function at a time, and no other one until that has ended.
type runner struct{ running chan answer } // nil if nothing runs

// run returns the answer of f if it ends within a limit.
func (r *runner) run(limit time.Duration, f func() answer) answer {
	if r.late(); r.running != nil {
		return answer{err: errUnproved} // the last one hangs
	}
	r.running = make(chan answer, 1)
	go func(done chan answer) (a answer) {
		defer func() {
			a.defect = recover()
			done <- a
		}()
		return f()
	}(r.running)
	select {
	case a := <-r.running:
		r.running <- a
	case <-time.After(limit):
	}
	return r.late()
}

// late returns the answer of what runs if it has ended, and panics if it did.
func (r *runner) late() answer {
	if len(r.running) == 0 {
		return answer{err: errUnproved}
	}
	a := <-r.running
	if r.running = nil; a.defect != nil {
		panic(a.defect)
	}
	return a
}
