package style

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
)

// A Kind is what a record reports, judged by its first bytes.
type Kind int

const (
	Ordinary  Kind = iota // anything else
	Added                 // a file or directory that is new at the destination
	Changed               // one whose content or attributes are updated
	Unchanged             // one that rsync -i lists although nothing changes
	Deleted               // one that is deleted there
	Warning               // something was left out, or is odd
	Failure               // something went wrong
	Progress              // figures of a transfer under way, or a lone CR
)

// maxHead bounds what the kind of a record depends on, and figures with their prefix, in bytes.
const maxHead = 1024

// names stand for parts of the regular expressions of this package.
var names = strings.NewReplacer(
	// What docker compose, ts, rsync --log-file, journalctl and others write before a record.
	"COMPOSE", `(?:[A-Za-z0-9][\w-]*[-_]\d+ +\| )?`,
	"STAMP", `DATE TIME (?:\[\d+\] |timemachine: |LEVEL +|std(?:out|err) [FP] |HOST PROGRAM\[\d+\]: )?`+
		`|TIME (?:LEVEL +)?|\[(?:DATE )?TIME\] |\[LEVEL\] +|openrsync\(\d+\): `,
	"LOGGER", `DATE TIME HOST PROGRAM: `, // also the beginning of many a message
	"DATE ", `(?:\d{4}[-/]\d\d[-/]\d\d[ T]|[A-Z][a-z][a-z] [ \d]\d )`,
	"TIME", `\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?`,
	"LEVEL", `(?:INFO|DEBUG|NOTICE)`, "HOST PROGRAM", `[\w.-]+ [\w.@/-]+`,
	// A housekeeping file, and a path with blanks in it. `FAILED...` is no directory.
	"REST", `(?:[^>:"'\x00]*/)?PATH`,
	"PATH", `(?:MOUNT)?(?:\.{0,2}/|\.?DIR(?:\.DIR)*/)*(?:\.FILE\.[A-Za-z0-9]{6}|\.?FILE~?)`,
	"DIR", `(?:[_@%+~-]*[A-Za-z0-9][\w@%+~-]*|[\w-]{22}[\w-]*==?)`,
	"FILE", `gocryptfs\.(?:conf|diriv|longname\.[\w-]{43}=?\.name)`,
	// The columns of a list, other ones after a path, and what stands between them.
	"ANY", `(?:ITEM|MODE|send|recv|del\.|\*deleting|(?:op|name|file|path|item|what|type|size|len|mtime|date|time|link|hardlink|target)" *:)`,
	"MORE", `(?:ANY(?: *"?NUMBER)?|\d{4}[-/]\d\d[-/]\d\d(?:[-T ][\d:.]+)?(?:Z|[-+]\d\d:?\d\d)?|(?:[-=]>SEP+)?(?:PATH|<PATH>))`,
	"ITEM", `[<>ch.][fdLDS][+.?cstTpogunabxf ]{7,11}`, "MODE", `[-bcdlps][-rwxsStT]{9}`,
	"NUMBER", `\d[-+\d.,:/T]*[KMGTPZ]?`,
	"SEP", "[][(){}\"'|:;, \t`]", "GAP", "[][(){}\"'|;, \t`]", // no colon, which announces an error
)

// expand returns text with what the names in it stand for.
func expand(text string) string {
	return names.Replace(names.Replace(names.Replace(names.Replace(text))))
}

// head describes what records begin with, in a group for each kind but Ordinary.
var head = expand(`^COMPOSE(?:STAMP|LOGGER)*(?:` +
	// YXcstpoguax of rsync -i, with more letters on macOS and fewer in old versions.
	`([<>ch.][fdLDS]\+{7,11} )|([<>ch.][fdLDS][.?cstTpogunabxf]{7,11} )|([<>ch.][fdLDS] {7,11} )` +
	`|deleting in ` + // names the directory that is searched
	`|(\*?deleting )` +
	`|((?:rsync warning|WARNING|warning|(?:file|directory) has vanished|symlink has no referent|skipped diminished file): ` +
	`|\[WARN\] |skipping |ignoring unsafe symlink |Deletions stopped |\*\*\* Skipping )` +
	`|((?:rsync|rsync error|@?ERROR|error): |\[ERROR\] |IO error |could not make way |cannot delete )` +
	// rsync progress.c: bytes, percent, rate, time and, at the end of a file, counts.
	`|(\r| *[0-9][0-9.,]*[KMGTP]? +([0-9]+)%(?: +[0-9.,]+[kMGT]?B/s)? +[0-9?]+:[0-9?]+:[0-9?]{1,9}` +
	`(?: +(\(xfe?r#[^()\r\n]*\) *)?|[\r\n]|$)))`)

