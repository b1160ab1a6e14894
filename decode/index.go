package decode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
)

const (
	// maxLine bounds a line of the index, in bytes. The longest line that is written
	// has a cipher path of maxToken and a plain path that is escaped to four times its
	// length.
	maxLine = 64 << 10

	// blockSize is the number of bytes read for a line: the next lines may be asked for,
	// too.
	blockSize = 4 << 10

	// A table has up to maxSlots slots of eight bytes, at most three quarters of them in
	// use. There are two tables, so the newest 0.75 to 1.5 million paths count.
	minSlots = 1 << 12
	maxSlots = 1 << 20

	// maxEqual bounds the slots with the same bits of a hash. A path that stands in the file
	// many times would fill the table; that so many paths have the same bits is as good as
	// impossible.
	maxEqual = 8

	// The lower bits of a slot hold the offset of a line in the file, plus one. They
	// suffice for files of up to 16 GiB.
	offsetBits = 34
)

// An Index is a memory of names: a file of lines
//
//	CIPHERPATH<tab>PLAINPATH
//
// Both paths are relative to the root of the view. The plain one is escaped as in
// the text, and its tabs, too. What a cipher path stands for never changes, so a
// line stays true. It also gives the names of the parents. Several processes may
// write to one file. A path is written once, unless two of them learn it at the same
// time.
//
// In memory there is only a hash for each path. A line is read back and compared
// when its path is asked for. Only one goroutine may use an Index; a nil one is
// empty.
type Index struct {
	path   string
	file   *os.File // nil if it cannot be used
	append bool
	warn   func(what, hint string)
	failed bool

	seed   maphash.Seed
	recent table
	old    table
	end    int64  // all lines up to this offset have been loaded
	dir    []byte // directory of the line that was loaded last
	reader *bufio.Reader
	buf    []byte
	block  []byte // the beginning of buf: the file's bytes from start on
	start  int64

	lines   []byte            // to be appended
	pending map[string]string // the same names, by cipher path
}

// OpenIndex loads the index at path. If add is set, it creates a missing file, with
// mode 0600, and new names are appended. The file is used only if it is a regular
// one that no other user, except root, can have written. The first problem is
// reported by a call of warn, with what is wrong and what to do about it. The Index
// then does what it still can.
func OpenIndex(path string, add bool, warn func(what, hint string)) *Index {
	x := &Index{path: path, warn: warn, append: add, seed: maphash.MakeSeed(),
		reader: bufio.NewReaderSize(nil, maxLine), buf: make([]byte, maxLine), pending: map[string]string{}}
	fi, err := os.Stat(path)
	if err == nil && !x.isMine(fi) {
		return x
	}
	const nonblock = syscall.O_NONBLOCK // it may be a FIFO by now
	if add {
		x.file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|nonblock, 0o600)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			x.append = false
			x.trouble("-map: "+err.Error(), "names are looked up there, but new ones are not added")
		}
	}
	if !x.append {
		x.file, err = os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	}
	if err == nil {
		fi, err = x.file.Stat()
	}
	if err != nil {
		x.trouble("-map: "+err.Error(), "give a file that can be read and written; names are shown without it")
	}
	if err != nil || !x.isMine(fi) {
		x.file.Close()
		x.file = nil
		return x
	}
	torn := x.load()
	if torn {
		torn = x.load() // another process may have been writing
	}
	if torn && x.append {
		x.lines = append(x.lines, "\t\n"...) // so that a torn line is never taken for a whole one
	}
	return x
}

// isMine reports whether a file is a regular one that no other user, except root, can
// have written. It warns if not.
func (x *Index) isMine(fi fs.FileInfo) bool {
	const hint = "it is not used; give a file of your own that only you can write"
	if !fi.Mode().IsRegular() {
		x.trouble("-map: "+x.path+" is not a regular file", hint)
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if fi.Mode()&0o022 != 0 || !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		x.trouble("-map: another user may have written "+x.path, hint+" (chmod go-w)")
		return false
	}
	return true
}

// trouble warns of the first problem. Later ones are not reported.
func (x *Index) trouble(what, hint string) {
	if !x.failed {
		x.failed = true
		x.warn(what, hint)
	}
}

