package encrypt

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gocryptfs-rsync-pretty/decode/scan"
)

// A meaning is what a line may mean: plain paths, the likeliest first.
type meaning struct {
	typed, tail string // the tail is what a housekeeping file has after the cipher path
	plains      []string
	why         string // what is wrong if none of them exists; empty if it need not
}

// A prefix is a directory as a path may begin with it, with a slash after it, and its plain path
// between slashes.
type prefix struct{ typed, plain string }

const (
	conf, reverseConf, diriv, suffix = "gocryptfs.conf", ".gocryptfs.reverse.conf", "gocryptfs.diriv", ".name"

	outside = "not below MOUNT"
	unsure  = "; if its first name is a directory below MOUNT, begin it with a slash"
	above   = "leave out what stands above the root of the view"
)

// lookAtMount finds out what paths may begin with.
func (e *Encrypter) lookAtMount() {
	view, sub := e.Files.View(), ""
	ok := e.Names == nil || e.Files.Exists(".")
	if ok && view.Sub != "" {
		sub, ok = e.Names.Decrypt(view.Sub)
	}
	if !ok {
		sub = "\x00" // no file has this path
	}
	e.root, e.sub, e.reverse = slash("/"+view.Sub), slash("/"+sub), view.Reverse
	switch known := view.Reverse || view.Plain != ""; {
	case e.Names == nil:
		e.unknown = "unknown to the index; without MOUNT, " + above
	case known:
		e.noIVs, e.unknown = view.Deterministic, "unknown to the index and to gocryptfs"
	default:
		e.unknown = "what MOUNT shows is not known: " + above
	}
	e.prefixes = []prefix{{"./", e.sub}}
	e.add(e.Plain, "/")
	e.add(view.Plain, "/")
	if root, ok := strings.CutSuffix(e.add(e.Mount, e.sub), e.root); ok {
		e.add(root+e.sub, e.sub) // as it is printed
	}
}

// add adds a directory of this machine to the prefixes, and its name alone: as it is spelled,
// and without symbolic links. It returns the latter.
func (e *Encrypter) add(dir, plain string) (resolved string) {
	if at, err := filepath.Abs(dir); dir != "" && err == nil {
		for _, spelled := range []string{at, slash(at)} {
			resolved, _ = e.Files.Resolve(spelled)
			resolved = slash(resolved)
			e.prefixes = append(e.prefixes, prefix{resolved, plain}, prefix{"./" + path.Base(resolved) + "/", plain})
		}
	}
	return resolved
}

// meaning returns what a line may mean. One that may mean several paths, or one of this machine
// that is elsewhere, means only what exists.
func (e *Encrypter) meaning(typed string) meaning {
	m, full, here := meaning{typed: typed}, path.Clean("/"+typed), false
	dir, name := path.Split(full)
	long, isLong := strings.CutPrefix(name, scan.LongPrefix)
	long, isName := strings.CutSuffix(long, suffix)
	switch {
	case typed == "":
		return meaning{typed: typed, why: "empty line"}
	case strings.Contains(typed, "\x00"):
		return meaning{typed: typed, why: "path contains a NUL byte"}
	case strings.Contains("/"+typed+"/", "/../"):
		return meaning{typed: typed, why: "path contains `..`"}
	case name == diriv:
		full, m.tail = dir, "/"+diriv
	case isLong && isName:
		full, m.tail = dir+long, suffix
	}
	at := "." + full
	if typed[0] == '/' {
		at, here = e.Files.Resolve(full)
	}
	if m.plains = e.below(at); m.plains == nil && here { // the last name may be a link to a directory
		at, _ = e.Files.Resolve(slash(full))
		m.plains = e.below(at)
	}
	if m.plains == nil { // below MOUNT, as without the slash
		m.plains = []string{strings.Trim(e.sub+full[1:], "/")}
		if here && e.Names != nil {
			m.why = outside
		}
	}
	for _, plain := range m.plains {
		e.indexed[plain] = ""
	}
	e.ahead = append(e.ahead, m.plains...)
	return m
}

// below returns what a path, resolved if it is absolute, may mean by what it begins with.
func (e *Encrypter) below(path string) (plains []string) {
	for _, p := range e.prefixes {
		if rest, ok := strings.CutPrefix(slash(path), p.typed); ok {
			plains = append(plains, strings.Trim(p.plain+rest, "/"))
		}
	}
	return slices.Compact(plains)
}

// slash returns a path with a slash after it.
func slash(path string) string { return strings.TrimSuffix(path, "/") + "/" }
