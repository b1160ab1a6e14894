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

// maxVariants bounds the directories that a source in the mount table may stand for.
const maxVariants = 16

// A mountTable holds all mounts, oldest first, as Linux lists them.
type mountTable []*mountinfo.Info

// A location is a directory in a file system, wherever that is mounted.
type location struct {
	fs   string
	path string
}

// locate returns the location of dir, an absolute path, and its mount.
func (t mountTable) locate(dir string) (location, *mountinfo.Info) {
	m := t.top(dir)
	if m == nil {
		return location{path: dir}, nil
	}
	sub, _ := below(m.Mountpoint, dir)
	return location{fmt.Sprint(m.Major, ":", m.Minor), path.Join("/", m.Root, sub)}, m
}

// top returns the mount that dir lies in. A path leads from the root to the mount point
// that comes first, and on from there, so a mount may hide others below it.
func (t mountTable) top(dir string) (at *mountinfo.Info) {
	for {
		var next *mountinfo.Info
		for _, m := range t {
			_, ok := below(m.Mountpoint, dir)
			isFirst := at == nil && m.Mountpoint == "/" && !t.has(m.Parent)
			isNext := at != nil && m.Parent == at.ID && m != at && (next == nil || len(m.Mountpoint) < len(next.Mountpoint))
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

// isReverse reports whether a mount shows an encrypted view of a plain directory.
func isReverse(m *mountinfo.Info) bool { return m != nil && m.FSType == "fuse.gocryptfs-reverse" }

// isForward reports whether a mount shows an encrypted directory in plain.
func isForward(m *mountinfo.Info) bool { return m != nil && m.FSType == "fuse.gocryptfs" }

// mountedBy returns the user who mounted a file system, or -1 if that is not known. Only those
// of FUSE are mounted by others than root.
func mountedBy(m *mountinfo.Info) int {
	if m == nil {
		return 0
	}
	_, id, ok := strings.Cut(","+m.VFSOptions, ",user_id=")
	if !ok {
		return 0
	}
	id, _, _ = strings.Cut(id, ",")
	n, err := strconv.Atoi(id)
	if err != nil {
		return -1
	}
	return n
}

// trusts reports whether a mount is one of this user or of root, or the one that MOUNT lies
// in. Others are not even looked at, since a look tells a FUSE server a name.
func (s *search) trusts(m *mountinfo.Info) bool {
	owner := mountedBy(m)
	return m == s.own || owner == 0 || owner == os.Geteuid()
}

// escapeMeta escapes what has a meaning in a pattern.
var escapeMeta = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// directories returns the directories that a source in the mount table may stand for:
// gocryptfs writes each `,` in it as `_` (gocryptfs mount.go). It returns none if there are too
// many.
func (s *search) directories(source string) (found []string) {
	if !filepath.IsAbs(source) {
		return nil
	}
	found = []string{"/"}
	for name := range strings.SplitSeq(strings.Trim(source, "/"), "/") {
		var next []string
		for _, dir := range found {
			var paths []string
			if strings.Contains(name, "_") {
				paths, _ = filepath.Glob(escapeMeta.Replace(dir) + "/" + strings.ReplaceAll(escapeMeta.Replace(name), "_", "[,_]"))
			}
			if len(paths) == 0 { // or the directory cannot be read
				paths = []string{filepath.Join(dir, name)}
			}
			for _, at := range paths {
				if at, ok := s.follow(at); ok {
					next = append(next, at)
				}
			}
		}
		if found = next; len(found) > maxVariants {
			return nil
		}
	}
	return found
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
