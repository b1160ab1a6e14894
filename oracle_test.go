package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gocryptfs-rsync-pretty/decode/escape"
)

// The oracle runs a command over a plain tree, and over the encrypted view of that tree
// through the filter. Both must print the same set of lines. So rsync itself gives the
// right output, nothing is written down by hand, and a line in a table covers another
// form of rsync's output.
//
//	BASE/P/src  the plain tree            BASE/E/src  the encrypted one
//	BASE/P/old  a copy of its old state   BASE/E/old  a copy of its old state
//	BASE/P/dst  a copy of old, made       BASE/E/dst  likewise
//	            again for each command
//
// The commands run in BASE/P and in BASE/E, so that relative names are equal.
// BASE itself has a blank in its path and ends in a directory that looks encrypted.
type oracle struct {
	mount   *mount
	forward bool
	base    string
	ciphers []string // every encrypted name in the trees
	index   string   // from a run that saw the tree before, for -map; may be ""

	// What has been compared.
	commands, lines, matches int
}

// Names that the tests refer to.
const (
	spaceDir = "My Documents"
	goneDir  = "gone forever"
	hardDir  = "hard links"

	// lookalike has the shape of an encrypted name: 22 letters of base64url with the
	// spare bits zero.
	lookalike = "TheQuickBrownFoxJumpsg"
)

// shape is a kind of gocryptfs file system.
type shape struct {
	name    string
	forward bool
	opts    []string
}

// shapes are all kinds of file systems. Those without options get all commands.
var shapes = []shape{
	{name: "reverse"},
	{name: "forward", forward: true},
	{name: "deterministic names", opts: []string{"-deterministic-names"}},
	{name: "longnamemax 62", opts: []string{"-longnamemax=62"}},
	{name: "plaintext names", opts: []string{"-plaintextnames"}},
	{name: "padded names", opts: []string{"-raw64=false"}},
	{name: "forward deterministic names", forward: true, opts: []string{"-deterministic-names"}},
	{name: "forward longnamemax 62", forward: true, opts: []string{"-longnamemax=62"}},
	{name: "forward plaintext names", forward: true, opts: []string{"-plaintextnames"}},
	{name: "forward padded names", forward: true, opts: []string{"-raw64=false"}},
}

// TestOracle compares the commands over every kind of file system. The two servers take
// turns: the commands that one has in reverse mode, the other has in forward mode. With
// ORACLE='REGEX', it compares only the commands that match.
func TestOracle(t *testing.T) {
	need(t, "root", "namespaces", "rsync", "setpriv")
	found, commands := servers(t), readCommands(t)
	only := regexp.MustCompile(os.Getenv("ORACLE"))
	commands = slices.DeleteFunc(commands, func(c comparison) bool { return !only.MatchString(c.sh) })
	if len(commands) == 0 {
		t.Fatalf("no command matches ORACLE=%s", only)
	}
	few := slices.DeleteFunc(slices.Clone(commands), func(c comparison) bool { return !c.few })
	for i, sh := range shapes {
		for j, s := range found {
			t.Run(sh.name+"/"+s.Name, func(t *testing.T) {
				t.Parallel()
				list := few
				if sh.opts == nil {
					list = commands
				}
				if list = list[min(len(list), (i+j)%len(found)):]; len(list) == 0 {
					t.SkipNow()
				}
				o := newOracle(t, s, sh)
				for some := range slices.Chunk(list, len(found)) {
					o.compare(t, some[0])
				}
				t.Logf("%d commands, %d of %d lines match", o.commands, o.matches, o.lines)
			})
		}
	}
}

// TestWayBack restores the tree of every kind of file system, with odd names in it, from its
// encrypted side alone.
func TestWayBack(t *testing.T) {
	need(t, "root", "rsync")
	found := servers(t)
	for i, sh := range shapes {
		t.Run(sh.name, func(t *testing.T) {
			t.Parallel()
			s := found[i%len(found)]
			o := newOracle(t, s, sh)
			if sh.opts == nil {
				for _, name := range oddNames(t) {
					create(t, o.mount.Plain, "odd/"+name, "file 1")
				}
			}
			o.restore(t, s)
		})
	}
}

