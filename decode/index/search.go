package index

import (
	"bytes"
	"iter"
)

// search visits the lines that t has for the first keys of path, which begins with a slash,
// and for path itself, as long as visit returns true. If t has nothing for a key, search
// returns the hash of that key.
func (x *Index) search(t *table, path []byte, first int, visit func(line) (more bool)) (free uint64, ok bool) {
	for n, key := range keys(path) {
		hash, last, taken := x.hash(key), len(key) == len(path), false
		for at := range t.offsets(hash) {
			taken = taken || n >= exactKeys && !last
			if n >= first && !last {
				break
			}
			if l, ok := x.lineAt(at); ok && endOf(l.cipher, key) > 0 {
				if !visit(l) {
					return 0, false
				}
				taken = true
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
func keys(path []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		i, n := len(path), 0
		for ; n < maxKeys && i > 0; n++ {
			if i = bytes.LastIndexByte(path[:i], '/'); !yield(n, path[i+1:]) {
				return
			}
		}
		yield(n, path)
	}
}

// lineAt returns the line at offset at, if there is one. It is valid until the next call.
func (x *Index) lineAt(at int64) (l line, ok bool) {
	before := min(at, 1) // length of the newline before it
	start := at - before
	x.read++
	for _, size := range []int{0, blockSize, len(x.buf)} {
		if size > 0 {
			n, _ := x.file.data.ReadAt(x.buf[:size], start)
			x.block, x.start = x.buf[:n], start
			x.read += size / blockSize / 2
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

// insert takes note that the line l, at offset at, gives the names of a file and of the
// directories above it.
func (x *Index) insert(l line, at int64) {
	if at >= 1<<offsetBits-1 {
		return
	}
	t := &x.tables[0]
	if t.used+bytes.Count(l.cipher, []byte("/"))+1 > maxUsed {
		copy(x.tables[1:], x.tables[:])
		*t, x.last = table{}, nil
	}
	x.path = append(append(x.path[:0], '/'), l.cipher...)
	for end := len(x.path); end > 0; end = bytes.LastIndexByte(x.path[:end], '/') {
		path := x.path[:end]
		if endOf(x.last, path) > 0 {
			break // it is known, and so are the directories above
		}
		known := false // likewise, by another line
		hash, free := x.search(t, path, exactKeys, func(other line) (more bool) {
			found := endOf(other.cipher, path) > 0
			known = found && !bytes.Equal(other.cipher, l.cipher)
			return !found
		})
		if known {
			break
		}
		if free {
			t.insert(hash, at)
		}
	}
	x.last = append(x.last[:0], l.cipher...)
}
