package tree

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// A mountTable holds all mounts, oldest first, as Linux lists them.
type mountTable []*mountinfo.Info

// A location is a directory in a file system, wherever that is mounted.
type location struct{ fs, path string }

// locate returns the location of dir, an absolute path, and its mount, empty if there is none. It
// begins at the mount whose parent is not in the table. From each one it goes on to the child with
// the shortest mount point above dir, so a mount may hide others below it.
func (t mountTable) locate(dir string) (location, *mountinfo.Info) {
	byLength := func(a, b *mountinfo.Info) int { return len(a.Mountpoint) - len(b.Mountpoint) }
	sorted := slices.SortedStableFunc(slices.Values(t), byLength)
	at := &mountinfo.Info{ID: -1}
	for i := 0; i < len(sorted); i++ {
		m := sorted[i]
		_, ok := below(m.Mountpoint, dir)
		isParent := func(p *mountinfo.Info) bool { return p.ID == m.Parent && p != m }
		if ok && m != at && (m.Parent == at.ID || at.ID < 0 && !slices.ContainsFunc(t, isParent)) {
			at, i = m, -1 // its children, from the first one on
		}
	}
	sub, _ := below(at.Mountpoint, dir)
	return location{fmt.Sprint(at.Major, ":", at.Minor), path.Join("/", at.Root, sub)}, at
}

// below returns the path of dir relative to root, empty if they are the same. It
// returns false if dir is not below root.
func below(root, dir string) (string, bool) {
	sub, ok := strings.CutPrefix(dir+"/", strings.TrimSuffix(root, "/")+"/")
	return strings.TrimSuffix(sub, "/"), ok
}

const reverse, forward = "fuse.gocryptfs-reverse", "fuse.gocryptfs" // types of mounts

func isGocryptfs(m *mountinfo.Info) bool { return m.FSType == reverse || m.FSType == forward }

// mountedBy returns the user who mounted a file system, or -1 if that is not known. Only those
// of FUSE are mounted by others than root.
func mountedBy(m *mountinfo.Info) (uid int) {
	_, id, ok := strings.Cut(","+m.VFSOptions, ",user_id=")
	if !ok {
		return 0
	}
	uid = -1
	fmt.Sscanf(id, "%d", &uid)
	return uid
}
