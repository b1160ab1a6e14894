// Package encrypt is the way back: plain paths in, one a line, and cipher paths out. A path
// that cannot be encrypted is reported, and the rest goes on. Memory is bounded. meaning.go
// says what a line may mean, encrypt.go finds that and writes it.
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
	maxBatch = 1 << 16  // of lines for which the index is read once; a long one counts as several
	maxLines = 1 << 19  // of the output, remembered
)

// An Encrypter encrypts plain paths. Names and Index may be nil.
type Encrypter struct {
	Names interface { // a ctlsock.Client
		PrepareEncrypt(plain string) bool
		Encrypt(plain string) (cipher string, ok bool)
		Decrypt(cipher string) (plain string, ok bool)
	}
	Files interface { // the tree.Tree of MOUNT
		View() struct { // see decode.View
			Sub, Plain             string
			Reverse, Deterministic bool
		}
		Exists(cipher string) bool
		Resolve(path string) (resolved string, here bool)
	}
	Mount, Plain string                                 // MOUNT and -plain, as they were given
	Index        func(visit func(cipher, plain []byte)) // gives all its lines, the newest last
	PathsOnly    bool                                   // write the paths alone, one for each line
	Fail         func(path, why string)                 // is told each path that cannot be encrypted

	root, sub string            // the cipher path and the plain path of MOUNT, between slashes
	prefixes  []prefix          // what a path may begin with
	reverse   bool              // the view is known to be made of plain files
	noIVs     bool              // its directories are known to have no gocryptfs.diriv
	unknown   string            // what is wrong with a path that is not known
	indexed   map[string]string // the plain paths of a batch, and what the index has of them
	ahead     []string          // those that gocryptfs is still to be asked for
	out       *bufio.Writer
	written   map[uint64]bool // hashes of its lines
}

var seed = maphash.MakeSeed()

// Copy reads plain paths from src until it ends, and writes to dst what it takes to read
// them elsewhere, for rsync --files-from: the configuration, the IV of each directory
// above, the file of a long name, and the path; each line once. It returns the number of
// paths, of those that were found, and the first error of reading or writing.
func (e *Encrypter) Copy(dst io.Writer, src io.Reader) (found, all int, err error) {
	e.out, e.written = bufio.NewWriter(dst), map[uint64]bool{}
	e.lookAtMount()
	in := bufio.NewReaderSize(src, maxLine)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(len(mark))
	}
	for err == nil {
		var batch []meaning
		if batch, err = e.read(in); e.Index != nil {
			e.Index(e.remember)
		}
		for _, m := range batch {
			if why := e.encrypt(m); why == "" {
				found++
			} else {
				e.Fail(m.typed, why)
			}
		}
		all, err = all+len(batch), cmp.Or(e.out.Flush(), err)
	}
	if err == io.EOF {
		err = nil
	}
	return found, all, err
}

// read returns what the next lines may mean, without a line that was cut by an error.
func (e *Encrypter) read(in *bufio.Reader) (batch []meaning, err error) {
	e.indexed, e.ahead = map[string]string{}, nil
	for size := 0; size < maxBatch; {
		text, err := in.ReadSlice('\n')
		size += 1 + len(text)/64
		m := e.meaning(escape.Undo(bytes.TrimRight(text, "\r\n")))
		for err == bufio.ErrBufferFull {
			m = meaning{typed: m.typed[:min(80, len(m.typed))], why: "line too long"}
			_, err = in.ReadSlice('\n')
		}
		if err != nil && (err != io.EOF || len(text) == 0) {
			return batch, err
		}
		batch = append(batch, m)
	}
	return batch, nil
}

// remember takes a line of the index. The newest one is the best: in forward mode, a
// directory that was made anew has another cipher path.
func (e *Encrypter) remember(cipher, plain []byte) {
	for c, p := string(cipher), escape.Undo(plain); c != ""; c, p = parent(c), parent(p) {
		if last, asked := e.indexed[p]; asked && last != c {
			e.indexed[p] = c
		}
	}
}

// parent returns the directory of a path, empty if that is the root.
func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

// encrypt writes the first path that is meant and exists or, if nothing is in doubt, need not.
// Otherwise it returns why there is none.
func (e *Encrypter) encrypt(m meaning) (why string) {
	sure := m.why != "" || len(m.plains) > 1
	for _, plain := range m.plains {
		cipher, exists := e.find(plain, sure)
		isLong := strings.HasPrefix(path.Base(cipher), scan.LongPrefix)
		if !exists && (sure || cipher == "") || m.tail == suffix && !isLong {
			continue
		}
		rest, inside := strings.CutPrefix(slash("/"+strings.TrimPrefix(cipher+m.tail, "/")), e.root)
		switch {
		case !inside: // a directory that had the same name
			return outside
		case strings.ContainsAny(rest, "\n\r"): // of -plaintextnames
			return "its encrypted name has a line end"
		}
		e.write(cmp.Or(strings.TrimSuffix(rest, "/"), "."), rest != "" && plain != cipher && cipher != conf)
		return ""
	}
	if why = cmp.Or(m.why, e.unknown); len(m.plains) > 1 && m.typed[0] != '/' {
		why += unsure
	}
	return why
}

// find returns the cipher path of a plain path: that of gocryptfs if the view has it now,
// otherwise that of the index, otherwise that of gocryptfs, which is asked for several paths at
// the same time. exists reports whether the view or the index has it; whether the view alone
// does is looked up only to be sure.
func (e *Encrypter) find(plain string, sure bool) (cipher string, exists bool) {
	indexed, ok := e.indexed[plain], false
	if e.Names != nil {
		for len(e.ahead) > 0 && e.Names.PrepareEncrypt(e.ahead[0]) {
			e.ahead = e.ahead[1:]
		}
		cipher, ok = e.Names.Encrypt(plain)
	}
	switch {
	case plain == conf || plain == reverseConf:
		return conf, true
	case ok && (cipher == indexed || (sure || indexed != "") && e.Files.Exists(cipher)):
		return cipher, true
	case !ok || indexed != "" && !e.reverse: // in reverse mode, a path has one answer
		return indexed, indexed != "" || plain == ""
	}
	return cipher, false
}

// write writes what it takes to read a file, the names above it if they are encrypted.
func (e *Encrypter) write(file string, encrypted bool) {
	if e.PathsOnly {
		e.out.WriteString(file + "\n")
		return
	}
	if e.root == "/" {
		e.writeLine(conf)
	}
	for dir, rest := "", file; encrypted && rest != ""; {
		var name string
		if name, rest, _ = strings.Cut(rest, "/"); !e.noIVs {
			e.writeLine(dir + diriv)
		}
		if strings.HasPrefix(name, scan.LongPrefix) && scan.IsEncrypted([]byte(name)) {
			e.writeLine(dir + name + suffix)
		}
		dir += name + "/"
	}
	if file[0] == '#' || file[0] == ';' { // a comment to rsync
		file = "./" + file
	}
	e.writeLine(file)
}

// writeLine writes a line, once.
func (e *Encrypter) writeLine(line string) {
	hash := maphash.String(seed, line)
	if !e.written[hash] {
		e.out.WriteString(line + "\n")
	}
	if e.written[hash] = true; len(e.written) > maxLines {
		clear(e.written)
	}
}
