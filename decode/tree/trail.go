package tree

import (
	"cmp"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// entryTimeout is how long the kernel may remember an entry of a gocryptfs mount: a second
	// (go-fuse, EntryTimeout), and some more. A listing is always fresh.
	entryTimeout = 2 * time.Second

	// clockStep is longer than the clock of a system takes to advance. A file that has not
	// changed for that long gets a new change time with its next change.
	clockStep = 20 * time.Millisecond
)

var (
	errLost     = errors.New("another file system than the one found is mounted at a root")
	errUnproved = errors.New("not the same file, or it is changing, or in another mount")
)

// A disk looks at files. Tests change them meanwhile.
type disk struct {
	mounts   func() (mountTable, error)
	stat     func(in int, name string) (file, error)
	readlink func(in int, name string) (string, error)
	same     func(encrypted, plain file) bool
}

var system = disk{readMounts, stat, readlink, isSame}

// isSame reports whether entries of the two sides are the same file. gocryptfs hands inode
// number and change time through. Without the time, a snapshot would be taken for what it was
// made of.
func isSame(encrypted, plain file) bool {
	return encrypted.inode == plain.inode && encrypted.changed.Equal(plain.changed)
}

// isRecent reports whether what changed then may change once more without another change
// time. Some file systems, such as ext3, have only seconds. A time in the future is not that
// of the next change.
func isRecent(changed time.Time) bool {
	if changed.Nanosecond() == 0 {
		return time.Since(changed).Abs() < entryTimeout
	}
	return time.Since(changed).Abs() < clockStep
}

// A trail is a way down from a root of the view, through directories of its mount alone.
type trail struct {
	in    int    // the directory it leads to, open
	name  string // an entry of that
	files []file // the directories upwards, the root, and the entry
}

// prove calls read with the trails of two paths, if they lead to the same file. It returns an
// error if read does, or if anything on the way has changed, meanwhile or a moment ago.
func (d disk) prove(v *view, cipher, plain string, read func(c, p trail) error) error {
	c, err := d.walk(v.dir, v.ids[0], cipher)
	defer c.close()
	p, err2 := d.walk(v.plain, v.ids[1], plain)
	defer p.close()
	if err = cmp.Or(err, err2); err != nil {
		return err
	}
	last := len(p.files) - 1
	if len(c.files) != last+1 {
		return errUnproved
	}
	for i, f := range p.files {
		isRoot := i == last-1 || last == 1 && p.name == "." // both have another inode
		if isRecent(f.changed) || !isRoot && !d.same(c.files[i], f) {
			return errUnproved
		}
	}
	err = read(c, p)
	// In reverse mode the plain side tells: gocryptfs makes the other one of it.
	if !d.isStill(p, v.plain, v.ids[1], plain) || !v.reverse && !d.isStill(c, v.dir, v.ids[0], cipher) {
		return errUnproved
	}
	return err
}

// isStill reports whether a second walk sees the same files.
func (d disk) isStill(t trail, root string, mount mountID, to string) bool {
	now, err := d.walk(root, mount, to)
	now.close()
	return err == nil && slices.Equal(now.files, t.files)
}

// walk returns the trail of a path below a root. It has to be closed, also with an error.
func (d disk) walk(root string, mount mountID, to string) (t trail, err error) {
	dir, name := path.Split(to)
	t = trail{in: -1, name: name}
	rootDir, err := open(here, root+"/.", openFlags)
	if err != nil || mountOf(rootDir, ".") != mount {
		unix.Close(rootDir)
		return t, errLost
	}
	defer unix.Close(rootDir)
	if !filepath.IsLocal(to) {
		return t, errUnproved
	}
	if t.in, err = openBelow(rootDir, "./"+dir); err != nil {
		return t, err
	}
	see := func(in int, name string) {
		f, statErr := d.stat(in, name)
		if t.files = append(t.files, f); f.mount != mount {
			err = errUnproved
		}
		err = cmp.Or(statErr, err)
	}
	for up := "."; len(t.files) < strings.Count(dir, "/"); up += "/.." {
		see(t.in, up)
	}
	see(rootDir, ".")
	if mountOf(t.in, name) == mount { // or not even a look
		see(t.in, name)
		return t, err
	}
	return t, cmp.Or(err, errUnproved)
}

func (t trail) close() {
	if t.in >= 0 {
		unix.Close(t.in)
	}
}

// readTarget returns the plain target of a link. It returns an error if text is not the
// encrypted one, which is read last.
func (d disk) readTarget(c, p trail, text string) (target string, err error) {
	target, err = d.readlink(p.in, p.name)
	if read, err := d.readlink(c.in, c.name); err != nil || read != text {
		return "", errUnproved
	}
	return target, err
}
