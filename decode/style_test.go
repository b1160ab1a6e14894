package decode

import (
	"bytes"
	"fmt"
	"gocryptfs-rsync-pretty/decode/scan"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (k kind) String() string {
	return [...]string{"ordinary", "added", "changed", "deleted", "warning", "failure", "progress"}[k]
}

// kinds are records, without their ends, by kind.
var kinds = []struct {
	kind  kind
	lines []string
}{
	{added, []string{
		">f+++++++++ name", "<f+++++++++ name", "cd+++++++++ name/", "cL+++++++++ name -> x",
		"hf+++++++++ name => x", "cD+++++++++ name", "cS+++++++++ name", ".d+++++++++ name/",
		">f+++++++ name", ">f++++++++++ name", ">f+++++++++++ name", // of macOS
	}},
	{changed, []string{
		">f.st...... name", "<f..t...... name", ">fcstpoguax name", ".d..t...... ./", ".f...p..... name",
		"cLc.t...... name -> x", ">f..T...... name", ".f....og... name", ".f......u.. name",
		".f......n.. name", ".f......b.. name", ".f.......a. name", ".f........x name", ">f?s?...... name",
		"hf..t...... name",
	}},
	{deleted, []string{
		"*deleting   name", "*deleting   name/", "*deleting name", "deleting name", "deleting name/",
	}},
	{warning, []string{
		`file has vanished: "/x/name"`, `directory has vanished: "/x/name"`,
		"rsync warning: some files vanished before they could be transferred (code 24) at main.c(1394) [sender=3.5.0]",
		"WARNING: name failed verification -- update discarded (will try again).",
		"skipping directory name", `skipping non-regular file "name"`, `symlink has no referent: "/x/name"`,
		`ignoring unsafe symlink "name" -> "x"`, `skipped diminished file: "/x/name"`,
		"Deletions stopped due to --max-delete limit (1 skipped)",
		"*** Skipping any contents from this failed directory ***",
		"openrsync(123): warning: name: open",
	}},
	{failure, []string{
		`rsync: [sender] send_files failed to open "/x/name": Permission denied (13)`,
		`rsync: send_files failed to open "/x/name": Permission denied (13)`, // 3.1.3
		"rsync: [generator] delete_file: unlink(name) failed: Read-only file system (30)",
		"rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]",
		"ERROR: name failed verification -- update retained.", "@ERROR: Unknown module 'x'",
		"IO error encountered -- skipping file deletion",
		"could not make way for new regular file: name", "cannot delete non-empty directory: name",
		"openrsync(123): error: name: open (2) in /x: Permission denied",
		"2026-11-22 17:24:40 timemachine: [ERROR] timemachine Backup has failed",
	}},
	{progress, []string{
		"\r",
		"              4 100%    0.36kB/s    0:00:00 (xfr#1, to-chk=7/9)",
		"              4 100%    0.36kB/s    0:00:00 (xfer#1, to-check=7/9)",
		"      3,276,800  10%    3.12MB/s    0:00:09  \r",
		"      3.276.800  10%    3.12MB/s    0:00:09  ",
		"          3.28M  10%    3.12MB/s    0:00:09  ",
		"              0   0%    0.00kB/s    0:00:00  ",
		"              0   0%    0.00kB/s   ??:??:??  ",
		"           1234 100%    0.00MB/s   00:00:00 (xfer#1, to-check=1/9)", // openrsync
	}},
	{ordinary, []string{
		"", "\n", "./", "name", "name/name", "name is uptodate", "name -> x", "name => x", "mount/name/",
		".f          name", ".d          ./", "hf          name => x", ".L          name -> x", // the same
		"sending incremental file list", "building file list ... done", "created directory name",
		"sent 1,234 bytes  received 56 bytes  860.00 bytes/sec", "total size is 100  speedup is 1.00",
		"Number of files: 3 (reg: 2, dir: 1)", "name exists", "name is newer", "deleted by hand",
		"deleting in .", "deleting in name", // -vv, before a search
		"rsync", "rsyncd.conf", "rsync.log is uptodate", "error", "errors/name", "warnings", "skipping",
		">f", ">f+++++", ">f++++++++", ">f+++++++++", ">f++++++++++++ name", ">x+++++++++ name", "=f+++++++++ name",
		">f.st..z... name", "100% name", "12 monkeys", "  12 50 % off", "name 100% 1.00MB/s",
		"2026-11-22 17:24:40 timemachine: [INFO]  Starting full backup",
		"[sender] hiding file name because of pattern name", "send name", "-rw-r--r--  4 2026/11/22 17:29:36 name",
	}},
}

// TestClassify classifies each record alone and after the prefixes of other programs, and
// while it is being read: a kind is certain, or may still change.
func TestClassify(t *testing.T) {
	for _, k := range kinds {
		for _, line := range k.lines {
			if got := classify([]byte(line+"\n"), true); got != k.kind && line != "\r" {
				t.Errorf("%q, with its end, is %v, want %v", line, got, k.kind)
			}
			for _, prefix := range []string{
				"",
				"2026/11/22 17:29:36 [12345] ", "openrsync(123): ", "2026-11-22 17:24:40 timemachine: ",
				"Nov 23 03:10:00 ", "Nov  3 03:10:00.123456 ", "00:00:05 ", "00:00:05.123456 ", // ts, ts -s
				"2026-11-23T03:10:00Z ", "2026-11-23T03:10:00+0100 ", "2026-11-23T03:10:00.5+01:00 ",
				"Nov 23 03:10:00 host backup[123]: ", "2026-11-23T03:10:00+0100 host backup[123]: ", // journalctl
				"[2026-11-23 03:10:00] ", "[03:10:00] ", "Nov 23 03:10:00 2026/11/22 17:29:36 [12345] ",
			} {
				if prefix != "" && (k.kind == progress || strings.Contains(line, "openrsync(") || strings.Contains(line, "timemachine: ")) {
					continue
				}
				rec := []byte(prefix + line)
				if got := classify(rec, true); got != k.kind {
					t.Errorf("%q is %v, want %v", rec, got, k.kind)
				}
				for i := range rec {
					if got := classify(rec[:i], false); got != k.kind && !mayChange(rec[:i]) {
						t.Errorf("%q is %v at once, but %q is %v", rec[:i], got, rec, k.kind)
					}
				}
			}
		}
	}
	for _, prompt := range []string{"Password: ", "root@host's password: ", "building file list ... ", "Continue?", "[y/N] ", "> ", "rsync: x"} {
		if mayChange([]byte(prompt)) {
			t.Errorf("%q has to wait", prompt)
		}
	}
}

// Encrypted names. encDashes looks like an option; encNotLong is one letter short.
const (
	encName    = "ikFrxDZ5DfCpwm4Myx-3TA"
	encLong    = "gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI"
	encDashes  = "--FrxDZ5DfCpwm4Myx-3TA"
	encPadded  = "gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI="
	encNotLong = "gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2l"
)

// meta are records about a housekeeping file, as rsync and others print them.
var meta = []string{
	"gocryptfs.conf", "gocryptfs.diriv", encLong + ".name", encPadded + ".name",
	encName + "/gocryptfs.diriv", "mount/" + encName + "/" + encLong + ".name", "/mnt/enc/gocryptfs.conf",
	">f+++++++++ gocryptfs.conf", ">f.st...... " + encName + "/gocryptfs.diriv", "*deleting   " + encName + "/gocryptfs.diriv",
	"deleting gocryptfs.diriv", ".f          gocryptfs.diriv", "gocryptfs.diriv is uptodate",
	"hf+++++++++ gocryptfs.diriv => " + encName + "/gocryptfs.diriv",
	`{"name":"gocryptfs.conf"}`, "<gocryptfs.conf>", "[" + encName + "/gocryptfs.diriv]", "'gocryptfs.diriv'", "send:gocryptfs.diriv:",
	"-r--r-----             16 2026/11/22 17:29:36 " + encName + "/gocryptfs.diriv",
	"2026/11/22 17:29:36 [123] >f+++++++++ gocryptfs.conf",
	"[sender] hiding file " + encName + "/gocryptfs.diriv because of pattern gocryptfs.diriv",
	"[generator] protecting file gocryptfs.diriv because of pattern gocryptfs.*",
	"backed up gocryptfs.diriv to gocryptfs.diriv~", "set modtime of .gocryptfs.conf.VxgLwC to (1) Sun Nov 22 17:52:31 2026",
	// One name in 4096 begins like an option.
	">f+++++++++ " + encDashes + "/gocryptfs.diriv", "deleting " + encDashes + "/" + encLong + ".name",
	"gocryptfs.conf exists (type change)", `not creating new file "gocryptfs.conf"`, "sender removed gocryptfs.conf",
}

// notMeta are records that are not about a housekeeping file, or not only.
var notMeta = []string{
	"A, gocryptfs.conf, B", "./A\x00./gocryptfs.conf\x00./B", "gocryptfs.conf\x00gocryptfs.diriv", ">f+++++++++ A -> gocryptfs.conf",
	"", encName, encLong, encLong + "/gocryptfs", encNotLong + ".name", encLong + "x.name", encLong + ".names",
	"gocryptfs.configuration", "gocryptfs.diriv2", "my-gocryptfs.conf", "my_gocryptfs.conf", "xgocryptfs.conf",
	"gocryptfs", "gocryptfs.log", "gocryptfs.conf_old",
	// Trouble with a housekeeping file concerns the backup.
	`rsync: [sender] send_files failed to open "/x/gocryptfs.conf": Permission denied (13)`,
	`file has vanished: "/x/gocryptfs.diriv"`, "ERROR: gocryptfs.conf failed verification -- update retained.",
	"WARNING: gocryptfs.diriv failed verification -- update discarded (will try again).",
	"rsync: gocryptfs.conf: x", "skipping non-regular file \"gocryptfs.conf\"",
	"cannot delete non-empty directory: " + encName + "/gocryptfs.diriv",
	// Echoed commands.
	"rsync -a --exclude=gocryptfs.conf mnt/ dst", "rsync -a --exclude gocryptfs.conf mnt/ dst",
	"2026-11-22 17:24:40 timemachine: [INFO]  $ rsync --recursive --exclude='gocryptfs.conf' '/x' '/y/.inprogress'",
	"+ rsync -a --exclude=gocryptfs.diriv --delete mnt/ dst",
	"cmd=ssh machine=host user=me path=gocryptfs.conf", "exclude=gocryptfs.conf",
	"opening connection using: ssh host rsync --server -vlogDtpre.iLsfxCIvu . gocryptfs.conf  (7 args)",
}

func TestIsMeta(t *testing.T) {
	for want, lines := range map[bool][]string{true: meta, false: notMeta} {
		for _, line := range lines {
			for _, end := range []string{"", "\n", "\r"} {
				if got := isMeta([]byte(line+end), ""); got != want {
					t.Errorf("%q: %v, want %v", line+end, got, want)
				}
			}
		}
	}
	// MOUNT may have blanks, and a record may have only its last directories.
	for _, line := range []string{
		"/my disk/the view/gocryptfs.conf", "my disk/the view/" + encName + "/gocryptfs.diriv", "the view/gocryptfs.conf",
		"'the view/gocryptfs.conf'", "the view/gocryptfs.diriv is uptodate", "[my disk/the view/gocryptfs.conf]<gocryptfs.conf>",
	} {
		if !isMeta([]byte(line), "/my disk/the view") {
			t.Errorf("%q is not about a housekeeping file only", line)
		}
	}
	for _, line := range []string{"cannot read the view/gocryptfs.conf", "I/O error in the view/gocryptfs.conf"} {
		if isMeta([]byte(line), "/my disk/the view") {
			t.Errorf("%q is not an error", line)
		}
	}
}

// TestErrorsStay checks that no error that names a housekeeping file is hidden, in whoever's
// words and whatever stands before it.
func TestErrorsStay(t *testing.T) {
	var failures []string
	for _, file := range []string{"gocryptfs.conf", encName + "/gocryptfs.diriv", "/my disk/view/" + encLong + ".name"} {
		for _, form := range []string{
			`rsync: [sender] send_files failed to open "%s": Permission denied (13)`, `rsync: send_files failed to open "%s": Permission denied (13)`,
			`rsync: [generator] delete_file: unlink(%s) failed: Read-only file system (30)`, `file has vanished: "%s"`,
			"ERROR: %s failed verification -- update discarded.", "cannot delete non-empty directory: %s", `skipping non-regular file "%s"`,
			"openrsync: error: %s: open (2) in /x: Permission denied", "%s: open (2) in /x: Permission denied",
			"tar: %s: Cannot open: Permission denied", "tar: %s: file changed as we read it", "cp: cannot open '%s' for reading: Permission denied",
			"ls: cannot access '%s': Input/output error", "ls: %s: Permission denied", "find: ‘%s’: Permission denied", "cat: %s: Input/output error",
			"sha256sum: %s: Input/output error", "%s: FAILED", "%s: FAILED open or read", "Only in /x: %s", "Files /x/%[1]s and /y/%[1]s differ",
			"ERROR : %s: Failed to copy: permission denied", "ERROR : Failed to copy %s", "Failed to copy: open %s: permission denied",
			"E %s", "! %s", "? %s", "%s: open: [Errno 13] Permission denied: '%[1]s'", "error: read %s: input/output error", "Error reading %s",
			"%s: Permission denied", "%s: Das Argument ist ungültig", "Kann %s nicht lesen", "Fehler beim Lesen von %s", "could not read %s",
			"I/O error on %s", "open %s: no such file or directory", "Cannot open config file %s: permission denied", "unreadable: %s", "deleting failed for %s", "< %s", "> %s", "- %s", "+ %s", "* %s",
			"backed up %s to /b/gocryptfs.conf: No space left on device", "recv_generator(%s): failed", "sender removed %s: Permission denied",
			`{"level":"error","msg":"open %s: permission denied"}`, `{"error":"Permission denied","path":"%s"}`, `{"path":"%s","error":{"code":13,"text":"denied"}}`,
			`level=error msg="cannot read" path="%s"`, "<3>%s is damaged", "%s is not readable", "%s exists, but cannot be read", "*** %s ***",
		} {
			failures = append(failures, fmt.Sprintf(form, file))
		}
	}
	prefixes := []string{
		"", "2026/11/22 17:29:36 [12345] ", "2026-11-22 17:24:40 timemachine: ", "openrsync(123): ", "Nov 23 03:10:00 ", "00:00:05 ",
		"Nov 23 03:10:00 host backup[123]: ", "Nov 23 03:10:00 host backup: ", "2026-11-23T03:10:00+0100 host backup[123]: ", "[03:10:00] ",
		"[E] Error: ", "[E] ", "[I] ", "INFO: ", "Back In Time: ", "notify-send: ", "backup-1  | ", "backup_1 | ", "\x1b[36mbackup-1  |\x1b[0m ",
		"2026-11-23T03:10:00.123456789Z stderr F ", "2026-11-23T03:10:00.123456789Z stdout P ", "<11>", "<13>Nov 23 03:10:00 host backup: ",
		"<165>1 2026-11-23T03:10:00.003Z host app 1234 ID47 - ", "1 2026-11-23T03:10:00Z host rsync - - - ", "host backup[123]: ", "backup: ",
		"2026-11-23 03:10:00,123 ERROR backup: ", "2026-11-23 03:10:00,123 - root - ERROR - ", "ERROR:root:", "WARNING:backup:", `msg="`,
		`time="2026-11-23T03:10:00Z" level=error msg="`, `{"log":"`, `{"message": "`, "[2026-11-23 03:10:00] ", "[2026-11-23T03:10:00+0100] ",
		"2026-11-23 03:10:00 [err] ", "stderr: ", "[stderr] ", "rsync> ", "remote: ", "> ", "| ", "+ ", "\t", "  ", "0: ", "1) ", "E1123 03:10:00.000000   1 main.go:1] ",
		"10.0.0.1 - - [23/Nov/2026:03:10:00 +0000] ", "host | FAILED! => ", "fatal: [host]: ", "\u2716 ", "Error: ",
	}
	for _, prefix := range prefixes {
		for _, failure := range failures {
			if line := prefix + failure; isMeta([]byte(line+"\n"), "/my disk/view") {
				t.Errorf("%q is hidden", line)
			}
		}
	}
}

// hidden are texts and what is left of them with -hide-meta.
var hidden = []struct{ about, in, want string }{
	{"names", "A\ngocryptfs.conf\nB\n", "A\nB\n"},
	{"every form of them", "A\n" + strings.Join(meta, "\nB\n") + "\nC\n", "A\n" + strings.Repeat("B\n", len(meta)-1) + "C\n"},
	{"all of it", "gocryptfs.conf\ngocryptfs.diriv\n", ""},
	{"progress without blanks after it", "gocryptfs.conf\n1 1% 1:1:1\nA\ngocryptfs.conf\n1 1% 1:1:1\r\ngocryptfs.conf\n1 1% 1:1:1", "A\n"},
	{"empty lines of CRLF", "gocryptfs.conf\r\n\r\n1 1% 1:1:1\r\n", "\n1 1% 1:1:1\r\n"},
	{"no progress: a name follows, or something else", "gocryptfs.conf\n1 1% 1:1:1/A\ngocryptfs.conf\n1 1% 1:1:1 (A)\n", "1 1% 1:1:1/A\n(A)\n"},
	{"many figures in a line", "gocryptfs.conf\n" + strings.Repeat("1 1% 1:1:1 ", 2000) + "A\n", "A\n"},
	{"figures of any length", "gocryptfs.conf\n1 1% 1:1:1" + strings.Repeat(" ", 1014) + "\nA\n", "A\n"},
	{"figures of full length and a record", "1 1% 1:1:1" + strings.Repeat(" ", 1014) + "gocryptfs.conf\nA\n",
		"1 1% 1:1:1" + strings.Repeat(" ", 1014) + "A\n"},
	{"figures that are too long", "gocryptfs.conf\n1 1% 1:1:1" + strings.Repeat(" ", 1014) + " \nA\n", " \nA\n"},
	{"without a last newline", "A\ngocryptfs.conf", "A\n"},
	{"a last line", "gocryptfs.conf\nA", "A"},
	{"progress", "A\n" + figures(10, 50) + figures(100, 100) + " (xfr#1, to-chk=1/3)\n" +
		"gocryptfs.conf\n" + figures(3, 50) + figures(6, 100) + " (xfr#2, to-chk=0/3)\n\nsent\n",
		"A\n" + figures(10, 50) + figures(100, 100) + " (xfr#1, to-chk=1/3)\n\nsent\n"},
	{"progress before any name", figures(10, 50) + "\ngocryptfs.conf\n" + figures(16, 100) + "\nA\n" + figures(20, 100) + "\n",
		figures(10, 50) + "\nA\n" + figures(20, 100) + "\n"},
	{"a name that only looks so when it is plain", encName + "\n", "gocryptfs.conf\n"},
	{"below a directory", encName + "/gocryptfs.diriv\n" + encName + "\n", "gocryptfs.conf\n"},
	{"an error in between", "gocryptfs.conf\nrsync: x\n" + figures(6, 100) + "\n", "rsync: x\n" + figures(6, 100) + "\n"},
	{"an empty line ends it", "gocryptfs.conf\n\n" + figures(6, 100) + "\n", "\n" + figures(6, 100) + "\n"},
	{"CR ends a record too", "A\rgocryptfs.conf\rB\r", "A\rB\r"},
	{"a long line", strings.Repeat("x ", scan.MaxToken) + "gocryptfs.conf\nA\n", strings.Repeat("x ", scan.MaxToken) + "gocryptfs.conf\nA\n"},
	{"after a long line", strings.Repeat("x ", scan.MaxToken) + "\ngocryptfs.conf\nA\n", strings.Repeat("x ", scan.MaxToken) + "\nA\n"},
	{"after ts's prefix", "Nov 23 03:10:00 A\nNov 23 03:10:01 gocryptfs.conf\nNov 23 03:10:01 \r" + figures(6, 100)[1:] + "\nNov 23 03:10:02 B\n",
		"Nov 23 03:10:00 A\nNov 23 03:10:02 B\n"},
	{"after journalctl's", "2026-11-23T03:10:00+0100 host backup[1]: >f+++++++++ gocryptfs.diriv\n", ""},
	// rsync pulls, and two processes write (-vv --progress).
	{"a line after hidden progress", "gocryptfs.conf\n" + figures(0, 0) + "A is uptodate\n", "A is uptodate\n"},
	{"housekeeping after progress", "A\n" + figures(0, 0) + "gocryptfs.conf is uptodate\n", "A\n" + figures(0, 0)},
	{"after two figures", "1 1% 1:1:1 1 1% 1:1:1 gocryptfs.diriv\nnext\n", "1 1% 1:1:1 1 1% 1:1:1 next\n"},
	{"CRLF, as script(1) records it", "A\r\ngocryptfs.conf\r\n" + figures(6, 100) + "\r\nB\r\n", "A\r\nB\r\n"},
	{"progress of the whole run, to its end (--info=progress2)",
		">f+++++++++ A\n" + figures(90, 90) + "(xfr#1, to-chk=1/2)\ngocryptfs.diriv\n" + figures(100, 100) + "(xfr#2, to-chk=0/2)\n",
		">f+++++++++ A\n" + figures(90, 90) + "(xfr#1, to-chk=1/2)\n" + figures(100, 100) + "(xfr#2, to-chk=0/2)\n"},
	{"many", strings.Repeat("gocryptfs.conf\n"+figures(6, 100)+"\nA\n"+figures(6, 100)+"\n", 60),
		strings.Repeat("A\n"+figures(6, 100)+"\n", 60)},
	{"many batches", strings.Repeat("gocryptfs.conf\n"+figures(6, 100)+"\nA\n"+figures(6, 100)+"\n", 5000),
		strings.Repeat("A\n"+figures(6, 100)+"\n", 5000)},
	{"progress over many batches", "gocryptfs.conf\n" + strings.Repeat(figures(6, 50), 500) + "\nA\n" + strings.Repeat(figures(7, 50), 500) + "\n",
		"A\n" + strings.Repeat(figures(7, 50), 500) + "\n"},
}

// figures is a progress update.
func figures(n, percent int) string {
	return fmt.Sprintf("\r%15d %3d%% %7.2fkB/s    0:00:00  ", n, percent, 1.0)
}

func TestHideMeta(t *testing.T) {
	known := paths{encName: "gocryptfs.conf"}
	for _, tt := range hidden {
		o := Options{Names: known, HideMeta: true}
		if diff := cmp.Diff(tt.want, copyAll(t, strings.NewReader(tt.in), o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.about, diff)
		}
		everywhere(t, tt.about, tt.in, tt.want, o)
	}
}

// everywhere checks that the output does not depend on where the input is cut.
func everywhere(t *testing.T, about, text, want string, o Options) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 50)
	for i := range random {
		random[i] = byte(r.IntN(80))
	}
	cuts := [][]byte{{255, 1}, random}
	if len(text) < scan.MaxToken { // a longer text takes minutes
		cuts = append(cuts, []byte{1}, []byte{2}, []byte{3}, []byte{13})
		for i := 1; i < min(len(text), 100); i++ {
			cuts = append(cuts, append([]byte{byte(i)}, bytes.Repeat([]byte{255}, 100)...))
		}
	}
	for _, c := range cuts {
		if diff := cmp.Diff(want, copyAll(t, &cutReader{data: []byte(text), cuts: c}, o)); diff != "" {
			t.Errorf("%s, cut into %v (-want +got):\n%s", about, c, diff)
			return
		}
	}
}

