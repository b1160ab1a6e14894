package encrypt

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
)

// A request is a line of the input.
type request struct {
	line  string
	paths []string // it means the first of them that exists; if none does, the first
	must  bool     // one of them has to exist
	why   string   // what is wrong if it is not known
}

// A base is a directory of this machine, and its plain path.
type base struct{ dir, plain string }

const (
	// maxLevels bounds the directories of a path that are looked at.
	maxLevels = 64

	// nowhere is no path of a file system: nothing lies there.
	nowhere = "\x00"

	outside    = "not below MOUNT"
	unknown    = "unknown to the index and to gocryptfs"
	noMount    = "unknown to the index; without MOUNT, leave out what stands above the root of the view"
	unverified = "what MOUNT shows is not known: leave out what stands above the root of the view"
)

// lookAtMount finds out where paths begin.
func (e *Encrypter) lookAtMount() {
	if e.add(e.Plain, ""); e.Files == nil {
		return
	}
	e.view = e.Files.View()
	e.isKnown = e.view.Reverse || e.view.Plain != ""
	e.noIVs = e.view.Deterministic && e.isKnown
	ok := e.Files.Exists(".")
	if ok && e.view.Sub != "" {
		e.sub, ok = e.Names.Decrypt(e.view.Sub)
	}
	if !ok {
		e.sub = nowhere
	}
	e.add(e.view.Plain, "")
	e.add(e.Mount, e.sub)
	if root, ok := strings.CutSuffix(e.bases[len(e.bases)-1].dir, "/"+e.view.Sub); ok {
		e.add(root+"/"+e.sub, e.sub) // as it is printed
	}
}

// add adds a base, as it is spelled and as it is resolved.
func (e *Encrypter) add(dir, plain string) {
	if at, err := filepath.Abs(dir); dir != "" && err == nil {
		resolved, _ := e.resolve(at)
		e.bases = append(e.bases, base{at, plain}, base{resolved, plain})
	}
}

// resolve returns a path without symbolic links, as far as it exists here. exists reports
// whether any of it does, or may do so.
func (e *Encrypter) resolve(at string) (resolved string, exists bool) {
	if e.Files == nil || strings.Count(at, "/") > maxLevels {
		return at, true
	}
	for dir := at; dir != "/"; dir = path.Dir(dir) {
		if real, err := e.Files.Resolve(dir); !errors.Is(err, fs.ErrNotExist) {
			return path.Join(real, at[len(dir):]), true
		}
	}
	return at, false
}

// request returns what a line may mean.
func (e *Encrypter) request(line string) request {
	typed := escape.Undo([]byte(line))
	if why := wrong(typed); why != "" {
		return request{line: line, why: why}
	}
	r, at := request{line: line, why: unknown}, path.Clean("/"+typed)
	if e.Files == nil {
		r.why = noMount
	}
	add := func(dir, rest string) {
		if plain := path.Join("/", dir, rest)[1:]; !slices.Contains(r.paths, plain) {
			r.paths, e.indexed[plain] = append(r.paths, plain), ""
		}
	}
	if typed[0] != '/' {
		add(e.sub, at)
		for _, b := range e.bases {
			if rest, ok := below(at, "/"+path.Base(b.dir)); ok {
				add(b.plain, rest)
			}
		}
		if r.must = len(r.paths) > 1 && e.Files != nil && !e.isKnown; r.must {
			r.why = unverified
		}
		return r
	}
	resolved, exists := e.resolve(at)
	for _, full := range []string{at, resolved} {
		for _, b := range e.bases {
			if rest, ok := below(full, strings.TrimSuffix(b.dir, "/")); ok {
				add(b.plain, rest)
				exists = exists && full != resolved // so it need not
			}
		}
	}
	if r.must = exists && e.Files != nil; r.must {
		r.why = outside
	}
	if r.paths == nil {
		add(e.sub, at)
	}
	return r
}

// wrong returns what is wrong with a path, whatever it may mean.
func wrong(path string) string {
	switch {
	case path == "":
		return "empty line"
	case strings.Contains(path, "\x00"):
		return "path contains a NUL byte"
	case slices.Contains(strings.Split(path, "/"), ".."):
		return "path contains `..`"
	}
	return ""
}

// below returns what a path has below the directory dir. The root is "".
func below(path, dir string) (rest string, ok bool) {
	if dir == "" || path == dir {
		return path[len(dir):], true
	}
	return strings.CutPrefix(path, dir+"/")
}
