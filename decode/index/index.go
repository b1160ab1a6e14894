// Package index remembers names in a file.
package index

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"gocryptfs-rsync-pretty/decode/escape"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"strings"
	"syscall"
)

const (
	// maxLine bounds a line of the index, in bytes. The longest line that is written
	// has a cipher path of scan.MaxToken and a plain path that is escaped to four times its
	// length.
	maxLine = 64 << 10

	// blockSize is the number of bytes read for a line: the next lines may be asked for,
	// too.
	blockSize = 4 << 10

	// maxEqual bounds the slots with the same bits of a hash. A path that stands in the file
	// many times would fill the table; that so many paths have the same bits is as good as
	// impossible.
	maxEqual = 8
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
	path     string
	file     *os.File // nil if it cannot be used
	writable bool
	warn     func(what, hint string)
	failed   bool

	seed    maphash.Seed
	recent  table
	old     table
	end     int64  // all lines up to this offset have been loaded
	lastDir []byte // directory of the line that was loaded last
	reader  *bufio.Reader
	buf     []byte
	block   []byte // the beginning of buf: the file's bytes from start on
	start   int64

	lines   []byte            // to be appended
	pending map[string]string // the same names, by cipher path
}

// Open loads the index at path. If add is set, it creates a missing file, with
// mode 0600, and new names are appended. The file is used only if it is a regular
// one that no other user, except root, can have written. The first problem is
// reported by a call of warn, with what is wrong and what to do about it. The Index
// then does what it still can.
func Open(path string, add bool, warn func(what, hint string)) *Index {
	x := &Index{path: path, warn: warn, writable: add, seed: maphash.MakeSeed(),
		reader: bufio.NewReaderSize(nil, maxLine), buf: make([]byte, maxLine), pending: map[string]string{}}
	fi, err := os.Stat(path)
	if err == nil && !x.isMine(fi) {
		return x
	}
	const nonblock = syscall.O_NONBLOCK // it may be a FIFO by now
	if add {
		x.file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|nonblock, 0o600)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			x.writable = false
			x.trouble("-map: "+err.Error(), "names are looked up there, but new ones are not added")
		}
	}
	if !x.writable {
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
	if torn && x.writable {
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
	x.Flush()
	if x.file != nil && x.writable {
		opened, err := x.file.Stat()
		named, nameErr := os.Stat(x.path)
		if err != nil || nameErr != nil || !os.SameFile(opened, named) {
			x.trouble("-map: "+x.path+" was deleted or replaced meanwhile", "names of this run are not in it")
		}
	}
	x.file.Close() // an error would come too late: all data has been written
	return !x.failed
}

// Flush appends what is new, in one write, and loads what other processes have
// appended. Trouble is reported as by Open.
func (x *Index) Flush() {
	if x == nil || len(x.pending) == 0 || x.file == nil {
		return
	}
	if fi, err := x.file.Stat(); err != nil || fi.Size() < x.end {
		x.trouble("-map: "+x.path+" became shorter meanwhile", "names of this run may be missing in it")
		x.recent, x.old, x.end, x.lastDir, x.block = table{}, table{}, 0, nil, nil
	}
	if _, err := x.file.Write(x.lines); err != nil {
		x.trouble("-map: "+err.Error(), "no more names are added")
		x.writable = false
	}
	x.lines = x.lines[:0]
	clear(x.pending)
	x.load()
}

// Add adds the plain path of a cipher path. Flush writes it.
func (x *Index) Add(cipher, plain string) {
	if x == nil || !x.writable || x.file == nil {
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
	x.lines = fmt.Appendf(x.lines, "%s\t%s\n", cipher, strings.ReplaceAll(escape.String(plain), "\t", `\#011`))
}

// Find returns the plain path of a cipher path.
func (x *Index) Find(cipher string) (plain string, ok bool) {
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

// Has reports whether Find probably knows a path. It does not read the file.
func (x *Index) Has(cipher string) bool {
	return x != nil && x.file != nil && x.count(maphash.String(x.seed, cipher)) > 0
}

// count returns the number of lines that may give the name of the path with this hash.
func (x *Index) count(hash uint64) (n int) {
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
		if bytes.Equal(cipher, x.lastDir) || x.count(hash) >= most {
			break // it is known, and so are its parents
		}
		x.insert(hash, at)
		most = 1
	}
	x.lastDir = append(x.lastDir[:0], cipher...)
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