// restore encrypts all plain paths and decrypts them again: by gocryptfs, an index and both. It
// fetches what is behind them, and compares.
func (o *oracle) restore(t *testing.T, s server) {
	t.Helper()
	var paths, lines, valid []string // valid are the lines in UTF-8
	plaintext := o.index == ""
	check(t, filepath.WalkDir(o.mount.Plain, func(path string, _ os.DirEntry, err error) error {
		path, _ = filepath.Rel(o.mount.Plain, path)
		isValid := utf8.ValidString(path)
		if path == "." || path == ".gocryptfs.reverse.conf" ||
			plaintext && (!isValid || strings.ContainsFunc(path, unicode.IsControl)) {
			return err
		}
		paths, lines = append(paths, path), append(lines, escape.String(path))
		if isValid {
			valid = append(valid, escape.String(path))
		}
		return err
	}))
	there := func(lines []string, args ...string) string {
		ciphers, said := pretty(t, append([]string{"-encrypt-paths", "-hide-meta"}, args...), []byte(text(lines)))
		if back, _ := pretty(t, args, []byte(ciphers)); back != text(lines) || said != "" {
			t.Errorf("there and back, %q: %s%s", args, said, cmp.Diff(text(lines), back))
		}
		return ciphers
	}
	args := []string{o.mount.Sock, o.mount.Dir}
	if !plaintext {
		there(valid, args...)
		o.remember(t)
		args = append([]string{"-map", o.index}, args...)
		if there(lines, args...) != there(lines, args[:2]...) {
			t.Error("the index alone gives other paths")
		}
	}
	list, _ := pretty(t, append([]string{"-encrypt-paths"}, args...), []byte(text(lines)))
	dir := shortDir(t)
	fetched, restored := filepath.Join(dir, "fetched"), filepath.Join(dir, "restored")
	rsync := func(list string, args ...string) {
		cmd := exec.Command("rsync", append(args, "-r", "--files-from=-")...)
		cmd.Stdin = strings.NewReader(list)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", cmd, err, out)
		}
	}
	rsync(list, "-a", o.mount.Dir+"/", fetched)
	mountForward(t, s, fetched, restored, "-ro")
	rsync(strings.Join(paths, "\x00"), "-lDnci", "--from0", o.mount.Plain+"/", restored) // shows what differs
}

// oddNames returns names that programs have stumbled over, each of them more than once, and names
// of any length.
func oddNames(t *testing.T) (names []string) {
	odd := strings.Split(read(t, "testdata/odd-names.txt"), "\n")
	for c := range rune(0x80) {
		odd = append(odd, string(c), long("", 2*int(c)), strings.Repeat("ä", int(c)))
	}
	for _, s := range odd {
		names = append(names, s, s+"x", "x"+s, "-"+s+" ")
	}
	return slices.DeleteFunc(names, func(s string) bool {
		return s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\x00") || len(s) > 255
	})
}

// newOracle builds the trees. The plain tree changes while it is not mounted, so that no
// cache of the kernel has its old state.
func newOracle(t *testing.T, s server, sh shape) *oracle {
	t.Helper()
	o := &oracle{forward: sh.forward, base: filepath.Join(shortDir(t), "all backups", lookalike)}
	o.remount(t, s, sh)
	check(t, os.MkdirAll(filepath.Join(o.mount.Plain, hardDir), 0o755))
	rows := readTree(t, hardNames(t, o.mount))
	if sh.forward { // the filter does not trust such a long name: nothing proves it
		rows = slices.DeleteFunc(rows, func(r row) bool { return len(r.path) > 62 && !utf8.ValidString(r.path) })
	}
	buildTree(t, o.mount.Plain, rows)
	o.remount(t, s, sh)
	o.writeTools(t)
	for _, side := range []string{"P", "E"} {
		if out, err := o.sh(side, "rsync -aH src/ old/"); err != nil || len(out) > 0 {
			t.Fatalf("the first backup: %v\n%s", err, out)
		}
	}
	encrypted := !slices.Contains(sh.opts, "-plaintextnames")
	if encrypted {
		o.remember(t)
	}
	changeTree(t, o.mount.Plain, rows)
	o.remount(t, s, sh)
	if encrypted {
		o.ciphers = append(encryptedNames(t, o.base+"/E/src"), encryptedNames(t, o.base+"/E/old")...)
	}
	return o
}

