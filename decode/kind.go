package decode

import (
	"bytes"
	"gocryptfs-rsync-pretty/decode/scan"
	"regexp"
)

// A kind is what a record reports, judged by its first bytes.
type kind int

const (
	ordinary kind = iota // anything else
	added                // a file or directory that is new at the destination
	changed              // one whose content or attributes are updated
	deleted              // one that is deleted there
	warning              // something was left out, or is odd
	failure              // something went wrong
	progress             // figures of a transfer under way, or a lone CR
)

// maxFigures bounds the length of progress figures and the prefix before them.
const maxFigures = 1024

var (
	// What programs write before a record: rsync --log-file, timemachine, openrsync,
	// ts, journalctl, and scripts that print the time in brackets. A record may have
	// several of these, as in the output of timemachine in a journal.
	prefixForm = regexp.MustCompile(`^(?:` +
		`(?:\d{4}[-/]\d\d[-/]\d\d[ T]|[A-Z][a-z][a-z] [ \d]\d )?` +
		`\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? (?:\[\d+\] |timemachine: |[^\s:]+ [^\s:]+\[\d+\]: )?` +
		`|\[(?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\] ` +
		`|openrsync\(\d+\): )+`)

	// YXcstpoguax of rsync -i: c to x are all `+` for a new file, and all blank for an
	// unchanged one. The rsync of macOS has more attributes, older versions have fewer.
	itemForm = regexp.MustCompile(`^[<>ch.][fdLDS](?:(\+{7,11})|[.?cstTpogunabxf]{7,11}) `)

	// rsync progress.c: bytes, percent, rate, time and, at the end of a file, counts.
	figuresForm = regexp.MustCompile(`^ *[0-9][0-9.,]*[KMGTP]? +([0-9]+)%(?: +[0-9.,]+[kMGT]?B/s)?` +
		` +[0-9?]+:[0-9?]+:[0-9?]{1,9} *(\(xfe?r#[^()\r\n]*\) *)?`)

	// The files that exist only in the encrypted view. After a `=`, such a name is the
	// value of a setting.
	metaForm = regexp.MustCompile(`(?:^|[^A-Za-z0-9_=-])gocryptfs\.` +
		`(?:conf|diriv|longname\.[A-Za-z0-9_-]{43}=?\.name)(?:$|[^A-Za-z0-9_-])`)

	// An option in an echoed command.
	optionForm = regexp.MustCompile(` --[a-z][a-z-]*(?:[= ]|$)`)
)

// starts holds what records of a kind begin with. The first match counts.
var starts = []struct {
	text string
	kind kind
}{
	{"*deleting ", deleted},
	{"deleting in ", ordinary}, // names the directory that is searched
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

// classify returns the kind of a record, which may be incomplete.
func classify(b []byte) kind {
	b = b[prefixLen(b):]
	if figuresLen(b) > 0 || string(b) == "\r" {
		return progress
	}
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

// prefixLen returns the length of the prefix of b that another program wrote.
func prefixLen(b []byte) int { return len(prefixForm.Find(b)) }

// figuresLen returns the length of the progress figures that b begins with, including
// the prefix before them, or 0. Another process may have written a line right after
// them.
func figuresLen(b []byte) int {
	line := b[:min(len(b), maxFigures)]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i] // with more text the search takes longer
	}
	n := prefixLen(line)
	m := len(figuresForm.Find(line[n:]))
	if end := n + m; m == 0 || scan.WithinWord(b, end) {
		return 0 // a record never ends within a word
	}
	return n + m
}

// isTotal reports whether progress is that of the whole run (--info=progress2) and
// not of a file: it counts files before it reaches 100 percent.
func isTotal(b []byte) bool {
	m := figuresForm.FindSubmatch(b[prefixLen(b):])
	return m != nil && string(m[1]) != "100" && len(m[2]) > 0
}

// isMeta reports whether a record of kind k is about a housekeeping file only. An
// error or a warning about one concerns the backup, so it does not count. Neither
// does an echoed command.
func isMeta(b []byte, k kind) bool {
	return k != failure && k != warning && bytes.Contains(b, []byte("gocryptfs.")) &&
		metaForm.Match(b) && !optionForm.Match(b)
}
