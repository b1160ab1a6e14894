package style

import (
	"fmt"
	"strings"
	"testing"
)

func (k Kind) String() string {
	return [...]string{"ordinary", "added", "changed", "deleted", "warning", "failure", "progress"}[k]
}

// kinds are records, without their ends, by kind.
var kinds = []struct {
	kind  Kind
	lines []string
}{
	{Added, []string{
		">f+++++++++ name", "<f+++++++++ name", "cd+++++++++ name/", "cL+++++++++ name -> x",
		"hf+++++++++ name => x", "cD+++++++++ name", "cS+++++++++ name", ".d+++++++++ name/",
		">f+++++++ name", ">f++++++++++ name", ">f+++++++++++ name", // of macOS
	}},
	{Changed, []string{
		">f.st...... name", "<f..t...... name", ">fcstpoguax name", ".d..t...... ./", ".f...p..... name",
		"cLc.t...... name -> x", ">f..T...... name", ".f....og... name", ".f......u.. name",
		".f......n.. name", ".f......b.. name", ".f.......a. name", ".f........x name", ">f?s?...... name",
		"hf..t...... name",
	}},
	{Deleted, []string{
		"*deleting   name", "*deleting   name/", "*deleting name", "deleting name", "deleting name/",
	}},
	{Warning, []string{
		`file has vanished: "/x/name"`, `directory has vanished: "/x/name"`,
		"rsync warning: some files vanished before they could be transferred (code 24) at main.c(1394) [sender=3.5.0]",
		"WARNING: name failed verification -- update discarded (will try again).",
		"skipping directory name", `skipping non-regular file "name"`, `symlink has no referent: "/x/name"`,
		`ignoring unsafe symlink "name" -> "x"`, `skipped diminished file: "/x/name"`,
		"Deletions stopped due to --max-delete limit (1 skipped)",
		"*** Skipping any contents from this failed directory ***",
		"openrsync(123): warning: name: open",
	}},
	{Failure, []string{
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
	{Progress, []string{
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
	{Ordinary, []string{
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
				if prefix != "" && (k.kind == Progress || strings.Contains(line, "openrsync(") || strings.Contains(line, "timemachine: ")) {
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
	"A, gocryptfs.conf, B", "gocryptfs.d/\x00", "./A\x00./gocryptfs.conf\x00./B", "gocryptfs.conf\x00gocryptfs.diriv", ">f+++++++++ A -> gocryptfs.conf",
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
			"set uid of %s from 5 to 6 failed: Operation not permitted (1)", "set modtime of %s to (1) failed Operation not permitted",
			"recv_generator(%s) failed Input/output error", "[sender] make_file(%s) cannot stat", "send_files(3, %s) open failed",
			"hlink for 3 (%s,3): Permission denied", "backed up %s to nowhere failed /gocryptfs.conf", "12:00:00 Permission denied[13]: %s",
			`{"error":"%s"}`, `{"missing": "%s"}`, `{"unreadable": ["%s"]}`, `{"errors":{"%s":5}}`, "/usr/bin/tool failed on %s", `{"errno":13,"path":"%s"}`, `{"path":"%s","status":1}`,
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
