package tree

import (
	"errors"
	"os"
	"strings"
	"time"
)

// A trail leads from the roots down to a file. If none of its steps has changed, nothing was
// moved meanwhile.
type trail []step

// A step is a name in a directory of the plain side, and its path on the encrypted one.
//
// In the view, it gives the kernel whole paths, up to PATH_MAX, because gocryptfs has to
// open and close a directory that is opened: with that, a link ten deep takes twice as
// long.
type step struct {
	cipher  string
	dir     *os.Root
	name    string
	isDir   bool
	inode   uint64
	changed time.Time
}

func (t trail) close() {
	for _, s := range t {
		s.dir.Close()
	}
}

// descend goes down to the link at both paths. ok is false if the two sides are not the same
// files, or have changed too recently, or are no links. The trail has to be closed.
func (t *Tree) descend(cipher, plain string) (found trail, ok bool) {
	at := t.view.dir
	dir, err := os.OpenRoot(t.view.plain)
	for err == nil {
		cipherName, cipherRest, more := strings.Cut(cipher, "/")
		name, rest, plainMore := strings.Cut(plain, "/")
		at += "/" + cipherName
		found = append(found, step{cipher: at, dir: dir, name: name, isDir: more})
		last := &found[len(found)-1]
		if more != plainMore || !t.stat(last) {
			return found, false
		}
		if !more {
			return found, true
		}
		dir, err = dir.OpenRoot(name)
		if err == nil && !last.is(dir) {
			dir.Close()
			return found, false
		}
		cipher, plain = cipherRest, rest
	}
	return found, false
}

// is reports whether dir is the directory that the step leads to: another one may have had
// its name for a moment.
func (s *step) is(dir *os.Root) bool {
	fi, err := dir.Stat(".")
	return err == nil && inode(fi) == s.inode && changeTime(fi).Equal(s.changed)
}

// stat looks at both sides of a step. It returns false if they are not the same file, or have
// changed too recently.
func (t *Tree) stat(s *step) bool {
	encrypted, err := os.Lstat(s.cipher)
	clear, plainErr := s.dir.Lstat(s.name)
	if err != nil || plainErr != nil || s.isDir != encrypted.IsDir() || !t.same(encrypted, clear) {
		return false
	}
	s.inode, s.changed = inode(clear), changeTime(clear)
	return !isRecent(s.changed)
}

// isStill reports whether the steps of a trail are what they were. In reverse mode the plain
// side tells: gocryptfs makes the other one of it.
func (t *Tree) isStill(found trail) bool {
	for _, before := range found {
		now := before
		if !t.view.reverse {
			if !t.stat(&now) || now != before {
				return false
			}
		} else if fi, err := now.dir.Lstat(now.name); err != nil || inode(fi) != now.inode || !changeTime(fi).Equal(now.changed) {
			return false
		}
	}
	return true
}

// readLinks returns the targets of a link, the encrypted one read last.
func readLinks(cipher string, dir *os.Root, name string) (encrypted, target string, err error) {
	target, err = dir.Readlink(name)
	encrypted, encryptedErr := os.Readlink(cipher)
	return encrypted, target, errors.Join(err, encryptedErr)
}
