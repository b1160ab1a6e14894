package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
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
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// The scripts in testdata/script run the program as a process, one script for each
// behavior. In addition to the usual commands of testscript they have
//
//	exits STATUS PROGRAM ARG...   runs a program and compares its exit status
//	encrypt FILE...               replaces {PATH} in files by its cipher path below
//	                              $MOUNT, and {@PATH} by the target of that link;
//	                              PATH may have escapes as in Go: {tab\there}
//	encrypt -forward FILE...      the same, with $CIPHER
//	orphan FILE                   makes a socket that nobody listens to
//
// and in the environment two real mounts with the files of scriptFiles:
//
//	$SOCK $MOUNT $PLAIN           one in reverse mode
//	$FSOCK $CIPHER $VIEW          one in forward mode
//
// The condition [mounts] reports whether they are there. After each exits, a script
// checks both streams (TestScriptsLookAtBothStreams).

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

// scriptFiles are the files of the mounts, all empty; a path that ends in a slash
// is an empty directory, and one with an arrow a symbolic link.
var scriptFiles = []string{
	"a file.txt",
	"Fotos/See.jpg",
	"Fotos/Zürich/Bäume 🌳.jpg",
	"empty/",
	"tab\there",
	"new\nline",
	"latin1 \xe4",
	"link -> Fotos/See.jpg",
	long("a long name ", 200),
}

var update = flag.Bool("update", false, "rewrite the expected output of the scripts")

func TestScript(t *testing.T) {
	mounts := newScriptMounts(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup:               mounts.setup,
		Condition:           mounts.condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"encrypt": mounts.encrypt,
			"orphan":  orphan,
		},
	})
}

// scriptMounts are what the scripts work with; both are nil if this system cannot
// mount.
type scriptMounts struct{ reverse, forward *mount }

func newScriptMounts(t *testing.T) *scriptMounts {
	t.Helper()
	if os.Getenv("CI") != "true" && (missing("fuse") != "" || missing("gocryptfs") != "") {
		return &scriptMounts{}
	}
	base, s := shortDir(t), servers(t)[0]
	plain := filepath.Join(base, "plain")
	makeFiles(t, plain)
	m := &scriptMounts{
		reverse: mountReverse(t, s, plain, filepath.Join(base, "mount")),
		forward: mountForward(t, s, filepath.Join(base, "cipher"), filepath.Join(base, "view")),
	}
	makeFiles(t, m.forward.Plain)
	return m
}

// makeFiles makes scriptFiles in a directory.
func makeFiles(t *testing.T, dir string) {
	t.Helper()
	for _, name := range scriptFiles {
		state := "file 1"
		if link, target, ok := strings.Cut(name, " -> "); ok {
			name, state = link, "-> "+target
		} else if strings.HasSuffix(name, "/") {
			state = "dir"
		}
		create(t, dir, name, state)
	}
}

func (m *scriptMounts) setup(env *testscript.Env) error {
	env.Setenv("LC_ALL", "C.UTF-8")
	env.Setenv("GORACE", "atexit_sleep_ms=10") // instead of a second
	if m.reverse == nil {
		return nil
	}
	env.Setenv("SOCK", m.reverse.Sock)
	env.Setenv("MOUNT", m.reverse.Dir)
	env.Setenv("PLAIN", m.reverse.Plain)
	env.Setenv("FSOCK", m.forward.Sock)
	env.Setenv("CIPHER", m.forward.Dir)
	env.Setenv("VIEW", m.forward.Plain)
	return nil
}

func (m *scriptMounts) condition(cond string) (bool, error) {
	if cond != "mounts" {
		return false, errors.New("unknown condition " + cond)
	}
	return m.reverse != nil, nil
}

// inBraces matches {PATH} or {@PATH}.
var inBraces = regexp.MustCompile(`\{@?[^{}]+\}`)

