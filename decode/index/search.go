package index

import "bytes"

const blockSize = 4 << 10 // read for a line, because the next lines may be asked for, too

// search visits the lines that t has for the first keys of path, which begins with a slash,
// and for path itself, as long as visit returns true. If t has nothing for a key, search
// returns the hash of that key.
func (x *Index) search(t *table, path []byte, first int, visit func(line) (more bool)) (free uint64, ok bool) {
	for n, start := 0, len(path); ; n++ {
		key, last := path, n == maxKeys || start == 0
		if !last {
			start = bytes.LastIndexByte(path[:start], '/')
			key = path[start+1:]
		}
		hash, taken := x.hash(key), false
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
		if !taken || last {
			return hash, !taken
		}
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
		if skip := start - x.start; skip >= 0 && skip <= int64(len(x.block)) {
			text, ok := bytes.CutPrefix(x.block[skip:], []byte("\n")[:before])
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
func (x *Index) insert(l line, at int64) {
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
		if free && at+1 < 1<<offsetBits {
			t.insert(hash, at)
		}
	}
	x.last = append(x.last[:0], l.cipher...)
}
