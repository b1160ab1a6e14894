// Package decode copies a text and shows the real names in it: text in, text
// out. It finds what looks like ciphertext made by gocryptfs anywhere in the
// text, asks for the plain path, and puts that in its place.
//
// It promises, for any bytes however they are cut:
//
//   - Bytes outside of a decoded token come out unchanged and in order.
//   - The input is read to its end, whatever becomes of the questions, even if
//     decoding should panic.
//   - No name plays a trick on a terminal.
//   - A wrong name is never shown. When in doubt the token stays as it is.
//   - Memory and work are bounded.
//   - Only bytes that could still become part of a token wait for more.
//
// One goroutine goes through the text. A second one was measured to bring nothing
// to a live rsync.
package decode

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

const (
	// readSize is the most that is read at once: at the end of it gocryptfs has nothing
	// to do. With 64 KiB a replay of 100,000 names takes a tenth longer (2 cores).
	readSize = 256 << 10

	// pieceSize is how much text is decoded, to the end of its last line, before it
	// is written.
	pieceSize = 4 << 10

	// maxContext is how much of a record stays in sight when its start has been
	// written: a link's own path of maxToken, the arrow, and some more.
	maxContext = 2 * maxToken
)

// Options say how to copy. Whatever may be nil is done without.
type Options struct {
	Names Names  // may be nil
	Tree  *Tree  // may be nil
	Index *Index // is asked before Names, and gets what they answer; may be nil

	Timeout time.Duration // for the questions about one token; without end if 0

	// Color shows records by the kind of change, with ANSI sequences.
	Color bool
	// HideMeta leaves out records about housekeeping files, and the progress that
	// follows them. A record then waits for its end, unless it is progress itself.
	HideMeta bool
}

// Stats counts what was found.
type Stats struct {
	Decoded   int64  // names shown in plain, a path being one name
	Encrypted int64  // names that stayed as they were, in part or whole
	First     string // the first of these
	Indexed   int64  // answers from the index
}

// Copy copies src to dst, decoded, until the end of src or an error of either.
// It writes what can be written before it waits for more. Should decoding panic,
// the rest is copied unchanged, and the error says so.
func Copy(dst io.Writer, src io.Reader, o Options) (Stats, error) {
	c := copier{
		dst:      dst,
		buf:      make([]byte, 0, maxContext+2*maxToken+readSize),
		rewriter: rewriter{lookup: newLookup(o)},
		style:    style{color: o.Color, hideMeta: o.HideMeta},
	}
	defect, err := c.copy(src)
	if defect != nil {
		if _, err = dst.Write(c.buf[c.from:]); err == nil {
			_, err = io.Copy(dst, src)
		}
		if err == nil {
			err = fmt.Errorf("a defect stopped the decoding (%v); the rest passed unchanged", defect)
		}
	}
	c.rewriter.count.Indexed = c.rewriter.lookup.indexed
	return c.rewriter.count, err
}

// A copier decodes text and writes it.
type copier struct {
	dst      io.Writer
	buf      []byte // what has been read, but for what is of no use any more
	from     int    // the context ends here, and text not yet written begins
	out      []byte // what is written next
	rewriter rewriter
	style    style
}

// copy reads, and has written whatever is settled. defect is what it panicked with.
func (c *copier) copy(src io.Reader) (defect any, err error) {
	defer func() { defect = recover() }()
	for {
		n := len(c.buf)
		m, err := src.Read(c.buf[n : n+readSize])
		c.buf = c.buf[:n+m]
		end := len(c.buf)
		if err == nil {
			end = c.style.ready(c.buf, c.from, c.rewriter.scan.settled(c.buf, c.from))
		}
		c.style.final = err != nil
		if err := c.write(end); err != nil {
			return nil, err
		}
		start := contextStart(c.buf[:c.from])
		c.buf = c.buf[:copy(c.buf, c.buf[start:])]
		c.from -= start
		switch err {
		case nil:
		case io.EOF:
			return nil, nil
		default:
			return nil, err
		}
	}
}

// contextStart returns where the part of b's last record begins that matters to
// what follows.
func contextStart(b []byte) int { return max(lastRecord(b), len(b)-maxContext) }

// write writes the text up to end, decoded, piece by piece.
func (c *copier) write(end int) error {
	text := c.buf[:end]
	c.rewriter.begin(text, c.from)
	for c.from < end {
		stop := lineEnd(text, min(c.from+pieceSize, end))
		c.out = c.lines(c.out[:0], text[:stop], c.from)
		if len(c.out) > 0 {
			if _, err := c.dst.Write(c.out); err != nil {
				return err
			}
		}
		c.from = stop
		c.rewriter.lookup.index.Flush()
	}
	return nil
}

// lineEnd returns where the line of b[i:] ends.
func lineEnd(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(b)
}
