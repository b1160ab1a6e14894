// Package style decides on the color of records, and on which of them are left out, and
// counts what they report. It writes nothing.
package style

import (
	"bytes"

	"gocryptfs-rsync-pretty/decode/scan"
)

// PieceSize is the number of bytes that are decoded before they are written, plus the
// rest of the last record. Names appear while later ones of the same read are still
// being asked for. 1 KiB doubles the time for text without names (53 MB: 0.4 s of CPU
// instead of 0.2), and more than 4 KiB gains little.
const PieceSize = 4 << 10

// A Palette holds ANSI sequences. The empty one means no color.
type Palette struct {
	Kinds      map[Kind]string
	Dim, Reset string // of what stays encrypted; after a color
}

// colors are the basic ones except black and white: every terminal theme keeps them apart
// from its background.
var colors = Palette{
	Kinds: map[Kind]string{
		Added:   "\x1b[32m", // green
		Changed: "\x1b[36m", // cyan
		Deleted: "\x1b[31m", // red
		Warning: "\x1b[35m", // magenta
		Failure: "\x1b[1;31m",
	},
	Dim:   "\x1b[2m",
	Reset: "\x1b[0m",
}

// A Piece is the part b[Start:End] of the text and how it is to be written: a record, a
// part of one, or several without a color.
type Piece struct {
	Start, End  int
	SGR         string // color of the record
	First, Last bool   // the piece begins the record, ends it
	Hidden      bool
}

// A record is what a program has written at a time: a line, or progress before other text
// in the same line. Its start is not valid if it is too long.
type record struct {
	start, end int     // as far as it has been read
	figures    figures // ` 3,276  10%  3.12MB/s  0:00:09  `
	ended      bool    // `A\n`, figures before other text, or the last record of all
	tooLong    bool    // `*deleting   A A A ...`, of more than scan.MaxToken: its beginning decides
}

// A Style decides on the color of records and on which of them are left out, and counts
// them. All of it is a function of the text, however the text is cut into reads.
type Style struct {
	Palette  Palette
	hideMeta bool
	report   bool   // count the records of each kind
	mount    string // absolute path of MOUNT, or empty

	Counts [Progress + 1]int64
	pieces []Piece

	// About the record of which a part has been released, such as `*deleting   `:
	past   int // the bytes of that part; 0 between two records
	kind   Kind
	hidden bool

	cr     bool // the text so far ends in `gocryptfs.conf\r`: a newline would belong to it
	hiding bool // the last record other than progress was hidden: `gocryptfs.conf\n`
	totals bool // there was progress of a whole run: ` 90  90%  1.00MB/s  0:00:09 (xfr#1, ir-chk=7/9)`
}

// New returns a Style. color lays on color, hideMeta leaves out records about housekeeping
// files, report counts the records of each kind. mount is the absolute path of MOUNT, which
// helps with paths that have blanks; it may be empty.
func New(color, hideMeta, report bool, mount string) Style {
	s := Style{hideMeta: hideMeta, report: report, mount: mount}
	if color {
		s.Palette = colors
	}
	return s
}

// Judge returns the pieces of b[from:end] that can be written now. b[end:] may still
// become part of a token, but it may show what a record is. final means that no text
// follows. The result is valid until the next call.
func (s *Style) Judge(b []byte, from, end int, final bool) []Piece {
	s.pieces = s.pieces[:0]
	color := s.Palette.Reset != ""
	if !color && !s.hideMeta && !s.report {
		for from < end {
			least := min(from+PieceSize, end)
			line, _, _ := bytes.Cut(b[least:end], []byte("\n"))
			p := Piece{Start: from, End: min(least+len(line)+1, end)}
			s.pieces, from = append(s.pieces, p), p.End
		}
		return s.pieces
	}
	if color && !final {
		end -= len(OpenSequence(b[from:end]))
	}
	for from < end || final && s.past > 0 {
		if s.cr && b[from] == '\n' {
			s.add(Piece{Start: from, End: from + 1, Hidden: s.hidden})
			from, s.cr = from+1, false
			continue
		}
		s.cr = false
		r := s.next(b, from, final)
		stop := min(r.end, end)
		if !s.releasable(b, r, color) || stop == from && !r.ended {
			break
		}
		s.release(b, r, from, stop)
		from = stop
	}
	return s.pieces
}

// next returns the record at from, or of which b[from:] is the rest.
func (s *Style) next(b []byte, from int, final bool) record {
	r := record{start: from - s.past}
	if s.past <= maxHead {
		r.figures = figuresOf(b[r.start:], final)
		r.end, r.ended = r.start+r.figures.len, !r.figures.open
		if r.figures.len > 0 && (r.end == len(b) || b[r.end] != '\r' && b[r.end] != '\n') {
			return r
		}
	}
	r.end, r.ended = len(b), final
	if i := bytes.IndexAny(b[from:], "\r\n"); i >= 0 {
		r.end, r.ended = from+i+1, true
	}
	r.tooLong = r.end-r.start > scan.MaxToken
	return r
}

// releasable reports whether all is known that decides how r is written.
func (s *Style) releasable(b []byte, r record, color bool) bool {
	switch {
	case r.ended, r.tooLong:
		return true
	case r.figures.len > 0:
		return !s.hiding || s.totals // otherwise its end may show that it is not to be hidden
	}
	return !s.hideMeta && !(color && mayChange(b[r.start:r.end]))
}

// release adds the piece b[from:stop] of the record r.
func (s *Style) release(b []byte, r record, from, stop int) {
	if r.figures.len > 0 {
		s.kind = Progress
	} else if s.past <= maxHead {
		s.kind = classify(b[r.start:r.end])
	}
	meta := (s.hideMeta || s.report) && r.ended && !r.tooLong && isMeta(b[r.start:r.end], s.mount)
	s.totals = s.totals || r.figures.total
	p := Piece{Start: from, End: stop, SGR: s.Palette.Kinds[s.kind], First: s.past == 0, Last: r.ended && stop == r.end}
	if p.First && s.hideMeta {
		if s.kind != Progress {
			s.hiding = meta
		}
		// The progress of a file is hidden with its name; that of the whole run has none.
		s.hidden = s.hiding && (s.kind != Progress || !s.totals)
	}
	if p.Hidden = s.hidden; p.Hidden {
		p.SGR = ""
	}
	s.add(p)
	s.past += stop - from
	if p.Last {
		if s.report && !meta {
			s.Counts[s.kind]++
		}
		s.cr = s.past > 1 && b[r.end-1] == '\r'
		s.past = 0
	}
}

// add appends p to the pieces, or to the last of them.
func (s *Style) add(p Piece) {
	if n := len(s.pieces) - 1; n >= 0 && p.SGR == "" {
		if q := &s.pieces[n]; q.SGR == "" && q.Hidden == p.Hidden && q.End-q.Start < PieceSize {
			q.End = p.End
			return
		}
	}
	s.pieces = append(s.pieces, p)
}
