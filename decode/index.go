package decode

import (
	"bufio"
	"hash/maphash"
	"io"
)

// indexRecent bounds the names that an Index remembers: two sets of so many
// hashes, at most 10 MiB.
const indexRecent = 1 << 18

// An Index writes down what was decoded, a line for each file or directory:
//
//	CIPHERPATH<tab>PLAINPATH
//
// Both are paths from the root of the tree, the plain one escaped as in the text,
// so that it has no tab or newline. A path comes once; only after more than
// indexRecent others may it come again. It belongs to one goroutine; a nil Index
// takes nothing.
type Index struct {
	w           *bufio.Writer
	line        []byte
	seed        maphash.Seed
	recent, old map[uint64]struct{}
	err         error
}

// NewIndex returns an Index that writes to w.
func NewIndex(w io.Writer) *Index {
	return &Index{w: bufio.NewWriter(w), seed: maphash.MakeSeed(), recent: map[uint64]struct{}{}}
}

// Flush writes what is still buffered. It returns the first error of any write;
// there is none after it.
func (x *Index) Flush() error {
	if x == nil {
		return nil
	}
	if x.err == nil {
		x.err = x.w.Flush()
	}
	return x.err
}

// add writes down that cipher is plain.
func (x *Index) add(cipher, plain string) {
	if x == nil || x.err != nil || x.seen(maphash.String(x.seed, cipher)) {
		return
	}
	x.line = append(append(x.line[:0], cipher...), '\t')
	x.line = append(appendEscaped(x.line, plain), '\n')
	_, x.err = x.w.Write(x.line)
}

// seen reports whether it was called with h before.
func (x *Index) seen(h uint64) bool {
	if _, ok := x.recent[h]; ok {
		return true
	}
	_, ok := x.old[h]
	if len(x.recent) == indexRecent {
		x.old, x.recent = x.recent, map[uint64]struct{}{}
	}
	x.recent[h] = struct{}{}
	return ok
}
