// Package style decides on the color of records, and on which of them are left out, and
// counts what they report. It writes nothing. style.go uses kind.go.
package style

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"gocryptfs-rsync-pretty/decode/scan"
)

// A Palette holds the control sequences for each kind. Without color, it is empty.
type Palette struct {
	Kinds      [Progress + 1]string
	Dim, Reset string // of what stays encrypted; after a color
}

// colors are basic ones, which every terminal theme keeps apart from its background.
var colors = Palette{
	Kinds: [...]string{Added: "\x1b[32m", Changed: "\x1b[36m", Deleted: "\x1b[31m", Warning: "\x1b[35m", Failure: "\x1b[1;31m", Progress: ""},
	Dim:   "\x1b[2m", Reset: "\x1b[0m",
}

// A Piece is a part of the text: a record, a part of one, or several without a color.
type Piece struct {
	Start, End  int
	SGR         string // color of the record
	First, Last bool   // the piece begins the record, ends it
	Hidden      bool
}

// A record is a line, or progress, which other text may follow in the same line.
type record struct {
	start, end int // as far as it has been read; with more than scan.MaxToken, its beginning decides
	kind       Kind
	run        bool // it is progress of the whole run
	ended      bool // no more text belongs to it
	wait       bool // more text may show what it is
}

// A Style decides on the color of records and on which of them are left out, and counts
// them. All of it is a function of the text, however that is cut into reads: between two
// calls, it depends only on this state.
//
//	past > 0  `*deleting   `                    what follows is the rest of this record, of this kind, and as hidden
//	cr        `gocryptfs.conf␍`                 a newline belongs to this record
//	hiding    `gocryptfs.conf␊`                 progress is that of this file, and hidden
//	run       ` 90% 1.00MB/s 0:00:09 (xfr#1, `  progress is that of the whole run, and never hidden
type Style struct {
	Palette          Palette
	Counts           [Progress + 1]int64
	hideMeta, report bool
	form             func() *regexp.Regexp // of records about housekeeping files
	pieces           []Piece

	past                    int // bytes
	kind                    Kind
	hidden, cr, hiding, run bool
}

// New returns a Style. hideMeta leaves out records about housekeeping files, report counts
// records. mount is the absolute path of MOUNT, for paths with blanks; it may be empty.
func New(color, hideMeta, report bool, mount string) Style {
	s := Style{hideMeta: hideMeta, report: report, form: sync.OnceValue(func() *regexp.Regexp { return housekeepingForm(mount) })}
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
		return append(s.pieces, Piece{Start: from, End: end})
	}
	if color && !final {
		end -= len(OpenSequence(b[from:end]))
	}
	for from < end || final && s.past > 0 {
		r := s.next(b, from, final)
		stop := min(r.end, end)
		if !r.ended && (stop == from || r.wait) {
			break
		}
		s.release(b, r, from, stop)
		from = stop
	}
	return s.pieces
}

// next returns the record at from, or of which b[from:] is the rest.
func (s *Style) next(b []byte, from int, final bool) record {
	if s.past == 0 && b[from] == '\r' { // in a text full of them, nothing has to be matched
		return record{start: from, end: from + 1, kind: Progress, ended: true}
	}
	r := record{start: from - s.past, end: len(b), kind: s.kind, ended: final}
	if s.past <= maxHead && b[r.start] != '\n' { // nor in one full of empty lines
		figures := 0
		r.kind, figures, r.run = judge(b[r.start:])
		if end := r.start + figures; figures > 0 && (end == len(b) || b[end] != '\r' && b[end] != '\n') {
			r.end, r.ended = end, final || !mayGrow(b[r.start:])
			r.wait = s.hiding && !s.run // they may yet be of the whole run
			return r
		}
	}
	if i := bytes.IndexAny(b[from:], "\r\n"); i >= 0 {
		r.end, r.ended = from+i+1, true
	}
	r.wait = !r.ended && r.end-r.start <= scan.MaxToken && (s.hideMeta || s.Palette.Reset != "" && mayGrow(b[r.start:r.end]))
	return r
}

// release adds the piece b[from:stop] of r to the pieces, or to the last of them.
func (s *Style) release(b []byte, r record, from, stop int) {
	housekeeping := r.ended && r.end-r.start <= scan.MaxToken && (s.hideMeta || s.report) &&
		bytes.Contains(b[r.start:r.end], []byte("gocryptfs.")) && s.form().Match(bytes.TrimRight(b[r.start:r.end], "\r\n"))
	s.kind, s.run = r.kind, s.run || r.run
	first, last := s.past == 0, r.ended && stop == r.end
	if first && s.hideMeta && !(s.cr && b[from] == '\n') {
		if s.kind != Progress {
			s.hiding = housekeeping
		}
		s.hidden = s.hiding && (s.kind != Progress || !s.run)
	}
	p := Piece{Start: from, End: stop, SGR: s.Palette.Kinds[s.kind], First: first, Last: last, Hidden: s.hidden}
	if n := len(s.pieces) - 1; n >= 0 && p.SGR == "" && s.pieces[n].SGR == "" && s.pieces[n].Hidden == p.Hidden {
		s.pieces[n].End = stop
	} else {
		s.pieces = append(s.pieces, p)
	}
	s.past += stop - from
	if s.cr = false; last {
		if s.report && !housekeeping {
			s.Counts[s.kind]++
		}
		s.cr, s.past, s.kind = s.past > 1 && b[stop-1] == '\r', 0, Ordinary
	}
}

// openForm matches a control sequence without its last byte (ECMA-48, 5.4). introducers, after ESC
// or 0xc2, begin a control string, such as a title or the target of a hyperlink (5.6).
var (
	openForm    = regexp.MustCompile(`^(?:\x1b[ -/]*|(?:\x1b\[|\x{9b})[ -?]*|\x{fffd})$`)
	introducers = map[byte]string{0x1b: "]PX^_", 0xc2: "\x90\x98\x9d\x9e\x9f"}
)

// OpenSequence returns the control sequence or string at the end of b that is not complete:
// no other one may be put into it.
func OpenSequence(b []byte) []byte {
	const bound = 2 << 10 // bytes, so that hostile text costs little
	b = b[max(0, len(b)-bound):]
	start := len(b)
	for i := start - 1; i >= 0 && b[i] != '\a' && b[i] != '\r' && b[i] != '\n'; i-- {
		// ESC, or U+0080 to U+009F, of which only one byte may be there.
		if b[i] == 0x1b || b[i] == 0xc2 && (i+1 == len(b) || b[i+1]&^0x1f == 0x80) {
			isString := i+1 < len(b) && strings.IndexByte(introducers[b[i]], b[i+1]) >= 0
			if !isString && !openForm.Match(b[i:start]) {
				break
			}
			start = i
		}
	}
	return b[start:]
}
