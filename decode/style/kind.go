package style

import (
	"bytes"
	"regexp"
	"slices"
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
	// What rsync --log-file, timemachine, openrsync, ts, journalctl and scripts write before a
	// record. There may be several of these, as in the output of timemachine in a journal.
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
	kind  Kind
	texts []string
}{
	{Ordinary, []string{
		"deleting in ",                // names the directory that is searched
		"openrsync(", "timemachine: ", // with more text, these begin a prefix
	}},
	{Progress, []string{"\r"}},
	{Deleted, []string{"*deleting ", "deleting "}},
	{Failure, []string{
		"rsync: ", "rsync error: ", "ERROR: ", "@ERROR: ", "IO error ", "could not make way ", "cannot delete ",
		"[ERROR] ", // timemachine
		"error: ",  // openrsync
	}},
	{Warning, []string{
		"rsync warning: ", "WARNING: ", "[WARN] ", "warning: ", "file has vanished: ", "directory has vanished: ",
		"symlink has no referent: ", "skipped diminished file: ", "skipping ", "ignoring unsafe symlink ",
		"Deletions stopped ", "*** Skipping ",
	}},
}

// head returns the part of a record that its kind depends on.
func head(b []byte) []byte { return b[:min(len(b), maxHead)] }

// classify returns the kind of a record without figures.
func classify(b []byte) Kind {
	b = head(b)
	b = b[prefixLen(b):]
	if m := itemForm.FindSubmatchIndex(b); m != nil {
		if m[2] >= 0 {
			return Added
		}
		return Changed
	}
	for _, s := range starts {
		if slices.ContainsFunc(s.texts, func(text string) bool { return bytes.HasPrefix(b, []byte(text)) }) {
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
		if slices.ContainsFunc(s.texts, func(text string) bool { return len(b) < len(text) && text[:len(b)] == string(b) }) {
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

// figures are those of progress at the beginning of a record.
type figures struct {
	len   int  // including the prefix before them; 0 if there are none
	open  bool // more text may belong to them
	total bool // of the whole run (--info=progress2), which counts files before it reaches 100 %
}

// figuresOf returns the figures that b begins with. Another process may have written a line
// right after them. final means that b is complete.
func figuresOf(b []byte, final bool) (f figures) {
	line := head(b)
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1] // with more text the search takes longer
	}
	if bytes.IndexByte(line, '%') < 0 {
		return f // most records
	}
	prefix := prefixLen(line)
	found := figuresForm.FindSubmatch(line[prefix:])
	if found == nil {
		return f
	}
	n := prefix + len(bytes.TrimRight(found[0], "\r\n"))
	if n == len(line) && line[n-1] != ' ' && line[n-1] != ')' && (len(line) < len(b) || !final) {
		return f // it may be cut within the time
	}
	open := !final && (n == len(b) || len(b) < maxHead && countsForm.Match(b[n:]))
	return figures{len: n, open: open, total: string(found[1]) != "100" && len(found[2]) > 0}
}

// leafForm matches a housekeeping file, also as a temporary one or a backup.
var leafForm = regexp.MustCompile(`\.?gocryptfs\.(?:conf|diriv|longname\.[A-Za-z0-9_-]{43}=?\.name)(?:[.~][A-Za-z0-9_.~-]*)?`)

// metaForm matches a record that reports nothing but a housekeeping file, after the prefix
// of another program. It describes the record as a whole: one that says more may say that a
// directory cannot be restored.
//
//	PATH  the path of a leaf, which a NUL stands for; without blanks
//	REST  that path up to the end of the record; it may have blanks
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
	return regexp.MustCompile(`^(?:` + strings.NewReplacer(
		"ITEM", `[<>ch.][fdLDS][+.?cstTpogunabxf ]{7,11}`,
		"REST", `(?:[^>:"'\x00]*/)?\x00`,
		"PATH", `(?:[^\x00<>=`+breaks+`]*/)?\x00`,
		"SEP", "["+breaks+"]",
	).Replace(text) + `)$`)
})

// breaks are the characters between columns, in a class of a regular expression.
const breaks = `\[\](){}"'|:;,` + " \t`"

// isMeta reports whether a record is about a housekeeping file and nothing else. The path of
// mount, or the end of it, may stand before the file, whatever it has in it.
func isMeta(b []byte, mount string) bool {
	if !bytes.Contains(b, []byte("gocryptfs.")) || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	b = bytes.TrimRight(b[prefixLen(head(b)):], "\r\n")
	for dir := mount; strings.ContainsAny(dir, breaks); _, dir, _ = strings.Cut(dir, "/") {
		b = bytes.ReplaceAll(b, []byte(dir+"/"), []byte("mount/"))
	}
	return metaForm().Match(leafForm.ReplaceAll(b, []byte{0}))
}
