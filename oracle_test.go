package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode"
	"unicode/utf8"

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
	hide    bool     // use -hide-meta; what that hides is missing on both sides
	index   string   // from a run that saw the tree before, for -map; may be ""
	tally
}

// tally counts what has been compared.
type tally struct{ commands, lines, matches int }

// shape is a kind of gocryptfs file system.
type shape struct {
	name    string
	forward bool
	opts    []string
}

// TestOracle runs every command over a reverse mount: all lines must be the same.
func TestOracle(t *testing.T) {
	forEachServer(t, func(t *testing.T, s server) {
		o := newOracle(t, s, shape{name: "reverse"})
		o.compareAll(t, slices.Concat(commands, inside, failures, tools))
		o.deletedLongName(t)
	})
}

// TestOracleForward runs every command over the encrypted directory of a forward file
// system. P is its plain view.
func TestOracleForward(t *testing.T) {
	forEachServer(t, func(t *testing.T, s server) {
		o := newOracle(t, s, shape{name: "forward", forward: true})
		o.compareAll(t, slices.Concat(commands, inside, failures, tools))
	})
}

// shapes are the kinds of file systems that get a smaller table.
var shapes = []shape{
	{name: "deterministic names", opts: []string{"-deterministic-names"}},
	{name: "longnamemax 62", opts: []string{"-longnamemax=62"}},
	{name: "plaintext names", opts: []string{"-plaintextnames"}},
	{name: "padded names", opts: []string{"-raw64=false"}},
	{name: "forward deterministic names", forward: true, opts: []string{"-deterministic-names"}},
	{name: "forward longnamemax 62", forward: true, opts: []string{"-longnamemax=62"}},
	{name: "forward plaintext names", forward: true, opts: []string{"-plaintextnames"}},
	{name: "forward padded names", forward: true, opts: []string{"-raw64=false"}},
}

// TestOracleShapes runs a few commands over every kind of file system.
func TestOracleShapes(t *testing.T) {
	forEachServer(t, func(t *testing.T, s server) {
		for _, sh := range shapes {
			t.Run(sh.name, func(t *testing.T) {
				newOracle(t, s, sh).compareAll(t, few)
			})
		}
	})
}

// TestWayBack restores the tree of every kind of file system from its encrypted side alone:
// by plain paths and -encrypt-paths, which ask gocryptfs, an index or both.
func TestWayBack(t *testing.T) {
	forEachServer(t, func(t *testing.T, s server) {
		for _, sh := range append([]shape{{name: "reverse"}, {name: "forward", forward: true}}, shapes...) {
			every := sh.opts == nil && sh.forward == (s.Name == "distribution") // it takes a minute
			t.Run(sh.name, func(t *testing.T) { newOracle(t, s, sh).restore(t, s, every) })
		}
	})
}

