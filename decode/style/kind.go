package style

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// A Kind is what a record reports, judged by its first bytes.
type Kind int

const (
	Ordinary Kind = iota // anything else
	Added                // a file or directory that is new at the destination
	Changed              // one whose content or attributes are updated
	Deleted              // one that is deleted there
	Warning              // something was left out, or is odd
	Failure              // something went wrong
	Progress             // figures of a transfer under way, or a lone CR
)

// maxHead is the number of bytes at the beginning of a record that its kind depends on. It
// also bounds progress figures, with the prefix before them.
const maxHead = 1024

var (
	// What programs write before a record: rsync --log-file, timemachine, openrsync,
	// ts, journalctl, and scripts that print the time in brackets. A record may have
	// several of these, as in the output of timemachine in a journal.
	prefixForm = regexp.MustCompile(`^(?:` +
		`(?:\d{4}[-/]\d\d[-/]\d\d[ T]|[A-Z][a-z][a-z] [ \d]\d )` +
		`\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? (?:\[\d+\] |timemachine: |[^\s:]+ [^\s:]+\[\d+\]: )?` +
		`|\d\d:\d\d:\d\d(?:[.,]\d+)? ` +
		`|\[(?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\] ` +
		`|openrsync\(\d+\): )+`)

	// YXcstpoguax of rsync -i: c to x are all `+` for a new file, and all blank for an
	// unchanged one. The rsync of macOS has more attributes, older versions have fewer.
	itemForm = regexp.MustCompile(`^[<>ch.][fdLDS](?:(\+{7,11})|[.?cstTpogunabxf]{7,11}) `)

	// rsync progress.c: bytes, percent, rate, time and, at the end of a file, counts.
	figuresForm = regexp.MustCompile(`^ *[0-9][0-9.,]*[KMGTP]? +([0-9]+)%(?: +[0-9.,]+[kMGT]?B/s)?` +
		` +[0-9?]+:[0-9?]+:[0-9?]{1,9}(?: +(\(xfe?r#[^()\r\n]*\) *)?|[\r\n]|$)`)

	// Counts that are not complete.
	countsForm = regexp.MustCompile(`^\([xfer]*(?:#[^()\r\n]*)?$`)

	// The beginnings of a prefix, of what follows the time in it, of attributes and of
	// figures, and a little more than these.
	partForm = regexp.MustCompile(`^(?:(?:[A-Z][a-z]{0,2})?[-/0-9 T:.,Z+]*|\[[-/0-9 T:.,Z+]*\]?|openrsync\(\d*\)?:?` +
		`|[<>ch.](?:[fdLDS][+.?a-zA-Z]{0,11})?| *(?:[0-9][ 0-9.,?KMGTPkBs%/:]*)?)$`)
	wordsForm = regexp.MustCompile(`^(?:\[\d*\]?|[^\s:]+(?: [^\s:]*:?)?)$`)
)

// starts holds what records of a kind begin with. The first match counts.
var starts = []struct {
	text string
	kind Kind
}{
	{"*deleting ", Deleted},
	{"deleting in ", Ordinary}, // names the directory that is searched
	{"deleting ", Deleted},
	{"rsync: ", Failure},
	{"rsync error: ", Failure},
	{"ERROR: ", Failure},
	{"@ERROR: ", Failure},
	{"[ERROR] ", Failure}, // timemachine
	{"error: ", Failure},  // openrsync
	{"IO error ", Failure},
	{"could not make way ", Failure},
	{"cannot delete ", Failure},
	{"rsync warning: ", Warning},
	{"WARNING: ", Warning},
	{"[WARN] ", Warning},
	{"warning: ", Warning},
	{"file has vanished: ", Warning},
	{"directory has vanished: ", Warning},
	{"symlink has no referent: ", Warning},
	{"skipped diminished file: ", Warning},
	{"skipping ", Warning},
	{"ignoring unsafe symlink ", Warning},
	{"Deletions stopped ", Warning},
	{"*** Skipping ", Warning},
	{"openrsync(", Ordinary}, // with more text, these begin a prefix
	{"timemachine: ", Ordinary},
}

// head returns the part of a record that its kind depends on.
func head(b []byte) []byte { return b[:min(len(b), maxHead)] }

// classify returns the kind of a record. ended means that it is complete.
func classify(b []byte, ended bool) Kind {
	if n, _ := figuresLen(b, ended); n > 0 {
		return Progress
	}
	b = head(b)
	b = b[prefixLen(b):]
	if string(b) == "\r" {
		return Progress
	}
	if m := itemForm.FindSubmatchIndex(b); m != nil {
		if m[2] >= 0 {
			return Added
		}
		return Changed
	}
	for _, s := range starts {
		if bytes.HasPrefix(b, []byte(s.text)) {
			return s.kind
		}
	}
	return Ordinary
}

// mayChange reports whether the kind of a record that begins with b may not be that of b.
func mayChange(b []byte) bool {
	if len(b) >= maxHead {
		return false
	}
	n := prefixLen(b)
	b = b[n:]
	if partForm.Match(b) || n > 0 && wordsForm.Match(b) {
		return true
	}
	for _, s := range starts {
		if len(b) < len(s.text) && s.text[:len(b)] == string(b) {
			return true
		}
	}
	return false
}

// prefixLen returns the length of the prefix of b that another program wrote.
func prefixLen(b []byte) int {
	if len(b) == 0 || !bytes.ContainsRune([]byte("[o0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"), rune(b[0])) {
		return 0 // most records
	}
	return len(prefixForm.Find(b))
}

