package decode

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"gocryptfs-rsync-pretty/decode/scan"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// Every form in which rsync, openrsync and linux-timemachine print a name, from the
// source of rsync 3.1.3 to 3.5.0 and from running it. In a line
//
//	{a/b}     is a path from the root of the tree
//	{a|b}     is that of b in the directory a, without the path of a
//	{@a/b}    is the target of the symbolic link a/b
//
// encrypted in the input, and in plain in the output. What a line names exists.
var forms = []struct {
	about string
	lines []string
}{
	{"name lines", []string{
		"{a file.txt}",
		"{Photos}/",
		"./",
		"{Photos/Summer in Zürich/lake (1).jpg}",
		"mount/{Photos/Summer in Zürich}/",
		"{best photo} -> {@best photo}",
		"mount/{dir/best photo} -> {@dir/best photo}",
		"{a file.txt} => {hard/link too}",
		"mount/{hard/link} => mount/{hard/link too}",
		"{a pipe}",
		"{a file.txt} is uptodate",
		"{Photos}/ is uptodate",
		"./ is uptodate",
		"created directory /srv/backup/{Photos}",
		"created directory ../{Photos/2026}",
		"created 3 directories for backup/{Photos/2026}",
		"sending incremental file list",
		"building file list ... done",
		"/home/me/mount/{Photos/Summer in Zürich/lake (1).jpg}",
		"home/me/mount/{Photos}/",
	}},
	{"itemized lines", []string{
		">f+++++++++ {a file.txt}",
		">f.st...... mount/{Photos/lake.jpg}",
		"<f.st...... {Photos/lake.jpg}",
		"cd+++++++++ {Photos}/",
		"cL+++++++++ {best photo} -> {@best photo}",
		"hf+++++++++ {a} => {b}",
		"hf+++++++++ {dir/a} => {dir/b}",
		".d          ./",
		".d          {Photos}/",
		".f          {Photos/lake.jpg}",
		"hf          {Photos/lake.jpg}",
		".L          {dir/link} -> {@dir/link}",
		"hL          {dir/link} -> {@dir/link}",
		"cS+++++++++ {a pipe}",
		"*deleting   {gone}",
		"*deleting   {gone}/",
		"*deleting   {gone dir/and file}",
		"*deleting {gone dir/and file}", // 2.6.9
		">fcst.. {a file.txt}",
	}},
	{"--out-format", []string{
		"[{Photos/lake.jpg}]", "<{Photos/lake.jpg}>", `"{Photos/lake.jpg}"`, "'{Photos/lake.jpg}'",
		"({Photos/lake.jpg})", "{Photos/lake.jpg}|123", "{Photos/lake.jpg},123", "{Photos/lake.jpg};123",
		"`{Photos/lake.jpg}`", "*{Photos/lake.jpg}*", "^{Photos/lake.jpg}$", "#{Photos/lake.jpg}!",
		"%{Photos/lake.jpg}%", "@{Photos/lake.jpg}@", "&{Photos/lake.jpg}&", "+{Photos/lake.jpg}+",
		":{Photos/lake.jpg}:", "\t{Photos/lake.jpg}\t", "\\{Photos/lake.jpg}\\", "?{Photos/lake.jpg}?",
		"é{Photos/lake.jpg}é", "\x00{Photos/lake.jpg}\x00", "\xff{Photos/lake.jpg}\xff",
		"={Photos/lake.jpg}", "{a}={b}", "{Photos/lake.jpg}=123", "size=123,name={Photos/lake.jpg},x=y",
		"~{Photos/lake.jpg}~", ".{Photos/lake.jpg}.", "{Photos/lake.jpg}.", "a {Photos/lake.jpg} b",
		"send {Photos/lake.jpg} data/x/src/{Photos/lake.jpg} 15",
		">f+++++++++{Photos/lake.jpg}", ".d..t......{Photos}/", "del.{gone}",
		"del. {gone dir/and file}",
		"del.:*deleting  :{gone}::",
		"{Photos/lake.jpg}         ;",
		"         {Photos}/;",
		"src/.",
		`{"op":"send","name":"{Photos/lake.jpg}","file":"srv/mount/{Photos/lake.jpg}","what":">f+++++++++"},`,
		`{"name":"{dir/link} -> {@dir/link}"}`,
		`{"name":"{dir/link}","link":" -> {@dir/link}"}`,
		"[{dir/link}]<src/{dir/link}>send|cL+++++++++| -> {@dir/link}",
		`["{a}","{b}"]`,
		"<name>{Photos/lake.jpg}</name>",
		"name='{Photos/lake.jpg}'",
		"{dir/link}: -> {@dir/link}",
		"{dir/link} -> {@dir/link}.",
		"{dir/link} -> {@dir/link} 123",
		"{dir/link}     -> {@dir/link}    ",
		"{a} => {b} 123",
		"2026/11/22-17:29:38 d41d8cd98f00b204e9800998ecf8427e {a file.txt}",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709 {a file.txt}", // --checksum-choice=sha1
		"rwxr-xr-x 1000:1000 {a file.txt}",
		"%{a file.txt}", // %%n before 3.5.0
		"deleting {gone}",
	}},
	{"lists", []string{
		"-rw-r--r--              4 2026/11/22 17:29:36 {a file.txt}",
		"drwxr-xr-x          4,096 2026/11/22 17:29:36 {Photos}",
		"drwxr-xr-x          4,096 2026/11/22 17:29:36 .",
		"lrwxrwxrwx             10 2026/11/22 17:29:36 {dir/link} -> {@dir/link}",
		"lrwxrwxrwx             10 2026/11/22 17:29:36 {dir/link}",
		"-rw-r--r--          4 2026/11/22 17:29:36 {a file.txt}", // --no-h
		"-rw-r--r--              4 2026/11/22 17:29:36 2026/11/22 17:29:36 {a file.txt}",
		"drwxr-xr-x          4,096 2026/11/22 17:29:36                     {Photos}",
		"*missing                                       {gone}",
	}},
	{"information", []string{
		"skipping directory {Photos}",
		`skipping non-regular file "{dir/a pipe}"`,
		`ignoring unsafe symlink "{dir/link}" -> "{@dir/link}"`,
		`copying unsafe symlink "{dir/link}" -> "{@dir/link}"`,
		"{Photos/lake.jpg} exists",
		"{Photos/lake.jpg} exists (uptodate)",
		"{Photos/lake.jpg} exists (type change)",
		"{Photos/lake.jpg} exists (file change)",
		"{Photos/lake.jpg} exists (sum change)",
		"{Photos/lake.jpg} exists (attr change)",
		"{Photos/lake.jpg} is newer",
		"{Photos/lake.jpg} is over max-size",
		"{Photos/lake.jpg} is under min-size",
		`not creating new file "{Photos/lake.jpg}"`,
		`not creating new directory "{Photos/2026}"`,
		"sender removed {Photos/lake.jpg}",
		"sender file already removed: {Photos/lake.jpg}",
		"backed up {a} to {a}~",
		"backed up {dir/a} to {dir/a}~",
		"backed up {dir/a} to {dir/a}.bak",
		"backed up {dir/a} to {dir/a}.2026-01-02",
		"backed up {dir/a} to /srv/old/{dir/a}",
		"backed up {dir/a} to ../old/{dir/a}.old",
		"backup_dir is /srv/old/{dir}",
		"(new) backup_dir is /srv/old/{dir}",
		"cannot delete non-empty directory: {dir/sub}",
		"cannot delete mount point: {dir/sub}",
		"[generator] skipping mount-point dir {dir/sub}",
		"deleting {gone}",
		"deleting {gone}/",
		"deleting in {dir/sub}",
		"deleting in .",
		`rsync: [generator] link "/dst/{dir/a}" => ../old/{dir/a} failed: Invalid cross-device link (18)`,
		`rsync: [generator] copy_file "/old/{dir/a}" => {dir/a}: No space left on device (28)`,
		`(Skipping batched update for "{dir/a}")`,
		`(Skipping batched update for resend of "{dir/a}")`,
		`(No batched update for "{dir/a}")`,
		"make_bak: skipping non-regular file {dir/a pipe}",
		`not backing up unsafe symlink "{dir/link}" -> "{@dir/link}"`,
		`not backing up symlink with unreadable target "{dir/link}"`,
		`skipping file with bogus (zero) st_mode: "/m/{dir/a}"`,
		"set modtime of .{a}.VxgLwC to (1795361551) Sun Nov 22 17:52:31 2026",
		"set modtime of {dir}/.{dir|a}.VxgLwC to (1795361551) Sun Nov 22 17:52:31 2026",
		"set modtime, atime of {dir}/.{dir|a}.VxgLwC to (1795361551) 2026/11/22 17:52:23, (1795361551) 2026/11/22 17:52:23",
		"opening connection using: ssh -l me host rsync --server -vvlogDtpre.iLsfxCIvu . /srv/{dir/sub}  (7 args)",
		`opening connection using: ssh host rsync --server . "/my disk/{dir/sub}/"  (7 args)`,
		"cmd=ssh machine=host user=<NULL> path=/srv/{dir/sub}",
		"cmd[0]=ssh cmd[1]=host cmd[2]=rsync cmd[3]=. cmd[4]=/srv/{dir/sub} ",
		"sending daemon args: --server -vvlogDtpre.iLsfxCIvu . mod/{dir/sub}/  (5 args)",
		"sent 1,234 bytes  received 56 bytes  2,580.00 bytes/sec",
		"total size is 78  speedup is 0.06 (DRY RUN)",
		"rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]",
		"*** Skipping any contents from this failed directory ***",
	}},
	{"errors with a full name", []string{
		`rsync: [sender] link_stat "/m/{dir/a}" failed: No such file or directory (2)`,
		`rsync: link_stat "/m/{dir/a}" failed: No such file or directory (2)`, // 3.1.3
		`rsync: [sender] change_dir "/m/{dir}" failed: Permission denied (13)`,
		`rsync: [sender] opendir "/m/{dir/sub}" failed: Permission denied (13)`,
		`rsync: [sender] send_files failed to open "/m/{dir/a}": Permission denied (13)`,
		`rsync: [sender] readlink_stat("/m/{dir/link}") failed: No such file or directory (2)`,
		`rsync: [sender] readdir("/m/{dir}"): Input/output error (5)`,
		`rsync: [sender] read errors mapping "/m/{dir/a}": Input/output error (5)`,
		`rsync: [receiver] mkstemp "/dst/{dir}/.{dir|a}.VxgLwC" failed: Permission denied (13)`,
		`rsync: [receiver] mkstemp "/dst/.{a}.VxgLwC" failed: Permission denied (13)`,
		`rsync: [receiver] open "/dst/{dir/a}" failed: Permission denied (13)`,
		`rsync: [generator] recv_generator: mkdir "/dst/{dir/sub}" failed: Permission denied (13)`,
		`rsync: [generator] recv_generator: failed to stat "/dst/{dir/sub}": Permission denied (13)`,
		`rsync: [generator] failed to open "/dst/{dir/a}", continuing: Permission denied (13)`,
		`rsync: [Receiver] mkdir "/dst/{dir}" failed: No such file or directory (2)`,
		`rsync: [Receiver] change_dir#1 "/dst/{dir}" failed: No such file or directory (2)`,
		`rsync: [Receiver] change_dir#4 "/dst//{dir}" failed: No such file or directory (2)`,
		`rsync: [Receiver] change_dir#2 "/dst/{dir}/." failed: No such file or directory (2)`,
		`rsync: [Receiver] change_dir#3 "/dst/{dir}" failed: No such file or directory (2)`,
		`rsync: [Receiver] ERROR: cannot stat destination "/dst/{dir}": Permission denied (13)`,
		`rsync: [receiver] chown "/dst/{dir}/.{dir|a}.VxgLwC" failed: Operation not permitted (1)`,
		`rsync: [generator] chgrp "/dst/{dir/link}" failed: Operation not permitted (1)`,
		`rsync: [generator] failed to set times on "/dst/{dir}/.": Operation not permitted (1)`,
		`rsync: [generator] failed to set permissions on "/dst/{dir/a}": Operation not permitted (1)`,
		`rsync: [generator] failed to modify permissions on "/dst/{dir}/.": Operation not permitted (1)`,
		`rsync: [generator] stat "/dst/{dir/a}" failed: Permission denied (13)`,
		`rsync: [generator] mknod "/dst/{dir/a pipe}" failed: Operation not permitted (1)`,
		`rsync: [receiver] fstat "/dst/{dir/a}" failed: Input/output error (5)`,
		`rsync: [receiver] lseek of "/dst/{dir/a}" returned -1, not 32768: Invalid argument (22)`,
		`rsync: [receiver] write failed on "/dst/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] ftruncate failed on "/dst/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] fsync failed on "/dst/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] close failed on "/dst/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] do_fallocate "/dst/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] open "/bak/{dir/a}": Permission denied (13)`,
		`rsync: [receiver] unlink "/bak/{dir/a}": Permission denied (13)`,
		`rsync: [receiver] read "/bak/{dir/a}": Input/output error (5)`,
		`rsync: [receiver] write "/bak/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] ftruncate "/bak/{dir/a}": Input/output error (5)`,
		`rsync: [receiver] close failed on "/bak/{dir/a}": No space left on device (28)`,
		`rsync: [receiver] get_xattr_data: lgetxattr("/m/{dir/a}","user.comment",0) failed: Operation not supported (95)`,
		`rsync: [sender] get_xattr_names: llistxattr("/m/{dir/a}",1024) failed: Operation not supported (95)`,
		`rsync: [receiver] rsync_xal_set: lsetxattr("/dst/{dir}/.{dir|a}.VxgLwC","user.comment") failed: Operation not supported (95)`,
		`rsync: [receiver] lremovexattr("/dst/{dir/a}","user.comment") failed: Operation not supported (95)`,
		`rsync: [receiver] copy_xattrs: fsetxattr("/dst/{dir/a}","user.comment") failed: Operation not supported (95)`,
		`rsync: [receiver] failed to read xattr rsync.%stat for "/dst/{dir/a}": Operation not supported (95)`,
		`rsync: [receiver] failed to write xattr user.rsync.%stat for "/dst/{dir/a}": Operation not supported (95)`,
		`rsync: [generator] delete of stat xattr failed for "/dst/{dir/a}": Operation not supported (95)`,
		`rsync: [generator] failed to re-stat "/dst/{dir/a}": No such file or directory (2)`,
		`rsync: [generator] gen_entry_copy_xattrs: openat("/dst/{dir/a}") failed: No such file or directory (2)`,
		`rsync: [receiver] secure open of basis "/dst/{dir/a}" failed: Too many levels of symbolic links (40)`,
		`rsync: [receiver] secure open of "/dst/{dir/a}" failed: Too many levels of symbolic links (40)`,
		`file has vanished: "/m/{dir/a}"`,
		`directory has vanished: "/m/{dir}"`,
		`symlink has no referent: "/m/{dir/link}"`,
		`skipped diminished file: "/m/{dir/a}"`,
		`skipping symlink with 0-length value: "/m/{dir/link}"`,
		`cannot send file with empty name in "/m/{dir}"`,
		`recv_files: "/dst/{dir}" is a directory`,
		`uid 4294967295 (-1) is impossible to set on "/dst/{dir/a}"`,
		`got a block match with no basis file for "/dst/{dir/a}" [receiver]`,
		`skipping socket (creation unsupported here): "/dst/{dir/a}"`,
		`no ftruncate for over-long pre-alloc: "/dst/{dir/a}"`,
		`Missing abbreviated xattr value, user.comment, for "/m/{dir/a}"`,
		`Corrupt rsync.%stat xattr attached to "/m/{dir/a}": "100644 0,0 0"`,
		`[sender] cannot convert filename: {dir/a} (Invalid or incomplete multibyte or wide character)`,
		`[sender] cannot convert symlink data for: "/m/{dir/link}" (Invalid or incomplete multibyte or wide character)`,
		`rsync: failed to open files-from file lists/{dir/a}: No such file or directory`,
		`file has vanished: "{dir/a}" (in mod)`,
		`rsync: [sender] send_files failed to open "/{dir/a}" (in mod): Permission denied (13)`,
	}},
	{"errors with a bare name", []string{
		"rsync: [generator] delete_file: unlink({dir/a}) failed: Operation not permitted (1)",
		"rsync: [generator] delete_file: rmdir({dir/sub}) failed: Directory not empty (39)",
		"rsync: [generator] delete_file: make_backup({dir/a}) failed: Permission denied (13)",
		"could not make way for new regular file: {dir/a}",
		"could not make way for new backup directory: old/{dir/a}~",
		"WARNING: {dir/a} failed verification -- update discarded (will try again).",
		"WARNING: {dir/a} failed verification -- update retained (may try again).",
		"ERROR: {dir/a} failed verification -- update put into partial-dir.",
		"ERROR: Skipping sender remove for changed file: {dir/a}",
		"ERROR: Skipping sender remove of destination file: {dir/a}",
		"rsync: [sender] sender failed to remove {dir/a}: Read-only file system (30)",
		"rsync: [sender] secure-open-parent {dir/a}: Too many levels of symbolic links (40)",
		"rsync: [sender] re-lstat {dir/a}: No such file or directory (2)",
		`found ".." dir in relative path: ../{dir}/../{other/a}`,
		"Unable to create partial-dir for {dir/a} -- discarding completed file.",
		"--link-dest arg does not exist: ../old/{dir}",
		"--link-dest arg does not exist: /dst/../old/{dir}",
		"The backup-dir is not a directory: {dir/a}",
		"Failed to stat {dir/a}: Permission denied",
		"The temp-dir does not exist: /tmp/{dir}",
		`ERROR: daemon refused to receive file "{dir/a}"`,
		`ERROR: daemon refused to receive directory "{dir}"`,
		`ERROR: daemon has excluded destination "{dir}"`,
		"ERROR: rejecting unrequested file-list name: {dir/a}",
		"ERROR: rejecting excluded file-list name: {dir/a}",
		"ERROR: rejecting non-directory transfer-root entry: {dir/a}",
		"ERROR: rejecting file transfer request for daemon excluded file: {dir/a}",
		"ABORTING due to unsafe pathname from sender: ../{dir/a}",
		"ABORTING due to invalid path from sender: /m/{dir/a}",
		"WARNING: parent dir is absent in the file list: {dir}",
		"filename overflows max-path len by 3: {dir/a}",
		"skipping overly long name: {dir/a}",
		"temporary filename too long: {dir/a}",
		"path too long: /m/{dir/a}",
		"invalid file mode 0100000 for {dir/a} [receiver]",
		"Time value of {dir/a} truncated on receiver.",
		"Access time value of {dir/a} truncated on receiver.",
		"overflow: xflags=0x1 l1=0 l2=22 lastname={dir/a} [receiver]",
		"WARNING: file is too large for checksum sending: {dir/a}",
		"rsync: [sender] get_acl: sys_acl_get_file({dir/a}, ACL_TYPE_ACCESS): Operation not supported (95)",
		"rsync: [receiver] set_acl: sys_acl_set_file({dir/a}, ACL_TYPE_ACCESS): Operation not supported (95)",
		"rsync: [receiver] sys_acl_delete_def_file({dir}): Operation not supported (95)",
		"rsync: [receiver] xacl_get({dir/a}, system.posix_acl_access): Operation not supported (95)",
		"rsync: [receiver] acl_get_file_at({dir/a}, ACL_TYPE_DEFAULT): Operation not supported (95)",
		"set_acl: refusing path-based ACL on {dir/a} (no held fd)",
		`do_chmod: no symlink-safe chmod for "{dir/link}"; mode not set`,
		"rsync: [client] failed to open exclude file /etc/{dir/a}: No such file or directory (2)",
		"rsync: [client] failed to open include file {dir/a}: No such file or directory (2)",
		"Unexpected remote arg: host:{dir/a}",
		"Unexpected local arg: {dir/a}",
		"Unknown filter rule: {dir/a}",
		"Unknown filter rule: `{dir/a}'",
		"Unable to find a hlink node for 3 ({dir/a})",
		"Hlink node data for 3 already has path={dir/b} ({dir/a})",
		"rsync: refusing malicious fuzzy operation for {dir/a}",
		"rsync: refusing unconfined partial basis for {dir/a}",
	}},
	{"errors with two paths", []string{
		`rsync: [generator] symlink "/dst/{dir/link}" -> "{@dir/link}" failed: Permission denied (13)`,
		`rsync: [generator] symlink "{dir/link}" (in dst) -> "{@dir/link}" failed: Read-only file system (30)`, // a daemon
		`rsync: [generator] symlink "/dst/{dir}/.{dir|link}.6866" -> "{@dir/link}" failed: Permission denied (13)`,
		`rsync: [receiver] rename "/dst/.{a}.VxgLwC" -> "{a}": Is a directory (21)`,
		`rsync: [receiver] rename "/dst/{dir}/.{dir|a}.VxgLwC" -> "{dir/a}": Is a directory (21)`,
		`rsync: [receiver] copy "/dst/{dir}/.{dir|a}.VxgLwC" -> "{dir/a}": No space left on device (28)`,
		`rsync: [generator] rename "/dst/.{link}.6866" -> ""/dst/{link}"" failed: Is a directory (21)`,
		`rsync: [generator] rename "/dst/{dir}/.{dir|link}.6866" -> ""/dst/{dir/link}"" failed: Is a directory (21)`,
		`rsync: [generator] rename "/dst/{dir}/.{dir|a}.VxgLwC" -> "\#340\#275\#344b\#005" failed: Is a directory (21)`,
		`rsync: [receiver] rename failed for "/dst/{dir/a}" (from {dir}/.~tmp~/{dir|a}): Is a directory (21)`,
		`rsync: [receiver] rename failed for "/dst/{a}" (from .~tmp~/{a}): Is a directory (21)`,
		`rsync: [generator] link "/dst/{dir/a}" => {dir/b} failed: Too many links (31)`,
		`rsync: [generator] failed to hard-link /old/{dir/a} with {dir/a}: Too many links (31)`,
		`rsync: [generator] keep_backup failed: "/dst/{dir/a}" -> "/old/{dir/a}~": No space left on device (28)`,
		`rsync: [generator] keep_backup failed: "/dst/{a}" -> "{a}~": No space left on device (28)`,
		`rsync: [generator] keep_backup failed: "/dst/{dir/a}" -> "{dir/a}.bak": No space left on device (28)`,
		`rsync: [generator] link "/dst/{dir/link}" -> "{@dir/link}": Permission denied (13)`,
		"rsync: [generator] backup mkdir old/{dir} failed: Permission denied (13)",
		"rsync: [generator] backup lstat {dir/a}~ failed: Permission denied (13)",
		`rsync: [generator] backup stat "/dst/{dir/a}" failed: Permission denied (13)`,
		"renaming {dir/a} to {dir}/.{dir|a}.VxgLwC because of text busy",
	}},
	{"temporary, partial and backup names", []string{
		`"/dst/.{a}.a1B2c3"`,
		`"/dst/{dir}/.{dir|a}.a1B2c3"`,
		`"/dst/{a/b/c}/.{a/b/c|d}.a1B2c3"`,
		`"/tmp/{a}.a1B2c3"`, // -T; in a directory: see undecodable
		"{dir}/.{dir|link}.123456",
		"{dir}/.partial/{dir|a}",
		"mount/{dir/sub}/.partial/{dir/sub|a}",
		"/var/partial/{a}",
		"{dir}/.~tmp~/{dir|a}",
		".~tmp~/{a}",
		"{dir}/.~tmp~/.{dir|a}.a1B2c3",
		"{dir/a}~", "{dir/a}.old", "{dir/a}.~1~", "{dir/a}+", "{dir/a}#", "{dir/a},v",
		"{dir}~/{dir|a}~", "{dir}.old/{dir|a}.old",
		"{dir}/.{dir|a}.a1B2c3D4e5", // openrsync
	}},
	{"debugging", []string{
		"[sender] make_file({dir/a},*,2)",
		"recv_file_name({dir/a})",
		"[sender] i=2 /m {dir/a} mode=0100644 len=4 uid=0 gid=0 flags=1000",
		"[receiver] i=2 1 {dir/sub}/ mode=040755 len=4 uid=0 gid=0 flags=1000",
		"recv_generator({dir/a},7)",
		"send_files(7, /m/{dir/a})",
		"send_files mapped mount/{dir/a} of size 4",
		"calling match_sums mount/{dir/a}",
		"sender finished mount/{dir/a}",
		"recv_files({dir/a})",
		"recv mapped {dir}/.partial/{dir|a} of size 4",
		"finishing {dir/a}",
		"renaming {dir}/.{dir|a}.VxgLwC to {dir/a}",
		"renaming {dir}/.~tmp~/{dir|a} to {dir/a}",
		"gen mapped {dir/a} of size 4",
		"get_local_name count=5 dst/{dir}/",
		"delete_in_dir({dir/sub})",
		"delete_item({dir/a}) mode=100644 flags=0",
		"delete_dir_contents({dir/sub}) flags=1",
		"mount point, {dir/sub}, pins parent directory",
		"make_backup: HLINK {dir/a} successful.",
		"set uid of {dir}/.{dir|a}.VxgLwC from 0 to 5",
		"set gid of {dir/a} from 0 to 6",
		"hlink for 3 ({dir/a},3): looking for a leader",
		"hlink for 3 ({dir/a},3): waiting for 5",
		"hlink for 3 ({dir/a},3): found flist match (alt -1)",
		"hlink for 3 ({dir/a},3): leader is 5 ({dir/b})",
		"fuzzy size/modtime match for {dir/a}",
		"fuzzy distance for {dir/a} = 0.00123",
		"fuzzy basis selected for {dir/a}: {dir/b}",
		"removing duplicate name {dir/a} from file list (4)",
		"touch_up_dirs: {dir/sub} (2)",
		"mknod({dir/a pipe}, 010644, [0,0])",
		"[sender] change_dir(/m/{dir/sub})",
		"[sender] pushing local filters for /m/{dir/sub}/",
		"[sender] parse_filter_file(/m/{dir}/.rsync-filter,c00,4) [not found]",
		"[sender] add_rule(- /{dir/a}) [per-dir .rsync-filter]",
		"[sender] add_rule(- /{dir/a} ) -- CAUTION: trailing whitespace!",
		"[receiver] add_implied_include({dir}/)",
		"got ACL-based default perms 755 for directory {dir/sub}",
		"[receiver] receiver downgraded implied-parent dir {dir/sub} to non-content (sender xflags=0x1)",
	}},
	{"filters", []string{
		"[sender] hiding file {dir/a} because of pattern /{dir/a}",
		"[sender] hiding file {a} because of pattern {a}",
		"[sender] showing directory {dir} because of pattern {dir}/",
		"[generator] protecting file {dir/a} because of pattern /{dir}/** [per-dir .rsync-filter]",
		"[generator] risking directory {dir/sub} because of pattern *",
		"[sender] hiding xattr {dir/a} because of pattern user.*",
		"[sender] hiding file {dir/a} because of pattern <rule from {dir}/.rsync-filter line 1>",
	}},
	{"daemon", []string{
		"@ERROR: Unknown module '{dir}'",
		"@ERROR: access denied to mod from host (127.0.0.1)",
		"mod            \tmy files: {dir/a}",
		`Running socket program: "nc {dir/a}"`,
		"rsync on mod/{dir/sub} from host (127.0.0.1)",
		"2026/11/22 17:49:55 [10016] rsync to mod/{dir/sub} from host (127.0.0.1)",
		"2026/11/22 17:49:55 [10016] send host [127.0.0.1] mod () {dir/a} 15",
	}},
	{"logs", []string{
		"2026/11/22 17:49:55 [10016] >f+++++++++ {dir/a}",
		"2026/11/22 17:49:55 [10016] cL+++++++++ {dir/link} -> {@dir/link}",
		"2026/11/22 17:49:55 [10016] hf+++++++++ {dir/a} => {dir/b}",
		"2026/11/22 17:49:55 [10016] *deleting   {dir/gone}",
		"2026/11/22 17:49:55 [10016] building file list",
		`2026/11/22 17:49:55 [10016] rsync: [sender] send_files failed to open "/m/{dir/a}": Permission denied (13)`,
	}},
	{"progress", []string{
		"{dir/a}\n\r              4 100%    0.36kB/s    0:00:00  \r              4 100%    0.36kB/s    0:00:00 (xfr#2, to-chk=6/9)",
		"\r              0   0%    0.00kB/s    0:00:00  {dir/a} is uptodate",
		"\r          1,234 100%    0.36kB/s    0:00:00 (xfr#2, to-chk=6/9)\n\r{dir/a}",
		"\r              4 100%    0.36kB/s    0:00:00  file has vanished: \"/m/{dir/a}\"",
		"building file list ... \n 0 files...\r9 files to consider\n{dir/a}",
		"                    \r*deleting   {dir/gone}",
		"{dir/a}\r\n{dir/b}\r\n\r\n{dir/c}",
	}},
	{"openrsync", []string{
		"Transfer starting: 8 files",
		"Skip newer '{dir/a}'", "Skip existing '{dir/a}'", "Skip non existing '{dir/a}'", "Skip append '{dir/a}'",
		"openrsync(1234): deleting in {dir/sub}",
		"openrsync(1234): error: {dir/a}: open (2) in /m: Permission denied",
		"openrsync(1234): error: /m/{dir/a}: (l)stat: No such file or directory",
		"openrsync(1234): error: {dir/a}: unlinkat: Permission denied",
		"openrsync(1234): error: {dir/a}: fstatat: No such file or directory",
		"openrsync(1234): error: {dir/a}: utimensat: Operation not permitted",
		"openrsync(1234): error: {dir}/.{dir|a}.a1B2c3D4e5: move_file: Permission denied",
		"openrsync(1234): warning: {dir}/.{dir|a}.a1B2c3D4e5: hash does not match, will redo",
		"openrsync(1234): error: {dir/a}: file truncated while reading",
		"openrsync(1234): skip excluded file {dir/a}",
		"openrsync(1234): skipping under min-size file {dir/a}",
		"openrsync(1234): error: {dir/sub}/: mkpathat: Permission denied",
		"openrsync(1234): error: {dir/a}: unable to escalate mode",
		"openrsync(1234): error: mkstempat: {dir}/.{dir|a}.a1B2c3D4e5: Permission denied",
		"openrsync(1234): error: dst//./{dir}: not empty, cannot delete",
		"openrsync(1234): error: /m/{dir/sub}: unreadable directory: Permission denied",
		`skipping non-regular file "{dir/a pipe}"`,
		"openrsync(1234): skipping over max-size file {dir/a}",
		"ignoring unsafe symlink: {dir/link} -> {@dir/link}",
		"openrsync(1234): hiding file {dir/a} because of pattern",
		"openrsync(1234): {dir/a}: doing backup-dir to old",
		"openrsync(1234): {dir/a}: temporary: {dir}/.{dir|a}.a1B2c3D4e5",
		"openrsync(1234): hard link '/m/{dir/a}'",
		"openrsync(1234): error: Error while making hard link '{dir/a} => {dir/b}'",
		"openrsync(1234): /m/{dir/a}: read blocks: 1 blocks, 4 B total",
		"openrsync: /dst/{dir}: mkpath: Permission denied",
	}},
	{"timemachine", []string{
		"2026-11-22 17:24:40 timemachine: [INFO]  Starting full backup",
		"2026-11-22 17:24:40 timemachine: [INFO]  $ rsync --verbose -i '/m/{dir/sub}' '/srv/.inprogress'",
		`2026-11-22 17:24:40 timemachine: [INFO]  $ rsync  '/it'\''s/mount/{dir}' '/srv/.inprogress'`,
		"2026-11-22 17:24:40 timemachine: [DEBUG] Checking if local dir exists: '/m/{dir}'",
		"2026-11-22 17:24:40 timemachine: [DEBUG] $ test -d '/m/{dir}'",
		"2026-11-22 17:24:40 timemachine: [ERROR] Source directory does not exist: /m/{dir}",
		"2026-11-22 17:24:40 timemachine: [DEBUG] Renaming local dir: '/srv/.inprogress' -> '/srv/2026-11-22__17-24-40'",
		"2026-11-22 17:24:40 timemachine: [DEBUG] Renaming local dir: '/srv/{dir}/.inprogress' -> '/srv/{dir}/2026-11-22__17-24-40'",
		"2026-11-22 17:24:40 timemachine: [DEBUG] $ mv '/srv/{dir}/.inprogress' '/srv/{dir}/2026-11-22__17-24-40'",
		"2026-11-22 17:24:40 timemachine: [DEBUG] $ ln -sfn '2026-11-22__17-24-40' '/srv/{dir}/current'",
		`rsync: [receiver] mkstemp "/srv/.inprogress/mount/{dir}/.{dir|a}.a1B2c3" failed: Permission denied (13)`,
		"mount/{dir}/.partial/{dir|a}",
	}},
	{"long links", []string{
		"{dir/far} -> {@dir/far}",
		`rsync: [generator] symlink "/dst/{far}" -> "{@far}" failed: File name too long (36)`,
		"{far} -> /rsyncd-munged/{@far}",
	}},
	{"munged links", []string{
		"{dir/link} -> /rsyncd-munged/{@dir/link}",
		"cL+++++++++ mount/{link} -> /rsyncd-munged/{@link}",
		`ignoring unsafe symlink "{dir/link}" -> "/rsyncd-munged/{@dir/link}"`,
	}},
	{"what stands in front", []string{
		"host:{dir/a}", "me@host:/srv/2026-01-01/{dir/a}", "host::mod/{dir/a}", "rsync://host/mod/{dir/a}",
		"[::1]:/srv/{dir/a}",
		"/srv/2026-11-22__17-24-40/mount/{dir/a}",
		"/srv/TheQuickBrownFoxJumpsg/{dir/a}",
		"TheQuickBrownFoxJumpsg/TheQuickBrownFoxJumpsg/{a}",
		"/srv/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeQ/{dir/a}",
		"my disk/mount/{dir/a}", "../mount/{dir/a}", "./{dir/a}", "~/{dir/a}", "//{dir/a}", "/srv//{dir}//{dir|a}",
		"{dir}/./{dir|a}", // rsync -R
		"file://{dir/a}",
		"{dir}/.hidden/.deep/{dir|a}",
		"{dir}/../{other/a}",
	}},
}