func (m *scriptMounts) encrypt(ts *testscript.TestScript, neg bool, args []string) {
	side := m.reverse
	if len(args) > 0 && args[0] == "-forward" {
		side, args = m.forward, args[1:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: encrypt [-forward] FILE...")
	}
	for _, file := range args {
		text := inBraces.ReplaceAllStringFunc(ts.ReadFile(file), func(s string) string {
			return cipherText(ts, side, s[1:len(s)-1])
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o666))
	}
}

// cipherText returns the cipher path of a plain one with escapes or, of @PATH, the
// encrypted target of that link.
func cipherText(ts *testscript.TestScript, m *mount, path string) string {
	link, isLink := strings.CutPrefix(path, "@")
	plain, err := strconv.Unquote(`"` + link + `"`)
	ts.Check(err)
	cipher := m.encrypt(inScript{ts: ts}, plain)
	if !isLink {
		return cipher
	}
	target, err := os.Readlink(filepath.Join(m.Dir, cipher))
	ts.Check(err)
	return target
}

// inScript lets a script call what a test calls.
type inScript struct {
	testing.TB
	ts *testscript.TestScript
}

func (s inScript) Helper()                        {}
func (s inScript) Fatal(args ...any)              { s.ts.Fatalf("%v", args) }
func (s inScript) Fatalf(form string, arg ...any) { s.ts.Fatalf(form, arg...) }

// exits runs a program and checks its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := "0"
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		status = strconv.Itoa(e.ExitCode())
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if status != args[0] {
		ts.Fatalf("exit status %s, want %s", status, args[0])
	}
}

// orphan makes a socket that nobody listens to, as a killed server leaves it.
func orphan(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: orphan FILE")
	}
	ts.Check(ctlsocktest.Orphan(ts.MkAbs(args[0])))
}

// TestScriptsLookAtBothStreams checks that scripts check stdout and stderr after every
// program whose status they check.
func TestScriptsLookAtBothStreams(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, path := range scripts {
		script, _, _ := strings.Cut("\n"+read(t, path), "\n-- ")
		runs := regexp.MustCompile(`\n(?:\[.*\] )?exits .*`).Split(script, -1)
		if len(runs) == 1 {
			t.Errorf("%s: nothing is run", path)
		}
		for i, after := range runs[1:] {
			for _, stream := range []string{"stdout", "stderr"} {
				if !regexp.MustCompile(`\n(\[.*\] )?(! ?)?((cmp|cmpenv|cp) )?` + stream + `\b`).MatchString(after) {
					t.Errorf("%s: program %d: no look at %s", path, i+1, stream)
				}
			}
		}
	}
}

// codeFlags returns the names of the flags in main.go, and those that flag adds.
func codeFlags() []string {
	names := []string{"-h", "-help"}
	newFlags(&config{}).VisitAll(func(f *flag.Flag) { names = append(names, "-"+f.Name) })
	slices.Sort(names)
	return names
}

// TestFlagsAreDocumented checks that the code, the help, the manual, its synopsis and
// README have the same flags, except those that every program has.
func TestFlagsAreDocumented(t *testing.T) {
	want := codeFlags()
	if len(want) < 10 {
		t.Fatalf("only %q", want)
	}
	manual, readme := read(t, program+".1"), read(t, "README.md")
	synopsis, _, _ := strings.Cut(manual, ".Sh DESCRIPTION")
	for name, doc := range map[string]struct {
		text    string
		form    string   // of a flag, with its name or names in a group
		without []string // flags that may be missing
	}{
		"help":            {usage, `(?m)(?:^  |, )(-[a-z-]+)`, nil},
		"manual":          {manual, `(?m)^\.It Fl ([a-z-]+(?: , [a-z-]+)*)`, nil},
		"manual synopsis": {synopsis, `(?m)^(?:\.Op Fl|\.Fl) ([a-z-]+(?: \| [a-z-]+)*)`, []string{"-help"}},
		"README":          {readme, "(?m)^\\| `(-[a-z-]+)", []string{"-h", "-help", "-version"}},
	} {
		got := slices.Clone(doc.without)
		for _, m := range regexp.MustCompile(doc.form).FindAllStringSubmatch(doc.text, -1) {
			for _, f := range strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune(" ,|", r) }) {
				got = append(got, "-"+strings.TrimPrefix(f, "-"))
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("flags in the %s (-code +%[1]s):\n%s", name, diff)
		}
	}
}