// remember runs the filter over a list of the tree, to write down its names.
func (o *oracle) remember(t *testing.T) {
	t.Helper()
	list, err := o.sh("E", "find src -mindepth 1")
	check(t, err)
	o.index = filepath.Join(shortDir(t), "index")
	pretty(t, []string{"-map", o.index, o.mount.Sock, o.mount.Dir}, list)
}

// encryptedNames returns the encrypted names below root.
func encryptedNames(t *testing.T, root string) (names []string) {
	t.Helper()
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != root && !housekeeping.MatchString(d.Name()) {
			names = append(names, d.Name())
		}
		return err
	}))
	return names
}

// writeTools writes what the commands need in addition to the trees: the configuration
// of the daemon and a remote shell that stays on this machine ($RSH).
func (o *oracle) writeTools(t *testing.T) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(o.base, "rsh"), []byte("#!/bin/sh\nshift\nexec sh -c \"$*\"\n"), 0o755))
	for _, side := range []string{"P", "E"} {
		dir := filepath.Join(o.base, side)
		conf := strings.ReplaceAll(read(t, "testdata/oracle/rsyncd.conf"), "BASE", dir)
		check(t, os.WriteFile(filepath.Join(dir, "rsyncd.conf"), []byte(conf), 0o644))
	}
}

// remount mounts the file system, for the first time or again.
func (o *oracle) remount(t *testing.T, s server, sh shape) {
	t.Helper()
	if o.mount != nil {
		o.mount.unmount(t)
	}
	p, e := filepath.Join(o.base, "P/src"), filepath.Join(o.base, "E/src")
	// Commands of another user must reach the files.
	opts := append(slices.Clone(sh.opts), "-allow_other")
	if sh.forward {
		o.mount = mountForward(t, s, e, p, opts...)
	} else {
		o.mount = mountReverse(t, s, p, e, opts...)
	}
}

// compare runs one command on both sides. The output must be right without an index,
// except for names that can no longer be decrypted, and right with one.
func (o *oracle) compare(t *testing.T, c comparison) {
	t.Helper()
	plain, raw := o.runBoth(t, c)
	if m := scriptError.Find(plain); m != nil {
		t.Errorf("%s: the script fails: %s", c.sh, m)
	}
	o.check(t, c, plain, raw)
	if o.index == "" {
		return
	}
	o.check(t, c, plain, raw, "-map", o.index)
	if c.hide {
		if !housekeeping.Match(raw) {
			t.Errorf("%s: there is nothing to hide", c.sh)
		}
		o.check(t, c, plain, raw, "-hide-meta")
	}
}

// check compares the filter's output for raw with plain.
func (o *oracle) check(t *testing.T, c comparison, plain, raw []byte, flags ...string) {
	t.Helper()
	arg := o.mount.Dir
	if c.inside != "" {
		arg += "/" + o.mount.encrypt(t, c.inside)
	}
	shown, warnings := pretty(t, append(flags, o.mount.Sock, arg), raw)
	what := strings.Join(append(flags, c.sh), " ")
	if warnings != "" {
		t.Errorf("%s: stderr: %s", what, warnings)
	}
	wantText, gotText := string(plain), shown
	if slices.Contains(flags, "-hide-meta") {
		for line := range strings.Lines(shown) {
			if housekeeping.MatchString(line) && !strings.Contains(line, "--") {
				t.Errorf("%s\nleft over %q", what, line)
			}
		}
		if !strings.Contains(c.sh, "progress2") { // its progress is not that of a file
			wantText, gotText = joinProgress(wantText), joinProgress(gotText)
		}
	} else if control(string(raw)) != control(shown) {
		t.Errorf("%s: other control bytes come out than went in", what)
	}
	lost := o.forward && !slices.Contains(flags, "-map")
	o.checkLeft(t, c, shown, lost)
	// Most lines are already equal. Comparing them first is faster than normalizing all.
	printed := o.split("P", wantText)
	missing, extra := difference(printed, o.split("E", gotText))
	same := len(printed) - len(missing)
	want := o.putAside("P", c, missing, lost)
	missing, extra = difference(want, o.putAside("E", c, extra, lost))
	o.commands++
	o.lines += same + len(want)
	o.matches += same + len(want) - len(missing)
	if same+len(want) == 0 {
		t.Errorf("%s: printed nothing to compare", what)
	}
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s\n%s", what, cmp.Diff(missing, extra))
	}
}

