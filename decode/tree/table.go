package tree

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

const maxVariants = 16 // directories that a source in the table may stand for

// A mountTable holds all mounts, oldest first, as Linux lists them.
type mountTable []*mountinfo.Info

// A location is a directory in a file system, wherever that is mounted.
type location struct{ fs, path string }

// locate returns the location of dir, an absolute path, and its mount, empty if there is none.
func (t mountTable) locate(dir string) (location, *mountinfo.Info) {
	m := t.top(dir)
	sub, _ := below(m.Mountpoint, dir)
	return location{fmt.Sprint(m.Major, ":", m.Minor), path.Join("/", m.Root, sub)}, m
}

// top returns the mount that dir lies in. A path leads from the root to the mount point
// that comes first, and on from there, so a mount may hide others below it.
func (t mountTable) top(dir string) *mountinfo.Info {
	for at := (&mountinfo.Info{ID: -1}); ; {
		var next *mountinfo.Info
		for _, m := range t {
			_, ok := below(m.Mountpoint, dir)
			isParent := func(p *mountinfo.Info) bool { return p.ID == m.Parent }
			isFirst := at.ID < 0 && m.Mountpoint == "/" && !slices.ContainsFunc(t, isParent)
			isNext := m.Parent == at.ID && m != at && (next == nil || len(m.Mountpoint) < len(next.Mountpoint))
			if ok && (isFirst || isNext) {
				next = m
			}
		}
		if next == nil {
			return at
		}
		at = next
	}
}

// below returns the path of dir relative to root, empty if they are the same. It
// returns false if dir is not below root.
func below(root, dir string) (string, bool) {
	if dir == root {
		return "", true
	}
	return strings.CutPrefix(dir, strings.TrimSuffix(root, "/")+"/")
}

const reverse, forward = "fuse.gocryptfs-reverse", "fuse.gocryptfs" // types of mounts

func isGocryptfs(m *mountinfo.Info) bool { return m.FSType == reverse || m.FSType == forward }

// mountedBy returns the user who mounted a file system, or -1 if that is not known. Only those
// of FUSE are mounted by others than root.
func mountedBy(m *mountinfo.Info) int {
	_, id, ok := strings.Cut(","+m.VFSOptions, ",user_id=")
	id, _, _ = strings.Cut(id, ",")
	switch n, err := strconv.Atoi(id); {
	case !ok:
		return 0
	case err == nil:
		return n
	}
	return -1
}

// trusts reports whether a mount is one of this user or of root, or of the file system that
// MOUNT lies in. Others are not even looked at, since a look tells a FUSE server a name.
func (s *search) trusts(m *mountinfo.Info) bool {
	owner := mountedBy(m)
	return owner == 0 || owner == os.Geteuid() || m.Major == s.own.Major && m.Minor == s.own.Minor
}

// escapeMeta escapes what has a meaning in a pattern.
var escapeMeta = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// follow returns the directories that a source in the mount table may stand for, below one:
// gocryptfs writes each `,` in it as `_` (gocryptfs mount.go). It follows links, and looks at
// nothing in a mount that is not trusted.
func (s *search) follow(dir, rest string) (found []string) {
	if _, m := s.mounts.locate(dir); !s.trusts(m) {
		return nil
	}
	dir, err := filepath.EvalSymlinks(dir)
	if _, m := s.mounts.locate(dir); err != nil || !s.trusts(m) {
		return nil
	}
	if rest == "" {
		return []string{dir}
	}
	name, rest, _ := strings.Cut(rest, "/")
	var paths []string
	if strings.Contains(name, "_") {
		paths, _ = filepath.Glob(escapeMeta.Replace(dir) + "/" + strings.ReplaceAll(escapeMeta.Replace(name), "_", "[,_]"))
	}
	if len(paths) == 0 { // or the directory cannot be read
		paths = []string{filepath.Join(dir, name)}
	}
	for _, path := range paths {
		if len(found) <= maxVariants {
			found = append(found, s.follow(path, rest)...)
		}
	}
	return found
}
