package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
)

// A view is an encrypted directory and the plain directory that belongs to it.
type view struct {
	dir   string // its root, empty if it is not known
	plain string // the plain directory, empty if it is not known
	sub   string // MOUNT's own cipher path, empty if MOUNT is the root
}

// A problem says in words what is wrong and what to do about it.
type problem struct{ what, hint string }

// maxCommaVariants bounds the directories that a source in the mount table may stand for.
const maxCommaVariants = 16

// findView returns the view that mount lies in, and what is wrong with it. plain is
// the value of -plain.
func findView(mount, plain string) (view, *problem) {
	v := view{dir: mount}
	if mount == "" {
		return v, &problem{"MOUNT is empty", "is a variable of the script not set? names are decoded, targets of links are not"}
	}
	if p := checkDir("MOUNT", mount, "give the encrypted directory that rsync reads"); p != nil {
		return v, p
	}
	dir, err := filepath.EvalSymlinks(mount)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return v, &problem{err.Error(), "give the directory that rsync reads"}
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil && plain == "" {
		return v, &problem{"no mount table: " + err.Error(), "give the plain directory with -plain"}
	}
	listed, p := mountTable(mounts).lookUp(dir)
	if listed.dir != "" {
		v = listed
	}
	if plain == "" {
		return v, p
	}
	v.plain = ""
	if p := checkDir("-plain", plain, "give the directory that gocryptfs encrypts"); p != nil {
		return v, p
	}
	for _, name := range []string{"gocryptfs.conf", "gocryptfs.diriv"} {
		if _, err := os.Lstat(filepath.Join(plain, name)); err == nil {
			return v, &problem{"-plain " + plain + " is the encrypted side", "give the directory with the real names"}
		}
	}
	v.plain = plain
	if !sameRoot(v.dir, plain) {
		return v, &problem{"-plain " + plain + " is not the directory that " + mount + " shows",
			"give that one; otherwise targets of links stay encrypted"}
	}
	return v, nil
}

// checkDir returns a problem if dir, the value of operand, is not a directory. hint
// says which directory to give.
func checkDir(operand, dir, hint string) *problem {
	const rest = "; names are decoded, targets of links are not"
	fi, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		return &problem{operand + " " + dir + " does not exist", hint + rest}
	case err != nil:
		return &problem{operand + " cannot be used: " + err.Error(), hint + rest}
	case fi.Mode().Type() == fs.ModeSocket:
		return &problem{operand + " " + dir + " is a socket", "the operands are CTLSOCK and MOUNT, in this order"}
	case !fi.IsDir():
		return &problem{operand + " " + dir + " is not a directory", hint + rest}
	}
	return nil
}

// A mountTable holds all mounts, oldest first.
type mountTable []*mountinfo.Info

// A location is a directory in a file system, wherever that is mounted.
type location struct {
	fs   string
	path string
}