// restore fetches files from the encrypted side, by plain paths, and compares them with
// those of the plain side: all at once, and some or every one by itself.
func (o *oracle) restore(t *testing.T, s server, every bool) {
	t.Helper()
	plaintext := o.index == ""
	if !plaintext {
		settle()
		o.remember(t)
	}
	var paths []string
	root := o.mount.Plain
	filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		path, _ = filepath.Rel(root, path)
		printable := utf8.ValidString(path) && !strings.ContainsFunc(path, unicode.IsControl)
		if err == nil && path != "." && path != ".gocryptfs.reverse.conf" && (printable || !plaintext) {
			paths = append(paths, path)
		}
		return err
	})
	from := []string{"-map", o.index}
	operands := []string{o.mount.Sock, o.mount.Dir}
	if plaintext {
		from = nil
	}
	text := ""
	for _, path := range paths {
		text += escape.String(path) + "\n"
	}
	alone := slices.Concat([]string{"-encrypt-paths", "-hide-meta"}, from, operands)
	ciphers, _ := pretty(t, alone, []byte(text))
	if !plaintext {
		if again, _ := pretty(t, operands, []byte(ciphers)); again != text {
			t.Errorf("there and back: got %s, want %s", again, text)
		}
		if indexed, _ := pretty(t, alone[:4], []byte(text)); indexed != ciphers {
			t.Error("the index alone gives other paths")
		}
	}
	o.fetch(t, s, slices.Concat([]string{"-encrypt-paths"}, from, operands), text, paths)
	for i := range paths {
		if every || i == 0 || i == len(paths)/3 || i == len(paths)-1 {
			o.fetch(t, s, slices.Concat([]string{"-encrypt-paths"}, from, operands), escape.String(paths[i])+"\n", paths[i:i+1])
		}
	}
	all := strings.Split(ciphers, "\n")
	for i, line := range strings.SplitAfter(text, "\n") {
		if line == "" {
			continue
		}
		want := []string{"gocryptfs.conf"}
		for dir, rest := "", all[i]; rest != ""; {
			if iv := dir + "gocryptfs.diriv"; exists(filepath.Join(o.mount.Dir, iv)) {
				want = append(want, iv)
			}
			var name string
			name, rest, _ = strings.Cut(rest, "/")
			dir += name
			if exists(filepath.Join(o.mount.Dir, dir+".name")) {
				want = append(want, dir+".name")
			}
			dir += "/"
		}
		want = append(want, all[i])
		got, _ := pretty(t, slices.Concat([]string{"-encrypt-paths"}, from, operands), []byte(line))
		if got != strings.Join(want, "\n")+"\n" {
			t.Errorf("%s: got\n%s\nwant\n%s", line, got, strings.Join(want, "\n"))
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// fetch fetches what -encrypt-paths prints for the lines of text, which stand for paths,
// mounts it and compares the files.
func (o *oracle) fetch(t *testing.T, s server, args []string, text string, paths []string) {
	t.Helper()
	list, _ := pretty(t, args, []byte(text))
	dir := shortDir(t)
	fetched, restored := filepath.Join(dir, "fetched"), filepath.Join(dir, "restored")
	cmd := exec.Command("rsync", "-ar", "--files-from=-", o.mount.Dir+"/", fetched)
	cmd.Stdin = strings.NewReader(list)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("rsync: %v\n%s", err, out)
	}
	m := mountForward(t, s, fetched, restored, "-ro")
	defer m.unmount(t)
	for _, path := range paths {
		if want, got := describe(filepath.Join(o.mount.Plain, path)), describe(filepath.Join(restored, path)); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

// describe returns the type and the content of a file, a directory or a link.
func describe(path string) string {
	fi, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	content := []byte{}
	switch fi.Mode().Type() {
	case 0:
		syscall.ForkLock.RLock() // a new process would keep the file open and the mount busy
		defer syscall.ForkLock.RUnlock()
		content, err = os.ReadFile(path)
	case os.ModeSymlink:
		target, _ := os.Readlink(path)
		content = []byte(target)
	}
	return fmt.Sprint(fi.Mode().Type(), len(content), err, sha256.Sum256(content))
}

// forEachServer runs a test for the two servers, side by side. It skips the test if
// something that the oracle uses is missing.
func forEachServer(t *testing.T, test func(t *testing.T, s server)) {
	t.Helper()
	need(t, "root", "namespaces", "rsync", "setpriv")
	for _, s := range servers(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// newOracle builds the trees. The plain tree changes while it is not mounted, so that no
// cache of the kernel has its old state.
func newOracle(t *testing.T, s server, sh shape) *oracle {
	t.Helper()
	o := &oracle{forward: sh.forward, base: filepath.Join(shortDir(t), "all backups", lookalike)}
	o.remount(t, s, sh)
	check(t, os.MkdirAll(filepath.Join(o.mount.Plain, hardDir), 0o755))
	rows := nastyTree(hardNames(t, o.mount))
	buildTree(t, o.mount.Plain, rows)
	o.remount(t, s, sh)
	o.writeTools(t)
	for _, side := range []string{"P", "E"} {
		if out, err := o.sh(side, "rsync -aH src/ old/"); err != nil || len(out) > 0 {
			t.Fatalf("the first backup: %v\n%s", err, out)
		}
	}
	if sh.name != "plaintext names" && sh.name != "forward plaintext names" {
		o.remember(t)
	}
	changeTree(t, o.mount.Plain, rows)
	o.remount(t, s, sh)
	if !slices.Contains(sh.opts, "-plaintextnames") {
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
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != root && !housekeeping.MatchString(d.Name()) {
			names = append(names, d.Name())
		}
		return err
	})
	check(t, err)
	return names
}

// daemonConf is the configuration of the rsync daemon. rsync itself starts it for
// rsync:// and host:: (RSYNC_CONNECT_PROG), at the other end of a socket.
const daemonConf = `
uid = 0
gid = 0
log file = %[1]s/daemon.log
transfer logging = yes
log format = %%o %%m (%%f) %%l
read only = no
use chroot = no
munge symlinks = no
[src]
	path = %[1]s/src
[dst]
	path = %[1]s/dst
[chroot]
	path = %[1]s/dst
	use chroot = yes
[refuse]
	path = %[1]s/dst
	exclude = *
`

// writeTools writes what the commands need in addition to the trees: the configuration
// of the daemon and a remote shell that stays on this machine ($RSH).
func (o *oracle) writeTools(t *testing.T) {
	t.Helper()
	files := map[string]string{"rsh": "#!/bin/sh\nshift\nexec sh -c \"$*\"\n"}
	for _, side := range []string{"P", "E"} {
		files[side+"/rsyncd.conf"] = fmt.Sprintf(daemonConf, filepath.Join(o.base, side))
	}
	for name, content := range files {
		check(t, os.WriteFile(filepath.Join(o.base, name), []byte(content), 0o755))
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

// compareAll runs the commands and logs the figures.
func (o *oracle) compareAll(t *testing.T, commands []comparison) {
	o.tally = tally{}
	for _, c := range commands {
		o.compare(t, c)
	}
	t.Logf("%d commands, %d lines, %d match (%.2f %%)",
		o.commands, o.lines, o.matches, 100*float64(o.matches)/float64(max(o.lines, 1)))
	if o.lines == 0 {
		t.Error("nothing was compared")
	}
}

// compare runs one command on both sides. If there is an index, the output must be right
// without it, except for names that can no longer be decrypted, and right with it.
func (o *oracle) compare(t *testing.T, c comparison) {
	t.Helper()
	plain, raw := o.runBoth(t, c)
	if m := scriptError.Find(plain); m != nil {
		t.Errorf("%s: the script fails: %s", c.sh, m)
	}
	var flags []string
	if o.hide {
		flags = []string{"-hide-meta"}
		if !housekeeping.Match(raw) {
			t.Errorf("%s: there is nothing to hide", c.sh)
		}
	}
	o.check(t, c, plain, raw, flags)
	if o.index != "" {
		forward := o.forward
		o.forward = false // nothing is set aside
		o.check(t, c, plain, raw, append(flags, "-map", o.index))
		o.forward = forward
	}
}

// check compares the filter's output for raw with plain.
func (o *oracle) check(t *testing.T, c comparison, plain, raw []byte, flags []string) {
	t.Helper()
	shown, warnings := pretty(t, append(flags, o.mount.Sock, o.mountArg(t, c)), raw)
	what := strings.Join(append(flags, c.sh), " ")
	if warnings != "" {
		t.Errorf("%s: stderr: %s", what, warnings)
	}
	wantText, gotText := string(plain), shown
	if o.hide {
		for line := range strings.Lines(shown) {
			if housekeeping.MatchString(line) && !strings.Contains(line, "--") {
				t.Errorf("%s\nleft over %q", what, line)
			}
		}
		if !strings.Contains(c.sh, "progress2") { // its progress is not that of a file
			wantText, gotText = joinProgress(wantText), joinProgress(gotText)
		}
	} else {
		checkControl(t, c, raw, []byte(shown))
	}
	o.checkLeft(t, c, shown)
	// Most lines are already equal. Comparing them first is faster than normalizing all.
	printed := o.split("P", wantText)
	missing, extra := difference(printed, o.split("E", gotText))
	same := len(printed) - len(missing)
	want := o.putAside("P", c, missing)
	missing, extra = difference(want, o.putAside("E", c, extra))
	o.commands++
	o.lines += same + len(want)
	o.matches += same + len(want) - len(missing)
	if same+len(want) == 0 {
		t.Errorf("%s: printed nothing to compare", what)
	}
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s\nwant %s\ngot  %s", what,
			visible(missing, "\nwant "), visible(extra, "\ngot  "))
	}
}

// scriptError is what the programs around rsync print if a command fails before it shows
// what it is meant to show. The comparison would not notice: both sides print the same.
var scriptError = regexp.MustCompile(`(?m)^(sh|unshare|mount|setpriv|cp|cat|chmod|chown|head|ln|mkdir|rm|touch|yes): .*`)

// deletedLongName tests the one name that the comparison leaves out. gocryptfs finds a
// long name by its file, so a deleted one stays encrypted without an index. Its
// directory does not.
func (o *oracle) deletedLongName(t *testing.T) {
	t.Helper()
	path := spaceDir + "/" + long("deleted ", 200)
	create(t, o.mount.Plain, path, "file 1")
	o.remember(t)
	check(t, os.Remove(filepath.Join(o.mount.Plain, path)))
	_, raw := o.runBoth(t, comparison{sh: "touch dst/{" + path + "}; rsync -av --delete src/ dst/"})
	cipher := spaceDir + "/" + filepath.Base(o.mount.encrypt(t, path))
	for flags, name := range map[string]string{"": cipher, "-map " + o.index: path} {
		shown, _ := pretty(t, append(strings.Fields(flags), o.mount.Sock, o.mount.Dir), raw)
		if want := "\ndeleting " + name + "\n"; !strings.Contains(shown, want) {
			t.Errorf("%s: a deleted long name: no line %q in\n%s", flags, want, shown)
		}
	}
}

// mountArg returns the operand MOUNT for a command.
func (o *oracle) mountArg(t *testing.T, c comparison) string {
	t.Helper()
	arg := o.mount.Dir
	if c.mount != "" {
		arg += "/" + o.mount.encrypt(t, c.mount)
	}
	return arg
}

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
		o.clean(t, side)
		scripts[side] = "cp -a old dst\n" + o.expand(t, side, c.sh)
	}
	done := make(chan error, 1)
	other := func() {
		var err error
		plain, err = o.sh("P", scripts["P"])
		done <- err
	}
	if c.alone {
		other()
	} else {
		go other()
	}
	raw, err = o.sh("E", scripts["E"])
	return plain, raw, errors.Join(err, <-done)
}

// clean removes what the last command left behind.
func (o *oracle) clean(t *testing.T, side string) {
	t.Helper()
	dir := filepath.Join(o.base, side)
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		switch e.Name() {
		case "src", "old", "rsyncd.conf":
		default:
			check(t, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
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
		p = p[1 : len(p)-1]
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

// With -hide-meta, the output over the encrypted view is that over the plain tree: it
// has everything except housekeeping files and their progress. These commands show
// that. Progress is compared together with the name it belongs to.
var metaCommands = []comparison{
	{sh: "rsync -ai src/ dst/"},
	{sh: "rsync -av --progress src/ dst/"},
	{sh: "rsync -aP --no-inc-recursive src new"},
	{sh: "rsync -aHvvi --delete src/ dst/"},
	{sh: "rsync -avv --delete-after --progress src dst"},
	{sh: "rsync -a --delete --info=progress2,name src/ dst/"},
	{sh: "rsync -ai --delete --info=progress2 src/ dst/"},
	{sh: "rsync -ai --progress -e $RSH host:$PWD/src/ new/"},
	{sh: "rsync -aH --delete --out-format='%o:%i:%f:%L' src dst/"},
	{sh: `rsync -aH --out-format='{"op":"%o","name":"%n","what":"%i"},' src/ dst/`},
	{sh: "rsync -a --out-format='[%f]<%n>' $PWD/src dst/"},
	{sh: "rsync -r --list-only src/"},
	{sh: "rsync -a --delete --log-file=log src/ dst/; cat log"},
	{sh: "rsync -avvb --suffix=.bak --delete src/ dst/"},
	{sh: timemachine + " --verbose --progress $PWD/src/ $PWD/dst/.inprogress"},
}

func TestHideMeta(t *testing.T) {
	forEachServer(t, func(t *testing.T, s server) {
		o := newOracle(t, s, shape{name: "reverse"})
		o.hide = true
		o.compareAll(t, metaCommands)
	})
}

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

// temporary matches a line, unescaped, that may hold a temporary name.
var temporary = regexp.MustCompile(`^rsync: \[[a-zA-Z]+\] |^renaming `)

// statistics matches the lines of --stats: sizes and numbers of files.
var statistics = regexp.MustCompile(`^(Number of [a-z ]*files|Total [a-z ]*(size|sent|received)|Literal data|Matched data|File list [a-z ]*):? .*`)

// housekeeping matches a file that exists only in the encrypted tree. The last one exists
// only in the plain tree, and is gocryptfs.conf in the encrypted one.
var housekeeping = regexp.MustCompile(`gocryptfs\.(conf|diriv)|gocryptfs\.longname\..*\.name|\.gocryptfs\.reverse\.conf`)

// nameless matches messages without a name, which rsync prints now and then as its list
// grows, when a daemon is gone before all it wrote has been read, or (-vvv) once for every
// file. The encrypted tree has more files.
var nameless = regexp.MustCompile(`^\[[a-zA-Z]+\] expand file_list pointer array ` +
	`|^rsync: \[[a-zA-Z]+\] read error: Connection reset by peer ` +
	`|^(false_alarms=|hash search|built hash|done hash|sum=|(sending|got) file_sum|set_compression)`)

// split splits what was printed on one side into sorted lines.
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

// In a forward file system, names below a deleted directory can no longer be decrypted:
// the IV of the directory was in its gocryptfs.diriv. The name of the directory itself
// can. belowDeleted matches such a path as the filter shows it, belowDeletedPlain as the
// plain tree has it.
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

// escaped matches a byte that rsync escapes.
var escaped = regexp.MustCompile(`\\#[0-3][0-7][0-7]`)

// unescape reverses \#ooo, because on stderr rsync's receiving side escapes what it
// shows raw on stdout. checkControl tests that the filter escapes control bytes.
func unescape(line string) string {
	return escaped.ReplaceAllStringFunc(line, func(e string) string {
		b, err := strconv.ParseUint(e[2:], 8, 8)
		if err != nil {
			return e
		}
		return string([]byte{byte(b)})
	})
}

// checkControl checks that the filter passes every control byte and adds none of its
// own, except a tab, as rsync does.
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

// checkLeft checks that no encrypted name is left in the output, even in lines about
// housekeeping files. Names below a deleted directory of a forward file system stay
// encrypted; see belowDeleted.
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
