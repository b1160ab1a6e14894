package tree

import (
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

// checkPlain returns a problem if plain, the value of -plain, is not the directory that the
// view shows.
func (s *search) checkPlain(view, mount, plain string) *problem {
	if p := checkDir(plain, BadPlain); p != nil {
		return p
	}
	fits := s.sameRoot(view, plain)
	switch {
	case sameDir(view, plain), !fits && isEncrypted(plain):
		return wrong(EncryptedPlain, plain)
	case !fits && !isEncrypted(view) && !isReverse(s.own):
		return noView(mount)
	case !fits:
		return wrong(OtherPlain, plain, mount)
	}
	return nil
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
		v.problem = wrong(Empty)
		return v
	}
	mounts, tableErr := read()
	s, dir := search{mounts: mounts}, resolve(mount)
	_, s.own = mounts.locate(dir)
	v.owner = mountedBy(s.own)
	if v.problem = checkDir(mount, NoDir); v.problem != nil {
		return v
	}
	p := s.lookUp(dir, &v)
	switch {
	case plain != "":
		v.plain, p = plain, s.checkPlain(v.dir, mount, plain)
	case tableErr != nil:
		p = wrong(NoTable, tableErr)
	}
	v.identify()
	again, _ := read()
	if same := func(a, b *mountinfo.Info) bool { return *a == *b }; !slices.EqualFunc(mounts, again, same) {
		p, v.ids[0], v.deterministic = &problem{kind: Mounting, passing: true}, 0, true
	}
	if v.problem = p; p != nil {
		p.passing = p.passing || s.passing
		v.plain, v.ids[1] = "", 0
	}
	return v
}

// identify notes what the two directories are.
func (v *view) identify() {
	v.ids[0] = mountOf(here, v.dir+"/.")
	if v.plain != "" {
		v.ids[1] = mountOf(here, v.plain+"/.")
	}
	_, err := os.Lstat(filepath.Join(v.dir, "gocryptfs.diriv"))
	if v.deterministic = err != nil; err != nil && !os.IsNotExist(err) {
		v.ids[0] = 0
	}
}

// resolve returns the absolute path of a directory. It may be one that may not be looked at.
func resolve(dir string) string {
	dir, _ = filepath.Abs(dir)
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		return resolved
	}
	above, _ := filepath.EvalSymlinks(filepath.Dir(dir))
	return filepath.Join(above, filepath.Base(dir))
}

// lookUp completes v with the view that dir, an absolute path, lies in. The table is a hint,
// not a proof: a plain directory is accepted only if it has the change time of the view's root,
// which gocryptfs hands through, and if it is the only one.
func (s *search) lookUp(dir string, v *view) (p *problem) {
	at, _ := s.mounts.locate(dir)
	var fits []view
	switch {
	case isForward(s.own):
		return wrong(PlainSide, dir, s.own.Source)
	case isReverse(s.own):
		fits, p = s.reverse(at, v)
	default:
		fits, p = s.forward(at, dir)
	}
	fits = slices.CompactFunc(fits, func(a, b view) bool { return sameDir(a.plain, b.plain) && sameDir(a.dir, b.dir) })
	switch {
	case len(fits) == 1:
		fits[0].owner = v.owner
		*v = fits[0]
		return nil
	case len(fits) > 1:
		return wrong(Ambiguous, dir, fits[0].plain, fits[1].plain)
	case p == nil:
		return noView(dir)
	}
	return p
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
		if !ok || at.fs != own.fs || at.path != "/" {
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
		return fits, wrong(NoPlain, v.dir)
	}
	return nil, nil
}

// forward returns the views in forward mode that a directory lies in, and the problem that it
// is the plain side of another one.
func (s *search) forward(own location, dir string) (fits []view, side *problem) {
	for _, m := range slices.Backward(s.mounts) {
		if !isReverse(m) && !isForward(m) || !s.trusts(m) {
			continue
		}
		at, top := s.mounts.locate(m.Mountpoint)
		switch {
		case top != m, at.path != "/": // something else is mounted there, or it shows a part
		case isReverse(m): // its source need not be looked at
			there, _ := s.mounts.locate(m.Source)
			if _, ok := below(there.path, own.path); ok && there.fs == own.fs {
				side = wrong(PlainSide, dir, m.Mountpoint)
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
	x, err := stat(here, view+"/.")
	y, err2 := stat(here, plain+"/.")
	if err != nil || err2 != nil {
		return false
	}
	s.passing = s.passing || time.Since(x.changed) < entryTimeout || time.Since(y.changed) < entryTimeout
	return x.changed.Equal(y.changed)
}