// scriptError is what the programs around rsync print if a command fails before it shows
// what it is meant to show. The comparison would not notice: both sides print the same.
var scriptError = regexp.MustCompile(`(?m)^(sh|unshare|mount|setpriv|cp|cat|chmod|chown|head|ln|mkdir|rm|touch|yes): .*`)

// runBoth runs a command on both sides. It tries again if a run cannot be compared:
// once in some 5,000 runs rsync, without the filter, did not end after its last output,
// and now and then it tears a line (see torn).
func (o *oracle) runBoth(t *testing.T, c comparison) (plain, raw []byte) {
	t.Helper()
	var err error
	for range 3 {
		if plain, raw, err = o.runOnce(t, c); err == nil {
			return plain, raw
		}
		t.Logf("%s: it %v", c.sh, err)
	}
	t.Fatalf("%s: %v", c.sh, err)
	return nil, nil
}

// torn matches a message of one process of rsync in the middle of another's. They share
// stderr, and rsync writes it 1,014 bytes at a time.
var torn = regexp.MustCompile(`[^\n]rsync: \[`)

// runOnce runs a command on both sides at the same time: rsync mostly waits.
func (o *oracle) runOnce(t *testing.T, c comparison) (plain, raw []byte, err error) {
	t.Helper()
	scripts := map[string]string{}
	for _, side := range []string{"P", "E"} {
		scripts[side] = "find ./* -maxdepth 0 ! -name src ! -name old ! -name rsyncd.conf -exec rm -r {} +\ncp -a old dst\n" +
			o.expand(t, side, c.sh)
	}
	var group sync.WaitGroup
	var plainErr error
	group.Go(func() { plain, plainErr = o.sh("P", scripts["P"]) })
	if c.alone {
		group.Wait()
	}
	raw, err = o.sh("E", scripts["E"])
	group.Wait()
	return escapeLog(plain), raw, errors.Join(err, plainErr)
}

// sh runs a script in P or E. A script that mounts something runs in its own namespaces,
// so that all its mounts and processes end with it. sh returns all of stdout and then
// all of stderr, because their order varies. It is no error if rsync fails, only if it
// hangs.
func (o *oracle) sh(side, script string) ([]byte, error) {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	if strings.Contains(script, "mount ") {
		cmd = exec.CommandContext(ctx, "unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", script)
	}
	cmd.Dir = filepath.Join(o.base, side)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC",
		"RSH=../rsh",
		"RSYNC_CONNECT_PROG=rsync --daemon --config=rsyncd.conf",
		"AS=setpriv --reuid=65534 --regid=65534 --clear-groups")
	cmd.Stdout, cmd.Stderr = &out, &errs
	// rsync has several processes: all of them end with the group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); ctx.Err() != nil {
		return nil, fmt.Errorf("hangs: %v; it printed\n%s%s", err, out.String(), errs.String())
	}
	if torn.Match(errs.Bytes()) {
		return nil, fmt.Errorf("tears a line:\n%s", errs.String())
	}
	return append(out.Bytes(), errs.Bytes()...), nil
}

// placeholder matches the plain path that a command names: {path}.
var placeholder = regexp.MustCompile(`\{[^{}"]+\}`)

// expand replaces {path} by the quoted path, encrypted for E, and $PWD by the directory.
func (o *oracle) expand(t *testing.T, side, script string) string {
	script = strings.ReplaceAll(script, "$PWD", quote(filepath.Join(o.base, side)))
	return placeholder.ReplaceAllStringFunc(script, func(p string) string {
		p, err := strconv.Unquote(`"` + p[1:len(p)-1] + `"`)
		check(t, err)
		p = pad(p)
		if side == "E" {
			p = o.mount.encrypt(t, p)
		}
		return quote(p)
	})
}

// quote quotes a word for the shell.
func quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// With -hide-meta, the output over the encrypted view is that over the plain tree: it has
// everything except housekeeping files and their progress. Progress is compared together
// with the name it belongs to.

