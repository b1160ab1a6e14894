// Package tree reads the files behind the names: the encrypted view that MOUNT belongs to,
// and the plain directory.
package tree

import (
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// entryTimeout is how long the kernel may remember an entry of a gocryptfs mount: a second
	// (go-fuse, EntryTimeout), and some more. A listing is always fresh.
	entryTimeout = 2 * time.Second

	// clockStep is longer than the clock of a system takes to advance. A file that has not
	// changed for that long gets a new change time with its next change.
	clockStep = 20 * time.Millisecond

	// lookAgain is the pause before a directory that could not be used is tried again.
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
// the view shows or is shown as. Only one goroutine may use it.
//
// It reads only below these two directories and keeps neither of them open for more than a
// moment, so that they can be unmounted. Inode numbers and change times identify a file only
// within one file system, so they prove nothing if another one is mounted at one of the roots.
//
// After a look that takes longer than the timeout, there is no other look until the first
// one ends: a file system that hangs must not stop the stream. Looking for the view again
// never makes the text wait.
type Tree struct {
	mount, plainFlag string // MOUNT and -plain
	timeout          time.Duration

	view    view
	search  <-chan func() found // under way, or nil
	started time.Time           // when the last search began
	problem *problem            // what the last one found to be wrong

	server    Server
	peer      int  // the process that elsewhere is about
	elsewhere bool // it lives in another mount namespace

	deterministic bool      // names may be the same in every directory
	known         bool      // whether they may
	asked         time.Time // when it was last tried to find out

	// The trail of the last look stays open for clockStep, so that links that follow each
	// other share its directories: 3,000 of them ten deep take 0.6 times the processor time.
	// What changes in the meantime has changed too recently for any look.
	kept  atomic.Pointer[trail]
	close *time.Timer

	busy sync.Mutex // held during a look, so for as long as it hangs

	listings map[string]*listing // by plain directory; a look has it for itself
	listed   int                 // bytes in listings, about
	seed     maphash.Seed

	maxListed int // listingBytes, except in tests

	// sameFile and readLinks, except in tests, where files change meanwhile.
	same  func(encrypted, plain fs.FileInfo) bool
	links func(cipher string, dir *os.Root, name string) (encrypted, target string, err error)
}

// New returns the Tree of MOUNT, after looking for its view. If plain is empty, the mount
// table names the plain directory. A look at files takes at most the timeout. server may be nil.
func New(mount, plain string, timeout time.Duration, server Server) *Tree {
	t := newTree(mount, plain, timeout)
	t.server = server
	t.problem = &problem{what: mount + " or its plain directory does not answer",
		hint: "targets of links stay encrypted until it does"}
	t.begin()
	t.adopt(timeout)
	return t
}

func newTree(mount, plainFlag string, timeout time.Duration) *Tree {
	t := &Tree{mount: mount, plainFlag: plainFlag, timeout: timeout, maxListed: listingBytes,
		listings: map[string]*listing{}, seed: maphash.MakeSeed(), same: sameFile, links: readLinks}
	t.close = time.AfterFunc(0, func() { t.take().close() })
	return t
}

// A View is what is known of the view. See decode.View.
type View = struct {
	Sub, Plain             string
	Reverse, Deterministic bool
}

// View returns what is known of the view.
func (t *Tree) View() View {
	v := t.refreshedView()
	return View{Sub: v.sub, Plain: v.plain, Reverse: v.reverse, Deterministic: t.isDeterministic()}
}

// isDeterministic reports whether names may be the same in every directory, as with gocryptfs
// -deterministic-names: then directories have no gocryptfs.diriv. It returns true until the
// opposite is known.
func (t *Tree) isDeterministic() bool {
	if !t.known && time.Since(t.asked) > lookAgain {
		err := t.find("gocryptfs.diriv")
		t.known, t.deterministic, t.asked = err == nil || os.IsNotExist(err), err != nil, time.Now()
	}
	return !t.known || t.deterministic
}

// Exists reports whether the view has a file with this cipher path. It returns false
// if the view is not known or does not answer.
func (t *Tree) Exists(cipher string) bool { return t.find(cipher) == nil }

// find returns an error if the view has no file with this cipher path, or does not answer.
func (t *Tree) find(cipher string) error {
	t.refreshedView()
	err, ok := prove(t, func() (error, bool) {
		_, err := lstat(t.view.dir, cipher)
		return err, true
	})
	if !ok {
		return os.ErrDeadlineExceeded
	}
	return err
}

// Target returns the plain target of the symbolic link with the paths cipher and plain
// if text is its encrypted target. ok is false if it is not, or if the files do not prove it.
func (t *Tree) Target(cipher, plain string, text []byte) (target string, ok bool) {
	if !t.ready() {
		return "", false
	}
	encrypted := string(text) // text may change while a look hangs
	return prove(t, func() (string, bool) { return t.readTarget(cipher, plain, encrypted) })
}

// Spelling returns the exact plain path of a cipher path whose last name is not
// UTF-8. plain is that path with U+FFFD in its last name, and only there. ok is false
// if the files do not prove the spelling. read is the number of directory entries that had
// to be read, each file that was looked at counting as some.
func (t *Tree) Spelling(cipher, plain string) (exact string, read int, ok bool) {
	if !t.ready() || t.isHung() {
		return "", 0, false
	}
	dir, leaf := path.Split(plain)
	hash := maphash.String(t.seed, path.Base(cipher))
	// What a listing has proved stays true, whatever has become of the directory.
	if l, known := t.listings[dir]; known && l.unique(hash, leaf) != "" {
		return dir + l.unique(hash, leaf), 0, true
	}
	type spelled struct {
		name string
		read int
	}
	s, ok := prove(t, func() (spelled, bool) {
		l, read := t.readListing(path.Dir(cipher), dir)
		name := l.unique(hash, leaf)
		// If the listing of the view has no such file, the kernel may only remember it.
		if name == "" && l.cipherHashes[hash] {
			read += entriesPerFile * len(l.names[leaf])
			name = t.spell(l, cipher, dir, l.names[leaf])
		}
		return spelled{name, read}, name != ""
	})
	return dir + s.name, s.read, ok
}