// TestColorChangesNothing checks that color adds only sequences to the text, and that
// each color ends in its record, before the line end.
func TestColorChangesNothing(t *testing.T) {
	var text strings.Builder
	for _, k := range kinds {
		for _, line := range k.lines {
			fmt.Fprint(&text, strings.ReplaceAll(line, "name", encName+"/"+encDashes), "\n")
		}
	}
	for _, line := range append(meta, notMeta...) {
		fmt.Fprint(&text, line, "\r\n")
	}
	text.WriteString("no end")
	for name, names := range map[string]Names{"nobody": nobody, "anybody": anybody} {
		want := copyAll(t, strings.NewReader(text.String()), Options{Names: names})
		for _, cuts := range [][]byte{nil, {1}, {2}, {50, 3}} {
			got := copyAll(t, &cutReader{data: []byte(text.String()), cuts: cuts}, Options{Names: names, Color: true})
			if !strings.Contains(got, colors.reset) {
				t.Errorf("%s: no color", name)
			}
			if diff := cmp.Diff(want, sequences.Replace(got)); diff != "" {
				t.Errorf("%s, cut into %v, without sequences (-want +got):\n%s", name, cuts, diff)
			}
			for _, rec := range strings.FieldsFunc(got, func(r rune) bool { return r == '\r' || r == '\n' }) {
				if i := strings.LastIndex(rec, "\x1b"); i >= 0 && !strings.HasPrefix(rec[i:], colors.reset) {
					t.Errorf("%s, cut into %v: color goes on after %q", name, cuts, rec)
				}
			}
		}
	}
}

