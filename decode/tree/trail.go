package tree

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	entriesPerFile = 8 // directory entries that are read in the time of a look at a file

	// entryTimeout is how long the kernel may remember an entry of a gocryptfs mount: a second
	// (go-fuse, EntryTimeout), and some more. A listing is always fresh.
	entryTimeout = 2 * time.Second

	// clockStep is longer than the clock of a system takes to advance. A file that has not
	// changed for that long gets a new change time with its next change.
	clockStep = 20 * time.Millisecond
)

var (
	errLost     = errors.New("a file system other than the one found is mounted at a root")
	errUnproved = errors.New("not the same file, or it is changing, or in another mount")
)

// A disk looks at files. Tests replace its functions, to change files during a look.
type disk struct {
	mounts   func() mountTable
	stat     func(in int, name string, flags int) (file, error)
	readlink func(in int, name string) (string, error)
	same     func(encrypted, plain file) bool
	flags    int // of a look: 0 or fresh
}

var system = disk{readMounts, stat, readlink, isSame, 0}

// isSame reports whether entries of the two sides are the same file. gocryptfs passes on the change
// time and the lower 48 bits of the inode number; those above tell the device. It replaces a
// longer number by one with the highest bit set (internal/inomap). Without the time, a snapshot
// would be taken for what it was made of.
func isSame(encrypted, plain file) bool {
	return (encrypted.inode|plain.inode)>>63 == 0 && encrypted.inode<<16 == plain.inode<<16 && encrypted.changed.Equal(plain.changed)
}

// isRecent reports whether a file may change once more without another change time. Some file
// systems, such as ext3, have only seconds. A time in the future is not that of the next change.
func isRecent(f file) bool {
	limit := clockStep
	if f.changed.Nanosecond() == 0 {
		limit = entryTimeout
	}
	return time.Since(f.changed).Abs() < limit
}

// A trail is a way down from a root of the view, through directories of its mount alone. They
// stay open, so it does not matter what is mounted over them meanwhile.
type trail struct {
	mount uint64
	dirs  []int  // the directories, from the root on
	files []file // what they were
	in    int    // the last of them
	name  string // an entry in it
}

// prove returns what read makes of the trails of two paths, if they lead through the same
// directories, none of which has changed, meanwhile or a moment ago.
func (d disk) prove(v view, cipher, plain string, read func(c, p trail) answer) (a answer) {
	c, err := d.walk(v.dir, v.ids[0], cipher)
	defer c.close()
	p, err2 := d.walk(v.known.Plain, v.ids[1], plain)
	defer p.close()
	switch a.err = cmp.Or(err, err2); {
	case a.err != nil:
	case !slices.EqualFunc(c.files[1:], p.files[1:], d.same): // the roots alone have two inodes
		if a.err = errUnproved; d.flags != fresh {
			d.flags = fresh // the kernel may remember a time that has passed
			return d.prove(v, cipher, plain, read)
		}
	case slices.ContainsFunc(p.files, isRecent):
		a.err = errUnproved
	default:
		a = read(c, p)
		// In reverse mode the plain side decides: gocryptfs makes the other one from it.
		if !d.isStill(p) || !v.known.Reverse && !d.isStill(c) {
			a = answer{read: a.read, err: errUnproved}
		}
	}
	a.read += entriesPerFile * (1 + strings.Count(cipher, "/"))
	return a
}

// isStill reports whether no directory of a trail has changed, and so no entry in it.
func (d disk) isStill(t trail) bool {
	return slices.EqualFunc(t.dirs, t.files, func(dir int, was file) bool {
		now, err := d.stat(dir, ".", d.flags)
		return err == nil && now == was
	})
}

// walk returns the trail of a path below a root. It has to be closed, also with an error.
func (d disk) walk(root string, mount uint64, to string) (t trail, err error) {
	steps := append([]string{root + "/."}, strings.Split(to, "/")...)
	last := len(steps) - 1
	t = trail{mount: mount, in: here, name: steps[last]}
	if !filepath.IsLocal(to) {
		return t, errUnproved
	}
	failed := errLost // until the root is known
	for _, step := range steps[:last] {
		if t.in, err = open(t.in, step, toPass); err != nil {
			return t, failed
		}
		t.dirs = append(t.dirs, t.in)
		f, err := d.look(t, ".")
		if t.files = append(t.files, f); err != nil {
			return t, failed
		}
		failed = errUnproved
	}
	return t, nil
}

// look describes an entry of the last directory. One in another mount is not looked at, so
// that no FUSE server is told of it.
func (d disk) look(t trail, name string) (f file, err error) {
	if f, _ = stat(t.in, name, noSync); f.mount != t.mount {
		return f, errUnproved
	}
	if f, err = d.stat(t.in, name, d.flags); err == nil && f.mount != t.mount {
		err = errUnproved
	}
	return f, err
}

// isPair reports whether the entry that c leads to and one beside that of p are the same file.
func (d disk) isPair(c, p trail, plain string) bool {
	encrypted, err := d.look(c, c.name)
	file, err2 := d.look(p, plain)
	return err == nil && err2 == nil && d.same(encrypted, file)
}

func (t trail) close() {
	for _, dir := range t.dirs {
		unix.Close(dir)
	}
}

// readTarget returns the plain target of a link if text is the encrypted one.
func (d disk) readTarget(c, p trail, text string) answer {
	target, err := d.readlink(p.in, p.name)
	encrypted, err2 := d.readlink(c.in, c.name)
	if err = cmp.Or(err, err2); err == nil && (encrypted != text || !d.isPair(c, p, p.name)) {
		err = errUnproved
	}
	return answer{text: target, err: err}
}
