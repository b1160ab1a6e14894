package decode

import (
	"bytes"
	"gocryptfs-rsync-pretty/decode/scan"
)

// ANSI sequences. The colors are the basic ones except black and white: every
// terminal theme keeps them apart from its background.
const (
	dim   = "\x1b[2m"
	reset = "\x1b[0m"
)

var palette = map[kind]string{
	added:   "\x1b[32m", // green
	changed: "\x1b[36m", // cyan
	deleted: "\x1b[31m", // red
	warning: "\x1b[35m", // magenta
	failure: "\x1b[1;31m",
}

// A style decides on the color of records and on which of them are left out. It
// keeps the state that this depends on.
type style struct {
	color, hideMeta bool

	final  bool // no text follows
	long   bool // in a record that is too long to be left out
	hiding bool // the last record, other than progress, was about a housekeeping file
	totals bool // progress is that of the whole run
}

// ready returns the offset up to which b, settled up to end, may be written. If
// housekeeping lines are to be left out, the last record waits until its kind is
// known.
func (s *style) ready(b []byte, from, end int) int {
	if !s.hideMeta {
		return end
	}
	last := lastRecord(b)
	if last == len(b) && last > 0 && b[last-1] == '\r' {
		last = lastRecord(b[:last-1]) // its `\n` may follow
	}
	if s.long && last < from {
		return end
	}
	if n := figuresLen(b[last:]); last+n <= end {
		last += n // progress is written as soon as it is recognized
	}
	if last < from || len(b)-last > scan.MaxToken {
		return end
	}
	return min(end, last)
}

// lines appends b[from:] to dst, decoded, each record in its style.
func (c *copier) lines(dst, b []byte, from int) []byte {
	s := &c.style
	if !s.color && !s.hideMeta {
		return c.rewriter.rewrite(dst, b, from)
	}
	for start, end := lastRecord(b[:from]), 0; from < len(b); start, from = end, end {
		if s.long {
			end = recordEnd(b, start, from)
		} else {
			start, end = recordAt(b, start, from)
		}
		ended := end < len(b) || s.final || b[end-1] == '\n' || b[end-1] == '\r'
		k, meta := s.see(b[start:end], ended)
		keep, count := len(dst), c.rewriter.count
		dst = c.paint(dst, b[:end], from, palette[k], meta)
		if s.hideMeta && !s.shows(b[start:end], k, meta) {
			// It had to be rewritten, because what follows may depend on it.
			dst, c.rewriter.count = dst[:keep], count
		}
	}
	return dst
}

// see returns the kind of a record, and whether it is about a housekeeping file. ended
// means that the record is complete. One that ready released before its end, other than
// progress, is too long to be left out.
func (s *style) see(rec []byte, ended bool) (k kind, meta bool) {
	if s.long = s.long || len(rec) > scan.MaxToken; !s.long {
		k = classify(rec)
		s.long = s.hideMeta && !ended && k != progress
	}
	if s.long {
		s.long = !ended
		return k, false
	}
	return k, isMeta(rec, k)
}

// shows reports whether the next record is shown with -hide-meta. Progress of a file is
// shown if its name is, and that of the whole run always: it belongs to no file.
func (s *style) shows(rec []byte, k kind, meta bool) bool {
	switch {
	case meta || k != progress:
		s.hiding = meta
	case isTotal(rec):
		s.totals = true
	}
	return !s.hiding || s.totals && !meta
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

// recordAt returns the bounds of the record at b[from], given the offset of its line.
// Progress and what follows it in the same line are two records.
func recordAt(b []byte, line, from int) (start, end int) {
	for {
		next := line + figuresLen(b[line:])
		if next == line || next == len(b) || b[next] == '\r' || b[next] == '\n' {
			return line, recordEnd(b, line, from)
		}
		if next > from {
			return line, next
		}
		line = next
	}
}

// recordEnd returns the end of the record at b[from], which begins at start. A CR at its
// beginning is a record of its own.
func recordEnd(b []byte, start, from int) int {
	i := bytes.IndexAny(b[from:], "\r\n")
	if i < 0 {
		return len(b)
	}
	end := from + i + 1
	if end-1 > start && b[end-1] == '\r' && end < len(b) && b[end] == '\n' {
		end++
	}
	return end
}

// lastRecord returns the offset in b of the record that has not ended yet.
func lastRecord(b []byte) int { return bytes.LastIndexAny(b, "\r\n") + 1 }
