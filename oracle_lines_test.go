package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the oracle compares: lines as a set, with all that cannot be equal on
// both sides put aside, each with its reason.

// rule is something that cannot be equal on both sides, and what to compare
// in its place.
type rule struct {
	what *regexp.Regexp
	with string
}

// textRules apply before lines are parted, to text with a CR, as progress has.
var textRules = []rule{
	// Progress: its bytes, rate and time differ, and housekeeping files have
	// progress too. Names may stand directly behind it.
	{regexp.MustCompile(`[\r ]*[0-9.,]+[KMGT]? +\d+% +[0-9.]+[kMGT]?B/s +(\d+:\d\d:\d\d|\?\?:\?\?:\?\?)( \((xfr|ir-chk|to-chk)[^)]*\))? *`), "\n"},
	// The list's size on the way: housekeeping files count.
	{regexp.MustCompile(`( \d+ files\.\.\.\r)+`), ""},
}

// lineRules apply to each line that is not the same on the other side as it is.
var lineRules = []rule{
	// A log's date and process.
	{regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] `), "DATE [PID] "},
	// Sizes: encrypted files are larger, there are more of them, and the list
	// with their names is longer.
	{regexp.MustCompile(`^((?:DATE \[PID\] )?)sent [0-9.,]+[KMG]?( bytes  received )[0-9.,]+[KMG]?( bytes)  .*`), "${1}sent N${2}N${3}"},
	{regexp.MustCompile(`^((?:DATE \[PID\] )?total size is )[0-9.,]+[KMG]?(  speedup is )[0-9.,]+`), "${1}N${2}N"},
	{regexp.MustCompile(`^((?:DATE \[PID\] )?total: ).*`), "${1}N"},
	{regexp.MustCompile(`^\d+( files to consider)`), "N$1"},
	{regexp.MustCompile(`(--max-delete limit \()\d+`), "${1}N"},
	// A list's size column.
	{regexp.MustCompile(`^([-dlpcbs][-rwxstST]{9}) +[0-9.,]+ `), "$1 N "},
}

// tempRules are for the names of temporary files, in rsync's errors and in what
// it says about renaming with -vvv.
var tempRules = []rule{
	// Six random characters, or for what is not a file the process.
	{regexp.MustCompile(`\.([A-Za-z0-9]{6}|[0-9]{1,6})(" |" \(in | to )`), ".XXXXXX$2"},
	// rsync puts no dot in front of a name that has one, and none behind one
	// that ends in one (receiver.c, get_tmpname). An encrypted name has neither.
	{regexp.MustCompile(`(^|[/" ])\.+([^/]*\.XXXXXX)`), "$1.$2"},
	{regexp.MustCompile(`\.+XXXXXX`), ".XXXXXX"},
}

// temporary says if a line, unescaped, may hold a temporary name.
var temporary = regexp.MustCompile(`^rsync: \[[a-zA-Z]+\] |^renaming `)

// statistics are the lines of --stats: figures of sizes and numbers of files.
var statistics = regexp.MustCompile(`^(Number of [a-z ]*files|Total [a-z ]*(size|sent|received)|Literal data|Matched data|File list [a-z ]*):? .*`)

// housekeeping is a file that is in the encrypted tree only, or for the last
// one in the plain tree only, where it is shown as gocryptfs.conf.
var housekeeping = regexp.MustCompile(`gocryptfs\.(conf|diriv)|gocryptfs\.longname\..*\.name|\.gocryptfs\.reverse\.conf`)

// nameless are messages without a name, once in a while as rsync's list grows
// or (-vvv) once for every file: there are more files in the encrypted tree.
var nameless = regexp.MustCompile(`^\[[a-zA-Z]+\] expand file_list pointer array ` +
	`|^(false_alarms=|hash search|built hash|done hash|sum=|(sending|got) file_sum|set_compression)`)

// normalize returns the lines that must be the same on both sides, sorted:
// files are sent in the order of their names, and those differ.
func (o *oracle) normalize(side string, c comparison, text string) []string {
	return o.putAside(side, c, o.split(side, text))
}

// split parts what was printed on one side into sorted lines.
func (o *oracle) split(side, text string) []string {
	root := filepath.Join(o.base, side)
	text = strings.ReplaceAll(text, root, "/BASE")
	text = strings.ReplaceAll(text, strings.ReplaceAll(root, " ", `\ `), "/BASE") // for a remote shell
	text = strings.ReplaceAll(text, root[1:], "BASE")                             // %f has no leading slash
	if strings.Contains(text, "\r") {
		for _, r := range textRules {
			text = r.what.ReplaceAllString(text, r.with)
		}
	}
	lines := strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' })
	slices.Sort(lines)
	return lines
}

// putAside removes from the lines of one side what cannot be equal.
func (o *oracle) putAside(side string, c comparison, lines []string) (normal []string) {
	aside := regexp.MustCompile(c.aside)
	for _, line := range lines {
		if housekeeping.MatchString(line) || nameless.MatchString(line) {
			continue
		}
		for _, r := range lineRules {
			line = r.what.ReplaceAllString(line, r.with)
		}
		line = unescape(statistics.ReplaceAllString(line, "$1"))
		if temporary.MatchString(line) {
			for _, r := range tempRules {
				line = r.what.ReplaceAllString(line, r.with)
			}
		}
		if o.forward && len(o.ciphers) > 0 {
			line = below(side, line)
		}
		normal = append(normal, aside.ReplaceAllString(line, ""))
	}
	slices.Sort(normal)
	return normal
}

// In a forward file system nobody can tell the names below a deleted directory
// any more: the directory's IV was in its gocryptfs.diriv. The directory itself
// still has its name. belowDeleted is such a path as the filter shows it,
// belowDeletedPlain as the plain tree has it.
var (
	belowDeleted      = regexp.MustCompile("(" + goneDir + ")/[A-Za-z0-9_/-]*?[A-Za-z0-9_-](-2026-11-23|_bak|)(/?(?:[^A-Za-z0-9_/-]|$))")
	belowDeletedPlain = regexp.MustCompile("(" + goneDir + ")/(one|zwei ü(/three|/vier\t)?)")
)

// below makes the names below deleted directories the same on both sides.
func below(side, line string) string {
	if side == "P" {
		return belowDeletedPlain.ReplaceAllString(line, "$1/...")
	}
	return belowDeleted.ReplaceAllString(line, "$1/...$2$3")
}

// escape is a byte as rsync shows it.
var escape = regexp.MustCompile(`\\#[0-3][0-7][0-7]`)

// unescape undoes \#ooo: on stderr rsync's receiving side escapes what it
// shows raw on stdout, and a tab is raw with rsync, escaped by the filter.
// That the filter escapes control bytes is tested by checkControl.
func unescape(line string) string {
	return escape.ReplaceAllStringFunc(line, func(e string) string {
		b, err := strconv.ParseUint(e[2:], 8, 8)
		if err != nil {
			return e
		}
		return string([]byte{byte(b)})
	})
}

// checkControl checks that the filter lets every control byte pass and writes
// none of its own, except a tab, as rsync does.
func checkControl(t *testing.T, c comparison, in, out []byte) {
	t.Helper()
	for b := range 256 {
		if b >= ' ' && b != 0x7f || b == '\t' {
			continue
		}
		one := []byte{byte(b)}
		if n, m := bytes.Count(in, one), bytes.Count(out, one); n != m {
			t.Errorf("%s: %d bytes %#02x in, %d out", c.sh, n, b, m)
		}
	}
}

// checkLeft checks that no encrypted name is left in what is shown, lines about
// housekeeping files included. Below a deleted directory of a forward file
// system names stay encrypted, see belowDeleted.
func (o *oracle) checkLeft(t *testing.T, c comparison, shown string) {
	t.Helper()
	if o.forward {
		shown = belowDeleted.ReplaceAllString(shown, "$1/$2$3")
	}
	left := 0
	for _, name := range o.ciphers {
		left += strings.Count(shown, name)
	}
	if left > 0 {
		t.Errorf("%s: %d encrypted names left", c.sh, left)
	}
}

// difference returns the lines of want that are not in got, and the other way
// round, both being sorted.
func difference(want, got []string) (missing, extra []string) {
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			missing, want = append(missing, want[0]), want[1:]
		case len(want) == 0 || got[0] < want[0]:
			extra, got = append(extra, got[0]), got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	return missing, extra
}

// visible joins lines for a message, not more than a screen shows.
func visible(lines []string, sep string) string {
	var b strings.Builder
	for i, l := range lines {
		if i == 15 {
			fmt.Fprintf(&b, "%sand %d more", sep, len(lines)-i)
			break
		}
		if i > 0 {
			b.WriteString(sep)
		}
		fmt.Fprintf(&b, "%q", l)
	}
	return b.String()
}
