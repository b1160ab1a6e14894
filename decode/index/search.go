package index

import (
	"bytes"
	"io"
	"iter"
)

const blockSize = 4 << 10 // read for a line, because the next lines may be asked for, too

// A search finds the lines of a file by hashes. The key of a path is its last name or, if
// another path has that key, its last two names or, if a third has these or the path is doubtful,
// the whole path after a slash. A line is read back and compared when a hash leads to it, also
// before another is inserted: so no path is lost because hashes are equal.
type search struct {
	data   io.ReaderAt
	hash   func(key []byte) uint64
	tables [3]table // each is complete in itself; the newest lines are in the first one
	last   []byte   // the cipher path of the line that was inserted last
	block  []byte   // the file's bytes from start on, up to maxLine and the newline before
	start  int64
	read   int    // lines that were read back, a long one counts as several
	path   []byte // scratch
}

// keys returns the keys that path, which begins with a slash, may have.
func keys(path []byte) [3][]byte {
	last := bytes.LastIndexByte(path, '/')
	return [3][]byte{path[last+1:], path[bytes.LastIndexByte(path[:last], '/')+1:], path}
}

// offsets returns the offsets of lines that may be for path, after a slash, or its last names.
func (s *search) offsets(path []byte) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for i := range s.tables {
			for _, key := range keys(path) {
				for at := range s.tables[i].offsets(s.hash(key)) {
					if !yield(at) {
						return
					}
				}
			}
		}
	}
}

// lineAt returns the line at an offset, or an empty one. It is valid until the next call.
func (s *search) lineAt(at int64) line {
	start := max(0, at-1) // with the newline before it
	s.read++
	for _, size := range []int{0, blockSize, cap(s.block)} {
		if size > 0 {
			n, _ := s.data.ReadAt(s.block[:size], start)
			s.block, s.start = s.block[:n], start
			s.read += size / blockSize / 2
		}
		if skip := start - s.start; skip >= 0 && skip <= int64(len(s.block)) {
			text, ok := bytes.CutPrefix(s.block[skip:], []byte("\n")[:at-start])
			text, _, ended := bytes.Cut(text, []byte("\n"))
			if ok && ended {
				return split(text)
			}
		}
	}
	return line{}
}

// insert takes note that the line l, at offset at, gives the names of a file and of the
// directories above it.
func (s *search) insert(l line, at int64) {
	if s.tables[0].used+bytes.Count(l.cipher, []byte("/"))+1 > maxUsed {
		copy(s.tables[1:], s.tables[:])
		s.tables[0], s.last = table{}, nil
	}
	s.path = append(append(s.path[:0], '/'), l.cipher...)
	for path, plain := s.path, l.plain; len(path) > 0; path = path[:bytes.LastIndexByte(path, '/')] {
		if endOf(s.last, path) > 0 || s.insertPath(path, l, at, isDoubtful(plain)) {
			break // another line gives it, and so the directories above
		}
		plain = plain[:max(0, bytes.LastIndexByte(plain, '/'))]
	}
	s.last = append(s.last[:0], l.cipher...)
}

// insertPath inserts l for its path or a directory above. found is set if another line gives that.
func (s *search) insertPath(path []byte, l line, at int64, doubtful bool) (found bool) {
	for i, key := range keys(path) {
		hash, free := s.hash(key), i == 2 || !doubtful
		for other := range s.tables[0].offsets(hash) {
			cipher := s.lineAt(other).cipher
			if endOf(cipher, path) > 0 {
				return !bytes.Equal(cipher, l.cipher)
			}
			free = free && endOf(cipher, key) == 0
		}
		if free && at < maxOffset {
			s.tables[0].insert(hash, at)
			break
		}
	}
	return false
}