// headForm matches a head, and partForm what may become one with more text.
var (
	headForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(head) })
	partForm = sync.OnceValue(func() *regexp.Regexp {
		re, _ := syntax.Parse(head, syntax.Perl)
		return regexp.MustCompile(`^(?:` + unfinished(re.Simplify()) + `)$`)
	})
)

// unfinished returns the form of what may become a match of re with more text.
func unfinished(re *syntax.Regexp) (text string) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range slices.Backward(re.Rune[:len(re.Rune)-1]) {
			text = `(?:` + regexp.QuoteMeta(string(r)) + text + `)?`
		}
	case syntax.OpConcat:
		text = `[^\x00-\x{10ffff}]` // nothing: the last one must not be complete
		for _, sub := range slices.Backward(re.Sub) {
			text = `(?:` + unfinished(sub) + `|(?:` + sub.String() + `)` + text + `)`
		}
	case syntax.OpStar, syntax.OpPlus:
		text = `(?:` + re.Sub[0].String() + `)*(?:` + unfinished(re.Sub[0]) + `)`
	default:
		for _, sub := range re.Sub {
			text += `|(?:` + unfinished(sub) + `)`
		}
	}
	return text
}

// mayGrow reports whether more text may change the kind of a record, or belong to its figures.
func mayGrow(b []byte) bool { return len(b) <= maxHead && partForm().Match(b) }

// judge returns the kind of the record at the beginning of b, and the length of its figures with
// their prefix. run means that they are of the whole run (--info=progress2), which counts early.
func judge(b []byte) (kind Kind, figures int, run bool) {
	line := b[:min(len(b), maxHead)]
	m := headForm().FindSubmatchIndex(line)
	for kind = Progress; kind > Ordinary && (m == nil || m[2*kind] < 0); kind-- {
	}
	if percent, counts := 2*Progress+2, 2*Progress+4; kind == Progress && m[percent] >= 0 {
		figures = len(bytes.TrimRight(line[:m[1]], "\r\n"))
		run = m[counts] >= 0 && string(line[m[percent]:m[percent+1]]) != "100"
	}
	return kind, figures, run
}

// housekeepingForm returns the form of records that report nothing but a housekeeping file: one
// that says more may say that a directory cannot be restored. A path may begin with any of the
// last directories of mount.
func housekeepingForm(mount string) *regexp.Regexp {
	dirs := strings.Split(strings.Trim(strings.ToValidUTF8(mount, "\ufffd"), "/"), "/")
	few := max(0, len(dirs)-8)
	path := `/?` + regexp.QuoteMeta(strings.Join(dirs[:few], "/")) + `/`
	for _, dir := range dirs[few:] {
		path = `(?:` + path + `)?` + regexp.QuoteMeta(dir) + `/`
	}
	text := expand(`^COMPOSE(?:STAMP)*(?:(?:LOGGER)?(?:` + strings.Join([]string{
		`ITEM REST(?: => REST)?`,
		`\*deleting +REST`,
		// rsync --list-only, ls -l, find -ls, tar -tv
		` *(?:\d+ +){0,2}MODE[.+@]? (?:[^:"'>]*(?:\d\d:\d\d(?::[\d.]+)?(?: [-+]\d{4})?|\d{4}) )+REST`,
		// rsync -vv, rm -v
		`PATH (?:is uptodate|exists(?: \([a-z ]+\))?|is newer|is over max-size|is under min-size)`,
		`(?:deleting|not creating new file|sender removed|sender file already removed:|removed) ["']?PATH["']?`,
		`backed up PATH to PATH(?:[-._][\w-]+)?`,
		`\[[a-zA-Z]+\] (?:hiding|showing|protecting|risking) file PATH because of pattern .*`,
	}, "|") + `)|` +
		// find -printf and other lists: a number after a path may be an error's; and rsync --out-format
		`SEP*(?:(?:ANY|NUMBER)SEP+)*(?:PATH|<PATH>)(?:SEP+MORE)*GAP*|(?:send|recv|del\.):PATH:|` +
		`SEP*(?:ITEM|send|recv|del\.)GAP+(?:(?:ANY|NUMBER)GAP+)*(?:PATH|<PATH>)(?:GAP+(?:MORE|NUMBER))*GAP*)$`)
	return regexp.MustCompile(strings.ReplaceAll(text, "MOUNT", path))
}