// Close appends what is new and closes the file. ok is false if there has been
// trouble with it, so that it may be incomplete.
func (x *Index) Close() (ok bool) {
	if x == nil {
		return true
	}
	x.flush()
	if x.file != nil && x.append {
		opened, err := x.file.Stat()
		named, nameErr := os.Stat(x.path)
		if err != nil || nameErr != nil || !os.SameFile(opened, named) {
			x.trouble("-map: "+x.path+" was deleted or replaced meanwhile", "names of this run are not in it")
		}
	}
	x.file.Close() // an error would come too late: all data has been written
	return !x.failed
}

// flush appends what is new, in one write, and loads what other processes have
// appended. Trouble is reported as by OpenIndex.
func (x *Index) flush() {
	if x == nil || len(x.pending) == 0 || x.file == nil {
		return
	}
	if fi, err := x.file.Stat(); err != nil || fi.Size() < x.end {
		x.trouble("-map: "+x.path+" became shorter meanwhile", "names of this run may be missing in it")
		x.recent, x.old, x.end, x.dir, x.block = table{}, table{}, 0, nil, nil
	}
	if _, err := x.file.Write(x.lines); err != nil {
		x.trouble("-map: "+err.Error(), "no more names are added")
		x.append = false
	}
	x.lines = x.lines[:0]
	clear(x.pending)
	x.load()
}

// add adds the plain path of a cipher path. flush writes it.
func (x *Index) add(cipher, plain string) {
	if x == nil || !x.append || x.file == nil {
		return
	}
	if _, known := x.pending[cipher]; known {
		return
	}
	cipher = strings.Clone(cipher)
	for c, p := cipher, plain; ; {
		x.pending[c] = p
		i := strings.LastIndexByte(c, '/')
		if i < 0 {
			break
		}
		c, p = c[:i], p[:strings.LastIndexByte(p, '/')]
	}
	x.lines = fmt.Appendf(x.lines, "%s\t%s\n", cipher, strings.ReplaceAll(Escape(plain), "\t", `\#011`))
}

// find returns the plain path of a cipher path.
func (x *Index) find(cipher string) (plain string, ok bool) {
	if x == nil || x.file == nil {
		return "", false
	}
	if plain, ok = x.pending[cipher]; ok {
		return plain, true
	}
	for at := range x.offsets(maphash.String(x.seed, cipher)) {
		if plain, ok = x.read(cipher, at); ok {
			return plain, true
		}
	}
	return "", false
}

// has reports whether find probably knows a path. It does not read the file.
func (x *Index) has(cipher string) bool {
	return x != nil && x.file != nil && x.knows(maphash.String(x.seed, cipher)) > 0
}

// knows returns the number of lines that may give the name of the path with this hash.
func (x *Index) knows(hash uint64) (n int) {
	for range x.offsets(hash) {
		n++
	}
	return n
}

// offsets returns the offsets at which there may be a line for the path with this
// hash.
func (x *Index) offsets(hash uint64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, t := range []*table{&x.recent, &x.old} {
			if t.used == 0 {
				continue
			}
			for i := t.home(hash); t.slots[i] != 0; i = (i + 1) % len(t.slots) {
				slot := t.slots[i]
				if slot>>offsetBits == hash>>offsetBits && !yield(int64(slot&(1<<offsetBits-1))-1) {
					return
				}
			}
		}
	}
}

// read returns the plain path of cipher if the line at offset at is that of cipher
// or of a path below it.
func (x *Index) read(cipher string, at int64) (plain string, ok bool) {
	before := min(at, 1) // length of the newline before it
	start := at - before
	for _, size := range []int{0, blockSize, maxLine} {
		if size > 0 {
			n, _ := x.file.ReadAt(x.buf[:size], start)
			x.block, x.start = x.buf[:n], start
		}
		if start < x.start || start-x.start > int64(len(x.block)) {
			continue
		}
		line, ok := bytes.CutPrefix(x.block[start-x.start:], []byte("\n")[:before])
		line, _, ended := bytes.Cut(line, []byte("\n"))
		if ok && ended {
			return prefixOf(line, cipher)
		}
	}
	return "", false
}

