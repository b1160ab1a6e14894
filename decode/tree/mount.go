package tree

import (
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
)

const maxVariants = 16 // of a name in the mount table

// A view is an encrypted directory and the plain directory that belongs to it. The latter is not
// known if there is a problem.
type view struct {
	dir     string    // its root, or MOUNT if that is not known
	known   View      // what else is known
	ids     [2]uint64 // the mounts of dir, 0 if that is not known, and of the plain directory
	owner   int       // who mounted what MOUNT lies in
	problem *problem
	passing bool // a root has changed a moment ago, so that may be gone soon
}

// A search looks for the view that MOUNT lies in.
type search struct {
	mounts  mountTable
	at      location        // of MOUNT
	own     *mountinfo.Info // the mount that it lies in
	passing bool            // a root has changed a moment ago
}

// findView returns the view that mount lies in, and what is wrong with it. plain is the value of
// -plain. The mount table must not change meanwhile.
func findView(mount, plain string, read func() mountTable) *view {
	s, dir := search{mounts: read()}, absolute(mount)
	s.at, s.own = s.mounts.locate(dir)
	none := view{dir: mount, known: View{Deterministic: true}, owner: mountedBy(s.own), problem: checkDir(mount, NoDir)}
	if none.problem != nil {
		return &none
	}
	v := none
	v.problem = s.lookUp(dir, &v)
	if plain != "" {
		v.known.Plain = plain
		v.problem = s.checkPlain(&v)
	}
	if v.problem != nil {
		v.known.Plain, v.passing = "", s.passing
	}
	root, _ := stat(here, v.dir+"/.", noSync)
	_, err := os.Lstat(filepath.Join(v.dir, "gocryptfs.diriv"))
	v.ids[0], v.known.Deterministic = root.mount, err != nil
	if !reflect.DeepEqual(s.mounts, read()) || err != nil && !os.IsNotExist(err) {
		none.problem, none.passing = wrong(Unsettled, mount), true
		return &none
	}
	return &v
}

// absolute returns the absolute path of a directory, without symbolic links.
func absolute(dir string) string {
	dir, _ = filepath.Abs(dir + "/.")          // of an empty one, the root, which is of no other user
	return resolve(dir, true, len(dir)+2).text // to the end
}

// resolve returns an absolute path without symbolic links above its last name or, if whole is set,
// without any, as far as its first names, up to depth, can be looked at, and how many can.
func resolve(path string, whole bool, depth int) (a answer) {
	names := strings.SplitAfter(path, "/") // the first one is the root
	if whole {
		names = append(names, "")
	}
	n := sort.Search(min(len(names), depth), func(n int) bool {
		_, err := os.Stat(strings.Join(names[:n+1], "")) // which a signal does not interrupt
		return err != nil
	})
	dirs := min(n, len(names)-1)
	above, err := filepath.EvalSymlinks(strings.Join(names[:dirs], ""))
	if err != nil { // it has changed meanwhile
		return answer{text: path, read: n}
	}
	return answer{text: filepath.Join(above, strings.Join(names[dirs:], "")), read: n - 1}
}

// lookUp completes v with the view that dir, an absolute path, lies in. The table is a hint,
// not a proof: a plain directory is accepted only if it has the change time of the view's root,
// which gocryptfs hands through, and if it is the only one.
func (s *search) lookUp(dir string, v *view) (p *problem) {
	fits, seen := []view(nil), map[string]bool{}
	if s.own.FSType == reverse { // its root may be seen here or not
		v.known.Sub, v.known.Reverse, p = strings.Trim(s.at.path, "/"), true, wrong(NoPlain, dir)
	}
	views := slices.DeleteFunc(slices.Clone(s.mounts), func(m *mountinfo.Info) bool { return !isGocryptfs(m) })
	for _, m := range slices.Backward(views) {
		at, top := s.mounts.locate(m.Mountpoint)
		isWhole := top == m && at.path == "/" // nothing else is mounted there
		if !isWhole || !s.trusts(m.Mountpoint) || seen[at.fs] || isGocryptfs(s.own) && at.fs != s.at.fs {
			continue // where MOUNT lies in a gocryptfs mount, it is that one, and no other one's source
		}
		seen[at.fs] = true
		encrypted, plain := sides(m, m.Source)
		if _, ok := s.leadsTo(plain); ok {
			p = wrong(PlainSide, dir, encrypted)
			continue
		}
		if s.own.FSType == reverse {
			v.dir, p = m.Mountpoint, wrong(NoPlain, m.Mountpoint)
		} else if m.FSType == reverse {
			continue // its source need not be looked at
		}
		for _, source := range s.follow("/", strings.Trim(m.Source, "/")) {
			fit, ok := *v, false
			fit.dir, fit.known.Plain = sides(m, source)
			fit.known.Sub, ok = s.leadsTo(fit.dir)
			if ok && s.sameRoot(&fit) && !slices.Contains(fits, fit) { // several may be links to one
				fits = append(fits, fit)
			}
		}
	}
	switch {
	case len(fits) == 1:
		*v = fits[0]
		return nil
	case len(fits) > 1:
		return wrong(Ambiguous, dir, fits[0].known.Plain, fits[1].known.Plain)
	case p != nil || s.mounts == nil: // as on systems other than Linux
		return cmp.Or(p, wrong(NoPlain, dir))
	case isEncrypted(dir):
		return wrong(NoView, dir)
	}
	return wrong(NotEncrypted, dir)
}