// transfers matches the progress of one or more files after a name.
var transfers = regexp.MustCompile(`\n(?:\r? *[0-9.,]+[KMGT]? +\d+% +[0-9.]+[kMGT]?B/s +[0-9?]+:[0-9?]+(?::[0-9?]+)?` +
	`(?: \([a-z]+#\d+, [a-z]+-chk=\d+/\d+\)| *) *\n?)+`)

// joinProgress replaces the progress after a name by the number of its files.
func joinProgress(text string) string {
	return transfers.ReplaceAllStringFunc(text, func(s string) string {
		return fmt.Sprintf(" [transfers: %d]\n", strings.Count(s, "xfr#"))
	})
}

// The oracle compares lines as a set. What cannot be equal on both sides is put aside;
// each rule gives its reason.

// rule is something that cannot be equal on both sides, and what to compare instead.
type rule struct {
	what *regexp.Regexp
	with string
}

// textRules apply to text with a CR, as progress has, before it is split into lines.
var textRules = []rule{
	// Progress: its bytes, rate and time differ, and housekeeping files have progress,
	// too. Names may follow it directly.
	{regexp.MustCompile(`[\r ]*[0-9.,]+[KMGT]? +\d+% +[0-9.]+[kMGT]?B/s +(\d+:\d\d:\d\d|\?\?:\?\?:\?\?)( \((xfr|ir-chk|to-chk)[^)]*\))? *`), "\n"},
	// The size of the list as it grows: it includes housekeeping files.
	{regexp.MustCompile(`( \d+ files\.\.\.\r)+`), ""},
}

