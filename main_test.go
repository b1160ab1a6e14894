package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

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
//	orphan FILE                   makes a socket that nobody listens to, as a killed server leaves it
//
// and in the environment two real mounts with the files of testdata/files.txt:
//
//	$SOCK $MOUNT $PLAIN           one in reverse mode
//	$FSOCK $CIPHER $VIEW          one in forward mode
//
// The condition [mounts] reports whether they are there, [namespaces] whether a script can mount
// more, out of sight of the others. $ROOT is the source directory, and nobody answers at $SILENT.
// After each exits, a script checks both streams.

var update = flag.Bool("update", false, "rewrite the expected output of the scripts")

func TestScript(t *testing.T) {
	// A child inherits that interrupts are ignored, as in a script's background, but not that they
	// are caught.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt)
	defer signal.Stop(caught)
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
			"orphan": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(ctlsocktest.Orphan(ts.MkAbs(args[0])))
			},
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
		return &scriptMounts{t: t}
	}
	base, s := shortDir(t), servers(t)[0]
	plain := filepath.Join(base, "plain")
	files := func(root string) {
		for _, f := range table(t, "files.txt") {
			create(t, root, f[0], f[1])
		}
	}
	files(plain)
	m := &scriptMounts{
		t:       t,
		reverse: mountReverse(t, s, plain, filepath.Join(base, "mount")),
		forward: mountForward(t, s, filepath.Join(base, "cipher"), filepath.Join(base, "view")),
	}
	files(m.forward.Plain)
	return m
}

func (m *scriptMounts) setup(env *testscript.Env) error {
	root, err := os.Getwd()
	silent := ctlsocktest.Start(m.t, ctlsocktest.Path(m.t), ctlsocktest.Silence)
	env.Vars = append(env.Vars, "ROOT="+root, "SILENT="+silent.Path, "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=10",
		"HOME="+os.Getenv("HOME"), "GOPATH="+os.Getenv("GOPATH"), "GOCACHE="+os.Getenv("GOCACHE"), "GOMODCACHE="+os.Getenv("GOMODCACHE"))
	if m.reverse == nil {
		return err
	}
	env.Vars = append(env.Vars, "SOCK="+m.reverse.Sock, "MOUNT="+m.reverse.Dir, "PLAIN="+m.reverse.Plain,
		"FSOCK="+m.forward.Sock, "CIPHER="+m.forward.Dir, "VIEW="+m.forward.Plain)
	return err
}

func (m *scriptMounts) condition(cond string) (bool, error) {
	if cond == "namespaces" {
		return missing(cond) == "", nil
	}
	return m.reverse != nil, nil
}

func (m *scriptMounts) encrypt(ts *testscript.TestScript, _ bool, args []string) {
	side := m.reverse
	if args[0] == "-forward" {
		side, args = m.forward, args[1:]
	}
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(side.fill(m.t, ts.ReadFile(file))), 0o666))
	}
}

// exits runs a program and checks its exit status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
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

// TestHelp checks that the help has all flags; the script docs compares it with other texts.
func TestHelp(t *testing.T) {
	newFlags(&config{}).VisitAll(func(f *flag.Flag) {
		if !regexp.MustCompile("(?m)(^  |, )-" + f.Name + "[ ,]").MatchString(usage) {
			t.Errorf("no -%s in the help", f.Name)
		}
	})
}
