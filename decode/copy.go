// Package decode copies a text and shows the real names in it: text in, text
// out. It finds names that look encrypted by gocryptfs anywhere in the text, asks
// for their plain paths, and writes these instead.
//
// It promises, for any bytes and however they are cut into reads:
//
//   - Bytes outside a decoded token come out unchanged and in order.
//   - The input is read to its end, whatever happens to the questions, even if
//     decoding panics.
//   - No name plays a trick on a terminal.
//   - A wrong name is never shown. When in doubt, the token stays as it is.
//   - Memory and work are bounded.
//   - Only bytes that could still become part of a token wait for more input.
//
// One goroutine goes through the text. A second one was measured not to help a
// live rsync.
package decode

import (
	"bytes"
	"fmt"
	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/scan"
	"io"
	"time"
)

const (
	// readSize bounds one read, in bytes. gocryptfs is idle at the end of each read:
	// with 64 KiB, a replay of 100,000 names takes a tenth longer (2 cores).
	readSize = 256 << 10

	// pieceSize is the number of bytes that are decoded before they are written, plus
	// the rest of the last line.
	pieceSize = 4 << 10

	// maxContext bounds how much of a record is kept after it has been written, in
	// bytes: a link's own path of scan.MaxToken, the arrow, and some more.
	maxContext = 2 * scan.MaxToken
)

// Options configures Copy.
type Options struct {
	Names Names        // may be nil
	Files Files        // may be nil
	Index *index.Index // asked before Names, and learns their answers; may be nil

	// Timeout is the time after which nothing more is asked about one token. If it is
	// 0, there is no limit.
	Timeout time.Duration

	// Color colors records by kind of change, with ANSI sequences.
	Color bool
	// HideMeta leaves out records about housekeeping files, and the progress that
	// follows them. A record is then written when it is complete, unless it is
	// progress.
	HideMeta bool
}

// Copy copies src to dst, decoded, until src ends or one of them returns an error.
// Before each read it writes everything that later input cannot change. If decoding
// panics, the rest is copied unchanged and the error says so. The Stats are valid
// with an error, too.
func Copy(dst io.Writer, src io.Reader, o Options) (Stats, error) {
	c := copier{
		dst:      dst,
		buf:      make([]byte, 0, maxContext+2*scan.MaxToken+readSize),
		rewriter: rewriter{lookup: newLookup(o.Names, o.Files, o.Index, o.Timeout)},
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
	buf      []byte // what has been read and is still needed
	from     int    // buf[:from] has been written and is kept as context
	out      []byte // what is written next
	rewriter rewriter
	style    style
}

// copy reads src to its end and writes text as soon as it is settled. defect is the
// value of a panic.
func (c *copier) copy(src io.Reader) (defect any, err error) {
	defer func() { defect = recover() }()
	for {
		n := len(c.buf)
		m, err := src.Read(c.buf[n : n+readSize])
		c.buf = c.buf[:n+m]
		end := len(c.buf)
		if err == nil {
			end = c.style.releasable(c.buf, c.from, c.rewriter.scan.Settled(c.buf, c.from))
		}
		c.style.final = err != nil
		if err := c.write(end); err != nil {
			return nil, err
		}
		start := max(lastRecord(c.buf[:c.from]), c.from-maxContext) // what follows may depend on that record
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

// write decodes and writes the text up to end, piece by piece.
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

// lines appends b[from:] to dst, decoded, each record in its style.
func (c *copier) lines(dst, b []byte, from int) []byte {
	s := &c.style
	if !s.color && !s.hideMeta {
		return c.rewriter.rewrite(dst, b, from)
	}
	for start, end := lastRecord(b[:from]), 0; from < len(b); start, from = end, end {
		if s.tooLong {
			end = recordEnd(b, start, from)
		} else {
			start, end = recordAt(b, start, from)
		}
		ended := end < len(b) || s.final || b[end-1] == '\n' || b[end-1] == '\r'
		k, meta := s.judge(b[start:end], ended)
		keep, count := len(dst), c.rewriter.count
		dst = c.paint(dst, b[:end], from, palette[k], meta)
		if s.hideMeta && !s.shows(b[start:end], k, meta) {
			// It had to be rewritten, because what follows may depend on it.
			dst, c.rewriter.count = dst[:keep], count
		}
	}
	return dst
}

// paint appends b[from:], a record or the rest of one, decoded. With color, it is in
// that of the sequence sgr, or dim if meta is set.
func (c *copier) paint(dst, b []byte, from int, sgr string, meta bool) []byte {
	w := &c.rewriter
	if !c.style.color {
		return w.rewrite(dst, b, from)
	}
	if meta {
		sgr = dim
	}
	w.markOn, w.markOff = reset+dim, reset+sgr
	body := from + len(bytes.TrimRight(b[from:], "\r\n"))
	dst = append(dst, sgr...)
	dst = w.rewrite(dst, b[:body], from)
	if sgr != "" {
		dst = append(dst, reset...)
	}
	return w.rewrite(dst, b, body)
}

// lineEnd returns the end offset of the first line in b[i:], including its newline.
func lineEnd(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(b)
}
