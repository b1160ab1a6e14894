package index

import (
	"bytes"
	"hash/maphash"
	"io"
)

const blockSize = 4 << 10 // read for a line, because the next lines may be asked for, too

// A search finds the lines of a file. In memory there are only hashes. The key of a path is
// its last name or, if another path has that key, its last two names or, if that is taken,
// too, or the path is doubtful, the whole path after a slash. A line is read back and
// compared when a hash leads to it, also when it is inserted: so no path is lost because
// hashes are equal.
type search struct {
	data   io.ReaderAt
	hash   func(key []byte) uint64
	tables [3]table // each is complete in itself; the newest lines are in the first one
	last   []byte   // the cipher path of the line that was inserted last

	buf   []byte
	block []byte // the beginning of buf: the file's bytes from start on
	start int64
	read  int // lines that were read back, a long one counts as several

	path []byte // scratch
}

func newSearch() search {
	seed := maphash.MakeSeed()
	return search{buf: make([]byte, maxLine+1), hash: func(key []byte) uint64 { return maphash.Bytes(seed, key) }}
}

// forget removes all lines.
func (s *search) forget() { s.tables, s.last, s.block = [3]table{}, nil, nil }

// has reports whether there probably is a line for path, which begins with a slash, or for
// its last name. It reads no line.
func (s *search) has(path []byte) bool {
	for i := range s.tables {
		for _, key := range keys(path) {
			for range s.tables[i].offsets(s.hash(key)) {
				return true
			}
		}
	}
	return false
}

// each calls visit with the lines for path, which begins with a slash, and for its last
// name, until visit returns false.
func (s *search) each(path []byte, visit func(line) (more bool)) {
	for i := range s.tables {
		for _, key := range keys(path) {
			if _, more := s.lines(&s.tables[i], key, visit); !more {
				return
			}
		}
	}
}

// keys returns the keys that path, which begins with a slash, may have.
func keys(path []byte) [3][]byte {
	last := bytes.LastIndexByte(path, '/')
	return [3][]byte{path[last+1:], path[bytes.LastIndexByte(path[:last], '/')+1:], path}
}

// lines calls visit with the lines that t has for key, until visit returns false. taken
// reports whether there was one.
func (s *search) lines(t *table, key []byte, visit func(line) (more bool)) (taken, more bool) {
	for at := range t.offsets(s.hash(key)) {
		if l, ok := s.lineAt(at); ok && endOf(l.cipher, key) > 0 {
			if taken = true; !visit(l) {
				return true, false
			}
		}
	}
	return taken, true
}

// lineAt returns the line at offset at, if there is one. It is valid until the next call.
func (s *search) lineAt(at int64) (l line, ok bool) {
	before := min(at, 1) // length of the newline before it
	start := at - before
	s.read++
	for _, size := range []int{0, blockSize, len(s.buf)} {
		if size > 0 {
			n, _ := s.data.ReadAt(s.buf[:size], start)
			s.block, s.start = s.buf[:n], start
			s.read += size / blockSize / 2
		}
		if skip := start - s.start; skip >= 0 && skip <= int64(len(s.block)) {
			text, ok := bytes.CutPrefix(s.block[skip:], []byte("\n")[:before])
			text, _, ended := bytes.Cut(text, []byte("\n"))
			if ok && ended {
				return split(text)
			}
		}
	}
	return line{}, false
}

// insert takes note that the line l, at offset at, gives the names of a file and of the
// directories above it.
func (s *search) insert(l line, at int64) {
	t := &s.tables[0]
	if t.used+bytes.Count(l.cipher, []byte("/"))+1 > maxUsed {
		copy(s.tables[1:], s.tables[:])
		*t, s.last = table{}, nil
	}
	s.path = append(append(s.path[:0], '/'), l.cipher...)
	doubtful, dir := true, l
	for path := s.path; len(path) > 0; path = path[:bytes.LastIndexByte(path, '/')] {
		doubtful = doubtful && dir.isDoubtful()
		if endOf(s.last, path) > 0 || s.insertPath(path, l, at, doubtful) {
			break // it is known, and so are the directories above
		}
		dir.plain = dir.plain[:max(0, bytes.LastIndexByte(dir.plain, '/'))]
	}
	s.last = append(s.last[:0], l.cipher...)
}

// insertPath inserts l for path, a beginning of its cipher path after a slash. known reports
// whether another line gives that.
func (s *search) insertPath(path []byte, l line, at int64, doubtful bool) (known bool) {
	found := false
	visit := func(other line) (more bool) {
		found = endOf(other.cipher, path) > 0
		known = found && !bytes.Equal(other.cipher, l.cipher)
		return !found
	}
	for i, key := range keys(path) {
		if doubtful && i < 2 {
			continue
		}
		taken, _ := s.lines(&s.tables[0], key, visit)
		if !taken && at+1 < 1<<offsetBits {
			s.tables[0].insert(s.hash(key), at)
		}
		if !taken || found {
			break
		}
	}
	return known
}
