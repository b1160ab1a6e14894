package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// TestReadme runs the examples of README, as a reader would who has files in ~/Documents, a
// password, and a backup host, which is the same machine here.
func TestReadme(t *testing.T) {
	need(t, "fuse", "rsync", "bash", "gocryptfs", "fusermount", "flock")
	text := read(t, "README.md")
	// There is neither on macOS (bash 3.2, openrsync, the tools of BSD).
	gnu := regexp.MustCompile(`missing-args|\b(touch|date) -d|sed -i|-printf|readlink -f|stat -c|mktemp -[^d]|declare -A|\$\{\w+,,`)
	if other := gnu.FindString(text); other != "" {
		t.Errorf("%s does not work everywhere", other)
	}
	r := newHome(t, "") // the backup host has the same home
	for _, path := range []string{"Straße.txt", "taxes 2025/taxes.pdf", longTaxes, quoted} {
		r.write(t, "Documents/"+path, "content of "+path)
	}
	if out := r.sh("sh", "gocryptfs -q -init -reverse -scryptn 10 -passfile ~/.backup-password ~/Documents"); out.status != 0 {
		t.Fatal(out)
	}
	scripts, lines := examples(text, "```bash\n(.*?)```"), examples(text, "```sh\n(.*?)```")
	if len(scripts) != 1 || len(lines) != 7 {
		t.Fatalf("%d scripts, %d examples for a prompt", len(scripts), len(lines))
	}
	backup := strings.ReplaceAll(scripts[0], "/usr/local/bin", r.home+"/local bin")
	_, cron, _ := strings.Cut(text, "    0 3 * * * ")
	cron, _, _ = strings.Cut(cron, "\n")
	cron = "PATH=$HOME/bin:/usr/bin:/bin\n" + cron

	t.Run("script", func(t *testing.T) {
		r.write(t, "bin/backup", backup)
		out := r.sh("sh", cron)
		log := read(t, r.home+"/backup.log")
		has(t, log, "Straße.txt", "taxes 2025/taxes.pdf", longTaxes)
		if out.status != 0 || out.out != "" || strings.Contains(log, "gocryptfs.") {
			t.Errorf("housekeeping files in the log, or an error: %v\n%s", out, log)
		}
		r.write(t, "Documents/new.txt", "new")
		r.sh("sh", cron)
		night := strings.TrimPrefix(read(t, r.home+"/backup.log"), log)
		if date := regexp.MustCompile(`^\w.* 20\d\d\n`); !date.MatchString(log) || !date.MatchString(night) {
			t.Errorf("no date in front of\n%s%s", log, night)
		}
		if !strings.Contains(night, "+ new.txt\n") || strings.Contains(night, "taxes.pdf") {
			t.Errorf("not only the new file:\n%s", night)
		}
	})
	t.Run("SIGTERM", func(t *testing.T) { r.testSignal(t, backup, cron) })
	t.Run("status", func(t *testing.T) {
		want := r.sh("sh", "rsync -a Documents/ /dev/null/x").status
		fails := strings.Replace(backup, "=backuphost:documents", "=/dev/null/x", 1)
		before, _, _ := strings.Cut(fails, "&\nwait")
		m := regexp.MustCompile("replace `&` and all that follows by `(.*)`").FindStringSubmatch(text)
		both := strings.NewReplacer("~/names.tsv", "/dev/full", "date\n", "")
		for script, status := range map[string]int{fails: want, both.Replace(fails): 1, both.Replace(before) + m[1]: want} {
			if got := r.sh("bash", script); want < 2 || got.status != status {
				t.Errorf("%v, want status %d", got, status)
			}
		}
	})
	t.Run("password", func(t *testing.T) {
		r.write(t, ".backup-password", "wrong\n")
		if out := r.sh("bash", backup); out.status == 0 || !strings.Contains(out.out, "Password incorrect") {
			t.Errorf("wrong: %v", out)
		}
		os.Remove(r.home + "/.backup-password")
		if out := r.sh("bash", backup); out.status == 0 || !strings.Contains(out.out, ".backup-password: no such file") {
			t.Errorf("none: %v", out)
		}
		r.write(t, ".backup-password", "secret\n")
	})
	t.Run("timemachine", func(t *testing.T) {
		m := regexp.MustCompile("replace\n`(rsync .*)` by\n`(timemachine .*)`").FindStringSubmatch(text)
		script := strings.NewReplacer(m[1], m[2], "=backuphost:documents", "=backuphost:machine").Replace(backup)
		os.Mkdir(r.home+"/machine", 0o755)
		has(t, r.sh("bash", script).out, "view/Straße.txt", "view/taxes 2025/taxes.pdf", "100%")
	})
	shells := []string{"bash", "dash", "zsh"}
	for _, shell := range shells {
		t.Run(shell, func(t *testing.T) {
			need(t, shell)
			r.testPrompt(t, shell, lines[0], lines[1], lines[2])
		})
	}
	t.Run("lost laptop", func(t *testing.T) {
		need(t, shells...)
		lost := newHome(t, r.home)
		lost.write(t, "names.tsv", read(t, r.home+"/names.tsv"))
		for _, shell := range shells {
			t.Run("everything "+shell, func(t *testing.T) { lost.testEverything(t, shell, lines[3], lines[4]) })
		}
		head, tail, _ := strings.Cut(lines[3], "sshfs -o ro backuphost:documents ~/fetched\n")
		for i, path := range []string{"taxes 2025/taxes.pdf", "taxes 2025", longTaxes, quoted} {
			for j, fetch := range lines[5:] {
				fetch = head + strings.Replace(fetch, "taxes 2025/taxes.pdf", path, 1)
				lost.testPath(t, shells[(i+j)%3], path, fetch, tail, lines[4])
				if j == 1 {
					lost.unmount(t, "view")
				}
			}
		}
		lost.write(t, "old.log", read(t, r.home+"/rsync.log"))
		manual := manualRestore(t)
		for i, path := range []string{"taxes 2025/taxes.pdf", "taxes 2025"} {
			fetch := strings.Replace(manual[1+i], `\.pdf$`, "^taxes.*pdf$", 1)
			lost.testPath(t, shells[i], path, fetch, head+tail, lines[4])
		}
	})
	t.Run("exclude", func(t *testing.T) {
		exclude := strings.NewReplacer("big videos", "taxes 2025", ".iso", ".pdf", "/mnt/enc", "view", "documents", "others").Replace(manualRestore(t)[3])
		out := r.sh("sh", strings.Split(lines[1], "\n")[1]+"\n"+exclude+" | gocryptfs-rsync-pretty -map names.tsv")
		r.unmount(t, "view")
		if has(t, out.out, " Straße.txt\n"); strings.Contains(out.out, "taxes") {
			t.Errorf("not left out:\n%s", out.out)
		}
	})
	if left := r.sh("sh", "ls -d tmp.*; mount | grep ~").out; !strings.HasPrefix(left, "ls: ") || strings.Count(left, "\n") > 1 {
		t.Errorf("left behind:\n%s", left)
	}
}