// undecodable are forms in which a name stays encrypted, in whole or in part, with
// the reason. want is the output; {!a} in it is a name that stays encrypted.
var undecodable = []struct{ why, line, want string }{
	{"an alphanumeric --suffix is attached to the name: nothing shows where that ends",
		"backed up {dir/a} to {dir/a}OLD", "backed up dir/a to dir/{!dir|a}OLD"},
	{"--out-format '%n%n' glues two names together", "{dir/a}{dir/a}", "dir/{!dir|a}{!dir}/a"},
	{"so does a letter or a digit", "%o%n: send{a} %l%n: 15{a}", "%o%n: send{!a} %l%n: 15{!a}"},
	{"with -T DIR the directory of the name is dropped, which reverse mode needs",
		`rsync: [receiver] mkstemp "/tmp/{dir|a}.VxgLwC" failed: Permission denied (13)`,
		`rsync: [receiver] mkstemp "/tmp/{!dir|a}.VxgLwC" failed: Permission denied (13)`},
	{"so it is with a --partial-dir elsewhere", "/var/partial/{dir|a}", "/var/partial/{!dir|a}"},
	{"a word as long as the shortest target is one, after an arrow",
		"renamed '{a}' -> '{a name of more than 32 bytes, so 64 characters}'", "renamed 'a' -> '{!a name of more than 32 bytes, so 64 characters}'"},
}

