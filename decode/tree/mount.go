package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/mountinfo"
)

// A view is an encrypted directory and the plain directory that belongs to it.
type view struct {
	dir   string      // its root, empty if it is not known
	plain string      // the plain directory, empty if it is not known
	sub   string      // MOUNT's own cipher path, empty if MOUNT is the root
	ids   [2]identity // of dir and plain, zero if they are not what was found

	reverse bool // gocryptfs makes the names, since what is stored is plain
}

// isKnown reports whether both directories are what was found.
func (v view) isKnown() bool { return v.ids[0] != (identity{}) && v.ids[1] != (identity{}) }

// identify returns the identities of the two directories, zero for one that is not there.
func (v view) identify() [2]identity { return [2]identity{identify(v.dir), identify(v.plain)} }

// A problem says in words what is wrong and what to do about it.
type problem struct {
	what, hint string
	passing    bool // files have changed a moment ago, so it may be gone soon
}

// unread is what a hint says of the consequences.
const unread = "; names are decoded, targets of links are not"

// A search looks for the view that MOUNT lies in.
type search struct {
	mounts  mountTable
	own     *mountinfo.Info // the mount that MOUNT lies in
	passing bool            // a root has changed a moment ago
}

// found is the result of a search.
type found struct {
	view    view
	owner   int // who mounted what MOUNT lies in
	problem *problem
}