// testSignal ends a script that runs from cron, and starts a second one meanwhile.
func (r *reader) testSignal(t *testing.T, backup, cron string) {
	r.write(t, "Documents/big", strings.Repeat("x", 8<<20))
	r.write(t, "bin/backup", strings.Replace(backup, "rsync -ai", "rsync -ai --bwlimit=100", 1)) // takes 80 s
	defer os.Remove(r.home + "/Documents/big")
	defer r.write(t, "bin/backup", backup)
	c := r.command("sh", strings.Replace(cron, "flock", "exec flock", 1))
	check(t, c.Start())
	ctlsocktest.Eventually(t, "rsync copies", func() bool {
		temporary, _ := filepath.Glob(r.home + "/documents/.*")
		return len(temporary) > 0
	})
	if out := r.sh("sh", cron); out.status != 1 || out.out != "" {
		t.Errorf("a second run: %v", out)
	}
	start := time.Now()
	script := read(t, fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Process.Pid)) // of flock, not of the script
	if out := r.sh("sh", "kill "+script); out.status != 0 {
		t.Error(out)
	}
	if err := c.Wait(); err == nil || time.Since(start) > 40*time.Second {
		t.Errorf("after SIGTERM: %v after %v", err, time.Since(start))
	}
}

// testPrompt pastes the lines of README into a shell: those for forward mode, for the view
// at a prompt, and for an index.
func (r *reader) testPrompt(t *testing.T, shell, forward, prompt, index string) {
	r.sh("sh", "rm -rf Cipher Plain cipher; mkdir Cipher Plain; gocryptfs -q -init -scryptn 10 -passfile .backup-password Cipher")
	has(t, r.sh(shell, forward).out, "cd+++++++++ ./\n")
	r.unmount(t, "Plain")

	r.sh("sh", "rm -rf names.tsv elsewhere; mkdir -p view\n"+strings.Split(prompt, "\n")[1]+"\nrsync -av view elsewhere >rsync.log")
	r.unmount(t, "view")
	yesterday := time.Now().AddDate(0, 0, -1)
	check(t, os.Chtimes(r.home+"/rsync.log", yesterday, yesterday))
	has(t, r.sh(shell, prompt).out, "\nview/taxes 2025/taxes.pdf\n", r.home+"/view/taxes 2025/taxes.pdf\n")
	has(t, r.sh(shell, index).out, "\nview/taxes 2025/taxes.pdf\n", "\ntaxes 2025/taxes.pdf\n")
	r.unmount(t, "view")
}

// unmount waits until the server has ended, so that another one can take its socket.
func (r *reader) unmount(t *testing.T, dir string) {
	t.Helper()
	if out := r.sh("sh", "fusermount -u "+dir); out.status != 0 {
		t.Error(out)
	}
	ctlsocktest.Eventually(t, "the socket is removed", func() bool {
		_, err := os.Stat(r.home + "/ctl")
		return err != nil
	})
}