// Forms in which names are changed, or must not be decoded.
var tokens = []struct{ why, line, want string }{
	{"a control character is escaped", "{dir/new\nline}\t{dir/tab\tbed}", `dir/new\#012line` + "\tdir/tab\tbed"},
	{"so is what looks like an escape", `{hash\#123}`, `hash\#134#123`},
	{"no escape for other characters", `{it's "q" \ -> => %s 日本 🎉}`, `it's "q" \ -> => %s 日本 🎉`},
	{"a plain name is not looked at again", "{TheQuickBrownFoxJumpsg}", "TheQuickBrownFoxJumpsg"},
	{"gocryptfs.diriv is a leaf of the directory", "{dir}/gocryptfs.diriv", "dir/gocryptfs.diriv"},
	{"at the root, too", "mount/gocryptfs.diriv gocryptfs.conf", "mount/gocryptfs.diriv gocryptfs.conf"},
	{"while it is made", `"/dst/{dir}/.gocryptfs.diriv.VxgLwC"`, `"/dst/dir/.gocryptfs.diriv.VxgLwC"`},
	{"backed up", "{dir}/gocryptfs.diriv~", "dir/gocryptfs.diriv~"},
	{"a name below what does not decrypt stays", "{dir}/{!gone|x}/{!gone/x|y}", "dir/{!gone|x}/{!gone/x|y}"},
	{"nor is a foreign leaf", "{dir}/TheQuickBrownFoxJumpsg", "dir/TheQuickBrownFoxJumpsg"},
	{"a directory that is no name ends the chain", "{dir}/photos/{dir|a}", "dir/photos/a"},
	{"what follows is then a path from the root", "{dir}/photos/{dir/a}", "dir/photos/dir/a"},
	{"so it is after a step to the parent", "{dir}/../{dir|a}", "dir/../a"},
	{"a pattern without a slash", "[sender] hiding file {dir/a} because of pattern {dir|a}", "[sender] hiding file dir/a because of pattern a"},
	{"a dated backup", "backed up {dir/a} to {dir/a}-2026-11-23", "backed up dir/a to dir/a-2026-11-23"},
	{"of a directory", "{dir}_bak/{dir|a}-old {dir}-2026-11-23/{dir/sub|b}_1", "dir_bak/a-old dir-2026-11-23/{!dir/sub|b}_1"},
	{"colors", "\x1b[31m{a}\x1b[m \x1b[01;34m{dir}\x1b[0m\x1b[K/\x1b[1A{c} \x1b(B{a} \x9b1G{b}\x1b[2K", "\x1b[31ma\x1b[m \x1b[01;34mdir\x1b[0m\x1b[K/\x1b[1Ac \x1b(Ba \x9b1Gb\x1b[2K"},
	{"sequences without a bracket", "\x1b7{a}\x1b8 \x1b(0{b}\x1b(B{c}", "\x1b7a\x1b8 \x1b(0b\x1b(Bc"},
	{"what ends no sequence", "\x9b-{a} \x1b-{b}", "\x9b-{a} \x1b-{b}"},
	{"a color between a directory and its file", "\x1b[34m{dir}/\x1b[0m\x1b[1m{dir|a}\x1b[0m", "\x1b[34mdir/\x1b[0m\x1b[1ma\x1b[0m"},
	{"diff -rq", "Only in {dir/sub}: {dir/sub|b}", "Only in dir/sub: b"},
	{"inotifywait", "{dir/sub}/ CREATE {dir/sub|b}", "dir/sub/ CREATE b"},
	{"JSON", `{"path":"/x/{dir/a}","name":"{dir|a}"}`, `{"path":"/x/dir/a","name":"a"}`},
	{"ls -R", "./{dir/sub}:\n{dir/sub|b}  {dir/sub|a}\n\n{dir}:\n{dir|a}", "./dir/sub:\nb  a\n\ndir:\na"},
	{"what is in another directory", "other:\n{dir|a}\n", "other:\n{!dir|a}\n"},
	{"links, as openrsync has them", "openrsync(1234): {dir/link}: updating symlink: {@dir/link}", "openrsync(1234): dir/link: updating symlink: " + plainTarget("dir/link")},
	{"in quotes", "Making symbolic link `{dir/link}' to `{@dir/link}'", "Making symbolic link `dir/link' to `" + plainTarget("dir/link") + "'"},
	{"as JSON", `{"path":"{dir/link}","linktarget":"{@dir/link}"}`, `{"path":"dir/link","linktarget":"` + plainTarget("dir/link") + `"}`},
	{"but not of a link that the path goes on from", "{dir/link}/{!gone|x} -> {@dir/link}", "dir/link/{!gone|x} -> {!@dir/link}"},
	{"but not of a link in another record", "{dir/link}\n{@dir/link}", "dir/link\n{!@dir/link}"},
	{"two chains in one line", "{dir/a} {dir/b},{c}", "dir/a dir/b,c"},
	{"neither 21 nor 23 characters", "TheQuickBrownFoxJumps TheQuickBrownFoxJumpsAA", "TheQuickBrownFoxJumps TheQuickBrownFoxJumpsAA"},
}