// sequences removes all sequences from the text that is written.
var sequences = func() *strings.Replacer {
	pairs := []string{colors.dim, "", colors.reset, ""}
	for _, s := range colors.kinds {
		pairs = append(pairs, s, "")
	}
	return strings.NewReplacer(pairs...)
}()

// TestColorLong checks that a record of more than scan.MaxToken, which is never seen as a
// whole, has the color of its beginning, from there to its end.
func TestColorLong(t *testing.T) {
	rest := strings.Repeat("x ", scan.MaxToken)
	got := copyAll(t, inPieces("*deleting   ", rest, rest, "\ny"), Options{Names: nobody, Color: true})
	if want := colors.kinds[deleted] + "*deleting   " + rest + rest + colors.reset + "\ny"; got != want {
		t.Errorf("begins %q, ends %q", got[:20], got[len(got)-30:])
	}
}

// TestColorInString checks that a name within a control string, which a sequence would end,
// is not marked, and that one after it is.
func TestColorInString(t *testing.T) {
	for _, text := range []string{
		"\x1b]8;;file://host/" + encName + "\x1b\\|" + encName + "|\x1b]8;;\x1b\\|", "\x1b]0;" + encName + "\a|" + encName + "|", "\x1b]0;\n|" + encName + "|",
		"\x1b-" + encLong,
	} {
		mark := colors.reset + colors.dim + encName + colors.reset
		want := strings.ReplaceAll(text, "|"+encName+"|", "|"+mark+"|")
		if got := copyAll(t, strings.NewReader(text), Options{Names: nobody, Color: true}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
