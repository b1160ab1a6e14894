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

	final   bool // no text follows
	tooLong bool // in a record that is too long to be left out
	hiding  bool // the last record, other than progress, was about a housekeeping file
	totals  bool // progress is that of the whole run
}

// releasable returns the offset up to which b, settled up to end, may be written. If
// housekeeping lines are to be left out, the last record waits until its kind is
// known.
func (s *style) releasable(b []byte, from, end int) int {
	if !s.hideMeta {
		return end
	}
	last := lastRecord(b)
	if last == len(b) && last > 0 && b[last-1] == '\r' {
		last = lastRecord(b[:last-1]) // its `\n` may follow
	}
	if s.tooLong && last < from {
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

// judge returns the kind of a record, and whether it is about a housekeeping file. ended
// means that the record is complete. One that releasable released before its end, other than
// progress, is too long to be left out.
func (s *style) judge(rec []byte, ended bool) (k kind, meta bool) {
	if s.tooLong = s.tooLong || len(rec) > scan.MaxToken; !s.tooLong {
		k = classify(rec)
		s.tooLong = s.hideMeta && !ended && k != progress
	}
	if s.tooLong {
		s.tooLong = !ended
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