// Rules for names without padding. The shortest of these are too short for the target
// of a link.
var shortTokens = []struct{ why, line, want string }{
	{"a letter in front makes it another word", "x{a}", "x{!a}"},
	{"a letter after it, too", "{a}x", "{!a}x"},
	{"and - or _ before it", "-{a} _{a}", "-{!a} _{!a}"},
	{"an arrow before a short word: a path", "{dir/a} -> {a}", "dir/a -> a"},
}

// TestForms decodes every form, for several kinds of gocryptfs file systems.
func TestForms(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs.name, func(t *testing.T) {
			w := newWorld(t, fs)
			for _, group := range forms {
				for _, line := range group.lines {
					w.check(t, group.about, line, shown(line))
				}
			}
			for _, row := range tokens {
				if w.alike {
					break // there, names decode in any place
				}
				w.check(t, row.why, row.line, w.encrypted(row.want))
			}
			if w.cut {
				w.checkCut(t)
			}
			t.Logf("%d lines", len(w.checked))
		})
	}
}

// TestUndecodable checks that the list of what cannot be decoded is right.
func TestUndecodable(t *testing.T) {
	w := newWorld(t, fileSystems[0])
	for _, row := range slices.Concat(undecodable, shortTokens) {
		w.check(t, row.why, row.line, w.encrypted(row.want))
	}
	w.checkCut(t)
}

