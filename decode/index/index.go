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
	"bytes"
	"fmt"
	"hash/maphash"
	"iter"
	"strings"

	"gocryptfs-rsync-pretty/decode/escape"
)

// maxKeys bounds the keys of a path, and so the lines that are read for it.
const maxKeys = 32

// An Index is such a file. Several processes may write to it. A path is written once,
// unless two of them learn it at the same time.
//
// In memory there are only hashes. The key of a path is its last name or, if another path
// has that key, its last two names, and so on; the last possible key is the whole path
// after a slash. The lines of all keys are read back and compared, here and when the
// index is loaded, so that no path is lost because hashes are equal.
//
// Only one goroutine may use an Index; a nil one is empty.
type Index struct {
	file file

	seed   maphash.Seed
	tables [3]table // each complete in itself, the newest lines first
	last   []byte   // the cipher path of the line that was loaded last

	buf   []byte
	block []byte // the beginning of buf: the file's bytes from start on
	start int64
	looks int // lines that were read back

	lines   []byte             // to be appended
	pending map[string][]added // what they say, by the last name of each path
}

// An added path is not in the file yet.
type added struct{ cipher, plain string }

// Open loads the index at path. If add is set, it creates a missing file, with
// mode 0600, and new names are appended. The file is used only if it is a regular
// one that no other user, except root, can have written, and if it is empty or looks like
// an index. The first problem is reported by a call of warn, with what is wrong and what
// to do about it. The Index then does what it still can.
func Open(path string, add bool, warn func(what, hint string)) *Index {
	x := &Index{file: file{path: path, warn: warn, writable: add}, seed: maphash.MakeSeed(),
		buf: make([]byte, maxLine+1), pending: map[string][]added{}}
	if x.file.open() {
		x.load()
		x.file.check()
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

// Flush appends what is new and loads what other processes have appended. Trouble is
// reported as by Open.
func (x *Index) Flush() {
	if x == nil || len(x.lines) == 0 || !x.file.isUsable() {
		return
	}
	if x.file.becameShorter() {
		x.tables, x.last, x.block = [3]table{}, nil, nil
	}
	x.file.append(x.lines)
	x.lines = x.lines[:0]
	clear(x.pending)
	x.load()
}

// Add adds the plain path of a cipher path. Flush writes it.
func (x *Index) Add(cipher, plain string) {
	if x == nil || !x.file.writable || !x.file.isUsable() {
		return
	}
	text := fmt.Sprintf("%s\t%s\n", cipher, strings.ReplaceAll(escape.String(plain), "\t", `\#011`))
	if len(text) > maxLine {
		return
	}
	for c, p := cipher, plain; ; {
		name := c[strings.LastIndexByte(c, '/')+1:]
		for _, a := range x.pending[name] {
			if a.cipher == c {
				if c == cipher {
					return
				}
				name = ""
			}
		}
		if name != "" {
			x.pending[name] = append(x.pending[name], added{c, p})
		}
		i := strings.LastIndexByte(c, '/')
		if i < 0 {
			break
		}
		c, p = c[:i], p[:strings.LastIndexByte(p, '/')]
	}
	x.lines = append(x.lines, text...)
}

// Has reports whether Find probably finds names. It does not read the file.
func (x *Index) Has(names string) bool {
	if x == nil || !x.file.isUsable() {
		return false
	}
	hash := maphash.String(x.seed, names[strings.LastIndexByte(names, '/')+1:])
	for i := range x.tables {
		for range x.tables[i].offsets(hash) {
			return true
		}
	}
	return false
}

// Find returns the cipher path dir+names and its plain path or, if the index does not
// have that, a cipher path that ends in names. dir is empty or ends in a slash. cipher is
// empty if there is none. Find reads about as many lines as most, at least one, and
// returns how many it has read, where a long line counts as several.
func (x *Index) Find(dir, names string, most int) (cipher, plain string, read int) {
	if x == nil || !x.file.isUsable() {
		return "", "", 0
	}
	path, before := "/"+dir+names, x.looks
	exact := false
	visit := func(l line) (more bool) {
		end := endOf(l.cipher, path)
		exact = end > 0
		if !exact && cipher == "" {
			end = endOf(l.cipher, names)
		}
		if end > 0 {
			cipher, plain = l.upTo(end)
		}
		return !exact && x.looks-before < most
	}
	for i := range x.tables {
		if x.search(&x.tables[i], path, visit); exact {
			return cipher, plain, x.looks - before
		}
	}
	for _, a := range x.pending[names[strings.LastIndexByte(names, '/')+1:]] {
		if a.cipher == path[1:] {
			return a.cipher, a.plain, x.looks - before
		}
		if cipher == "" && endOf([]byte(a.cipher), names) == len(a.cipher) {
			cipher, plain = a.cipher, a.plain
		}
	}
	return cipher, plain, x.looks - before
}

// search visits the line that t has for each key of path, which begins with a slash, as
// long as visit returns true. If t has none for a key, search returns the hash of that
// key.
func (x *Index) search(t *table, path string, visit func(line) (more bool)) (free uint64, ok bool) {
	for key := range keys(path) {
		hash := maphash.String(x.seed, key)
		taken := false
		for at := range t.offsets(hash) {
			if l, ok := x.read(at); ok && endOf(l.cipher, key) > 0 {
				if !visit(l) {
					return 0, false
				}
				taken = true
				break
			}
		}
		if !taken {
			return hash, true
		}
	}
	return 0, false
}

// keys returns the keys of path: its last name, its last two names, and so on, and at last
// path itself.
func keys(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, n := strings.LastIndexByte(path, '/'), 1; i >= 0 && n < maxKeys; n++ {
			if !yield(path[i+1:]) {
				return
			}
			i = strings.LastIndexByte(path[:i], '/')
		}
		yield(path)
	}
}

// read returns the line at offset at, if there is one. It is valid until the next call.
func (x *Index) read(at int64) (l line, ok bool) {
	before := min(at, 1) // length of the newline before it
	start := at - before
	x.looks++
	for _, size := range []int{0, blockSize, len(x.buf)} {
		if size > 0 {
			n, _ := x.file.data.ReadAt(x.buf[:size], start)
			x.block, x.start = x.buf[:n], start
			x.looks += size / blockSize / 2
		}
		if start < x.start || start-x.start > int64(len(x.block)) {
			continue
		}
		text, ok := bytes.CutPrefix(x.block[start-x.start:], []byte("\n")[:before])
		text, _, ended := bytes.Cut(text, []byte("\n"))
		if ok && ended {
			return split(text)
		}
	}
	return line{}, false
}

// load inserts the lines that have been appended since the last call.
func (x *Index) load() {
	x.file.each(func(text []byte, at int64) (ok bool) {
		l, ok := parse(text)
		if ok && at+1 < 1<<offsetBits {
			x.insert(l.cipher, at)
		}
		return ok
	})
}

// insert takes note that the line at offset at gives the name of the file at the path
// cipher, and of the directories above it.
func (x *Index) insert(cipher []byte, at int64) {
	if x.tables[0].used+bytes.Count(cipher, []byte("/"))+1 > maxUsed {
		copy(x.tables[1:], x.tables[:])
		x.tables[0], x.last = table{}, nil
	}
	path := "/" + string(cipher)
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		path := path[:end]
		if endOf(x.last, path) > 0 {
			break // it is known, and so are the directories above
		}
		known := false
		hash, free := x.search(&x.tables[0], path, func(l line) (more bool) {
			known = endOf(l.cipher, path) > 0
			return !known
		})
		if known {
			break
		}
		if free {
			x.tables[0].insert(hash, at)
		}
	}
	x.last = append(x.last[:0], cipher...)
}

// Read calls visit with the columns of each line of the index at path, the newest last.
// They are valid until visit returns. It needs no memory for names. The file is used, and
// trouble reported, as by Open; then ok is false.
func Read(path string, warn func(what, hint string), visit func(cipher, plain []byte)) (ok bool) {
	f := file{path: path, warn: warn}
	if !f.open() {
		return false
	}
	f.each(func(text []byte, at int64) (ok bool) {
		l, ok := parse(text)
		if ok {
			visit(l.cipher, l.plain)
		}
		return ok
	})
	f.check()
	return f.close()
}