// findView returns the view that mount lies in, and what is wrong with it. plain is
// the value of -plain.
func findView(mount, plain string) found {
	f := found{view: view{dir: mount}, owner: os.Geteuid()}
	if mount == "" {
		f.problem = &problem{what: "MOUNT is empty", hint: "is a variable of the script not set?" + unread[1:]}
		return f
	}
	dir, err := resolve(mount)
	if err != nil {
		f.problem = cannotUse("MOUNT", mount, err, "give the encrypted directory that rsync reads")
		return f
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil && plain == "" {
		f.problem = &problem{what: "no mount table: " + err.Error(), hint: "give the plain directory with -plain"}
		return f
	}
	s := search{mounts: mounts}
	_, s.own = s.mounts.locate(dir)
	f.owner = mountedBy(s.own)
	if f.problem = checkDir("MOUNT", mount, "give the encrypted directory that rsync reads"); f.problem != nil {
		return f
	}
	v, p := s.lookUp(dir)
	if v.dir != "" {
		f.view = v
	}
	if plain != "" {
		f.view.plain, p = plain, s.checkPlain(f.view.dir, mount, plain)
	}
	f.view.ids = f.view.identify()
	again, err := mountinfo.GetMounts(nil)
	same := func(a, b *mountinfo.Info) bool { return *a == *b }
	if err == nil && !slices.EqualFunc(mounts, again, same) {
		p = &problem{what: "file systems are being mounted", hint: "targets of links stay encrypted until that ends", passing: true}
	}
	if f.problem = p; p != nil {
		p.passing = p.passing || s.passing
		f.view.plain, f.view.ids[1] = "", identity{}
	}
	return f
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

// checkDir returns a problem if dir, the value of operand, is not a directory. hint
// says which directory to give.
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

// cannotUse returns the problem that looking at dir gives an error.
func cannotUse(operand, dir string, err error, hint string) *problem {
	switch {
	case os.IsNotExist(err):
		return &problem{what: operand + " " + dir + " does not exist", hint: hint + unread}
	case errors.Is(err, fs.ErrPermission) && operand == "MOUNT":
		hint = "run as the user who mounted it, or mount it with -allow_other"
	}
	return &problem{what: operand + " cannot be used: " + err.Error(), hint: hint + unread}
}

// checkPlain returns a problem if plain, the value of -plain, is not the directory that the
// view shows.
func (s *search) checkPlain(view, mount, plain string) *problem {
	const hint = "give the directory with the real names"
	if p := checkDir("-plain", plain, hint); p != nil {
		return p
	}
	_, err := os.Lstat(filepath.Join(plain, "gocryptfs.conf"))
	_, err2 := os.Lstat(filepath.Join(plain, "gocryptfs.diriv"))
	fits, encrypted := s.sameRoot(view, plain), err == nil || err2 == nil
	switch {
	case sameDir(view, plain), !fits && encrypted:
		return &problem{what: "-plain " + plain + " is the encrypted side", hint: hint + unread}
	case !fits:
		return &problem{what: "-plain " + plain + " is not the directory that " + mount + " shows", hint: "give that one" + unread}
	}
	return nil
}

// lookUp returns the view that dir, an absolute path, lies in. The table is a hint, not
// a proof: a plain directory is accepted only if it has the change time of the view's root,
// which gocryptfs hands through, and if it is the only one.
func (s *search) lookUp(dir string) (v view, p *problem) {
	p = &problem{what: dir + " is not a gocryptfs mount",
		hint: "give the directory that rsync reads, or -plain" + unread}
	here, own := s.mounts.locate(dir)
	s.own = own
	reverse, forward := sides(own)
	var fits []view
	switch {
	case forward && !reverse:
		return v, plainSide(dir, own.Source)
	case reverse:
		v, fits = s.reverse(here)
		if v.dir == "" {
			return v, p
		}
		p = &problem{what: "the plain directory of " + v.dir + " was not found",
			hint: "name it with -plain" + unread}
	}
	if reverse == forward {
		more, side := s.forward(dir, here)
		if fits = append(fits, more...); side != nil {
			p = side
		}
	}
	fits = slices.CompactFunc(fits, func(a, b view) bool { return sameDir(a.plain, b.plain) && sameDir(a.dir, b.dir) })
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		p = &problem{what: "there are two plain directories that " + dir + " could show: " + fits[0].plain + " and " + fits[1].plain,
			hint: "name the right one with -plain" + unread}
	}
	if !typed(own) {
		v = view{} // any FUSE file system
	}
	return v, p
}

// plainSide returns the problem that dir is the wrong one of two directories.
func plainSide(dir, encrypted string) *problem {
	return &problem{what: dir + " is the plain side of a gocryptfs mount",
		hint: "give the encrypted one: " + encrypted + unread}
}

// reverse returns the view in reverse mode that a location lies in, and it once more with
// each plain directory that fits.
func (s *search) reverse(here location) (v view, fits []view) {
	for _, m := range slices.Backward(s.mounts) {
		if reverse, _ := sides(m); !reverse {
			continue
		}
		at, _ := s.mounts.locate(m.Mountpoint)
		sub, ok := below(at.path, here.path)
		if at.fs != here.fs || at.path != "/" || !ok {
			continue
		}
		v = view{dir: m.Mountpoint, sub: sub, reverse: true}
		for _, source := range s.directories(m.Source) {
			if s.sameRoot(v.dir, source) {
				fit := v
				fit.plain = source
				fits = append(fits, fit)
			}
		}
		break
	}
	return v, fits
}

// forward returns the views in forward mode that a directory lies in, and the problem that it
// is the plain side of another one.
func (s *search) forward(dir string, here location) (fits []view, side *problem) {
	for _, m := range slices.Backward(s.mounts) {
		reverse, forward := sides(m)
		if !reverse && !forward || m == s.own || !s.trusts(m) {
			continue
		}
		if at, top := s.mounts.locate(m.Mountpoint); top != m || at.path != "/" {
			continue // something else is mounted there, or it shows a part
		}
		if !forward { // its source need not be looked at
			there, _ := s.mounts.locate(m.Source)
			if _, ok := below(there.path, here.path); ok && there.fs == here.fs {
				side = plainSide(dir, m.Mountpoint)
			}
			continue
		}
		for _, source := range s.directories(m.Source) {
			there, _ := s.mounts.locate(source)
			sub, ok := below(there.path, here.path)
			if ok && there.fs == here.fs && s.sameRoot(source, m.Mountpoint) {
				fits = append(fits, view{dir: source, plain: m.Mountpoint, sub: sub})
			}
		}
	}
	return fits, side
}