// inside are lines of a sync of mount/ENC/ENC/, given as MOUNT, whose plain path is
// dir/sub.
var inside = []struct{ why, line, want string }{
	{"a name is below MOUNT", "{dir/sub|a}", "a"},
	{"deeper", "deleting {dir/sub|b/c d}/", "deleting b/c d/"},
	{"a temporary one", `"/dst/.{dir/sub|a}.VxgLwC"`, `"/dst/.a.VxgLwC"`},
	{"a link", "{dir/sub|link} -> {@dir/sub/link}", "link -> " + plainTarget("dir/sub/link")},
	{"an absolute one is whole", `"/home/me/mount/{dir/sub/b/c d}"`, `"/home/me/mount/dir/sub/b/c d"`},
	{"rsync -R, too", "mount/{dir/sub}/", "mount/dir/sub/"},
	{"and a parent of MOUNT", `change_dir "/home/me/mount/{dir}"`, `change_dir "/home/me/mount/dir"`},
	{"what is not below MOUNT", "mount/{other/a}", "mount/other/a"},
	{"its own name first, without a slash after the source", "{dir|sub/b/c d}", "sub/b/c d"},
	{"alone", "created directory {dir|sub}", "created directory sub"},
	{"a foreign directory before it", "TheQuickBrownFoxJumpsg/{dir/sub|b/c d}", "TheQuickBrownFoxJumpsg/b/c d"},
}

