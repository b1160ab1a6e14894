package scan

import "bytes"

// maxComponent bounds a component of a path, in bytes (NAME_MAX).
const maxComponent = 255

// follow returns the next encrypted name of the chain whose last name ends at i. It skips
// the suffix of that name (`~`, `.bak`, `-old`) and directories that start with a dot
// (--partial-dir, `.~tmp~`).
func follow(b []byte, i int) (n Name, ok bool) {
	for i, ok = skip(b, i, ".~-_/", &isSuffix); ok; i, ok = skip(b, i, ".", &isPath) {
		if n, ok = leafAt(b, i); ok {
			return n, true
		}
	}
	return Name{}, false
}

// skip returns the offset after the rest b[i:] of a path component, and after its slash. ok
// is false if no slash follows, if the rest has other bytes than those in a table, does not
// begin with one of first, or holds a name.
func skip(b []byte, i int, first string, in *[256]bool) (next int, ok bool) {
	if i == len(b) || bytes.IndexByte([]byte(first), b[i]) < 0 {
		return i, false
	}
	rest, _, ok := bytes.Cut(b[i:min(len(b), i+maxComponent+1)], []byte("/"))
	for _, c := range rest {
		ok = ok && in[c]
	}
	return i + len(rest) + 1, ok && string(rest) != ".." && !containsName(rest)
}

// leafAt returns the encrypted name of the path component at i, perhaps after a dot.
func leafAt(b []byte, i int) (Name, bool) {
	start := i
	if start < len(b) && b[start] == '.' {
		start++
	}
	for start-i <= maxWord {
		end := wordEnd(b, start)
		if n, ok := nameAt(b, start, end); ok && !n.Loose {
			return n, true
		}
		if start = end + len(LongPrefix); longStart(b, start) != end {
			break
		}
	}
	return Name{}, false
}
