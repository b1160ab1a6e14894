package decode

import (
	"bytes"
	"regexp"
)

// A kind is what a record tells, as far as its first bytes show it.
type kind int

const (
	ordinary kind = iota // anything else
	added                // a file or directory that is new at the destination
	changed              // one whose content or attributes are brought up to date
	deleted              // one that is deleted there
	warning              // something was left out, or is odd
	failure              // something went wrong
	progress             // figures of a transfer under way, or a lone CR
)

var (
	// A prefix of --log-file, timemachine or openrsync stands in front of the rest.
	prefixForm = regexp.MustCompile(`^(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] |` +
		`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d timemachine: |openrsync\(\d+\): )`)

	// YXcstpoguax of -i, where c to x are all `+` for a new file, and all blank for
	// one that is the same.
	itemForm = regexp.MustCompile(`^[<>ch.][fdLDS](?:(\+{9})|[.?cstTpogunabx]{9}) `)

	// rsync progress.c: bytes, per cent, rate, time; at the end of a file the counts.
	figuresForm = regexp.MustCompile(`^ *[0-9][0-9.,]*[KMGTP]? +([0-9]+)%(?: +[0-9.,]+[kMGT]?B/s)?` +
		` +[0-9?]+:[0-9?]+:[0-9?]+ *(\(xfe?r#[^()\r\n]*\) *)?`)

	// The files that exist only in the encrypted view. Behind a `=` stands a setting.
	metaForm = regexp.MustCompile(`(?:^|[^A-Za-z0-9_=-])gocryptfs\.` +
		`(?:conf|diriv|longname\.[A-Za-z0-9_-]{43}=?\.name)(?:$|[^A-Za-z0-9_-])`)

	// An option in an echoed command.
	optionForm = regexp.MustCompile(` --[a-z][a-z-]*(?:[= ]|$)`)
)

// starts are the words that records of some kind begin with.
var starts = []struct {
	text string
	kind kind
}{
	{"*deleting ", deleted},
	{"deleting in ", ordinary}, // says where it looks
	{"deleting ", deleted},
	{"rsync: ", failure},
	{"rsync error: ", failure},
	{"ERROR: ", failure},
	{"@ERROR: ", failure},
	{"[ERROR] ", failure}, // timemachine
	{"error: ", failure},  // openrsync
	{"IO error ", failure},
	{"could not make way ", failure},
	{"cannot delete ", failure},
	{"rsync warning: ", warning},
	{"WARNING: ", warning},
	{"[WARN] ", warning},
	{"warning: ", warning},
	{"file has vanished: ", warning},
	{"directory has vanished: ", warning},
	{"symlink has no referent: ", warning},
	{"skipped diminished file: ", warning},
	{"skipping ", warning},
	{"ignoring unsafe symlink ", warning},
	{"Deletions stopped ", warning},
	{"*** Skipping ", warning},
}

// classify tells the kind of a record, which may not be whole yet.
func classify(b []byte) kind {
	if string(b) == "\r" || figuresLen(b) > 0 {
		return progress
	}
	b = b[len(prefixForm.Find(b)):]
	if m := itemForm.FindSubmatchIndex(b); m != nil {
		if m[2] >= 0 {
			return added
		}
		return changed
	}
	for _, s := range starts {
		if bytes.HasPrefix(b, []byte(s.text)) {
			return s.kind
		}
	}
	return ordinary
}

// figuresLen returns the length of the progress figures that b begins with. Another
// process may have written a line right behind them.
func figuresLen(b []byte) int { return len(figuresForm.Find(b)) }

// isTotal reports whether progress is that of the whole run (--info=progress2),
// not of a file: it counts files before it has come to 100 per cent.
func isTotal(b []byte) bool {
	m := figuresForm.FindSubmatch(b)
	return m != nil && string(m[1]) != "100" && len(m[2]) > 0
}

