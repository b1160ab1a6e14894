// Package index remembers names in a file of lines
//
//	CIPHERPATH<tab>PLAINPATH
//
// Both paths are relative to the root of the view. The plain one is escaped as in the text,
// and its tabs, too. A line stays true forever. It also names the directories above.
//
// An encrypted name is made for its directory. The same name occurs twice only where it
// stands for the same plain name, or where it was copied to another directory and decrypts
// to junk there. So a line answers for every path that its own, or that of a directory
// above, ends in; if the plain path is doubtful, only for the whole one.
//
// Each file calls only those after it: index.go, search.go, file.go, table.go, line.go.
package index

import (
	"bytes"
	"hash/maphash"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
)

// An Index is such a file. Several processes may write to it. Only one goroutine may use an
// Index; a nil one is empty.
type Index struct {
	file   file
	search search
	text   []byte // lines to be appended
}

// Open loads the index at path. If add is set, it creates a missing file, with mode 0600, and
// new names are appended. The file has to be a regular one that nobody but its user and root
// can have written. The first problem is reported to warn; the Index does what it still can.
func Open(path string, add bool, warn func(what, hint string)) *Index {
	seed := maphash.MakeSeed()
	x := &Index{file: file{path: path, warn: warn, writable: add}, search: search{block: make([]byte, 0, maxLine+1),
		hash: func(key []byte) uint64 { return maphash.Bytes(seed, key) }}}
	if x.file.open() {
		x.search.data = x.file.data
		x.file.each(x.search.insert)
	}
	return x
}

// Close appends what is new and closes the file. ok is false if there has been trouble.
func (x *Index) Close() (ok bool) {
	if x == nil {
		return true
	}
	x.Flush()
	return x.file.finish()
}

// Add adds the plain path of a cipher path that Find does not find. Flush writes it.
func (x *Index) Add(cipher, plain string) {
	if x == nil || !x.file.writable {
		return
	}
	text := []byte(cipher + "\t" + strings.ReplaceAll(escape.String(plain), "\t", `\#011`))
	if _, ok := parse(text); ok && len(text) < maxLine { // it can be read back
		x.text = append(append(x.text, text...), '\n')
	}
}

// Flush appends what is new and loads what other processes have appended.
func (x *Index) Flush() {
	if x == nil || len(x.text) == 0 {
		return
	}
	if !x.file.write(x.text) {
		x.search.tables, x.search.last, x.search.block = [3]table{}, nil, x.search.block[:0]
	}
	x.text = x.text[:0]
	x.file.each(x.search.insert)
}

// Has reports, without reading the file, whether Find probably finds the path or its last name.
func (x *Index) Has(cipher string) bool {
	if x != nil {
		for range x.search.offsets([]byte("/" + cipher)) {
			return true
		}
	}
	return false
}

// Find returns the cipher path dir+names and its plain path or, failing that, any path that
// ends in names and is not doubtful. dir is empty or ends in a slash; cipher is empty if there
// is none. It stops after maxRead lines, and returns how many it has read; a long one counts
// as several.
func (x *Index) Find(dir, names string, maxRead int) (cipher, plain string, read int) {
	if x == nil {
		return "", "", 0
	}
	if len(x.text) > 0 && bytes.Contains(x.text, []byte(names[strings.LastIndexByte(names, '/')+1:])) {
		x.Flush()
	}
	x.search.read, x.search.path = 0, append(append(append(x.search.path[:0], '/'), dir...), names...)
	path, last := x.search.path, x.search.path[1+len(dir):]
	for at := range x.search.offsets(path) {
		l := x.search.lineAt(at)
		whole := endOf(l.cipher, path)
		if end := max(whole, endOf(l.cipher, last)); whole > 0 || end > 0 && cipher == "" {
			for range bytes.Count(l.cipher[end:], []byte("/")) {
				l.plain = l.plain[:bytes.LastIndexByte(l.plain, '/')]
			}
			if whole > 0 || !isDoubtful(l.plain) {
				cipher, plain = string(l.cipher[:end]), escape.Undo(l.plain)
			}
		}
		if whole > 0 || x.search.read >= maxRead {
			break
		}
	}
	return cipher, plain, x.search.read
}

// Encrypt fills in the cipher paths of plain paths, as far as the index at path has them: the
// newest, since a directory that was made anew in forward mode has another one. Trouble is treated
// as by Open.
func Encrypt(path string, warn func(what, hint string), wanted map[string]string) (ok bool) {
	f := file{path: path, warn: warn}
	if f.open() {
		f.each(func(l line, _ int64) {
			c, p := string(l.cipher), escape.Undo(l.plain)
			for i, j := len(c), len(p); i > 0; i, j = strings.LastIndexByte(c[:i], '/'), strings.LastIndexByte(p[:j], '/') {
				if _, ok := wanted[p[:j]]; ok {
					wanted[p[:j]] = c[:i]
				}
			}
		})
	}
	return f.finish()
}
