package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/sys/mountinfo"
)

// A view is an encrypted directory and the plain directory that belongs to it. It does not
// change: another one takes its place.
type view struct {
	dir   string     // its root, or MOUNT if that is not known
	plain string     // the plain directory, empty if it is not known
	sub   string     // MOUNT's own cipher path, empty if MOUNT is the root
	ids   [2]mountID // of dir and plain, 0 if they are not what was found

	reverse       bool // gocryptfs makes the names, since what is stored is plain
	deterministic bool // names may be the same in every directory: those have no gocryptfs.diriv
	owner         int  // who mounted what MOUNT lies in
	problem       *problem
}

// isKnown reports whether both directories are what was found.
func (v *view) isKnown() bool { return v.ids[0] != 0 && v.ids[1] != 0 }

// A problem says in words what is wrong and what to do about it.
type problem struct {
	what, hint string
	passing    bool // files have changed a moment ago, so it may be gone soon
}

// unread is what a hint says of the consequences, giveMount and givePlain which directory
// to give.
const (
	unread    = "; names are decoded, targets of links are not"
	giveMount = "give the encrypted directory that rsync reads"
	givePlain = "give the directory with the real names"
)

var otherNamespace = &problem{what: "gocryptfs runs in another namespace, where paths mean something else",
	hint: "name the plain directory, as it is seen here, with -plain" + unread}

func noAnswer(mount string) *problem {
	return &problem{what: mount + " or its plain directory does not answer",
		hint: "targets of links stay encrypted until it does"}
}

// plainSide returns the problem that dir is the wrong one of two directories.
func plainSide(dir, encrypted string) *problem {
	return &problem{what: dir + " is the plain side of a gocryptfs mount",
		hint: "give the encrypted one: " + encrypted + unread}
}

// noView returns the problem that dir lies in no view.
func noView(dir string) *problem {
	if isEncrypted(dir) {
		return &problem{what: dir + " is not a gocryptfs mount", hint: "give the directory that rsync reads, or -plain" + unread}
	}
	return &problem{what: dir + " is not a gocryptfs mount, and nothing in it is encrypted",
		hint: "give the directory that rsync reads; in a container, mount it there, too" + unread}
}

// cannotUse returns the problem that looking at dir, the value of operand, gives an error.
func cannotUse(operand, dir string, err error, hint string) *problem {
	switch {
	case os.IsNotExist(err):
		return &problem{what: operand + " " + dir + " does not exist", hint: hint + unread}
	case errors.Is(err, fs.ErrPermission) && operand == "MOUNT":
		hint = "run as the user who mounted it, or mount it with -allow_other"
	}
	return &problem{what: operand + " cannot be used: " + err.Error(), hint: hint + unread}
}

// checkDir returns a problem if dir is not a directory. hint says which one to give.
func checkDir(operand, dir, hint string) *problem {
	fi, err := os.Stat(dir)
	switch {
	case err != nil:
		return cannotUse(operand, dir, err, hint)
	case fi.Mode().Type() == fs.ModeSocket:
		return &problem{what: operand + " " + dir + " is a socket", hint: "the operands are CTLSOCK and MOUNT, in this order"}
	case !fi.IsDir():
		return &problem{what: operand + " " + dir + " is not a directory", hint: hint + unread}
	}
	return nil
}

// checkPlain returns a problem if plain, the value of -plain, is not the directory that the
// view shows.
func (s *search) checkPlain(view, mount, plain string) *problem {
	if p := checkDir("-plain", plain, givePlain); p != nil {
		return p
	}
	fits := s.sameRoot(view, plain)
	switch {
	case sameDir(view, plain), !fits && isEncrypted(plain):
		return &problem{what: "-plain " + plain + " is the encrypted side", hint: givePlain + unread}
	case !fits && !isEncrypted(view) && !isReverse(s.own):
		return noView(mount)
	case !fits:
		return &problem{what: "-plain " + plain + " is not the directory that " + mount + " shows", hint: "give that one" + unread}
	}
	return nil
}

// isEncrypted reports whether a directory has the files of an encrypted one.
func isEncrypted(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "gocryptfs.conf"))
	_, err2 := os.Lstat(filepath.Join(dir, "gocryptfs.diriv"))
	return err == nil || err2 == nil
}

// A search looks for the view that MOUNT lies in.
type search struct {
	mounts  mountTable
	own     *mountinfo.Info // the mount that MOUNT lies in
	passing bool            // a root has changed a moment ago
}