// prefixOf returns the plain path of cipher from the line of cipher or of a path
// below it.
func prefixOf(line []byte, cipher string) (plain string, ok bool) {
	long, escaped, ok := splitLine(line)
	rest, found := bytes.CutPrefix(long, []byte(cipher))
	if !ok || !found || len(rest) > 0 && rest[0] != '/' {
		return "", false
	}
	for range bytes.Count(rest, []byte("/")) {
		escaped = escaped[:bytes.LastIndexByte(escaped, '/')]
	}
	plain = unescape(escaped)
	return plain, arePlain(plain, strings.Count(cipher, "/")+1)
}

// splitLine returns the columns of a line, the second one still escaped, if they look
// like the two paths of a file.
func splitLine(line []byte) (cipher, plain []byte, ok bool) {
	cipher, plain, ok = bytes.Cut(line, []byte("\t"))
	if !ok || slices.ContainsFunc(plain, isControl) ||
		bytes.Count(cipher, []byte("/")) != bytes.Count(plain, []byte("/")) {
		return nil, nil, false
	}
	for name := range bytes.SplitSeq(cipher, []byte("/")) {
		if !isEncrypted(name) {
			return nil, nil, false
		}
	}
	return cipher, plain, true
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// arePlain reports whether path has n names that files can have.
func arePlain(path string, n int) bool {
	for name := range strings.SplitSeq(path, "/") {
		if n--; name == "" || name == "." || name == ".." || len(name) > maxComponent || strings.Contains(name, "\x00") {
			return false
		}
	}
	return n == 0
}

// load reads the lines that have been appended since the last call. It reports whether
// the file ends within a line.
func (x *Index) load() (torn bool) {
	x.reader.Reset(io.NewSectionReader(x.file, x.end, math.MaxInt64))
	long := 0 // bytes that have been read of a line that is too long
	for {
		line, err := x.reader.ReadSlice('\n')
		switch err {
		case nil:
			if long == 0 {
				x.insertLine(line[:len(line)-1], x.end)
			}
			x.end += int64(long + len(line))
			long = 0
		case bufio.ErrBufferFull:
			long += len(line)
		default:
			if err != io.EOF {
				x.trouble("-map: "+err.Error(), "names that could not be read are looked up elsewhere")
			}
			return long+len(line) > 0
		}
	}
}

// insertLine inserts the cipher path of the line at offset at, and its parents.
func (x *Index) insertLine(line []byte, at int64) {
	cipher, _, ok := splitLine(line)
	if !ok {
		return
	}
	most := maxEqual
	for i := len(cipher); i > 0; i = bytes.LastIndexByte(cipher, '/') {
		cipher = cipher[:i]
		hash := maphash.Bytes(x.seed, cipher)
		if bytes.Equal(cipher, x.dir) || x.knows(hash) >= most {
			break // it is known, and so are its parents
		}
		x.insert(hash, at)
		most = 1
	}
	x.dir = append(x.dir[:0], cipher...)
}

// insert takes note that the line at offset at gives the name of the path with this hash.
func (x *Index) insert(hash uint64, at int64) {
	if at+1 >= 1<<offsetBits {
		return
	}
	if x.recent.used >= maxSlots/4*3 {
		x.old, x.recent = x.recent, table{}
	}
	x.recent.insert(hash, at)
}

// A table maps the hashes of paths to the offsets of lines. A slot holds the first
// bits of a hash, which also determine where the search for it begins, and the offset
// plus one. A free slot is 0.
type table struct {
	slots []uint64
	used  int
}

// home returns the index of the slot where the search for a hash begins.
func (t *table) home(hash uint64) int {
	return int(hash >> offsetBits * uint64(len(t.slots)) >> (64 - offsetBits))
}

func (t *table) insert(hash uint64, at int64) {
	if t.used >= len(t.slots)/4*3 {
		t.grow()
	}
	t.put(hash>>offsetBits<<offsetBits | uint64(at+1))
	t.used++
}

func (t *table) put(slot uint64) {
	i := t.home(slot)
	for t.slots[i] != 0 {
		i = (i + 1) % len(t.slots)
	}
	t.slots[i] = slot
}

func (t *table) grow() {
	all := t.slots
	t.slots = make([]uint64, max(2*len(all), minSlots))
	for _, slot := range all {
		if slot != 0 {
			t.put(slot)
		}
	}
}