// lineRules apply to each line that is not already the same on the other side.
var lineRules = []rule{
	// The date and the process of a log.
	{regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] `), "DATE [PID] "},
	// Sizes: encrypted files are larger, there are more of them, and the list
	// with their names is longer.
	{regexp.MustCompile(`^((?:DATE \[PID\] )?)sent [0-9.,]+[KMG]?( bytes  received )[0-9.,]+[KMG]?( bytes)  .*`), "${1}sent N${2}N${3}"},
	{regexp.MustCompile(`^((?:DATE \[PID\] )?total size is )[0-9.,]+[KMG]?(  speedup is )[0-9.,]+`), "${1}N${2}N"},
	{regexp.MustCompile(`^((?:DATE \[PID\] )?total: ).*`), "${1}N"},
	{regexp.MustCompile(`^\d+( files to consider)`), "N$1"},
	{regexp.MustCompile(`(--max-delete limit \()\d+`), "${1}N"},
	// The lines of --stats: sizes and numbers of files.
	{regexp.MustCompile(`^(Number of [a-z ]*files|Total [a-z ]*(size|sent|received)|Literal data|Matched data|File list [a-z ]*):? .*`), "$1"},
	// The size column of a list.
	{regexp.MustCompile(`^([-dlpcbs][-rwxstST]{9}) +[0-9.,]+ `), "$1 N "},
}

// tempRules apply to the names of temporary files, in rsync's errors and in its
// messages about renaming with -vvv.
var tempRules = []rule{
	// Six random characters or, for what is not a file, the process.
	{regexp.MustCompile(`\.([A-Za-z0-9]{6}|[0-9]{1,6})(" |" \(in | to )`), ".XXXXXX$2"},
	// rsync adds no dot before a name that starts with one, and none after a name that
	// ends in one (receiver.c, get_tmpname). An encrypted name has no dots.
	{regexp.MustCompile(`(^|[/" ])\.+([^/]*\.XXXXXX)`), "$1.$2"},
	{regexp.MustCompile(`\.+XXXXXX`), ".XXXXXX"},
}

// What older versions of rsync print differently. The outputs of 3.2.7 and 3.5.0 are compared.
//
//	before 3.5    names in logs are raw: a newline in one ends a line, and `\#` is not escaped
//	before 3.5    `set modtime` names temporary files, and directories that are not empty

// entry matches the beginning of an entry of a log.
var entry = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] `)

// escapeLog escapes the entries of a log of names that rsync has not escaped.
func escapeLog(log []byte) []byte {
	if at := entry.FindIndex(log); at == nil || at[0] > 0 || !rawLogs() {
		return log
	}
	entries := strings.Split(entry.ReplaceAllString(string(log), "\x00$0"), "\x00")[1:]
	for i, e := range entries {
		entries[i] = escape.String(strings.TrimSuffix(e, "\n"))
	}
	return []byte(text(entries))
}

// rawLogs reports whether the installed rsync is older than 3.5.
var rawLogs = sync.OnceValue(func() bool {
	out, _ := exec.Command("rsync", "--version").Output()
	var major, minor int
	fmt.Sscanf(string(out), "rsync version %d.%d", &major, &minor)
	return major < 3 || major == 3 && minor < 5
})

// temporary matches a line, unescaped, that may hold a temporary name.
var temporary = regexp.MustCompile(`^rsync: \[[a-zA-Z]+\] |^renaming |^set modtime`)

// housekeeping matches a file that exists only in the encrypted tree. The last one exists
// only in the plain tree, and is gocryptfs.conf in the encrypted one.
var housekeeping = regexp.MustCompile(`gocryptfs\.(conf|diriv)|gocryptfs\.longname\..*\.name|\.gocryptfs\.reverse\.conf`)

// nameless matches messages without a name, which rsync prints now and then as its list
// grows, when a daemon is gone before all it wrote has been read, or (-vvv) once for every
// file. The encrypted tree has more files.
var nameless = regexp.MustCompile(`^\[[a-zA-Z]+\] expand file_list pointer array ` +
	`|^rsync: \[[a-zA-Z]+\] read error: Connection reset by peer ` +
	`|^(false_alarms=|hash search|built hash|done hash|sum=|(sending|got) file_sum|set_compression)`)

// split splits what was printed on one side into lines.
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
	return strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' })
}

// putAside removes from the lines of one side what cannot be equal.
func (o *oracle) putAside(side string, c comparison, lines []string, lost bool) (normal []string) {
	aside := regexp.MustCompile(c.aside)
	for _, line := range lines {
		if housekeeping.MatchString(line) || nameless.MatchString(line) {
			continue
		}
		for _, r := range lineRules {
			line = r.what.ReplaceAllString(line, r.with)
		}
		// On stderr, rsync's receiving side escapes what it shows raw on stdout.
		line = escape.Undo([]byte(line))
		if temporary.MatchString(line) {
			for _, r := range tempRules {
				line = r.what.ReplaceAllString(line, r.with)
			}
		}
		switch {
		case !lost || o.ciphers == nil:
		case side == "P":
			line = belowDeletedPlain.ReplaceAllString(line, "$1/...")
		default:
			line = belowDeleted.ReplaceAllString(line, "$1/...$2$3")
		}
		if line = aside.ReplaceAllString(line, ""); line != "" {
			normal = append(normal, line)
		}
	}
	slices.Sort(normal)
	return normal
}

// In a forward file system, names below a deleted directory can no longer be decrypted:
// the IV of the directory was in its gocryptfs.diriv. The name of the directory itself
// can. belowDeleted matches such a path as the filter shows it, belowDeletedPlain as the
// plain tree has it.
var (
	belowDeleted      = regexp.MustCompile("(" + goneDir + ")/[A-Za-z0-9_=/-]*?[A-Za-z0-9_=-](-2026-11-23|_bak|)(/?(?:[^A-Za-z0-9_=/-]|$))")
	belowDeletedPlain = regexp.MustCompile("(" + goneDir + ")/(one|zwei ü(/three|/vier\t)?)")
)

// control returns the control bytes of a text, without tabs.
func control(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= ' ' && r != 0x7f || r == '\t' {
			return -1
		}
		return r
	}, text)
}

// checkLeft checks that no encrypted name is left in the output, even in lines about
// housekeeping files. Names below a deleted directory of a forward file system stay
// encrypted; see belowDeleted.
func (o *oracle) checkLeft(t *testing.T, c comparison, shown string, lost bool) {
	t.Helper()
	if lost {
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

// difference returns the lines of want that are not in got, and the reverse.
func difference(want, got []string) (missing, extra []string) {
	more := map[string]int{}
	for _, line := range got {
		more[line]++
	}
	for _, line := range want {
		if more[line]--; more[line] < 0 {
			missing = append(missing, line)
		}
	}
	for _, line := range got {
		if more[line]--; more[line] >= 0 {
			extra = append(extra, line)
		}
	}
	return missing, extra
}
