// Package encrypt is the way back: plain paths in, one a line, and cipher paths out. A path
// that cannot be encrypted is reported, and the rest goes on. Memory is bounded.
package encrypt

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
)

const (
	maxLine  = 32 << 10 // of a line, in bytes: a path of PATH_MAX, escaped, and more
	maxPaths = 1 << 16  // of a batch, for which the index is read once
	maxBytes = 4 << 20  // of a batch
	maxLines = 1 << 19  // of the output, remembered

	conf, reverseConf = "gocryptfs.conf", ".gocryptfs.reverse.conf"
	outside           = "not below MOUNT"
)

// An Encrypter encrypts plain paths. Its exported fields may be empty, except Fail.
type Encrypter struct {
	Names interface { // a ctlsock.Client
		PrepareEncrypt(plain string) bool
		Encrypt(plain string) (cipher string, ok bool)
		Decrypt(cipher string) (plain string, ok bool)
	}
	Files interface { // the tree.Tree of MOUNT
		View() View
		Exists(cipher string) bool
	}
	Mount, Plain string                                 // MOUNT and -plain, as they were given
	Index        func(visit func(cipher, plain []byte)) // gives all its lines, the newest last
	PathsOnly    bool                                   // write the paths alone, one for each line
	Fail         func(path, why string)                 // is told each path that cannot be encrypted

	view    View
	sub     string // the plain path of MOUNT
	noIVs   bool   // MOUNT is known to be a view without gocryptfs.diriv
	bases   []base
	indexed map[string]string // the plain paths of a batch, and what the index has of them
	written map[uint64]bool   // hashes of lines
	seed    maphash.Seed
}

// A View is what is known of the view. See decode.View.
type View = struct {
	Sub, Plain             string
	Reverse, Deterministic bool
}

// A base is a directory of this machine that a path may begin with, and its plain path.
type base struct{ dir, plain string }

// A request is a line of the input.
type request struct {
	line  string
	paths []string // it means the first of them that exists; if none does, the first
	why   string   // if none does, what is wrong with the line
}

// Copy reads plain paths from src until it ends, and writes to dst what it takes to read
// them elsewhere, for rsync --files-from: the configuration, the IV of each directory
// above, the file of a long name, and the path; each line once. It returns the number of
// paths, of those that were found, and the first error of reading or writing.
func (e *Encrypter) Copy(dst io.Writer, src io.Reader) (found, all int, err error) {
	e.written, e.seed = map[uint64]bool{}, maphash.MakeSeed()
	if !e.lookAtMount() {
		return 0, 0, errors.New("the plain path of MOUNT is not known; give the root of the view")
	}
	in, out := bufio.NewReaderSize(src, maxLine), bufio.NewWriter(dst)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(len(mark))
	}
	for err == nil {
		var batch []request
		batch, err = e.read(in)
		if e.Index != nil && len(e.indexed) > 0 {
			e.Index(e.remember)
		}
		found, all = found+e.write(out, batch), all+len(batch)
		err = cmp.Or(out.Flush(), err)
	}
	if err == io.EOF {
		err = nil
	}
	return found, all, err
}

