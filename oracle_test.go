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
	"strings"
	"syscall"
	"testing"
)

// The oracle: a command that runs over a plain tree, and over the encrypted
// view of that tree through the filter, must print the same set of lines.
// rsync itself says what the right output is, so nothing is written down by
// hand and every form that rsync has is covered by adding a line to a table.
//
//	BASE/P/src  the plain tree            BASE/E/src  the encrypted one
//	BASE/P/old  a copy of its old state   BASE/E/old  a copy of its old state
//	BASE/P/dst  a copy of old, made       BASE/E/dst  likewise
//	            anew for each command
//
// The commands run in BASE/P and in BASE/E, so that relative names are equal.
// BASE itself has a blank in it and ends in a directory that looks encrypted.
type oracle struct {
	mount    *mount
	forward  bool
	base     string
	spelling string   // if set, how MOUNT is spelled
	ciphers  []string // every encrypted name in the trees
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

// TestOracleForward runs them over the encrypted directory of a forward file
// system, P being its plain view.
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

// TestOracleMount gives the filter MOUNT in every spelling. The server never
// hears of it, so one is enough.
func TestOracleMount(t *testing.T) {
	s := oracleServers(t)[0]
	t.Run(s.Name, func(t *testing.T) {
		t.Parallel()
		o := newOracle(t, s, shape{name: "reverse"})
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		relative, err := filepath.Rel(here, o.mount.Dir)
		if err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(o.base, "link")
		if err := os.Symlink(o.mount.Dir, link); err != nil {
			t.Fatal(err)
		}
		for _, spelling := range []struct{ name, mount string }{
			{"relative", relative},
			{"relative slash", relative + "/"},
			{"link", link},
			{"link slash", link + "/"},
			{"slashes", o.mount.Dir + "//"},
			{"dot", o.mount.Dir + "/."},
			{"dot dot", o.mount.Dir + "/../src"},
		} {
			t.Run(spelling.name, func(t *testing.T) {
				o.spelling = spelling.mount
				o.compareAll(t, few)
			})
		}
	})
}

// forEachServer runs a test for the two servers, side by side.
func forEachServer(t *testing.T, test func(t *testing.T, s server)) {
	t.Helper()
	for _, s := range oracleServers(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// oracleServers returns the servers, if all that the oracle uses is there.
func oracleServers(t *testing.T) []server {
	t.Helper()
	need(t, "root", "namespaces", "rsync", "setpriv")
	return servers(t)
}

// newOracle builds the trees. The plain tree changes while it is not mounted,
// so that no cache of the kernel's knows its old state.
func newOracle(t *testing.T, s server, sh shape) *oracle {
	t.Helper()
	o := &oracle{forward: sh.forward, base: filepath.Join(shortDir(t), "all backups", lookalike)}
	o.remount(t, s, sh)
	if err := os.MkdirAll(filepath.Join(o.mount.Plain, hardDir), 0o755); err != nil {
		t.Fatal(err)
	}
	rows := nastyTree(hardNames(t, o.mount))
	buildTree(t, o.mount.Plain, rows)
	o.remount(t, s, sh)
	o.writeTools(t)
	for _, side := range []string{"P", "E"} {
		if out, err := o.sh(side, "rsync -aH src/ old/"); err != nil || len(out) > 0 {
			t.Fatalf("the first backup: %v\n%s", err, out)
		}
	}
	changeTree(t, o.mount.Plain, rows)
	o.remount(t, s, sh)
	if !slices.Contains(sh.opts, "-plaintextnames") {
		o.ciphers = append(encryptedNames(t, o.base+"/E/src"), encryptedNames(t, o.base+"/E/old")...)
	}
	return o
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
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// daemonConf is the configuration of the rsync daemon that rsync itself starts
// (RSYNC_CONNECT_PROG) for rsync:// and host::, at the other end of a socket.
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

// writeTools writes what the commands need beside the trees: the daemon's
// configuration and a remote shell that stays here ($RSH).
func (o *oracle) writeTools(t *testing.T) {
	t.Helper()
	files := map[string]string{"rsh": "#!/bin/sh\nshift\nexec sh -c \"$*\"\n"}
	for _, side := range []string{"P", "E"} {
		files[side+"/rsyncd.conf"] = fmt.Sprintf(daemonConf, filepath.Join(o.base, side))
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(o.base, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// remount mounts the file system, for the first time or anew.
func (o *oracle) remount(t *testing.T, s server, sh shape) {
	t.Helper()
	if o.mount != nil {
		o.mount.unmount(t)
	}
	p, e := filepath.Join(o.base, "P/src"), filepath.Join(o.base, "E/src")
	// Commands that run as another user must reach the files.
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

// compare runs one command on both sides.
func (o *oracle) compare(t *testing.T, c comparison) {
	t.Helper()
	plain, raw := o.runBoth(t, c)
	shown, warnings := pretty(t, []string{o.mount.Sock, o.mountArg(t, c)}, raw)
	if warnings != "" {
		t.Errorf("%s: stderr: %s", c.sh, warnings)
	}
	if m := scriptError.Find(plain); m != nil {
		t.Errorf("%s: the script fails: %s", c.sh, m)
	}
	checkControl(t, c, raw, []byte(shown))
	o.checkLeft(t, c, shown)
	// Most lines are equal as they are, which is faster to see than to normalize.
	printed := o.split("P", string(plain))
	missing, extra := difference(printed, o.split("E", shown))
	same := len(printed) - len(missing)
	want := o.putAside("P", c, missing)
	missing, extra = difference(want, o.putAside("E", c, extra))
	o.commands++
	o.lines += same + len(want)
	o.matches += same + len(want) - len(missing)
	if same+len(want) == 0 {
		t.Errorf("%s: printed nothing to compare", c.sh)
	}
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s\nwant %s\ngot  %s", c.sh,
			visible(missing, "\nwant "), visible(extra, "\ngot  "))
	}
}

// scriptError is what the programs around rsync print when a command cannot show
// what it is meant to. On both sides it would be the same.
var scriptError = regexp.MustCompile(`(?m)^(sh|unshare|mount|setpriv|cp|cat|chmod|chown|head|ln|mkdir|rm|touch|yes): .*`)

// deletedLongName tests the one name that the comparison leaves out: a long name
// is found by its file, so a deleted one stays encrypted. Its directory does not.
func (o *oracle) deletedLongName(t *testing.T) {
	t.Helper()
	path := spaceDir + "/" + long("deleted ", 200)
	_, raw := o.runBoth(t, comparison{sh: "touch dst/{" + path + "}; rsync -av --delete src/ dst/"})
	shown, _ := pretty(t, []string{o.mount.Sock, o.mount.Dir}, raw)
	want := "\ndeleting " + spaceDir + "/" + filepath.Base(o.mount.encrypt(t, path)) + "\n"
	if !strings.Contains(shown, want) {
		t.Errorf("a deleted long name: no line %q in\n%s", want, shown)
	}
}

// mountArg returns the filter's MOUNT for a command.
func (o *oracle) mountArg(t *testing.T, c comparison) string {
	t.Helper()
	arg := o.mount.Dir
	if o.spelling != "" {
		arg = o.spelling
	}
	if c.mount != "" {
		arg += "/" + o.mount.encrypt(t, c.mount)
	}
	return arg
}

// runBoth runs a command on both sides. It has a second try: rsync, with nothing
// behind it, once did not end after all that it had to say, in some 5,000 runs.
func (o *oracle) runBoth(t *testing.T, c comparison) (plain, raw []byte) {
	t.Helper()
	plain, raw, err := o.runOnce(t, c)
	if err != nil {
		t.Logf("%s: once more, since it %v", c.sh, err)
		plain, raw, err = o.runOnce(t, c)
	}
	if err != nil {
		t.Fatalf("%s: %v", c.sh, err)
	}
	return plain, raw
}

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

// clean removes what the last command has left.
func (o *oracle) clean(t *testing.T, side string) {
	t.Helper()
	dir := filepath.Join(o.base, side)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "src", "old", "rsyncd.conf":
		default:
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// sh runs a script in P or E. If it mounts something, it has namespaces of its
// own, with which all mounts and processes go away again. It returns all of
// stdout, then all of stderr, as the order between them is chance. That rsync
// fails is no error; that it hangs is.
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
	// rsync is several processes: all of them end with the group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); ctx.Err() != nil {
		return nil, fmt.Errorf("hangs: %v; it printed\n%s%s", err, out.String(), errs.String())
	}
	return append(out.Bytes(), errs.Bytes()...), nil
}

// placeholder is the plain path that a command names: {path}.
var placeholder = regexp.MustCompile(`\{[^{}"]+\}`)

// expand puts quoted paths in the place of {path}, encrypted for E, and of $PWD.
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