// TestPatience keeps io.Copy from reading and writing past a patient file.
func TestPatience(t *testing.T) {
	_, reads := any(patient{}).(io.ReaderFrom)
	_, writes := any(patient{}).(io.WriterTo)
	if reads || writes {
		t.Error("io.Copy would do without Read or Write")
	}
}

// TestHelpFits checks that the help fits on a screen of 60 columns.
func TestHelpFits(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(usage, "\n"), "\n")
	for _, line := range lines {
		if len(line) > 60 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// TestDemo reads the demo in a terminal of 60 columns: no line is longer, and a deleted
// long name is read, also when nothing is mounted.
func TestDemo(t *testing.T) {
	need(t, "fuse", "rsync", "bash", "gocryptfs", "fusermount3", "setsid")
	pinned(t)
	cmd := exec.Command("testdata/demo.sh")
	dir := shortDir(t)
	cmd.Env = programEnv("COLUMNS=60", "TMPDIR="+dir)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, out, errs.String())
	}
	for line := range strings.Lines(string(out)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 60 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	backup, again, ok := strings.Cut(string(out), "\nunmounted: ")
	const deleted = "*deleting   Minutes of the annual meeting, with the\n"
	if !ok || !strings.Contains(backup, deleted) || !strings.Contains(again, deleted) {
		t.Errorf("the deleted long name is not read twice:\n%s", out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestReadme runs the shell examples of README, as a reader would who has files in
// ~/Documents, a password, and a backup host, which is the same machine here.
func TestReadme(t *testing.T) {
	need(t, "fuse", "rsync", "bash", "gocryptfs", "fusermount")
	text := read(t, "README.md")
	var examples []string
	for _, m := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(text, -1) {
		examples = append(examples, m[1])
	}
	if len(examples) != 5 {
		t.Fatalf("%d examples, want the script, timemachine, a log, a restore in two parts", len(examples))
	}
	// There is neither on macOS (bash 3.2, openrsync, the tools of BSD).
	gnu := regexp.MustCompile(`missing-args|\b(touch|date) -d|sed -i|-printf|readlink -f|stat -c|mktemp -[^d]|declare -A|\$\{\w+,,`)
	if other := gnu.FindString(strings.Join(examples, "")); other != "" {
		t.Errorf("%s does not work everywhere", other)
	}
	r := newReader(t)
	// The filter is not installed in the reader's PATH, which is that of cron.
	bin, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	script := strings.Replace(examples[0], "/usr/local/bin", r.home+"/bin:"+filepath.Dir(bin), 1)
	timemachine, log, fetch, decrypt := examples[1], examples[2], examples[3], examples[4]
	head, _, ok := strings.Cut(script, "rsync -ai")
	if !ok {
		t.Fatal("the script has no rsync -ai")
	}
	filter := `gocryptfs-rsync-pretty "$run/ctl"`

	t.Run("script", func(t *testing.T) {
		r.expect(t, strings.Replace(script, filter, filter[:23]+"-map ~/names.tsv "+filter[23:], 1),
			"Straße.txt", "taxes 2025/taxes.pdf", longTaxes)
	})
	t.Run("again", func(t *testing.T) {
		r.write(t, "Documents/new.txt", "new")
		if out := r.bash(t, script); !strings.Contains(out, "+ new.txt\n") || strings.Contains(out, "taxes.pdf") {
			t.Errorf("not only the new file:\n%s", out)
		}
	})
	t.Run("twice at once", func(t *testing.T) {
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				if out, err := r.command(script).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		group.Wait()
	})
	t.Run("wrong password", func(t *testing.T) {
		r.write(t, ".backup-password", "wrong\n")
		defer r.write(t, ".backup-password", "secret\n")
		if out, err := r.command(script).CombinedOutput(); err == nil || !strings.Contains(string(out), "Password incorrect") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("no password", func(t *testing.T) {
		r.bash(t, "mv .backup-password .elsewhere")
		defer r.bash(t, "mv .elsewhere .backup-password")
		if out, err := r.command(script).CombinedOutput(); err == nil || !strings.Contains(string(out), ".backup-password: no such file") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("SIGTERM", func(t *testing.T) {
		r.write(t, "Documents/big", strings.Repeat("x", 8<<20))
		c := r.command(strings.Replace(script, "rsync -ai", "rsync -ai --bwlimit=100", 1))
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ctlsocktest.Eventually(t, "rsync copies", func() bool {
			temporary, _ := filepath.Glob(r.home + "/documents/.*")
			return len(temporary) > 0
		})
		if err := syscall.Kill(-c.Process.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err == nil {
			t.Errorf("ends well:\n%s", &out)
		}
		os.Remove(filepath.Join(r.home, "Documents/big"))
	})
	t.Run("timemachine", func(t *testing.T) {
		r.expect(t, head+timemachine, "view/Straße.txt", "view/taxes 2025/taxes.pdf", "100%")
	})
	t.Run("log", func(t *testing.T) {
		r.expect(t, head+"cd\nrsync -av \"$run/view\" elsewhere > rsync.log\ntouch -d yesterday rsync.log\n"+log,
			"\nview/taxes 2025/taxes.pdf\n", "/view/taxes 2025/taxes.pdf\n")
	})
	if left := r.bash(t, "ls -d tmp.* || true"); !strings.Contains(left, "No such file") {
		t.Errorf("the scripts left something behind:\n%s", left)
	}

	dashed := regexp.MustCompile(`(?m)^-[^/\t]*\t(form \d+)$`).FindStringSubmatch(read(t, r.home+"/names.tsv"))
	if dashed == nil {
		t.Fatal("no cipher path begins with a dash")
	}
	_, manual, _ := strings.Cut(read(t, program+".1"), "indent\npath=")
	manual, _, _ = strings.Cut("path="+manual, ".Ed")
	manual = strings.NewReplacer(`\e`, `\`, "host:backup/\n", "backuphost:documents/ \n", "names.tsv", "~/names.tsv").Replace(manual)
	const newest = "from=backuphost:documents/current/view/"
	everything := regexp.MustCompile("`(rsync -a \"\\$from\" fetched/)`").FindStringSubmatch(text)
	for i, tt := range []struct{ fetch, path, from, want string }{
		{fetch, "taxes 2025/taxes.pdf", "", "taxes 2025/taxes.pdf"},
		{fetch, "taxes 2025", "", "taxes 2025/taxes.pdf"},
		{fetch, "taxes 2025/taxes.pdf", newest, "taxes 2025/taxes.pdf"},
		{fetch, longTaxes, "", longTaxes},
		{fetch, dashed[1], "", dashed[1]},
		{fetch, quoted, "", quoted},
		{fetch, "axes.pdf", "", "not found"},
		{fetch, "", "", "taxes 2025/taxes.pdf"},
		{fetch, "", newest, longTaxes},
		{manual, "taxes 2025", newest, "taxes 2025/taxes.pdf"},
		{manual, longTaxes, "", longTaxes},
		{manual, dashed[1], "", dashed[1]},
		{manual, "axes.pdf", "", "not found"},
	} {
		t.Run("restore "+tt.path, func(t *testing.T) {
			sh := strings.Replace(tt.fetch, `"taxes 2025/taxes.pdf"`, `"`+tt.path+`"`, 1)
			if tt.path == "" {
				sh = "from=backuphost:documents/ \n" + everything[1] + "\n"
			}
			if tt.from != "" {
				sh = strings.Replace(sh, "from=backuphost:documents/ ", tt.from+" ", 1)
			}
			out, err := r.command(fmt.Sprintf("mkdir %d; cd %[1]d; rm -rf ~/Restored\n", i) + sh + decrypt).CombinedOutput()
			if tt.want == "not found" {
				if mounted := r.bash(t, "mount | grep "+r.home+" || true"); err == nil || mounted != "" || !strings.HasPrefix(string(out), "not found\n") {
					t.Errorf("%v, got %q, mounted: %s", err, out, mounted)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := read(t, filepath.Join(r.home, "Restored", tt.want)); got != "content of "+tt.want {
				t.Errorf("got %q", got)
			}
			files := strings.TrimSpace(r.bash(t, "find ~/Restored -type f"))
			if n := strings.Count(files, "\n") + 1; n != 1 && tt.path != "" {
				t.Errorf("%d files, want that alone", n)
			}
			if left := r.bash(t, "mount | grep "+r.home+" || true"); left != "" {
				t.Errorf("left mounted: %s", left)
			}
		})
	}
}

// longTaxes is a path that gocryptfs stores as a long name; quoted requires care in a
// script.
var (
	longTaxes = strings.Repeat("long ", 40) + "taxes.pdf"
	quoted    = "Grandma's pie.txt"
)

// A reader has a home directory, in which all examples run.
type reader struct {
	home string
	env  []string
}

func newReader(t *testing.T) *reader {
	t.Helper()
	home := shortDir(t)
	r := &reader{home: home, env: programEnv("LC_ALL=C.UTF-8", "HOME="+home, "TMPDIR="+home,
		"RSYNC_RSH="+home+"/bin/host", "PATH=/usr/bin:/bin")} // as cron has it
	r.write(t, ".backup-password", "secret\n")
	paths := []string{"Straße.txt", "taxes 2025/taxes.pdf", longTaxes, quoted}
	for i := range 1000 { // one cipher path in 64 begins with a dash
		paths = append(paths, fmt.Sprintf("form %d", i))
	}
	for _, path := range paths {
		r.write(t, "Documents/"+path, "content of "+path)
	}
	// rsync calls it like ssh, with a host and a command.
	r.write(t, "bin/host", "#!/bin/sh\nshift\ncd && exec \"$@\"\n")
	// The rsync that timemachine 1.3.2 runs for `timemachine -v SRC DEST -- OPTS`.
	r.write(t, "bin/timemachine", `#!/bin/sh
src=$2 dest=$3
shift 4
rsync --recursive --perms --owner --group --times --links --delete --delete-excluded \
	--partial-dir=.partial "$@" "$src" "$dest/.inprogress"
ln -sfn .inprogress "$HOME/${dest#*:}/current"
`)
	r.bash(t, "gocryptfs -q -init -reverse -scryptn 10 -passfile ~/.backup-password ~/Documents")
	return r
}

func (r *reader) write(t *testing.T, path, content string) {
	t.Helper()
	path = filepath.Join(r.home, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// command returns a script that runs at home.
func (r *reader) command(script string) *exec.Cmd {
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = r.home, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// bash runs a script at home and returns all that it prints.
func (r *reader) bash(t *testing.T, script string) string {
	t.Helper()
	out, err := r.command(script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// expect runs a script and checks that it prints these words, and no ciphertext.
func (r *reader) expect(t *testing.T, script string, words ...string) {
	t.Helper()
	out := r.bash(t, script)
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in the output:\n%s", w, out)
		}
	}
	if c := regexp.MustCompile(`[/ ][\w-]{22}(/|\n)`).FindString(out); c != "" {
		t.Errorf("ciphertext %q in the output:\n%s", c, out)
	}
}
