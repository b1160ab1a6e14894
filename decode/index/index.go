// Package index remembers names in a file of lines
//
//	CIPHERPATH<tab>PLAINPATH
//
// Both paths are relative to the root of the view. The plain one is escaped as in the
// text, and its tabs, too. What a cipher path stands for never changes, so a line stays
// true. It also gives the names of the directories above.
//
// An encrypted name is made for its directory. The same name occurs twice only where it
// stands for the same plain name. So a line answers for every path that its own, or that
// of a directory above, ends in.
package index

import (
	"fmt"
	"hash/maphash"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
)

const (
	maxKeys = 16 // of a path, besides the whole

	// exactKeys is the number of keys for which lines are read when a path is inserted. After
	// these, a key with an equal hash counts as the same: trees with the same names in
	// thousands of places would take twice as long otherwise.
	exactKeys = 4
)

// An Index is such a file. Several processes may write to it. A path is written once,
// unless two of them learn it at the same time.
//
// In memory there are only hashes. The key of a path is its last name or, if another path
// has that key, its last two names, and so on; the last key is the whole path after a
// slash. A line is read back and compared when a hash leads to it, also when the index is
// loaded: so no path is lost because hashes are equal.
//
// Only one goroutine may use an Index; a nil one is empty.
type Index struct {
	file file

	hash   func(key []byte) uint64
	tables [3]table // each is complete in itself; the newest lines are in the first one
	last   []byte   // the cipher path of the line that was loaded last

	buf   []byte
	block []byte // the beginning of buf: the file's bytes from start on
	start int64
	read  int // lines that were read back, a long one counts as several

	path    []byte // scratch
	text    []byte // lines to be appended
	pending []line // the same
}

// Open loads the index at path. If add is set, it creates a missing file, with mode 0600,
// and new names are appended. The file is used only if it is a regular one that no other
// user, except root, can have written, and if its first line that is not blank is one of an
// index. The first problem is reported to warn. The Index then does what it still can.
func Open(path string, add bool, warn func(what, hint string)) *Index {
	seed := maphash.MakeSeed()
	x := &Index{file: file{path: path, warn: warn, writable: add}, buf: make([]byte, maxLine+1),
		hash: func(key []byte) uint64 { return maphash.Bytes(seed, key) }}
	if x.file.open() {
		x.file.each(x.insert)
	}
	return x
}

// Close appends what is new and closes the file. ok is false if there has been
// trouble with it, so that it may be incomplete.
func (x *Index) Close() (ok bool) {
	if x == nil {
		return true
	}
	x.Flush()
	return x.file.close()
}

// Add adds the plain path of a cipher path that Find does not find. Flush writes it.
func (x *Index) Add(cipher, plain string) {
	if x == nil || !x.file.writable {
		return
	}
	text := fmt.Appendf(nil, "%s\t%s", cipher, strings.ReplaceAll(escape.String(plain), "\t", `\#011`))
	if l, ok := parse(text); ok && len(text) < maxLine { // otherwise, it could not be read back
		x.pending, x.text = append(x.pending, l), append(append(x.text, text...), '\n')
	}
}

// Flush appends what is new and loads what other processes have appended. Trouble is
// reported as by Open.
func (x *Index) Flush() {
	if x == nil || len(x.text) == 0 {
		return
	}
	if !x.file.append(x.text) {
		x.tables, x.last, x.block = [3]table{}, nil, nil
	}
	x.text, x.pending = x.text[:0], x.pending[:0]
	x.file.each(x.insert)
}

// Has reports whether Find probably finds names. It does not read the file.
func (x *Index) Has(names string) bool {
	if x == nil {
		return false
	}
	hash := x.hash([]byte(names[strings.LastIndexByte(names, '/')+1:]))
	for i := range x.tables {
		for range x.tables[i].offsets(hash) {
			return true
		}
	}
	return false
}

// Find returns the cipher path dir+names and its plain path or, if the index does not have
// that, any path that ends in names. dir is empty or ends in a slash; cipher is empty if
// there is no such path. Find stops when it has read about as many lines as most; it
// returns how many it has read, where a long line counts as several.
func (x *Index) Find(dir, names string, most int) (cipher, plain string, read int) {
	if x == nil {
		return "", "", 0
	}
	x.path = append(append(append(x.path[:0], '/'), dir...), names...)
	last := x.path[1+len(dir):]
	before, more := x.read, true
	visit := func(l line) bool {
		end := endOf(l.cipher, x.path)
		more = end == 0 && x.read-before < most
		if end == 0 && cipher == "" {
			end = endOf(l.cipher, last)
		}
		if end > 0 {
			cipher, plain = l.upTo(end)
		}
		return more
	}
	for i := 0; more && i < len(x.tables); i++ {
		x.search(&x.tables[i], x.path, maxKeys, visit)
	}
	// Lines that wait come last, as in a table: what is found does not depend on Flush.
	for i := 0; more && i < len(x.pending); i++ {
		visit(x.pending[i])
	}
	return cipher, plain, x.read - before
}

// Read calls visit with the cipher path and the plain path, still escaped, of each line of
// the index at path, the newest last. They are valid until visit returns. It keeps nothing
// in memory. The file is used, and trouble reported, as by Open; then ok is false.
func Read(path string, warn func(what, hint string), visit func(cipher, plain []byte)) (ok bool) {
	f := file{path: path, warn: warn}
	if f.open() {
		f.each(func(l line, _ int64) { visit(l.cipher, l.plain) })
	}
	return f.close()
}