// TestInside decodes with a MOUNT that is a directory inside the encrypted view.
func TestInside(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs.name, func(t *testing.T) {
			w := newWorld(t, fs)
			w.sub = w.cipherPath("dir/sub")
			for _, row := range inside {
				w.check(t, row.why, row.line, w.encrypted(row.want))
			}
			w.checkCut(t)
		})
	}
}

// TestShape checks that exactly the words that gocryptfs can have made are asked for.
func TestShape(t *testing.T) {
	word := strings.Repeat("Ab-_9z", 50)
	lengths := []int{22, 43, 64, 86, 107, 128, 150, 171, 192, 214, 235} // of k·16 bytes
	for n := range 300 {
		// By the zero bits at its end. Two characters after a multiple of four hold
		// 12 bits, of which 4 are spare; of three characters, 2 bits are spare.
		for last, zeros := range map[string]int{"A": 6, "Q": 4, "E": 2, "B": 0} {
			w := word[:n] + last
			spare := [4]int{2: 4, 3: 2}[len(w)%4]
			want := slices.Contains(lengths, len(w)) && zeros >= spare
			asked := false
			names := namesFunc(func(cipher string) (string, bool) {
				asked = asked || cipher == w
				return "", false
			})
			copyAll(t, strings.NewReader("x "+w+" y\n"), Options{Names: names})
			if asked != want {
				t.Errorf("%d characters with %s at the end: asked %v, want %v", len(w), last, asked, want)
			}
		}
	}
}

