package scan

import "iter"

// nameAt returns what is most likely a name in the word b[start:end], which may be the hash
// of a long name.
func nameAt(b []byte, start, end int) (Name, bool) {
	for n := range namesIn(b, start, end) {
		return n, true
	}
	return Name{}, false
}

// namesIn yields what may be a name in the word b[start:end], the most likely first:
//
//	NAME                                   the word
//	2026-11-23_NAME  A_B  ._NAME  NAME_    between its ends and its `-` and `_`
//	\nNAME  %2FNAME  34mNAME  fNAME        at its end, whatever is glued to it
//	NAMEOLD  NAMENAME                      at its beginning
//
// The last two are loose: of several at such a place, only the longest is taken. Of several
// that begin at the same place, the longest comes first.
func namesIn(b []byte, start, end int) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		if end-start > maxWord {
			return
		}
		long := longStart(b, start) < start
		is := func(i, stop int) bool {
			return i >= start && stop <= end && isName(b[i:stop]) && (!long || i == start && stop-i == hashLen)
		}
		for i := start; i+minName <= end; i++ {
			for k := 0; k < len(lengths) && (i == start || isJoint(b[i-1])); k++ {
				stop := i + lengths[k]
				joined := stop == end || stop < end && isJoint(b[stop])
				if joined && is(i, stop) && !yield(newName(b, i, stop, start, end)) {
					return
				}
			}
		}
		if isName(b[start:end]) {
			return // hardly ever a shorter name with something glued to it
		}
		for _, last := range [...]bool{true, false} {
			for _, n := range lengths {
				i := start
				if last {
					i = end - n
				}
				if is(i, i+n) {
					if n := newName(b, i, i+n, start, end); n.Loose && !yield(n) {
						return
					}
					break
				}
			}
		}
	}
}

// Others yields what else may be a name in the word of n, in b.
func Others(b []byte, n Name) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		for other := range namesIn(b, n.wordStart, n.wordEnd) {
			if (other.Start != n.Start || other.End != n.End) && !yield(other) {
				return
			}
		}
	}
}

// containsName reports whether a word of b may hold an encrypted name.
func containsName(b []byte) bool {
	for start, end := nextWord(b, 0); start < len(b); start, end = nextWord(b, end) {
		if _, ok := nameAt(b, start, end); ok {
			return true
		}
	}
	return false
}
