package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

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
// The condition [mounts] reports whether they are there, [namespaces] whether a script can mount
// more, out of sight of the others. $DEMO is the script of `make demo`.
// After each exits, a script checks both streams.

// scriptFiles are the files of the mounts.
var scriptFiles = []row{
	{path: "a file.txt", was: "file 1"},
	{path: "Fotos/See.jpg", was: "file 1"},
	{path: "Fotos/Zürich/Bäume 🌳.jpg", was: "file 1"},
	{path: "empty", was: "dir"},
	{path: "tab\there", was: "file 1"},
	{path: "new\nline", was: "file 1"},
	{path: "latin1 \xe4", was: "file 1"},
	{path: "link", was: "-> Fotos/See.jpg"},
	{path: long("a long name ", 200), was: "file 1"},
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
type scriptMounts struct {
	t                *testing.T
	reverse, forward *mount
}

func newScriptMounts(t *testing.T) *scriptMounts {
	t.Helper()
	none := missing("gocryptfs") != "" && missing(pinnedBin) != ""
	if os.Getenv("CI") != "true" && (none || missing("fuse") != "") {
		return &scriptMounts{}
	}
	base, s := shortDir(t), servers(t)[0]
	plain := filepath.Join(base, "plain")
	buildTree(t, plain, scriptFiles)
	m := &scriptMounts{
		t:       t,
		reverse: mountReverse(t, s, plain, filepath.Join(base, "mount")),
		forward: mountForward(t, s, filepath.Join(base, "cipher"), filepath.Join(base, "view")),
	}
	buildTree(t, m.forward.Plain, scriptFiles)
	return m
}

func (m *scriptMounts) setup(env *testscript.Env) error {
	env.Vars = append(env.Vars, "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=10", "HOME="+os.Getenv("HOME")) // for the cache of Go
	if m.reverse == nil {
		return nil
	}
	demo, err := filepath.Abs("testdata/demo.sh")
	env.Vars = append(env.Vars, "DEMO="+demo, "SOCK="+m.reverse.Sock, "MOUNT="+m.reverse.Dir, "PLAIN="+m.reverse.Plain,
		"FSOCK="+m.forward.Sock, "CIPHER="+m.forward.Dir, "VIEW="+m.forward.Plain)
	return err
}

func (m *scriptMounts) condition(cond string) (bool, error) {
	if cond == "namespaces" {
		return missing(cond) == "", nil
	}
	return m.reverse != nil, nil
}

func (m *scriptMounts) encrypt(ts *testscript.TestScript, neg bool, args []string) {
	side := m.reverse
	if len(args) > 0 && args[0] == "-forward" {
		side, args = m.forward, args[1:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: encrypt [-forward] FILE...")
	}
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(side.fill(m.t, ts.ReadFile(file))), 0o666))
	}
}

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

// TestFlagsAreDocumented checks that the code, the help, the manual, its synopsis and
// README have the same flags, except those that every program has.
func TestFlagsAreDocumented(t *testing.T) {
	want := []string{"-h", "-help"} // package flag adds these
	newFlags(&config{}).VisitAll(func(f *flag.Flag) { want = append(want, "-"+f.Name) })
	slices.Sort(want)
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
		"README":          {readme, "(?m)^- `(-[a-z-]+)", []string{"-h", "-help", "-version"}},
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