// isMeta reports whether a record of kind k speaks of a housekeeping file.
// Trouble with one is trouble with the backup, and an echoed command is no news
// of one.
func isMeta(b []byte, k kind) bool {
	return k != failure && k != warning && bytes.Contains(b, []byte("gocryptfs.")) &&
		metaForm.Match(b) && !optionForm.Match(b)
}

// ANSI sequences: the eight basic colours, which every terminal theme keeps apart
// from its background, and none of the two that are close to white or black.
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

// A look is what is done to records beyond decoding.
type look struct {
	colour   bool
	hideMeta bool
}

// showing says when a record is shown with -hide-meta.
type showing int

const (
	always     showing = iota
	never              // a housekeeping file: what belongs to it is left out, too
	withFile           // progress
	totalsOnly         // progress of the whole run, which belongs to no file
)

// lines appends b[from:] to dst, record by record as it is to look.
func (c *copier) lines(dst, b []byte, from int) []byte {
	if c.look == (look{}) {
		return c.rewrite(dst, b, from)
	}
	start := lastRecord(b[:from])
	for end := from; end < len(b); start = end {
		from := end
		start, end = recordAt(b, start, from)
		rec := b[start:end]
		k, meta := ordinary, false
		if len(rec) <= maxToken {
			k = classify(rec)
			meta = isMeta(rec, k)
		}
		show, sgr := always, palette[k]
		switch {
		case meta:
			show, sgr = never, dim
		case k == progress && isTotal(rec):
			show = totalsOnly
		case k == progress:
			show = withFile
		}
		if !c.look.hideMeta || c.shows(show) {
			dst = c.colour(dst, rec, from-start, sgr)
		}
	}
	return dst
}

// shows reports whether the next record is shown, and keeps in mind what that
// means for the progress behind it.
func (c *copier) shows(s showing) bool {
	switch s {
	case always, never:
		c.hiding = s == never
	case totalsOnly:
		c.totals = true
	}
	return !c.hiding || c.totals && s != never
}

// colour appends rec[from:]; with colour on, in that of sgr.
func (c *copier) colour(dst, rec []byte, from int, sgr string) []byte {
	if !c.look.colour {
		return c.rewrite(dst, rec, from)
	}
	c.mark = func(dst, text []byte) []byte {
		dst = append(append(append(dst, reset...), dim...), text...)
		return append(append(dst, reset...), sgr...)
	}
	body := bytes.TrimRight(rec, "\r\n")
	body = rec[:max(from, len(body))]
	if sgr != "" {
		dst = append(dst, sgr...)
	}
	dst = c.rewrite(dst, body, from)
	if sgr != "" {
		dst = append(dst, reset...)
	}
	return append(dst, rec[len(body):]...)
}

// recordAt returns where the record of b[from] begins and ends, given where the
// line does. Progress and what follows it in a line are two.
func recordAt(b []byte, line, from int) (start, end int) {
	end = len(b)
	if i := bytes.IndexAny(b[from:], "\r\n"); i >= 0 {
		end = from + i + 1
		if i > 0 && b[end-1] == '\r' && end < len(b) && b[end] == '\n' {
			end++
		}
	}
	text := len(bytes.TrimRight(b[line:end], "\r\n"))
	switch n := figuresLen(b[line:end]); {
	case n == 0 || n >= text:
		return line, end
	case line+n > from:
		return line, line + n
	default:
		return line + n, end
	}
}

// waits returns how much of b, settled up to end, may go out if housekeeping lines
// are to be left out: not the last record, before it is known what it is.
func (l look) waits(b []byte, from, end int) int {
	if !l.hideMeta {
		return end
	}
	last := lastRecord(b)
	if last == len(b) && last > 0 && b[last-1] == '\r' {
		last = lastRecord(b[:last-1]) // its `\n` may follow
	}
	if n := figuresLen(b[last:]); last+n <= end {
		last += n // progress goes out as soon as it is known to be that
	}
	if last < from || len(b)-last > maxToken || string(b[last:]) == "\r" {
		return end
	}
	return min(end, last)
}
