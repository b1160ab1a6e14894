package encrypt

import (
	"path"
	"slices"
	"strings"

	"gocryptfs-rsync-pretty/decode/scan"
)

// A meaning is what a line may mean: files, the likeliest first.
type meaning struct {
	typed string
	files []file
	why   string // what is wrong if none of them exists; empty if the last one need not
}

// A file has a plain path. A tail stands for the housekeeping file with that after its cipher path.
type file struct{ plain, tail string }

// A prefix is a directory as a path may begin with it, with a slash after it, and its plain path.
type prefix struct{ typed, plain string }

// lookAtMount finds out what paths may begin with.
func (e *Encrypter) lookAtMount() {
	e.unknown = "unknown; as MOUNT is not known, leave out what stands above the root of the view"
	sub, ok := e.Names.Decrypt(e.View.Sub)
	if !ok && e.View.Sub != "" || e.Mount != "" && !e.Files.Exists(".") {
		sub = "\x00" // no file has this path
		e.unknown = "MOUNT cannot be used; leave out CTLSOCK and MOUNT to search the index alone"
	}
	if e.outside = e.unknown; e.View.Reverse || e.View.Plain != "" { // which -plain may contradict
		e.unknown, e.outside = "unknown to the index and to gocryptfs", "not below MOUNT"
		e.noIVs, e.Plain = e.View.Deterministic, e.View.Plain
	}
	e.prefixes = []prefix{{"./", sub}}
	for _, dir := range []prefix{{e.Plain, ""}, {e.Mount, sub}} {
		for at := range e.Files.Resolve(dir.typed) {
			printed := path.Join(strings.TrimSuffix(at, "/"+e.View.Sub), dir.plain) // a MOUNT inside the view is decoded
			for _, at := range []string{strings.TrimSuffix(at, "/"), printed} {
				e.prefixes = append(e.prefixes, prefix{at + "/", dir.plain}, prefix{"./" + path.Base(at) + "/", dir.plain})
			}
		}
	}
}

// meaning returns what a line may mean. If that is in doubt, only a file that exists can be meant.
func (e *Encrypter) meaning(typed string) meaning {
	switch {
	case typed == "":
		return meaning{typed: typed, why: "empty line"}
	case strings.Contains("/"+typed+"/", "/../"):
		return meaning{typed: typed, why: "path contains `..`"}
	case strings.Contains(typed, "\x00"):
		return meaning{typed: typed, why: "path contains a NUL byte"}
	}
	plains, why := e.candidates(path.Clean("/"+typed), typed[0] == '/')
	m := meaning{typed: typed, why: why}
	for _, plain := range plains {
		part, tail, only := scan.SplitPrinted(plain)
		if !only {
			m.files = append(m.files, file{plain: plain})
		}
		m.files = append(m.files, file{part, tail})
	}
	for _, f := range m.files {
		e.indexed[f.plain], e.ahead = "", append(e.ahead, f.plain)
	}
	return m
}

// candidates returns the plain paths that a path after a slash may mean, by what it begins with, and
// what is wrong if none of them exists. absolute reports whether it was typed with the slash.
func (e *Encrypter) candidates(full string, absolute bool) (plains []string, why string) {
	spellings := slices.Values([]string{"." + full})
	if absolute {
		spellings = e.Files.Resolve(full)
	}
	for at := range spellings {
		why = e.outside
		for _, p := range e.prefixes {
			if rest, ok := strings.CutPrefix(at+"/", p.typed); ok {
				plains = append(plains, path.Join("/", p.plain, rest)[1:])
			}
		}
		if plains = slices.Compact(plains); len(plains) == 1 {
			return plains, ""
		} else if len(plains) > 1 {
			return plains, e.unknown + "; if its first name is a directory below MOUNT, begin it with a slash"
		}
	}
	return []string{path.Join("/", e.prefixes[0].plain, full)[1:]}, why // as without the slash
}
