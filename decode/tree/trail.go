package tree

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// A trail leads from the roots down to a link. If none of its steps has changed, nothing was
// moved meanwhile.
type trail []step

// A step is a directory, or the link at the end, and what it was on both sides. The first
// one is the roots.
//
// In the view, it gives the kernel whole paths, up to PATH_MAX, because gocryptfs has to
// open and close a directory that is opened: with that, a link ten deep takes twice as
// long.
type step struct {
	cipher           string   // the whole path in the view
	in               *os.Root // where it lies on the plain side, nil for the root
	name             string   // there
	dir              *os.Root // the directory itself, nil for the link
	encrypted, plain fs.FileInfo
}

func (t trail) close() {
	for _, s := range t {
		if s.dir != nil {
			s.dir.Close()
		}
	}
}

// descend goes down to the link at both paths, from where they leave the trail to another
// link. ok is false if the two sides are not the same files, or have changed too recently, or
// are no links. The trail has to be closed.
func (t *Tree) descend(found trail, cipher, plain string) (_ trail, ok bool) {
	names := append([]string{t.view.plain}, strings.Split(plain, "/")...)
	cipherNames := append([]string{"."}, strings.Split(cipher, "/")...)
	if len(names) != len(cipherNames) {
		return found, false
	}
	last := step{cipher: t.view.dir}
	for i, name := range names {
		next := step{cipher: last.cipher + "/" + cipherNames[i], in: last.dir, name: name}
		isDir := i+1 < len(names)
		if !isDir || i+1 >= len(found) || found[i].name != name || found[i].cipher != next.cipher {
			found[i:].close()
			found = append(found[:i], next)
			if !t.enter(&found[i], isDir) {
				return found, false
			}
		}
		last = found[i]
	}
	return found, true
}

// enter looks at both sides of a step. It returns false if they are not the same file, or have
// changed too recently. The roots have different inode numbers.
func (t *Tree) enter(s *step, isDir bool) bool {
	var err error
	switch {
	case !isDir:
		s.plain, err = s.find()
	case s.in == nil:
		s.dir, err = os.OpenRoot(s.name)
	default:
		s.dir, err = s.in.OpenRoot(s.name)
	}
	if s.dir != nil {
		s.plain, err = s.dir.Stat(".")
	}
	if err != nil {
		return false
	}
	s.encrypted, err = os.Lstat(s.cipher)
	return err == nil && s.encrypted.IsDir() == isDir && (s.in == nil || t.same(s.encrypted, s.plain)) &&
		!isRecent(changeTime(s.plain))
}

// find returns what lies at the step on the plain side.
func (s *step) find() (fs.FileInfo, error) {
	if s.in == nil {
		return os.Stat(s.name)
	}
	return s.in.Lstat(s.name)
}

// isStill reports whether the steps of a trail are what they were. In reverse mode the plain
// side tells: gocryptfs makes the other one of it.
func (t *Tree) isStill(found trail) bool {
	for _, s := range found {
		if plain, err := s.find(); err != nil || !sameFile(plain, s.plain) {
			return false
		}
		if t.view.reverse {
			continue
		}
		if encrypted, err := os.Lstat(s.cipher); err != nil || !sameFile(encrypted, s.encrypted) {
			return false
		}
	}
	return true
}

// readTarget returns the plain target of a link. ok is false if text is not the encrypted one.
func (t *Tree) readTarget(cipher, plain, text string) (target string, ok bool) {
	found, ok := t.descend(t.take(), cipher, plain)
	if ok {
		link := found[len(found)-1]
		encrypted, target, err := t.links(link.cipher, link.in, link.name)
		if err == nil && encrypted == text && t.isStill(found) {
			t.keep(found)
			return target, true
		}
	}
	found.close()
	return "", false
}

// keep keeps a trail for the next look, for clockStep.
func (t *Tree) keep(found trail) {
	t.kept.Store(&found)
	t.close.Reset(clockStep)
}

// take returns the trail that is kept, if any. Then the caller has to close it.
func (t *Tree) take() trail {
	if kept := t.kept.Swap(nil); kept != nil {
		return *kept
	}
	return nil
}

// readLinks returns the targets of a link, the encrypted one read last.
func readLinks(cipher string, dir *os.Root, name string) (encrypted, target string, err error) {
	target, err = dir.Readlink(name)
	encrypted, encryptedErr := os.Readlink(cipher)
	return encrypted, target, errors.Join(err, encryptedErr)
}