// A fileSystem is a kind of gocryptfs file system. blocks returns the number of
// 16-byte blocks for a name of n bytes.
type fileSystem struct {
	name   string
	blocks func(n int) int
	padded bool // old file systems: with `=`
	long   bool // -longnamemax 62: nearly all are long names
	alike  bool // -deterministic-names: a name is the same in each directory
	cut    bool // the lines are also cut everywhere, which takes time
}

func byLength(n int) int { return n/16 + 1 }

var fileSystems = []fileSystem{
	{name: "usual", blocks: byLength, cut: true},
	{name: "43 characters", blocks: func(int) int { return 2 }},
	{name: "64 characters", blocks: func(int) int { return 3 }}, // no spare bits
	{name: "235 characters", blocks: func(int) int { return 11 }},
	{name: "padded", blocks: byLength, padded: true},
	{name: "padded to 44", blocks: func(int) int { return 2 }, padded: true},
	{name: "long names", long: true},
	{name: "deterministic names", blocks: byLength, alike: true},
	{name: "padded long names", long: true, padded: true, cut: true},
}

// A world is a file system with all paths of the lines.
type world struct {
	fileSystem
	names map[string]string // plain paths by cipher path
	sub   string            // MOUNT

	checked []pair
}

func newWorld(t *testing.T, kind fileSystem) *world {
	t.Helper()
	w := &world{fileSystem: kind, names: map[string]string{}}
	for _, group := range forms {
		for _, line := range group.lines {
			w.add(line)
		}
	}
	for _, row := range slices.Concat(undecodable, tokens, shortTokens, inside) {
		w.add(row.line)
	}
	return w
}

