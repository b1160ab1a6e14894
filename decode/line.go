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

	// rsync progress.c: a count to the right of 15 columns, then a percentage.
	progressForm = regexp.MustCompile(`^ *[0-9][0-9.,]*[KMGTP]? +[0-9]+% `)

	// The files that exist only in the encrypted view. Behind a `=` they belong to
	// an option, as in --exclude=gocryptfs.conf.
	metaForm = regexp.MustCompile(`(?:^|[^A-Za-z0-9_=-])gocryptfs\.` +
		`(?:conf|diriv|longname\.[A-Za-z0-9_-]{43}=?\.name)(?:$|[^A-Za-z0-9_-])`)
)

// starts are the words that records of some kind begin with.
var starts = []struct {
	text string
	kind kind
}{
	{"*deleting ", deleted},
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
	if string(b) == "\r" || progressForm.Match(b) {
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

// isMeta reports whether a record of kind k speaks of a housekeeping file.
// Trouble with one is trouble with the backup, and an echoed command, which has
// options, is no news of one.
func isMeta(b []byte, k kind) bool {
	return k != failure && k != warning && bytes.Contains(b, []byte("gocryptfs.")) &&
		metaForm.Match(b) && !bytes.Contains(b, []byte(" --"))
}

// ANSI sequences: the eight basic colours, which every terminal theme keeps apart
// from its background, and none of the two that are close to white or black.
const (
	dim    = "\x1b[2m"
	notDim = "\x1b[22m"
	reset  = "\x1b[0m"
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

// visible says whether progress is shown, which depends on the file before it.
type visible int

const (
	asBefore visible = iota // as at the end of the batch before
	showing
	hiding
)

// lines rewrites a batch record by record.
func (w *rewriter) lines(b *batch) {
	w.mark = nil
	b.lead, b.visible = 0, asBefore
	start := 0
	for end := b.from; end < len(b.text); start = end {
		from := end
		end = recordEnd(b.text, from)
		rec := b.text[start:end]
		k := ordinary
		if len(rec) <= maxToken {
			k = classify(rec)
		}
		meta := len(rec) <= maxToken && isMeta(rec, k)
		if w.look.hideMeta && k != progress {
			if b.visible == asBefore {
				b.lead = len(b.out)
			}
			b.visible = showing
			if meta {
				b.visible = hiding
			}
		}
		if b.visible == hiding {
			continue
		}
		if meta {
			w.colour(b, rec, from-start, dim)
		} else {
			w.colour(b, rec, from-start, palette[k])
		}
	}
	if b.visible == asBefore {
		b.lead = len(b.out)
	}
}

// colour rewrites rec[from:]; with colour on, in that of sgr.
func (w *rewriter) colour(b *batch, rec []byte, from int, sgr string) {
	if !w.look.colour {
		b.out = w.rewrite(b.out, rec, from)
		return
	}
	w.mark = func(dst, text []byte) []byte {
		dst = append(append(dst, dim...), text...)
		return append(append(dst, notDim...), sgr...)
	}
	body := bytes.TrimRight(rec, "\r\n")
	body = body[:max(from, len(body))]
	if sgr != "" {
		b.out = append(b.out, sgr...)
	}
	b.out = w.rewrite(b.out, body, from)
	if sgr != "" {
		b.out = append(b.out, reset...)
	}
	b.out = append(b.out, rec[len(body):]...)
}

// recordEnd returns where the record ends that b[from] lies in.
func recordEnd(b []byte, from int) int {
	if i := bytes.IndexAny(b[from:], "\r\n"); i >= 0 {
		return from + i + 1
	}
	return len(b)
}

// waits returns how much of b, settled up to end, may go out if housekeeping lines
// are to be left out: not the last record, before it is known what it is.
func (l look) waits(b []byte, from, end int) int {
	last := lastRecord(b)
	if !l.hideMeta || last < from || len(b)-last > maxToken || classify(b[last:]) == progress {
		return end
	}
	return min(end, last)
}
