package scan

import "iter"

// nameAt returns the name in the word b[start:end], which may be the hash of a long name:
// the whole word or, if that is no name, the first one that it may hold.
func nameAt(b []byte, start, end int) (Name, bool) {
	if isName(b[start:end]) && (longStart(b, start) == start || end-start == hashLen) {
		return newName(b, start, end, start, end), true
	}
	for n := range namesIn(b, start, end) {
		return n, true
	}
	return Name{}, false
}

// namesIn yields the names that the word b[start:end] may hold: the first ones first, and
// of those that begin at the same place the longest one.
func namesIn(b []byte, start, end int) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		if end-start > maxWord {
			return
		}
		long := longStart(b, start) < start
		for i := start; i+minName <= end && (i == start || !long); i++ {
			for blocks := maxBlocks; blocks > 0; blocks-- {
				stop := i + strict.EncodedLen(16*blocks)
				if stop > end || stop < end && !mayEnd(b[:end], stop) || long && stop-i != hashLen {
					continue
				}
				if isName(b[i:stop]) && mayBegin(b, i) && !yield(newName(b, i, stop, start, end)) {
					return
				}
			}
		}
	}
}

// Others yields the other names that the word of n, in b, may hold: the first ones first, and
// of those that begin at the same place the longest one.
func (n Name) Others(b []byte) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		for other := range namesIn(b, n.wordStart, n.wordEnd) {
			if (other.Start != n.Start || other.End != n.End) && !yield(other) {
				return
			}
		}
	}
}

// containsName reports whether a word of b[i:end] may hold an encrypted name.
func containsName(b []byte, i, end int) bool {
	b = b[:end]
	for start, end := nextWord(b, i); start < len(b); start, end = nextWord(b, end) {
		if _, ok := nameAt(b, start, end); ok {
			return true
		}
	}
	return false
}
