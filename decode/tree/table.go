package tree

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
)

// maxCommaVariants bounds the directories that a source in the mount table may stand for.
const maxCommaVariants = 16

// A mountTable holds all mounts, oldest first.
type mountTable []*mountinfo.Info

// A location is a directory in a file system, wherever that is mounted.
type location struct {
	fs   string
	path string
}

// locate returns the location of dir, an absolute path, and its mount.
func (t mountTable) locate(dir string) (location, *mountinfo.Info) {
	m := t.mountOf(dir)
	if m == nil {
		return location{path: dir}, nil
	}
	sub, _ := below(m.Mountpoint, dir)
	id := m.Mountpoint // macOS and FreeBSD have no more in the table
	if m.Root != "" {
		id = fmt.Sprint(m.Major, ":", m.Minor)
	}
	return location{id, path.Join("/", m.Root, sub)}, m
}

// mountOf returns the mount that dir lies in. A path leads from the root to the mount point
// that comes first, and on from there, so a mount may hide others below it. Where the table
// has no parents, as on macOS and FreeBSD, it is the one with the longest mount point and,
// of several, the newest.
func (t mountTable) mountOf(dir string) (at *mountinfo.Info) {
	for {
		var next *mountinfo.Info
		for _, m := range t {
			if _, ok := below(m.Mountpoint, dir); !ok {
				continue
			}
			switch {
			case m.ID == 0:
				if next == nil || len(m.Mountpoint) >= len(next.Mountpoint) {
					next = m
				}
			case at == nil && m.Mountpoint == "/" && !t.has(m.Parent),
				at != nil && m.Parent == at.ID && m != at && (next == nil || len(m.Mountpoint) < len(next.Mountpoint)):
				next = m
			}
		}
		if next == nil || next.ID == 0 {
			return cmp.Or(next, at)
		}
		at = next
	}
}

// has reports whether there is a mount with this number.
func (t mountTable) has(id int) bool {
	return slices.ContainsFunc(t, func(m *mountinfo.Info) bool { return m.ID == id })
}

// below returns the path of dir relative to root, empty if they are the same. It
// returns false if dir is not below root.
func below(root, dir string) (string, bool) {
	if dir == root {
		return "", true
	}
	return strings.CutPrefix(dir, strings.TrimSuffix(root, "/")+"/")
}

// sides reports whether a mount may show an encrypted view, as in reverse mode, or a plain
// directory. On macOS and FreeBSD all FUSE file systems have the same type.
func sides(m *mountinfo.Info) (reverse, forward bool) {
	switch {
	case m == nil:
		return false, false
	case typed(m):
		reverse = strings.HasSuffix(m.FSType, "reverse")
		return reverse, !reverse
	}
	fuse := slices.Contains([]string{"macfuse", "osxfuse", "fusefs", "fuse"}, m.FSType)
	return fuse, fuse
}

// typed reports whether the table says that a mount is one of gocryptfs.
func typed(m *mountinfo.Info) bool { return m != nil && strings.Contains(m.FSType, "gocryptfs") }

// trusts reports whether a mount is one of this user or of root, or the one that MOUNT lies
// in. Others are not even looked at, since a look tells a FUSE server a name.
func (s *search) trusts(m *mountinfo.Info) bool {
	if m == nil || m == s.own {
		return true
	}
	owner := mountedBy(m)
	return owner == 0 || owner == os.Geteuid()
}

// directories returns the directories that a source in the mount table may stand for:
// gocryptfs writes each `,` in it as `_` (gocryptfs mount.go).
func (s *search) directories(source string) []string {
	if !filepath.IsAbs(source) {
		return nil
	}
	found := []string{"/"}
	for name := range strings.SplitSeq(strings.Trim(source, "/"), "/") {
		var next []string
		for _, dir := range found {
			for _, at := range s.commaVariants(dir, name) {
				if at, ok := s.follow(at); ok && len(next) < maxCommaVariants {
					next = append(next, at)
				}
			}
		}
		found = next
	}
	return found
}

// commaVariants returns the paths in dir that a name in the mount table may stand for.
func (s *search) commaVariants(dir, name string) []string {
	paths := []string{filepath.Join(dir, name)}
	if !strings.Contains(name, "_") {
		return paths
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != name && strings.ReplaceAll(e.Name(), ",", "_") == name {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// follow resolves the last name of a path. It returns false if there is no such file, or in a
// mount that is not trusted.
func (s *search) follow(path string) (string, bool) {
	if _, m := s.mounts.locate(path); !s.trusts(m) {
		return "", false
	}
	path, err := filepath.EvalSymlinks(path)
	_, m := s.mounts.locate(path)
	return path, err == nil && s.trusts(m)
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
	viewInfo, err := os.Stat(view)
	plainInfo, plainErr := os.Stat(plain)
	if err != nil || plainErr != nil {
		return false
	}
	x, y := changeTime(viewInfo), changeTime(plainInfo)
	s.passing = s.passing || time.Since(x) < entryTimeout || time.Since(y) < entryTimeout
	return x.Equal(y)
}