// add takes note of the files that a line names.
func (w *world) add(line string) {
	for _, p := range placeholder.FindAllString(line, -1) {
		p = strings.ReplaceAll(p[1:len(p)-1], "|", "/")
		if strings.HasPrefix(p, "!") {
			continue
		}
		p = strings.TrimPrefix(p, "@")
		cipher := w.cipherPath(p)
		for ; p != "."; p, cipher = filepath.Dir(p), filepath.Dir(cipher) {
			w.names[cipher] = p
			if w.alike {
				w.names[filepath.Base(cipher)] = filepath.Base(p)
			}
		}
	}
}

// A pair is an encrypted line and the decoded one, with their ends.
type pair struct{ about, line, in, want string }

// check decodes a line.
func (w *world) check(t *testing.T, about, line, want string) {
	t.Helper()
	in := w.encrypted(line)
	if got := w.decode(t, strings.NewReader(in)); got != want {
		t.Errorf("%s: %s\ngot  %q\nwant %q", about, line, got, want)
		return
	}
	w.checked = append(w.checked, pair{about, line, in + "\n", want + "\n"})
}

// checkCut decodes again the lines that have passed check: byte by byte, and cut once
// at every byte of each line.
func (w *world) checkCut(t *testing.T) {
	t.Helper()
	var all strings.Builder
	var pieces []string
	for _, p := range w.checked {
		all.WriteString(p.in)
		for i := range p.in {
			pieces = append(pieces, p.in[:i+1], p.in[i+1:])
		}
	}
	bytewise := w.decode(t, iotest.OneByteReader(strings.NewReader(all.String())))
	cut := w.decode(t, inPieces(pieces...))
	for _, p := range w.checked {
		p.begins(t, &bytewise, "byte by byte")
		for i := range p.in {
			p.begins(t, &cut, fmt.Sprintf("cut after byte %d", i))
		}
	}
	if bytewise+cut != "" {
		t.Errorf("there is more: %q", bytewise+cut)
	}
}

// begins checks that text begins with what is wanted, and removes it.
func (p pair) begins(t *testing.T, text *string, how string) {
	t.Helper()
	rest, ok := strings.CutPrefix(*text, p.want)
	if !ok {
		// The rest is out of step.
		t.Fatalf("%s: %s, %s\ngot  %.300q\nwant %q", p.about, p.line, how, *text, p.want)
	}
	*text = rest
}

func (w *world) decode(t *testing.T, r io.Reader) string {
	t.Helper()
	return copyAll(t, r, Options{Names: w, Files: w})
}

// Prepare and Decrypt know the paths of the lines.
func (*world) Prepare(string) bool { return true }

func (w *world) Decrypt(cipher string) (string, bool) {
	if !w.alike {
		plain, ok := w.names[cipher]
		return plain, ok
	}
	names := strings.Split(cipher, "/")
	for i, n := range names {
		plain, ok := w.names[n]
		if !ok {
			return "", false
		}
		names[i] = plain
	}
	return strings.Join(names, "/"), true
}

// Sub, Exists, Spelling and Target know the files of the lines. Any path may be a link.
func (w *world) Sub() string { return w.sub }

func (w *world) Exists(cipher string) bool { return w.names[cipher] != "" }

func (*world) Spelling(string, string, bool) (string, int, bool) { return "", 0, false }

func (w *world) Target(_, plain string, text []byte) (string, int) {
	encrypted := w.cipherTarget(plain)
	if !strings.HasPrefix(string(text), encrypted) {
		return "", 0
	}
	return plainTarget(plain), len(encrypted)
}

// cipherPath returns the cipher path of a plain one.
func (w *world) cipherPath(plain string) string {
	var b strings.Builder
	for i, c := range plain + "/" {
		if c == '/' {
			b.WriteString(w.cipherName(plain[:i]))
			b.WriteByte('/')
		}
	}
	return strings.TrimSuffix(b.String(), "/")
}

// cipherName returns the encrypted name of the last component of plain. As in reverse
// mode, it depends on the directory.
func (w *world) cipherName(plain string) string {
	if w.alike {
		plain = filepath.Base(plain)
	}
	if w.long {
		return scan.LongPrefix + w.encode(random(plain, sha256.Size))
	}
	return w.encode(random(plain, 16*w.blocks(len(filepath.Base(plain)))))
}

// plainTarget returns the target of the symbolic link plain: either 32 bytes, so that
// the encrypted target is as long as a name, 86 characters, or so many that it is
// longer than any name.
func plainTarget(plain string) string {
	target := "../where it points to/"
	if filepath.Base(plain) == "far" {
		target = strings.Repeat(target, 10)
	}
	return target + base64.RawURLEncoding.EncodeToString(random(plain, 7))
}

func (w *world) cipherTarget(plain string) string {
	return w.encode(random("target of "+plain, 16+len(plainTarget(plain))+16))
}

func (w *world) encode(b []byte) string {
	if w.padded {
		return base64.URLEncoding.EncodeToString(b)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// random returns n pseudorandom bytes for a seed.
func random(seed string, n int) []byte {
	var b []byte
	for len(b) < n {
		sum := sha256.Sum256(append([]byte(seed), b...))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// placeholder is a name in a line.
var placeholder = regexp.MustCompile(`\{[^{}"][^{}]*\}`)

// encrypted returns a line with its names encrypted.
func (w *world) encrypted(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		p = strings.TrimPrefix(p[1:len(p)-1], "!")
		if link, ok := strings.CutPrefix(p, "@"); ok {
			return w.cipherTarget(link)
		}
		dir, below, ok := strings.Cut(p, "|")
		if !ok {
			return w.cipherPath(p)
		}
		return strings.TrimPrefix(w.cipherPath(dir+"/"+below), w.cipherPath(dir)+"/")
	})
}

// shown returns a line with its names in plain.
func shown(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		p = p[1 : len(p)-1]
		if link, ok := strings.CutPrefix(p, "@"); ok {
			return plainTarget(link)
		}
		return p[strings.Index(p, "|")+1:]
	})
}
