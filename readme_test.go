package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme pastes the shell examples of README, as somebody would who has files
// in ~/Documents, a password, and a backup host, which here is the same machine.
func TestReadme(t *testing.T) {
	need(t, "fuse", "rsync", "bash", "gocryptfs", "fusermount")
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for _, m := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		examples = append(examples, m[1])
	}
	if len(examples) != 4 {
		t.Fatalf("%d examples, want the script, timemachine, a log, a restore", len(examples))
	}
	script, timemachine, log, restore := examples[0], examples[1], examples[2], examples[3]
	filter := `gocryptfs-rsync-pretty "$run/ctl"`

	r := newReader(t)
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
	t.Run("timemachine", func(t *testing.T) {
		head, _, ok := strings.Cut(script, "rsync -ai")
		if !ok {
			t.Fatal("the script has no rsync -ai")
		}
		r.expect(t, head+timemachine, "view/Straße.txt", "view/taxes 2025/taxes.pdf", "100%")
	})
	t.Run("log", func(t *testing.T) {
		head, _, _ := strings.Cut(script, "rsync -ai")
		r.expect(t, head+"cd\nrsync -av \"$run/view\" elsewhere > rsync.log\ntouch -d yesterday rsync.log\n"+log,
			"\nview/taxes 2025/taxes.pdf\n", "/view/taxes 2025/taxes.pdf\n")
	})
	for name, want := range map[string]string{"taxes 2025/taxes.pdf": "forms", longTaxes: "more forms", "not there": ""} {
		t.Run("restore "+name, func(t *testing.T) {
			in := fmt.Sprintf("mkdir -p %d; cd %[1]d\n", len(name))
			if want == "" {
				got := r.bash(t, in+"bash <<'END' || :\n"+strings.Replace(restore, "taxes 2025/taxes.pdf", name, 1)+"END\nls")
				if got != "not found\n" {
					t.Errorf("got %q", got)
				}
				return
			}
			t.Cleanup(func() { r.bash(t, in+"fusermount -u restored") })
			got := r.bash(t, in+strings.Replace(restore, `"taxes 2025/taxes.pdf"`, `"`+name+`"`, 1)+"find restored -type f -exec cat {} +")
			if !strings.HasSuffix(got, want) || strings.Count(got, "forms") != 1 {
				t.Errorf("got %q, want %q and that alone", got, want)
			}
		})
	}
	if left := r.bash(t, "ls -d tmp.* || true"); !strings.Contains(left, "No such file") {
		t.Errorf("the scripts left something behind:\n%s", left)
	}
}

// longTaxes becomes a long name.
var longTaxes = strings.Repeat("long ", 40) + "taxes.pdf"

// A reader has a home directory, in which everything happens.
type reader struct {
	home string
	env  []string
}

func newReader(t *testing.T) *reader {
	t.Helper()
	home := shortDir(t)
	r := &reader{home: home, env: append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+home, "TMPDIR="+home,
		"RSYNC_RSH="+home+"/bin/host", "PATH="+home+"/bin:"+os.Getenv("PATH"))}
	r.write(t, ".backup-password", "secret\n")
	r.write(t, "Documents/Straße.txt", "way")
	r.write(t, "Documents/taxes 2025/taxes.pdf", "forms")
	r.write(t, "Documents/"+longTaxes, "more forms")
	// rsync calls it as ssh, with a host and a command.
	r.write(t, "bin/host", "#!/bin/sh\nshift\ncd && exec \"$@\"\n")
	// The rsync that timemachine 1.3.2 runs for `timemachine -v SRC DEST -- OPTS`.
	r.write(t, "bin/timemachine", `#!/bin/sh
src=$2 dest=$3
shift 4
rsync --recursive --perms --owner --group --times --links --delete --delete-excluded \
	--partial-dir=.partial "$@" "$src" "$dest/.inprogress"
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

// bash runs a script at home and returns all that it prints.
func (r *reader) bash(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = r.home, r.env
	out, err := cmd.CombinedOutput()
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
