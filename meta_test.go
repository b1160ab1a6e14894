package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// With -hide-meta the output over the encrypted view is that over the plain tree:
// no line about a housekeeping file, none of its progress, and all else. The
// oracle's commands show that, with progress kept beside the name it belongs to.
var metaCommands = []comparison{
	{sh: "rsync -ai src/ dst/"},
	{sh: "rsync -av src dst"},
	{sh: "rsync -av --progress src/ dst/"},
	{sh: "rsync -aP --no-inc-recursive src new"},
	{sh: "rsync -aHvvi --delete src/ dst/"},
	{sh: "rsync -aii src/ dst/"},
	{sh: "rsync -avv --delete-after --progress src dst"},
	{sh: "rsync -a --delete --info=progress2,name src/ dst/"},
	{sh: "rsync -ai --delete --info=progress2 src/ dst/"},
	{sh: "rsync -ai --progress -e $RSH host:$PWD/src/ new/"},
	{sh: "rsync -a --delete --out-format='%n' src/ dst/"},
	{sh: "rsync -aH --delete --out-format='%o:%i:%f:%L' src dst/"},
	{sh: `rsync -aH --out-format='{"op":"%o","name":"%n","what":"%i"},' src/ dst/`},
	{sh: "rsync -a --out-format='[%f]<%n>' $PWD/src dst/"},
	{sh: "rsync -r --list-only src/"},
	{sh: "rsync -a --delete --log-file=log src/ dst/; cat log"},
	{sh: "rsync -avvb --suffix=.bak --delete src/ dst/"},
	{sh: "rsync -av --delete --stats src/ dst/"},
	{sh: timemachine + " --verbose --progress $PWD/src/ $PWD/dst/.inprogress"},
}

func TestHideMeta(t *testing.T) {
	forEachServer(t, func(t *testing.T, s server) {
		o := newOracle(t, s, shape{name: "reverse"})
		for _, c := range metaCommands {
			o.compareHidden(t, c)
		}
		t.Logf("%d commands, %d lines, %d match", o.commands, o.lines, o.matches)
	})
}

// compareHidden runs one command on both sides, and the filter with -hide-meta.
func (o *oracle) compareHidden(t *testing.T, c comparison) {
	t.Helper()
	plain, raw := o.runBoth(t, c)
	if !housekeeping.Match(raw) {
		t.Errorf("%s: there is nothing to hide", c.sh)
	}
	shown, warnings := pretty(t, []string{"-hide-meta", o.mount.Sock, o.mount.Dir}, raw)
	if warnings != "" {
		t.Errorf("%s: stderr: %s", c.sh, warnings)
	}
	for line := range strings.Lines(shown) {
		if housekeeping.MatchString(line) && !strings.Contains(line, "--") {
			t.Errorf("%s\nleft over %q", c.sh, line)
		}
	}
	wantText, gotText := string(plain), shown
	if !strings.Contains(c.sh, "progress2") { // which is not about a file
		wantText, gotText = joinProgress(wantText), joinProgress(gotText)
	}
	want, got := o.normalize("P", c, wantText), o.normalize("E", c, gotText)
	missing, extra := difference(want, got)
	o.commands++
	o.lines += len(want)
	o.matches += len(want) - len(missing)
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s\nwant %s\ngot  %s", c.sh, visible(missing, "\nwant "), visible(extra, "\ngot  "))
	}
}

// TestHideMetaTotal has the progress of a whole run (--info=progress2) end with the
// run, also when the last file is a housekeeping file.
func TestHideMetaTotal(t *testing.T) {
	const names = ">f+++++++++ a\n\r         90  90%    1.00kB/s    0:00:00 (xfr#1, to-chk=1/2)" +
		"\n>f+++++++++ gocryptfs.diriv\n\r        100 100%    1.00kB/s    0:00:00 (xfr#2, to-chk=0/2)\n"
	dir := t.TempDir()
	shown, _ := pretty(t, []string{"-hide-meta", "-plain", dir, filepath.Join(dir, "none"), dir}, []byte(names))
	if !strings.Contains(shown, "100%") || strings.Contains(shown, "gocryptfs") {
		t.Errorf("the terminal is left with %q", shown)
	}
}

// transfers are the progress of a file behind its name, or of several.
var transfers = regexp.MustCompile(`\n(?:\r? *[0-9.,]+[KMGT]? +\d+% +[0-9.]+[kMGT]?B/s +[0-9?]+:[0-9?]+(?::[0-9?]+)?` +
	`(?: \([a-z]+#\d+, [a-z]+-chk=\d+/\d+\)| *) *\n?)+`)

// joinProgress puts the number of files whose progress follows a name behind it.
func joinProgress(text string) string {
	return transfers.ReplaceAllStringFunc(text, func(s string) string {
		return fmt.Sprintf(" [transfers: %d]\n", strings.Count(s, "xfr#"))
	})
}
