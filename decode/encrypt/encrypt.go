// Package encrypt is the way back: plain paths in, one a line, and cipher paths out. A path
// that cannot be encrypted is reported, and the rest goes on. Memory is bounded. request.go says
// what a line may mean, encrypt.go finds that and writes it.
package encrypt

import (
	"bufio"
	"bytes"
	"cmp"
	"hash/maphash"
	"io"
	"path"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
)

const (
	maxLine  = 32 << 10 // of a line, in bytes: a path of PATH_MAX, escaped, and more
	maxPaths = 1 << 16  // of a batch, for which the index is read once
	maxBytes = 4 << 20  // of a batch
	maxLines = 1 << 19  // of the output, remembered

	conf, reverseConf, diriv, suffix = "gocryptfs.conf", ".gocryptfs.reverse.conf", "gocryptfs.diriv", ".name"
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
		Resolve(path string) (string, error) // without symbolic links
	}
	Mount, Plain string                                 // MOUNT and -plain, as they were given
	Index        func(visit func(cipher, plain []byte)) // gives all its lines, the newest last
	PathsOnly    bool                                   // write the paths alone, one for each line
	Fail         func(path, why string)                 // is told each path that cannot be encrypted

	view    View
	sub     string            // the plain path of MOUNT
	isKnown bool              // what MOUNT shows is known
	noIVs   bool              // directories are known to have no gocryptfs.diriv
	bases   []base            // what a path may begin with
	indexed map[string]string // the plain paths of a batch, and what the index has of them
	ahead   []string          // those that gocryptfs is still to be asked for
	written map[uint64]bool   // hashes of lines
}

// A View is what is known of the view. See decode.View.
type View = struct {
	Sub, Plain             string
	Reverse, Deterministic bool
}

var seed = maphash.MakeSeed()

// Copy reads plain paths from src until it ends, and writes to dst what it takes to read
// them elsewhere, for rsync --files-from: the configuration, the IV of each directory
// above, the file of a long name, and the path; each line once. It returns the number of
// paths, of those that were found, and the first error of reading or writing.
func (e *Encrypter) Copy(dst io.Writer, src io.Reader) (found, all int, err error) {
	e.written = map[uint64]bool{}
	e.lookAtMount()
	in, out := bufio.NewReaderSize(src, maxLine), bufio.NewWriter(dst)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(len(mark))
	}
	for err == nil {
		var batch []request
		if batch, err = e.read(in); e.Index != nil && len(batch) > 0 {
			e.Index(e.remember)
		}
		for _, r := range batch {
			lines, why := e.answer(r)
			if all++; why != "" {
				e.Fail(escape.Undo([]byte(r.line)), why)
				continue
			}
			found++
			e.write(out, lines)
		}
		err = cmp.Or(out.Flush(), err)
	}
	if err == io.EOF {
		err = nil
	}
	return found, all, err
}

// read returns the next batch. If reading fails, a line that was cut is not part of it.
func (e *Encrypter) read(in *bufio.Reader) (batch []request, err error) {
	e.indexed, e.ahead = map[string]string{}, nil
	for size := 0; err == nil && len(batch) < maxPaths && size < maxBytes; {
		var text []byte
		text, err = in.ReadSlice('\n')
		r := e.request(string(bytes.TrimRight(text, "\r\n")))
		for err == bufio.ErrBufferFull {
			r = request{line: r.line[:80], why: "line too long"}
			_, err = in.ReadSlice('\n')
		}
		if err == nil || err == io.EOF && len(text) > 0 {
			batch, size, e.ahead = append(batch, r), size+len(text), append(e.ahead, r.paths...)
		}
	}
	return batch, err
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

// answer returns what is to be written for a request, or why that is not known.
func (e *Encrypter) answer(r request) (lines []string, why string) {
	var plain, cipher string
	exists := false
	for i, p := range r.paths {
		c, known := e.find(p, len(r.paths) > 1 || r.must)
		if i == 0 || known && !exists {
			plain, cipher, exists = p, c, known
		}
	}
	path, inside := below(cipher, e.view.Sub)
	switch {
	case !exists && (r.must || cipher == ""):
		return nil, r.why
	case !inside: // a directory that had the same name
		return nil, outside
	case strings.ContainsAny(path, "\n\r"): // of -plaintextnames
		return nil, "its encrypted name has a line end"
	}
	return e.lines(path, plain != cipher && cipher != conf), ""
}

// find returns the cipher path of a plain path: that of gocryptfs if the view has it now,
// otherwise that of the index, otherwise that of gocryptfs, which is asked for several paths at
// the same time. exists reports whether the view or the index has it; whether the view alone
// does is looked up only to be sure.
func (e *Encrypter) find(plain string, sure bool) (cipher string, exists bool) {
	switch dir, name := path.Split(plain); {
	case name == diriv:
		cipher, exists = e.find(strings.TrimSuffix(dir, "/"), sure)
		if cipher != "" || dir == "" {
			cipher = path.Join(cipher, diriv)
		}
		return cipher, exists
	case strings.HasPrefix(name, scan.LongPrefix) && strings.HasSuffix(name, suffix):
		name = dir + name[len(scan.LongPrefix):len(name)-len(suffix)]
		if cipher, exists = e.find(name, sure); cipher != "" {
			cipher += suffix
		}
		return cipher, exists
	}
	known := e.indexed[plain]
	if e.Names != nil {
		for len(e.ahead) > 0 && e.Names.PrepareEncrypt(e.ahead[0]) {
			e.ahead = e.ahead[1:]
		}
		cipher, _ = e.Names.Encrypt(plain)
	}
	if e.view.Reverse && cipher != "" && cipher != known {
		known = "" // of another file system: in reverse mode, a path has one answer
	}
	sure = sure || known != "" || plain == reverseConf
	if sure && cipher != known && cipher != "" && e.Files.Exists(cipher) {
		known = cipher
	}
	if plain == conf || plain == reverseConf && (known == "" || e.view.Reverse) {
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
			lines = append(lines, dir+diriv)
		}
		if strings.HasPrefix(name, scan.LongPrefix) && scan.IsEncrypted([]byte(name)) {
			lines = append(lines, dir+name+suffix)
		}
		dir += name + "/"
	}
	if strings.HasPrefix(path, "#") || strings.HasPrefix(path, ";") { // a comment to rsync
		path = "./" + path
	}
	return append(lines, cmp.Or(path, "."))
}

// write writes lines, each of them once.
func (e *Encrypter) write(out *bufio.Writer, lines []string) {
	for _, line := range lines {
		hash := maphash.String(seed, line)
		if !e.written[hash] || e.PathsOnly {
			out.WriteString(line + "\n")
		}
		if e.written[hash] = true; len(e.written) > maxLines {
			clear(e.written)
		}
	}
}
