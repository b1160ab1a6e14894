package encrypt

import (
	"cmp"
	"os"
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
	why   string   // what is wrong if it is not known; if it is outside, it has to exist
}

// A base is a directory of this machine, and its plain path.
type base struct{ dir, plain string }

// lookAtMount finds out where paths begin.
func (e *Encrypter) lookAtMount() {
	if e.add(e.Plain, ""); e.Files == nil {
		return
	}
	var ok bool
	if e.view = e.Files.View(); e.view.Sub != "" {
		if e.sub, ok = e.Names.Decrypt(e.view.Sub); !ok {
			e.sub = "\x00" // so that nothing is found from there
		}
	}
	e.add(e.view.Plain, "")
	if e.Files.Exists(".") { // otherwise it may take forever to look at it
		e.noIVs = e.view.Deterministic && (e.view.Reverse || e.view.Plain != "")
		e.add(e.Mount, e.sub)
		if root, ok := strings.CutSuffix(e.bases[len(e.bases)-1].dir, "/"+e.view.Sub); ok {
			e.add(root+"/"+e.sub, e.sub) // as it is printed
		}
	}
}

// add adds a base, as it is spelled and as it is resolved.
func (e *Encrypter) add(dir, plain string) {
	if at, err := filepath.Abs(dir); dir != "" && err == nil {
		resolved, _ := filepath.EvalSymlinks(at)
		e.bases = append(e.bases, base{at, plain}, base{cmp.Or(resolved, at), plain})
	}
}

// request returns what a line may mean.
func (e *Encrypter) request(line string) request {
	r, typed := request{line: line, why: "unknown to the index and to gocryptfs"}, escape.Undo([]byte(line))
	if e.Files == nil {
		r.why = "unknown to the index; without MOUNT, leave out what stands above the root of the view"
	}
	if why := wrong(typed); why != "" {
		return request{line: line, why: why}
	}
	add := func(dir, rest string) {
		if plain := path.Join("/", dir, rest)[1:]; !slices.Contains(r.paths, plain) {
			r.paths, e.indexed[plain] = append(r.paths, plain), ""
		}
	}
	at := path.Clean("/" + typed)
	if typed[0] != '/' {
		add(e.sub, at)
		for _, b := range e.bases {
			if rest, ok := below(at, "/"+path.Base(b.dir)); ok {
				add(b.plain, rest)
			}
		}
	}
	for i, c := range at + "/" {
		if c != '/' || r.paths != nil {
			continue
		}
		dir, err := filepath.EvalSymlinks("/" + at[:i]) // it may be another name of a base
		for _, b := range e.bases {
			if rest, ok := below(path.Join(dir, at[i:]), strings.TrimSuffix(b.dir, "/")); ok && err == nil {
				add(b.plain, rest)
			}
		}
	}
	if top, _, _ := strings.Cut(at[1:], "/"); r.paths == nil {
		if _, err := os.Lstat("/" + top); err == nil && e.Files != nil {
			r.why = outside // it is a path of this machine
		}
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