// lookAtMount finds out where paths begin. ok is false if the plain path of MOUNT is not known.
func (e *Encrypter) lookAtMount() (ok bool) {
	if e.add(e.Plain, ""); e.Files == nil {
		return true
	}
	e.view = e.Files.View()
	if sub := e.view.Sub; sub != "" {
		e.sub, _ = e.Names.Decrypt(sub)
		if back, _ := e.Names.Encrypt(e.sub); back != sub {
			return false
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
	return true
}

// add adds a base, as it is spelled and as it is resolved.
func (e *Encrypter) add(dir, plain string) {
	if at, err := filepath.Abs(dir); dir != "" && err == nil {
		resolved, _ := filepath.EvalSymlinks(at)
		e.bases = append(e.bases, base{at, plain}, base{cmp.Or(resolved, at), plain})
	}
}

// read returns the next batch. If reading fails, a line that was cut is not part of it.
func (e *Encrypter) read(in *bufio.Reader) (batch []request, err error) {
	e.indexed = map[string]string{}
	for size := 0; err == nil && len(batch) < maxPaths && size < maxBytes; {
		var text []byte
		text, err = in.ReadSlice('\n')
		r := request{line: string(bytes.TrimRight(text, "\r\n"))}
		r.paths, r.why = e.meanings(escape.Undo([]byte(r.line)))
		for err == bufio.ErrBufferFull {
			r = request{line: r.line[:80], why: "line too long"}
			_, err = in.ReadSlice('\n')
		}
		if err == nil || err == io.EOF && len(text) > 0 {
			batch, size = append(batch, r), size+len(text)
		}
	}
	return batch, err
}

// meanings returns the plain paths that a typed path may mean, and what is wrong with it if
// none of them exists.
func (e *Encrypter) meanings(typed string) (paths []string, why string) {
	switch {
	case typed == "":
		return nil, "empty line"
	case strings.Contains(typed, "\x00"):
		return nil, "path contains a NUL byte"
	case slices.Contains(strings.Split(typed, "/"), ".."):
		return nil, "path contains `..`"
	}
	add := func(dir, rest string) {
		if plain := path.Join("/", dir, rest)[1:]; !slices.Contains(paths, plain) {
			paths, e.indexed[plain] = append(paths, plain), ""
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
		if c != '/' || paths != nil {
			continue
		}
		dir, err := filepath.EvalSymlinks("/" + at[:i]) // it may be another name of a base
		for _, b := range e.bases {
			if rest, ok := below(path.Join(dir, at[i:]), strings.TrimSuffix(b.dir, "/")); ok && err == nil {
				add(b.plain, rest)
			}
		}
	}
	if top, _, _ := strings.Cut(at[1:], "/"); paths == nil {
		if _, err := os.Lstat("/" + top); err == nil && e.Files != nil {
			why = outside // it is a path of this machine
		}
		add(e.sub, at)
	}
	return paths, why
}

// remember takes a line of the index. The newest one is the best: in forward mode, a
// directory that was made anew has another cipher path.
func (e *Encrypter) remember(cipher, plain []byte) {
	plain = []byte(escape.Undo(plain))
	for len(cipher) > 0 {
		if c, asked := e.indexed[string(plain)]; asked && c != string(cipher) {
			e.indexed[string(plain)] = string(cipher)
		}
		cipher = cipher[:max(0, bytes.LastIndexByte(cipher, '/'))]
		plain = plain[:max(0, bytes.LastIndexByte(plain, '/'))]
	}
}

// write writes the answers. gocryptfs is asked for several of them at the same time.
func (e *Encrypter) write(out *bufio.Writer, batch []request) (found int) {
	full := func(plain string) bool { return e.Names == nil || !e.Names.PrepareEncrypt(plain) }
	ahead := batch
	for _, r := range batch {
		for len(ahead) > 0 && !slices.ContainsFunc(ahead[0].paths, full) {
			ahead = ahead[1:]
		}
		lines, why := e.answer(r)
		if why != "" {
			e.Fail(escape.Undo([]byte(r.line)), why)
			continue
		}
		found++
		for _, line := range lines {
			hash := maphash.String(e.seed, line)
			if !e.written[hash] || e.PathsOnly {
				out.WriteString(line + "\n")
			}
			if e.written[hash] = true; len(e.written) > maxLines {
				clear(e.written)
			}
		}
	}
	return found
}

// answer returns what is to be written for a request, or why that is not known.
func (e *Encrypter) answer(r request) (lines []string, why string) {
	var plain, cipher string
	exists := false
	for i, p := range r.paths {
		c, known := e.find(p, len(r.paths) > 1 || r.why != "")
		if i == 0 || known && !exists {
			plain, cipher, exists = p, c, known
		}
	}
	path, inside := below(cipher, e.view.Sub)
	switch {
	case !exists && r.why != "":
		return nil, r.why
	case !exists && cipher == "" && e.Files == nil:
		return nil, "unknown to the index; without MOUNT, leave out what stands above the root of the view"
	case !exists && cipher == "":
		return nil, "unknown to the index and to gocryptfs"
	case !inside: // a directory that had the same name
		return nil, outside
	case strings.ContainsAny(path, "\n\r"): // of -plaintextnames
		return nil, "its encrypted name has a line end"
	}
	return e.lines(path, plain != cipher && cipher != conf), ""
}

// find returns the cipher path of a plain path: that of gocryptfs if the view has it now,
// otherwise that of the index, otherwise that of gocryptfs. exists reports whether the view or
// the index has it; whether the view alone does is looked up only to be sure.
func (e *Encrypter) find(plain string, sure bool) (cipher string, exists bool) {
	known := e.indexed[plain]
	if e.Names != nil {
		cipher, _ = e.Names.Encrypt(plain)
	}
	sure = sure || known != "" || plain == reverseConf
	if sure && cipher != known && cipher != "" && e.Files.Exists(cipher) {
		known = cipher
	}
	if plain == reverseConf && (known == "" || e.view.Reverse) {
		known = conf
	}
	return cmp.Or(known, cipher), known != "" || plain == ""
}

// lines returns what it takes to read the path, with its names if they are encrypted.
func (e *Encrypter) lines(path string, encrypted bool) (lines []string) {
	if e.PathsOnly {
		return []string{cmp.Or(path, ".")}
	}
	if e.view.Sub == "" {
		lines = []string{conf}
	}
	for dir, rest := "", path; encrypted && rest != ""; {
		var name string
		if name, rest, _ = strings.Cut(rest, "/"); !e.noIVs {
			lines = append(lines, dir+"gocryptfs.diriv")
		}
		if strings.HasPrefix(name, scan.LongPrefix) && scan.IsEncrypted([]byte(name)) {
			lines = append(lines, dir+name+".name")
		}
		dir += name + "/"
	}
	if strings.HasPrefix(path, "#") || strings.HasPrefix(path, ";") { // a comment to rsync
		path = "./" + path
	}
	return append(lines, cmp.Or(path, "."))
}

// below returns what a path has below the directory dir. The root is "".
func below(path, dir string) (rest string, ok bool) {
	if dir == "" || path == dir {
		return path[len(dir):], true
	}
	return strings.CutPrefix(path, dir+"/")
}