// figuresLen returns the length of the progress figures that b begins with, including the
// prefix before them, or 0. Another process may have written a line right after them. final
// means that b is complete; otherwise, open means that more text may belong to them.
func figuresLen(b []byte, final bool) (n int, open bool) {
	line := head(b)
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1] // with more text the search takes longer
	}
	if bytes.IndexByte(line, '%') < 0 {
		return 0, false // most records
	}
	prefix := prefixLen(line)
	found := figuresForm.Find(line[prefix:])
	n = prefix + len(bytes.TrimRight(found, "\r\n"))
	if len(found) == 0 || n == len(line) && line[n-1] != ' ' && line[n-1] != ')' && (len(line) < len(b) || !final) {
		return 0, false // it may be cut within the time
	}
	return n, !final && (n == len(b) || len(b) < maxHead && countsForm.Match(b[n:]))
}

// isTotal reports whether progress is that of the whole run (--info=progress2) and
// not of a file: it counts files before it reaches 100 percent.
func isTotal(b []byte) bool {
	m := figuresForm.FindSubmatch(b[prefixLen(b):])
	return m != nil && string(m[1]) != "100" && len(m[2]) > 0
}

// leafForm matches a housekeeping file, also as a temporary one or a backup.
var leafForm = regexp.MustCompile(`\.?gocryptfs\.(?:conf|diriv|longname\.[A-Za-z0-9_-]{43}=?\.name)(?:[.~][A-Za-z0-9_.~-]*)?`)

// metaForm matches a record that reports nothing but a housekeeping file, after the prefix
// of another program. It describes the record as a whole: one that says more may say that a
// directory cannot be restored.
//
//	LEAF  a match of leafForm, replaced by a NUL
//	PATH  its path, without blanks
//	REST  its path up to the end of the record; it may have blanks
//	ITEM  what rsync -i prints before a name
var metaForm = sync.OnceValue(func() *regexp.Regexp {
	text := strings.Join([]string{
		`ITEM REST(?: => REST)?`,
		`\*deleting +REST`,

		// rsync --list-only, ls -l, find -ls, tar -tv
		` *(?:\d+ +){0,2}[-bcdlps][-rwxsStT]{9}[.+@]? (?:[^:"'>]*(?:\d\d:\d\d(?::[\d.]+)?(?: [-+]\d{4})?|\d{4}) )+REST`,

		// rsync -vv, rm -v
		`PATH (?:is uptodate|exists(?: \([a-z ]+\))?|is newer|is over max-size|is under min-size)`,
		`(?:deleting|not creating new file|sender removed|sender file already removed:|removed) ["']?PATH["']?`,
		`backed up PATH to PATH[^\s:]*`,
		`\[[a-zA-Z]+\] (?:hiding|showing|protecting|risking) file PATH because of pattern .*`,

		// rsync -vvv
		`set (?:modtime|modtime, atime) of PATH to \(\d+\) (?:[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}|\d[-\d:/ ,()]*)`,
		`set [ug]id of PATH from \d+ to \d+`,
		`(?:\[[a-zA-Z]+\] )?(?:make_file|recv_file_name|recv_generator|recv_files|send_files|delete_item)` +
			`\((?:\d+, )?PATH(?:,[*\d]+)*\)(?: mode=\d+ flags=\d+)?`,
		`hlink for \d+ \(PATH,\d+\): (?:looking for a leader|waiting for \d+|virtual first|found flist match \(alt -?\d+\)|leader is \d+ \(PATH\))`,
		`(?:send_files mapped|calling match_sums|sender finished|recv mapped|gen mapped|finishing|renaming) ` +
			`PATH(?: of size \d+| to PATH)?`,

		// rsync's daemon; rsync --out-format, and lists of paths
		`(?:send|recv|del\.) \S+ \[\S+\] \S* \(\S*\) PATH \d+`,
		`SEP*(?:(?:ITEM|send|recv|del\.|\*deleting|[-bcdlps][-rwxsStT]{9}|[-.,:/T]*\d[-\d.,:/T]*[KMGTP]?|[0-9a-f]{32,128}` +
			`|(?:op|name|file|path|item|what|type|size|len|mtime|date|time|link|hardlink|target)" *:|[-=]>|PATH|<PATH>)(?:SEP+|$))+`,
	}, "|")
	for _, word := range [][2]string{
		{"ITEM", `[<>ch.][fdLDS][+.?cstTpogunabxf ]{7,11}`},
		{"REST", `(?:[^>:"'\x00]*/)?LEAF`},
		{"PATH", `(?:[^\x00<>=` + breaks + `]*/)?LEAF`},
		{"SEP", "[" + breaks + "]"},
		{"LEAF", `\x00`},
	} {
		text = strings.ReplaceAll(text, word[0], word[1])
	}
	return regexp.MustCompile(`^(?:` + text + `)$`)
})

// breaks are the characters between the columns of a record, in a class of a regular
// expression.
const breaks = `\[\](){}"'|:;,` + " \t`"

// isMeta reports whether a record is about a housekeeping file and nothing else. The path of
// mount, or the end of it, may stand before the file, whatever it has in it.
func isMeta(b []byte, mount string) bool {
	if !bytes.Contains(b, []byte("gocryptfs.")) || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	b = bytes.TrimRight(b[prefixLen(head(b)):], "\r\n")
	for dir := mount; strings.ContainsAny(dir, breaks); _, dir, _ = strings.Cut(dir, "/") {
		if dir != "" && bytes.Contains(b, []byte(dir+"/")) {
			b = bytes.ReplaceAll(b, []byte(dir+"/"), []byte("mount/"))
			break
		}
	}
	return metaForm().Match(leafForm.ReplaceAll(b, []byte{0}))
}
