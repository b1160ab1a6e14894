// Package encrypt is the way back: plain paths in, one a line, and cipher paths out. A path that
// cannot be encrypted is reported, and the rest goes on. Memory is bounded. meaning.go says what a
// line may mean, encrypt.go finds that and writes it.
package encrypt

import (
	"bufio"
	"bytes"
	"cmp"
	"hash/maphash"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
)

const (
	maxLine  = 32 << 10 // of a line, in bytes: a path of PATH_MAX, escaped, and more
	maxBatch = 1 << 16  // of lines for which the index is read once; a long one counts as several
	maxLines = 1 << 19  // of the output, remembered
)

// An Encrypter encrypts plain paths.
type Encrypter struct {
	Names interface { // a ctlsock.Client, which may know nothing
		PrepareEncrypt(plain string) bool
		Encrypt(plain string) (cipher string, ok bool)
		Decrypt(cipher string) (plain string, ok bool)
	}
	Files interface { // the tree.Tree of MOUNT
		Exists(cipher string) bool
		Resolve(path string) iter.Seq[string]
	}
	View struct { // what is known of MOUNT, see decode.View
		Sub, Plain             string
		Reverse, Deterministic bool
	}
	Mount, Plain string                         // MOUNT and -plain, as they were given
	Index        func(wanted map[string]string) // fills in the newest cipher paths of plain ones
	PathsOnly    bool                           // write the paths alone, one for each line
	Fail         func(path, why string)         // is told each path that cannot be encrypted

	prefixes         []prefix          // what a path may begin with
	unknown, outside string            // what is wrong with a path that is not known, or not below MOUNT
	noIVs            bool              // directories are known to have no gocryptfs.diriv
	indexed          map[string]string // the plain paths of a batch, and what the index has of them
	ahead            []string          // those that gocryptfs is still to be asked for
	out              *bufio.Writer
	written          map[uint64]bool // hashes of its lines
}

var seed = maphash.MakeSeed()

// Copy reads plain paths from src until it ends. It writes to dst what it takes to read them elsewhere,
// for rsync --files-from: the configuration, the IV of each directory above, the file of a long name,
// and the path; each line once. It returns the number of paths and the first error.
func (e *Encrypter) Copy(dst io.Writer, src io.Reader) (all int, err error) {
	e.out, e.written = bufio.NewWriter(dst), map[uint64]bool{}
	e.lookAtMount()
	in := bufio.NewReaderSize(src, maxLine)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(len(mark))
	}
	for err == nil {
		batch, end := e.read(in)
		e.Index(e.indexed)
		for _, m := range batch {
			if why := e.encrypt(m); why != "" {
				e.Fail(m.typed, why)
			}
		}
		all, err = all+len(batch), cmp.Or(e.out.Flush(), end)
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
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

// encrypt writes the first file that is meant and exists; the last one need not, if there is no doubt
// about it. Otherwise it returns what is wrong.
func (e *Encrypter) encrypt(m meaning) (why string) {
	for i, f := range m.files {
		sure := m.why != "" || i < len(m.files)-1
		cipher, exists := e.find(f.plain, sure)
		if !exists && (sure || cipher == "") || f.tail == scan.LongSuffix && !scan.IsLong(filepath.Base(cipher)) {
			continue
		}
		file, _ := filepath.Rel("/"+e.View.Sub, "/"+cipher+f.tail)
		switch {
		case strings.HasPrefix(file+"/", "../"): // a directory that had the same name
			return e.outside
		case strings.ContainsAny(file, "\n\r"): // of -plaintextnames
			return "its encrypted name has a line end"
		}
		e.write(file, file != "." && f.plain != cipher)
		return ""
	}
	return cmp.Or(m.why, e.unknown)
}

// find returns the cipher path of a plain path: that of gocryptfs if the view has it now, otherwise
// that of the index, otherwise that of gocryptfs. exists reports whether the view or the index has
// it; unless sure is set, the view is looked at only where two answers differ.
func (e *Encrypter) find(plain string, sure bool) (cipher string, exists bool) {
	indexed := e.indexed[plain]
	for len(e.ahead) > 0 && e.Names.PrepareEncrypt(e.ahead[0]) {
		e.ahead = e.ahead[1:]
	}
	cipher, ok := e.Names.Encrypt(plain)
	switch {
	case ok && (cipher == indexed || (sure || indexed != "") && e.Files.Exists(cipher)):
		return cipher, true
	case !ok || indexed != "" && !e.View.Reverse: // in reverse mode, a path has one answer
		return indexed, indexed != "" || plain == ""
	}
	return cipher, false
}

// write writes a file and what it takes to read it, each line once.
func (e *Encrypter) write(file string, encrypted bool) {
	if e.PathsOnly {
		e.out.WriteString(file + "\n")
		return
	}
	var lines []string
	if e.View.Sub == "" {
		lines = append(lines, scan.Conf)
	}
	if encrypted {
		lines = append(lines, scan.Needed(file, !e.noIVs)...)
	}
	if file[0] == '#' || file[0] == ';' { // a comment to rsync
		file = "./" + file
	}
	for _, line := range append(lines, file) {
		hash := maphash.String(seed, line)
		if !e.written[hash] {
			e.out.WriteString(line + "\n")
		}
		if e.written[hash] = true; len(e.written) > maxLines {
			clear(e.written)
		}
	}
}