// lookUp returns the view that dir, an absolute path, lies in. The table is a hint, not
// a proof: a view is accepted only if its root and the plain directory have the same
// change time, which gocryptfs hands through.
func (t mountTable) lookUp(dir string) (v view, p *problem) {
	p = &problem{dir + " is no gocryptfs mount",
		"give the directory that rsync reads, or -plain; names are decoded, targets of links are not"}
	here := t.locate(dir)
	for _, m := range slices.Backward(t) {
		typed, reverse := strings.Contains(m.FSType, "gocryptfs"), strings.HasSuffix(m.FSType, "reverse")
		if !typed && !isFuse(m.FSType) || m.Root != "" && m.Root != "/" {
			continue
		}
		at := t.locate(m.Mountpoint)
		sub, within := below(at.path, here.path)
		within = within && at.fs == here.fs
		sources := []string{m.Source}
		if within || !reverse { // what need not be looked at may hang
			sources = commaVariants(m.Source)
		}
		for _, source := range sources {
			there := t.locate(source)
			cipherSub, forward := below(there.path, here.path)
			forward = forward && there.fs == here.fs
			switch {
			case within && (reverse || !typed) && sameRoot(m.Mountpoint, source):
				return view{dir: m.Mountpoint, plain: source, sub: sub}, nil
			case forward && !reverse && sameRoot(source, m.Mountpoint):
				return view{dir: source, plain: m.Mountpoint, sub: cipherSub}, nil
			case typed && reverse && forward:
				p = &problem{dir + " is the plain side of a gocryptfs mount",
					"give the encrypted one: " + m.Mountpoint + "; names are decoded, targets of links are not"}
			case typed && !reverse && within:
				p = &problem{dir + " is the plain side of a gocryptfs mount",
					"give the encrypted one: " + source + "; names are decoded, targets of links are not"}
			}
		}
		if within && reverse && v.dir == "" {
			v = view{dir: m.Mountpoint, sub: sub}
			p = &problem{"the plain directory of " + m.Mountpoint + " was not found",
				"name it with -plain; names are decoded, targets of links are not"}
		}
	}
	return v, p
}

// locate returns the location of dir, an absolute path: it lies in the file system with
// the longest mount point above it or, if there are several, in the newest of them.
func (t mountTable) locate(dir string) location {
	var best *mountinfo.Info
	for _, m := range t {
		if _, ok := below(m.Mountpoint, dir); ok && (best == nil || len(m.Mountpoint) >= len(best.Mountpoint)) {
			best = m
		}
	}
	if best == nil {
		return location{path: dir}
	}
	sub, _ := below(best.Mountpoint, dir)
	id := best.Mountpoint // macOS and FreeBSD have no more in the table
	if best.Root != "" {
		id = fmt.Sprint(best.Major, ":", best.Minor)
	}
	return location{id, path.Join("/", best.Root, sub)}
}

// isFuse reports whether fstype is one that gocryptfs has on macOS or FreeBSD, where
// all FUSE file systems have the same type.
func isFuse(fstype string) bool {
	return slices.Contains([]string{"macfuse", "osxfuse", "fusefs", "fuse"}, fstype)
}

// below returns the path of dir relative to root, empty if they are the same. It
// returns false if dir is not below root.
func below(root, dir string) (string, bool) {
	if dir == root {
		return "", true
	}
	return strings.CutPrefix(dir, strings.TrimSuffix(root, "/")+"/")
}

// commaVariants returns the directories that a source in the mount table may stand for:
// gocryptfs writes each `,` in it as `_` (gocryptfs mount.go).
func commaVariants(source string) []string {
	if !filepath.IsAbs(source) {
		return nil
	}
	found := []string{"/"}
	for name := range strings.SplitSeq(strings.Trim(source, "/"), "/") {
		var next []string
		for _, dir := range found {
			next = append(next, filepath.Join(dir, name))
			if !strings.Contains(name, "_") {
				continue
			}
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if e.Name() != name && strings.ReplaceAll(e.Name(), ",", "_") == name && len(next) < maxCommaVariants {
					next = append(next, filepath.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	var dirs []string
	for _, dir := range found {
		if dir, err := filepath.EvalSymlinks(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// sameRoot reports whether the roots of a view and of a plain directory have the same
// change time. After a recent change it looks again, for as long as entryTimeout: the kernel
// may not know the change yet, or another may be under way.
func sameRoot(view, plain string) bool {
	for deadline := time.Now().Add(entryTimeout); ; time.Sleep(clockStep) {
		viewInfo, err := os.Stat(view)
		plainInfo, plainErr := os.Stat(plain)
		if err != nil || plainErr != nil {
			return false
		}
		x, y := changeTime(viewInfo), changeTime(plainInfo)
		if x.Equal(y) {
			return true
		}
		if time.Now().After(deadline) || time.Since(x) > entryTimeout && time.Since(y) > entryTimeout {
			return false
		}
	}
}