// findView returns the view that mount lies in, and what is wrong with it. plain is
// the value of -plain. The mount table must not change meanwhile.
func findView(mount, plain string, read func() (mountTable, error)) view {
	v := view{dir: mount, owner: os.Geteuid(), deterministic: true}
	if mount == "" {
		v.problem = &problem{what: "MOUNT is empty", hint: "is a variable of the script not set?" + unread[1:]}
		return v
	}
	dir, err := resolve(mount)
	if err != nil {
		v.problem = cannotUse("MOUNT", mount, err, giveMount)
		return v
	}
	mounts, err := read()
	s := search{mounts: mounts}
	_, s.own = mounts.locate(dir)
	v.owner = mountedBy(s.own)
	if v.problem = checkDir("MOUNT", mount, giveMount); v.problem != nil {
		return v
	}
	p := s.lookUp(dir, &v)
	switch {
	case plain != "":
		v.plain, p = plain, s.checkPlain(v.dir, mount, plain)
	case err != nil:
		p = &problem{what: "no mount table: " + err.Error(), hint: "give the plain directory with -plain" + unread}
	}
	v.identify()
	again, _ := read()
	if same := func(a, b *mountinfo.Info) bool { return *a == *b }; !slices.EqualFunc(mounts, again, same) {
		p = &problem{what: "file systems are being mounted", hint: "targets of links stay encrypted until that ends", passing: true}
		v.ids[0], v.deterministic = 0, true
	}
	if v.problem = p; p != nil {
		p.passing = p.passing || s.passing
		v.plain, v.ids[1] = "", 0
	}
	return v
}

// identify notes what the two directories are.
func (v *view) identify() {
	v.ids[0], _ = mountAt(here, v.dir+"/.")
	if v.plain != "" {
		v.ids[1], _ = mountAt(here, v.plain+"/.")
	}
	_, err := os.Lstat(filepath.Join(v.dir, "gocryptfs.diriv"))
	if v.deterministic = err != nil; err != nil && !os.IsNotExist(err) {
		v.ids[0] = 0
	}
}

// resolve returns the absolute path of a directory. It may be one that may not be looked at.
func resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrPermission) {
		resolved, err = filepath.EvalSymlinks(filepath.Dir(dir))
		resolved = filepath.Join(resolved, filepath.Base(dir))
	}
	return resolved, err
}

// lookUp completes v with the view that dir, an absolute path, lies in. The table is a hint,
// not a proof: a plain directory is accepted only if it has the change time of the view's root,
// which gocryptfs hands through, and if it is the only one.
func (s *search) lookUp(dir string, v *view) (p *problem) {
	at, _ := s.mounts.locate(dir)
	var fits []view
	switch {
	case isReverse(s.own):
		fits, p = s.reverse(at, v)
	case isForward(s.own):
		return plainSide(dir, s.own.Source)
	default:
		fits, p = s.forward(at, dir)
	}
	fits = slices.CompactFunc(fits, func(a, b view) bool { return sameDir(a.plain, b.plain) && sameDir(a.dir, b.dir) })
	switch {
	case len(fits) > 1:
		return &problem{what: "there are two plain directories that " + dir + " could show: " + fits[0].plain + " and " + fits[1].plain,
			hint: "name the right one with -plain" + unread}
	case len(fits) == 0 && p == nil:
		return noView(dir)
	case len(fits) == 0:
		return p
	}
	fits[0].owner = v.owner
	*v = fits[0]
	return nil
}

// reverse sets v to the view in reverse mode that a location lies in, and returns it once more
// with each plain directory that fits.
func (s *search) reverse(own location, v *view) (fits []view, p *problem) {
	for _, m := range slices.Backward(s.mounts) {
		if !isReverse(m) {
			continue
		}
		at, _ := s.mounts.locate(m.Mountpoint)
		sub, ok := below(at.path, own.path)
		if at.fs != own.fs || at.path != "/" || !ok {
			continue
		}
		v.dir, v.sub, v.reverse = m.Mountpoint, sub, true
		for _, source := range s.directories(m.Source) {
			if s.sameRoot(v.dir, source) {
				fit := *v
				fit.plain = source
				fits = append(fits, fit)
			}
		}
		return fits, &problem{what: "the plain directory of " + v.dir + " was not found", hint: "name it with -plain" + unread}
	}
	return nil, nil
}

// forward returns the views in forward mode that a directory lies in, and the problem that it
// is the plain side of another one.
func (s *search) forward(own location, dir string) (fits []view, side *problem) {
	for _, m := range slices.Backward(s.mounts) {
		at, top := s.mounts.locate(m.Mountpoint)
		switch {
		case !s.trusts(m), top != m, at.path != "/": // or something else is mounted there, or it shows a part
		case isReverse(m): // its source need not be looked at
			there, _ := s.mounts.locate(m.Source)
			if _, ok := below(there.path, own.path); ok && there.fs == own.fs {
				side = plainSide(dir, m.Mountpoint)
			}
		case isForward(m):
			for _, source := range s.directories(m.Source) {
				there, _ := s.mounts.locate(source)
				sub, ok := below(there.path, own.path)
				if ok && there.fs == own.fs && s.sameRoot(source, m.Mountpoint) {
					fits = append(fits, view{dir: source, plain: m.Mountpoint, sub: sub})
				}
			}
		}
	}
	return fits, side
}

// sameDir reports whether two paths lead to the same directory.
func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// sameRoot reports whether the roots of a view and of a plain directory have the same
// change time. After a recent change the kernel may not know it yet.
func (s *search) sameRoot(view, plain string) bool {
	x, err := stat(here, view+"/.", 0)
	y, err2 := stat(here, plain+"/.", 0)
	if err != nil || err2 != nil {
		return false
	}
	s.passing = s.passing || time.Since(x.changed) < entryTimeout || time.Since(y.changed) < entryTimeout
	return x.changed.Equal(y.changed)
}
