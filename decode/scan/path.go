package scan

import (
	"bytes"
	"strings"
)

// follow returns the next encrypted name of the chain whose last name ends at i. It skips
// the suffix of that name and other directories that may stand in a chain.
func follow(b []byte, i int) (n Name, ok bool) {
	for i, ok = skipSuffix(b, i); ok; i, ok = skipDir(b, i) {
		if n, ok = leafAt(b, i); ok {
			return n, true
		}
	}
	return Name{}, false
}

// skipSuffix returns the offset after what may follow a name in the component of a
// directory (`~`, `.bak`, `-old`), and after the slash. ok is false if no slash follows.
func skipSuffix(b []byte, i int) (next int, ok bool) {
	end := i
	if end < len(b) && bytes.IndexByte([]byte(".~-_"), b[end]) >= 0 {
		for end < len(b) && end-i <= maxComponent && (isWord[b[end]] || b[end] == '.' || b[end] == '~') {
			end++
		}
	}
	return end + 1, end-i <= maxComponent && end < len(b) && b[end] == '/' && !containsName(b, i, end)
}

// leafAt returns the encrypted name of the path component at i, perhaps after a dot.
func leafAt(b []byte, i int) (Name, bool) {
	start := i
	if start < len(b) && b[start] == '.' {
		start++
	}
	for more := true; more && start-i <= maxWord; start += len(LongPrefix) {
		end := wordEnd(b, start)
		stop := beforeLong(b, start, end)
		if n, ok := nameAt(b, start, stop); ok && !n.Loose {
			return n, true
		}
		start, more = stop, stop < end
	}
	return Name{}, false
}

// skipDir returns the offset after the path component at i, if that is a directory that
// starts with a dot (--partial-dir, `.~tmp~`).
func skipDir(b []byte, i int) (next int, ok bool) {
	end := i
	for end < len(b) && end-i <= maxComponent && isPath[b[end]] && b[end] != '/' {
		end++
	}
	dir := string(b[i:end])
	ok = strings.HasPrefix(dir, ".") && dir != ".." && len(dir) <= maxComponent
	return end + 1, ok && end < len(b) && b[end] == '/' && !containsName(b, i, end)
}