// leadsTo returns the path of MOUNT below a directory. It returns false if it is not there.
func (s *search) leadsTo(dir string) (sub string, ok bool) {
	at, _ := s.mounts.locate(dir)
	sub, ok = below(at.path, s.at.path)
	return sub, ok && at.fs == s.at.fs
}

// sides returns the encrypted and the plain directory of a mount with this source.
func sides(m *mountinfo.Info, source string) (encrypted, plain string) {
	if m.FSType == reverse {
		return m.Mountpoint, source
	}
	return source, m.Mountpoint
}

// checkPlain returns a problem if the view does not show its plain directory, the value of
// -plain. The problem so far is that of lookUp.
func (s *search) checkPlain(v *view) *problem {
	p, fits := checkDir(v.known.Plain, BadPlain), s.sameRoot(v)
	sub, ok := s.leadsTo(absolute(v.known.Plain))
	encrypted := ok && sub == v.known.Sub || isEncrypted(v.known.Plain) && !(fits && isEncrypted(v.dir))
	switch {
	case p != nil:
		return p
	case fits && !encrypted:
		return nil
	case v.problem != nil && (v.problem.kind == NotEncrypted || v.problem.kind == PlainSide):
		return v.problem
	case encrypted:
		return wrong(BadPlain, v.known.Plain+" is the encrypted side")
	}
	return wrong(OtherPlain, v.known.Plain, v.dir)
}

// sameRoot reports whether the roots of a view and of its plain directory have the same change
// time, and notes their mounts. After a recent change the kernel may not know it yet.
func (s *search) sameRoot(v *view) bool {
	x, err := stat(here, v.dir+"/.", fresh)
	y, err2 := stat(here, v.known.Plain+"/.", fresh)
	v.ids = [2]uint64{x.mount, y.mount}
	s.passing = s.passing || time.Since(x.changed) < entryTimeout || time.Since(y.changed) < entryTimeout
	return err == nil && err2 == nil && x.changed.Equal(y.changed)
}

// trusts reports whether a directory lies in a mount of this user or of root, or in the file
// system of MOUNT. Others are not even looked at, since a look tells a FUSE server a name.
func (s *search) trusts(dir string) bool {
	at, m := s.mounts.locate(dir)
	return slices.Contains([]int{0, os.Geteuid()}, mountedBy(m)) || at.fs == s.at.fs
}

// follow returns the directories that a source in the mount table may stand for, below one:
// gocryptfs writes each `,` in it as `_` (gocryptfs mount.go). It follows links, and looks at
// nothing in a mount that is not trusted.
func (s *search) follow(dir, rest string) (found []string) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil || !s.trusts(dir) {
		return nil
	}
	if rest == "" {
		return []string{dir}
	}
	name, rest, _ := strings.Cut(rest, "/")
	names := []string{name}
	if strings.Contains(name, "_") {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Name() != name && strings.ReplaceAll(e.Name(), ",", "_") == name && len(names) < maxVariants {
				names = append(names, e.Name())
			}
		}
	}
	for _, name := range names {
		if path := filepath.Join(dir, name); s.trusts(path) {
			found = append(found, s.follow(path, rest)...)
		}
	}
	return found
}