// testEverything restores everything: with a wrong password, then with the right one, and
// once more.
func (r *reader) testEverything(t *testing.T, shell, restore, unmount string) {
	t.Setenv("PATH", os.Getenv("PATH")+":"+sftpServer)
	need(t, "sshfs", "sftp-server")
	r.sh("sh", "rm -rf fetched decrypted Restored")
	defer r.write(t, ".backup-password", "secret\n")
	for _, password := range []string{"wrong\n", "secret\n", "secret\n"} {
		r.write(t, ".backup-password", password)
		out := r.sh(shell, restore)
		got, _ := os.ReadFile(r.home + "/Restored/taxes 2025/taxes.pdf")
		right := password == "secret\n"
		if right != (out.status == 0) || right != (string(got) == "content of taxes 2025/taxes.pdf") {
			t.Errorf("password %q: got %q, %v", password, got, out)
		}
		if out := r.sh(shell, unmount); right && out.status != 0 {
			t.Error(out)
		}
	}
}

// testPath restores a path by the lines of README, and checks that it alone comes.
func (r *reader) testPath(t *testing.T, shell, path string, lines ...string) {
	t.Helper()
	out := []result{r.sh("sh", "rm -rf fetched decrypted Restored")}
	for _, l := range lines {
		out = append(out, r.sh(shell, l)) // each with the password on standard input
	}
	got := r.sh("sh", "cd Restored && find . -type f -exec cat {} +")
	if want := "content of " + strings.Replace(path+"|", "2025|", "2025/taxes.pdf|", 1); got.out+"|" != want {
		t.Errorf("%s, %s: got %q, want %q, %v", shell, path, got.out, want, out)
	}
}

// examples returns what the group of a pattern matches in a text.
func examples(text, pattern string) (list []string) {
	for _, m := range regexp.MustCompile("(?s)"+pattern).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// sftpServer are the directories in which distributions have it.
const sftpServer = "/usr/lib/openssh:/usr/libexec/openssh:/usr/lib/ssh"

// manualRestore returns the examples of the manual for a restore.
func manualRestore(t *testing.T) []string {
	t.Helper()
	_, text, _ := strings.Cut(read(t, program+".1"), ".Ss Restore\n")
	text = strings.NewReplacer(`\e`, `\`, "host:backup", "backuphost:documents").Replace(text)
	list := examples(text, `\.Bd .*?\n(.*?)\n\.Ed`)
	if len(list) != 4 {
		t.Fatalf("%d examples of a restore", len(list))
	}
	return list
}

// longTaxes is a path that gocryptfs stores as a long name; quoted requires care in a shell.
var (
	longTaxes = strings.Repeat("long ", 40) + "taxes.pdf"
	quoted    = "-Grandma's pie.txt"
)

// A reader has a home directory, in which all examples run.
type reader struct {
	home string
	env  []string
}

// newHome returns a reader who has nothing but a password, and a backup host with the home
// directory host.
func newHome(t *testing.T, host string) *reader {
	t.Helper()
	r := &reader{home: shortDir(t)}
	r.env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+r.home, "TMPDIR="+r.home, "RSYNC_RSH=ssh",
		"HOST="+cmp.Or(host, r.home), "SFTP="+sftpServer, "PATH="+r.home+"/bin:/usr/bin:/bin:"+r.home+"/local bin")
	r.write(t, ".backup-password", "secret\n")
	for _, name := range []string{"ssh", "timemachine"} {
		r.write(t, "bin/"+name, read(t, "testdata/readme/"+name))
	}
	bin, err := exec.LookPath(program)
	check(t, err)
	r.write(t, "local bin/"+program, "#!/bin/sh\nexec '"+bin+"' \"$@\"\n")
	return r
}

func (r *reader) write(t *testing.T, path, content string) {
	t.Helper()
	path = filepath.Join(r.home, path)
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(content), 0o755))
}

// command returns a shell that runs a script at home. gocryptfs reads the password that is in
// the file from standard input, as from a terminal.
func (r *reader) command(shell, script string) *exec.Cmd {
	cmd := exec.Command(shell, "-c", script)
	cmd.Dir, cmd.Env = r.home, r.env
	cmd.Stdin, _ = os.Open(r.home + "/.backup-password") // nil is /dev/null
	return cmd
}

// A result is the output of a script, both streams, and its status.
type result struct {
	out    string
	status int
}

// sh runs a script in a shell, at home.
func (r *reader) sh(shell, script string) result {
	cmd := r.command(shell, script)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return result{err.Error(), -1}
	}
	return result{string(out), cmd.ProcessState.ExitCode()}
}

// has checks that a text has these words, and no ciphertext.
func has(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in the output:\n%s", w, text)
		}
	}
	if c := regexp.MustCompile(`[/ ][\w-]{22}(/|\n)`).FindString(text); c != "" {
		t.Errorf("ciphertext %q in the output:\n%s", c, text)
	}
}
