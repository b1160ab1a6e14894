package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

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
