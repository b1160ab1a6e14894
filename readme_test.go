package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// TestReadme runs each example of README and of the manual, as a reader would who has files in
// ~/Documents, a password, and a backup host, which is the same machine here.
func TestReadme(t *testing.T) {
	need(t, "fuse", "rsync", "bash", "gocryptfs", "gocryptfs-xray", "fusermount", "flock")
	get := examples(t)
	t.Run("script", func(t *testing.T) { testBackups(t, get) })
	for _, shell := range []string{"bash", "dash", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			need(t, shell, "sshfs")
			old := testPrompt(t, shell, get)
			testLostLaptop(t, shell, old, get)
		})
	}
}

// examples returns a function for the example of a name, in README or in the manual. Each one
// has to be asked for before the test ends.
func examples(t *testing.T) (get func(name string) string) {
	all, left := map[string]string{}, map[string]bool{}
	for file, form := range map[string]string{
		"README.md":    "```(?:ba)?sh ([\\w-]+)\n(.*?)```",
		program + ".1": `\.\\" ([\w-]+)\n\.Bd [^\n]*\n(.*?)\n\.Ed`,
	} {
		for _, m := range regexp.MustCompile("(?s)"+form).FindAllStringSubmatch(read(t, file), -1) {
			all[m[1]], left[m[1]] = strings.ReplaceAll(m[2], `\e`, `\`), true
		}
	}
	t.Cleanup(func() {
		if run := flag.Lookup("test.run").Value.String(); len(left) > 0 && !strings.Contains(run, "/") && !t.Failed() {
			t.Errorf("not run: %v", left)
		}
	})
	return func(name string) string {
		if delete(left, name); all[name] == "" {
			t.Errorf("no example %q", name)
		}
		return all[name]
	}
}

// testBackups runs the script of README: by cron, by hand, with whatever may go wrong.
func testBackups(t *testing.T, get func(string) string) {
	r := newHome(t, "")
	r.documents()
	r.sh("sh", "gocryptfs -q -init -reverse -scryptn 10 -passfile ~/.backup-password ~/Documents")
	script := strings.ReplaceAll(get("script"), "/usr/local/bin", r.home+"/local bin")
	backup := func(script string) result { // a run by hand
		r.write("bin/backup", script)
		return r.sh("sh", "~/bin/backup")
	}
	log := ""
	cron := func(script string) (result, string) { // and what it adds to the log
		r.write("bin/backup", script)
		out := r.sh("sh", "PATH=$HOME/bin:/usr/bin:/bin\n"+strings.TrimPrefix(get("cron"), "0 3 * * * "))
		before := log
		log = read(t, r.home+"/backup.log")
		return out, noSyslog.ReplaceAllString(strings.TrimPrefix(log, before), "")
	}
	for night, lines := range []string{ // with a new file in the second one
		`(.*\n)*.* link -> Straße.txt\n(.*\n)*.* taxes 2025/taxes.pdf\n`,
		`(.*\+ \.names\.tsv\n|.*\+ new\.txt\n|.* \./\n)+$`,
		`.* \.names\.tsv\n$`,
		`$`,
	} {
		out, text := cron(script)
		if ok := regexp.MustCompile(`^\w.* 20\d\d\n` + lines).MatchString(text); out.status != 0 || out.out != "" || !ok {
			t.Errorf("night %d: %v, and in the log\n%s", night, out, text)
		}
		has(t, text)
		if night == 0 {
			r.write("Documents/new.txt", "new")
		}
	}
	fails := strings.Replace(script, "=backuphost:documents", "=/dev/null/x", 1)
	if mail, _ := cron(fails); !strings.Contains(mail.out, "rsync error") {
		t.Errorf("no mail of a backup that failed: %v", mail)
	}
	t.Run("signal", func(t *testing.T) { r.testSignal(t, script, func(script string) { cron(script) }) })
	t.Run("status", func(t *testing.T) {
		both := strings.NewReplacer("-map ~/names.tsv", "-map /dev/full", "date\n", "").Replace(fails)
		pipeline, _, _ := strings.Cut(both, "&\nwait")
		for script, whose := range map[string]string{fails: "code ", both: "status ", pipeline + get("status"): "code "} {
			got := backup(script)
			text := got.out + "(status 1)" // the filter's; the last code is that of rsync on this side
			if i := strings.LastIndex(text, whose); i < 0 || !strings.HasPrefix(text[i:], whose+strconv.Itoa(got.status)+")") {
				t.Error(got)
			}
		}
	})
	t.Run("password", func(t *testing.T) {
		for name, message := range map[string]string{"wrong": "Password incorrect", "none": "no such file"} {
			script := strings.Replace(script, ".backup-password", name, 1)
			r.write("wrong", name)
			if out := backup(script); out.status == 0 || !strings.Contains(out.out, message) {
				t.Errorf("%s: %v", name, out)
			}
		}
	})
	t.Run("timemachine", func(t *testing.T) {
		script := regexp.MustCompile(`(?m)^rsync .*\n`).ReplaceAllLiteralString(script, get("timemachine"))
		os.Mkdir(r.home+"/machine", 0o755)
		out := backup(strings.Replace(script, "=backuphost:documents", "=backuphost:machine", 1))
		has(t, out.out, "view/Straße.txt", "view/taxes 2025/taxes.pdf")
	})
	t.Run("systemd", func(t *testing.T) {
		for _, unit := range []string{"service", "timer"} {
			r.write(".config/systemd/user/backup."+unit, get(unit))
		}
		need(t, "systemd-analyze")
		if out := r.sh("sh", "chmod 644 .config/systemd/user/*; cd .config/systemd/user && XDG_RUNTIME_DIR=$HOME systemd-analyze --man=no --user verify backup.timer backup.service"); out.out != "" {
			t.Error(out)
		}
	})
	if left := r.sh("sh", "ls -d tmp.*; mount | grep ~").out; !strings.HasPrefix(left, "ls: ") || strings.Count(left, "\n") > 1 {
		t.Errorf("left behind:\n%s", left)
	}
}

// testSignal ends a script that runs by hand, after cron has started another one.
func (r *reader) testSignal(t *testing.T, script string, cron func(script string)) {
	r.write("Documents/big", strings.Repeat("x", 8<<20))
	defer os.Remove(r.home + "/Documents/big")
	script = strings.Replace(script, "rsync -ai", "rsync -ai --bwlimit=100", 1) // takes 80 s
	r.write("bin/backup", script)
	c := r.command("sh", "exec ~/bin/backup")
	check(t, c.Start())
	temporary := func() int {
		list, _ := filepath.Glob(r.home + "/documents/.*.*")
		return len(list)
	}
	ctlsocktest.Eventually(t, "rsync copies", func() bool { return temporary() > 0 })
	if cron(script); temporary() != 1 {
		t.Errorf("%d at a time", temporary())
	}
	start := time.Now()
	children := read(t, fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Process.Pid)) // the script, of flock
	if out := r.sh("sh", "kill "+children); out.status != 0 {
		t.Error(out)
	}
	if err := c.Wait(); err == nil || time.Since(start) > 40*time.Second {
		t.Errorf("after SIGTERM: %v after %v", err, time.Since(start))
	}
}

// testPrompt pastes the lines for a laptop with files into a shell, and returns its owner.
func testPrompt(t *testing.T, shell string, get func(string) string) *reader {
	r := newHome(t, "")
	r.documents()
	has(t, r.do(shell, get("first")), "+ ./\n", " link -> Straße.txt\n", " taxes 2025/taxes.pdf\n", longTaxes)
	r.ended()
	has(t, r.do(shell, get("run")))
	r.ended()

	r.mount()
	r.do("sh", "rsync -av view elsewhere >rsync.log; touch -d yesterday rsync.log")
	has(t, r.do(shell, get("log")), "\nview/taxes 2025/taxes.pdf\n", r.home+"/view/taxes 2025/taxes.pdf\n")
	for _, names := range []string{get("names"), get("index")} {
		os.Remove(r.home + "/names.tsv")
		has(t, r.do(shell, names), "\nview/taxes 2025/taxes.pdf\n", "\ttaxes 2025/taxes.pdf\n")
	}
	r.ended()

	r.do("sh", "mkdir Cipher Plain; gocryptfs -q -init -scryptn 10 -passfile .backup-password Cipher")
	has(t, r.do(shell, get("forward")+"fusermount -u Plain"), "cd+++++++++ ./\n")
	r.ended()

	r.do("sh", "rm -rf documents; cp -p names.tsv Documents/.names.tsv")
	r.mount()
	out := r.do(shell, get("exclude"))
	if has(t, out, " Straße.txt\n"); strings.Contains(out, "videos") || strings.Contains(out, "iso") {
		t.Errorf("not left out:\n%s", out)
	}
	const videos = "-e documents/$(echo 'big videos' | gocryptfs-rsync-pretty -encrypt-paths -hide-meta ctl view)"
	r.do("sh", "rsync -a view/ backuphost:documents && test "+videos)
	r.do(shell, get("delete"))
	r.do("sh", "test ! "+videos)
	r.unmount()
	return r
}

// testLostLaptop restores the files of an old laptop, with README on a phone.
func testLostLaptop(t *testing.T, shell string, old *reader, get func(string) string) {
	t.Setenv("PATH", os.Getenv("PATH")+":"+sftpServer)
	need(t, "sftp-server")
	r := newHome(t, old.home)
	everything, fetch := get("everything"), get("fetch")
	decrypt := regexp.MustCompile(`(?m)^sshfs .*\n`).ReplaceAllLiteralString(everything, "")
	restored := func(want string) { // the content of all files
		t.Helper()
		if got := r.do("sh", "cd Restored && find . -type f ! -name .names.tsv -exec cat {} +"); got != want {
			t.Errorf("restored %q, want %q", got, want)
		}
		r.do("sh", "rm -rf fetched decrypted Restored")
	}

	r.write("stdin", "wrong\n")
	if out := r.sh(shell, everything); out.status == 0 || !strings.Contains(out.out, "Password incorrect") {
		t.Error(out)
	}
	r.do("sh", "fusermount -uz fetched")
	r.write("stdin", "secret\n")
	r.do(shell, everything+get("again")+get("unmount"))
	if got := read(t, r.home+"/names.tsv"); got != read(t, old.home+"/names.tsv") {
		t.Errorf("another index:\n%s", got)
	}
	r.write("Documents/new.txt", "new")
	r.mount()
	changes := r.do("sh", "rm -rf Restored; rsync -ai --delete view/ backuphost:documents 2>&1 | gocryptfs-rsync-pretty -hide-meta ctl view")
	if !regexp.MustCompile(`^(.* \./\n)?<f\++ new.txt\n$`).MatchString(changes) {
		t.Errorf("a new laptop does not go on with the same backup:\n%s", changes)
	}
	r.unmount()

	r.do(shell, get("empty"))
	for _, path := range []string{"taxes 2025/taxes.pdf", longTaxes, quoted} {
		r.do(shell, strings.Replace(fetch, "taxes 2025/taxes.pdf", path, 1))
		r.do(shell, decrypt+"fusermount -u decrypted")
		restored("content of " + path)
	}
	r.write("list", "taxes 2025\r\n"+quoted+"\r\ntaxes 2025/taxs.pdf\r\n/home/old/Documents/tax.pdf\r\n")
	has(t, r.do(shell, "mkdir fetched\n"+strings.Replace(fetch, `echo "taxes 2025/taxes.pdf"`, "cat ~/list", 1)),
		"/taxes 2025/taxs.pdf\" failed", ": /home/old/Documents/tax.pdf: not below MOUNT\n")
	r.do(shell, decrypt+"fusermount -u decrypted")
	r.unmount()
	restored("content of " + quoted + "content of taxes 2025/taxes.pdf")

	r.do(shell, "mkdir fetched\n"+get("pattern")+"\n"+decrypt+"fusermount -u decrypted")
	restored("content of " + longTaxes + "content of taxes 2025/taxes.pdf")

	key := r.do("sh", "gocryptfs-xray -dumpmasterkey Documents/.gocryptfs.reverse.conf 2>/dev/null")
	r.write("stdin", key)
	r.do("sh", "mkdir fetched decrypted Restored; sshfs -o ro backuphost:documents fetched")
	r.do(shell, get("key")+"cp -a decrypted/tax* Restored\n"+get("unmount"))
	restored("content of taxes 2025/taxes.pdf")
	r.do("sh", "mkdir fetched decrypted Restored")
	r.do(shell, get("key-empty")+fetch)
	r.unmount()
	r.do(shell, get("key")+"cp -a decrypted/. Restored && fusermount -u decrypted")
	restored("content of taxes 2025/taxes.pdf")

	r.write("stdin", key+"new\n")
	r.do(shell, get("passwd"))
	r.write(".backup-password", "new\n")
	r.mount()
	r.unmount()
}

// noSyslog is what gocryptfs 2.3 says where there is no syslog.
var noSyslog = regexp.MustCompile(`(?m)^Switch\w+: .*\n`)

// sftpServer are the directories in which distributions have it.
const sftpServer = "/usr/lib/openssh:/usr/libexec/openssh:/usr/lib/ssh"

// longTaxes is a path that gocryptfs stores as a long name; quoted requires care in a shell.
var (
	longTaxes = strings.Repeat("long ", 40) + "taxes.pdf"
	quoted    = "-Grandma's pie.txt"
)

// A reader has a home directory, in which all examples run.
type reader struct {
	t    *testing.T
	home string
	env  []string
}

// newHome returns a reader who has nothing but a password, and a backup host with the home
// directory host.
func newHome(t *testing.T, host string) *reader {
	t.Helper()
	r := &reader{t: t, home: shortDir(t)}
	r.env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+r.home, "TMPDIR="+r.home, "RSYNC_RSH=ssh",
		"HOST="+cmp.Or(host, r.home), "SFTP="+sftpServer, "PATH="+r.home+"/bin:/usr/bin:/bin:"+r.home+"/local bin")
	r.write(".backup-password", "secret\n")
	r.write("stdin", "secret\nsecret\n") // for -init and to mount
	for _, name := range []string{"ssh", "timemachine"} {
		r.write("bin/"+name, read(t, "testdata/readme/"+name))
	}
	bin, err := exec.LookPath(program)
	check(t, err)
	r.write("local bin/"+program, "#!/bin/sh\nexec '"+bin+"' \"$@\"\n")
	return r
}

func (r *reader) write(path, content string) {
	r.t.Helper()
	path = filepath.Join(r.home, path)
	check(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(r.t, os.WriteFile(path, []byte(content), 0o755))
}

// documents makes the files to back up.
func (r *reader) documents() {
	for _, path := range []string{"Straße.txt", "taxes 2025/taxes.pdf", longTaxes, quoted, "big videos/film.avi", "disk.iso"} {
		r.write("Documents/"+path, "content of "+path)
	}
	check(r.t, os.Symlink("Straße.txt", r.home+"/Documents/link"))
}

// mount shows the documents encrypted.
func (r *reader) mount() {
	r.do("sh", "mkdir -p view; gocryptfs -q -reverse -passfile .backup-password -ctlsock ctl Documents view")
}

// unmount ends that.
func (r *reader) unmount() {
	r.do("sh", "fusermount -u view")
	r.ended()
}

// ended waits until the server has ended, so that another one can take its socket.
func (r *reader) ended() {
	r.t.Helper()
	ctlsocktest.Eventually(r.t, "the socket is removed", func() bool {
		_, err := os.Stat(r.home + "/ctl")
		return err != nil
	})
}

// command returns a shell that runs a script at home. gocryptfs reads passwords and keys from a
// file, as from a terminal.
func (r *reader) command(shell, script string) *exec.Cmd {
	cmd := exec.Command(shell, "-c", script)
	cmd.Dir, cmd.Env = r.home, r.env
	cmd.Stdin, _ = os.Open(r.home + "/stdin") // nil is /dev/null
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
	out, _ := cmd.CombinedOutput()
	return result{string(out), cmd.ProcessState.ExitCode()}
}

// do runs a script that has to succeed, and returns its output.
func (r *reader) do(shell, script string) string {
	r.t.Helper()
	out := r.sh(shell, script)
	if out.status != 0 {
		r.t.Errorf("%s\n%v", script, out)
	}
	return out.out
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
