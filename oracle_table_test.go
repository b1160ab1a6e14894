package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// comparison is one line of the oracle's tables.
type comparison struct {
	sh    string // a shell script; {path} is a plain path, encrypted on the other side
	mount string // if set, MOUNT is this directory inside the encrypted tree
	alone bool   // it changes the source, so it must not run on both sides at once
	aside string // a pattern of what differs for a reason particular to this command
}

var commands = []comparison{
	// Names, `-> target`, `=> hard link`, deletions.
	{sh: "rsync -av src dst/"},
	{sh: "rsync -av src new"},
	{sh: "rsync -av $PWD/src dst"},
	{sh: "rsync -avv src dst"},
	{sh: "rsync -aHvv src new/"},
	{sh: "rsync -aHvi --delete src/ dst/"},
	{sh: "rsync -aHvvi --delete src dst/"},
	{sh: "rsync -avn --delete src/ dst/"},
	{sh: "rsync -aviI --no-whole-file src/ dst/"},
	{sh: "rsync -avi --size-only src/ dst/"},
	{sh: "rsync -avi --inplace --checksum src/ dst/"},
	{sh: "rsync -avi --omit-dir-times --omit-link-times --chmod=D711,F640 src/ dst/"},
	{sh: "rsync -dv src/ dst/"},
	{sh: "rsync -v src/{-n} src/{--delete} src/{.dotfile} src/{empty} src/{a pipe} new/"},
	{sh: "rsync -avv src/{" + umlautFile + "} dst/other"},
	{sh: "rsync -8avi --delete src/ dst/"},
	{sh: "rsync -avi --stderr=client --delete src/ dst/"},

	// -R keeps the path that was given.
	{sh: "rsync -aRvi src/./{" + deepDir + "}/ dst/"},
	{sh: "rsync -aRvi --no-implied-dirs $PWD/src/{" + cjkDir + "} new"},

	// Progress and --info.
	{sh: "rsync -avi --progress --no-inc-recursive src/ dst/"},
	{sh: "rsync -ai --delete --info=progress2 src/ dst/"},
	{sh: "rsync -aH --info=all --delete src/ dst/"},
	{sh: "rsync -a --stats --human-readable --info=name src/ dst/"},

	// --out-format: names next to any byte.
	{sh: "rsync -a --out-format='[%n]<%n>|%n|' src/ dst/"},
	{sh: "rsync -aH --out-format='%i %n%L' src/ dst/"},
	{sh: "rsync -a --out-format='%f' $PWD/src dst/"},
	{sh: "rsync -aH --delete --out-format='%o:%i:%n:%f:%L:%M' src dst/"},
	{sh: `rsync -aH --delete --out-format='{"op":"%o","name":"%n","file":"%f","what":"%i"},' src/ dst/`},
	{sh: "rsync -a --delete --out-format='del=%o,(%n),%p' src/ dst/", aside: "[0-9]*$"}, // the process
	// rsync pads the encrypted name to the width.
	{sh: "rsync -a --out-format='%15n;%-80n;%B %U:%G' src/ dst/", aside: "^ +| *;"},
	// Sizes and sums of what is encrypted.
	{sh: "rsync -ac --out-format='%C,%n,%l,%b,%c' src/ dst/", aside: "^[0-9a-f ]{32}|[0-9,]*$"},
	{sh: "rsync -a --out-format=\"'%n' '%f'\" src/ dst/"},

	// Lists.
	{sh: "rsync -r --list-only src/"},
	{sh: "rsync -a src"},
	{sh: "rsync -aH --list-only $PWD/src/"},
	{sh: "rsync -aU --list-only src/{" + linkDir + "}"},
	{sh: "rsync -a --list-only --exclude='*' src/"},

	// Logs.
	{sh: "rsync -aH --delete --log-file=log --log-file-format='%o <%n> %i %L' src dst; cat log"},
	{sh: "rsync -avi --delete --log-file=log src/ dst/ >out; cat log"},

	// Backups.
	{sh: "rsync -avvb --suffix=.bak src/ dst/"},
	{sh: "rsync -avvb --suffix=.2026-01-02 --delete src/ dst/"},
	{sh: "rsync -avvib --suffix=-2026-11-23 --delete src/ dst/"},
	{sh: "rsync -avvib --suffix=_bak src/ dst/; rsync -avvi --delete src/ dst/"},
	{sh: "rsync -avvb --delete --backup-dir=$PWD/bak src/ dst/"},
	{sh: "rsync -aviib --delete --backup-dir=../bak --suffix=.old src/ dst/"},

	// Deletions.
	{sh: "rsync -avv --delete-delay src/ dst/"},
	{sh: "rsync -avv --delete-after src/ dst/"},
	{sh: "rm dst/{changed.txt}; mkdir -p dst/{changed.txt}/x; rsync -av --force src/ dst/"},
	{sh: "rsync -avir --delete-missing-args src/{" + goneDir + "} src/{gone.txt} dst/"},

	// Other trees to compare with.
	{sh: "rsync -avv --link-dest=../old src/ new/"},
	{sh: "rsync -avii --link-dest=$PWD/old src/ new/"},
	{sh: "rsync -avv --copy-dest=../old src/ new/"},
	{sh: "rsync -avv --link-dest=../dst/{plain.txt} src/ new/"},

	// The places of files while they are being written.
	{sh: "rsync -avi --partial-dir=.partial src/ dst/"},
	{sh: "rsync -avv --delay-updates --delete src/ dst/"},
	{sh: "rsync -avv --fuzzy src/ dst/"},

	// Files that are left out.
	{sh: "rsync -avv --existing src/ dst/"},
	{sh: "rsync -avv --ignore-existing" + sameKind + " src/ dst/"},
	{sh: "rsync -a --ignore-existing --info=skip2" + sameKind + " src/ dst/"},
	{sh: "touch -d 2030-01-01 dst/{" + umlautFile + "} dst/{" + spaceDir + "/Ümläut.txt}; rsync -auvv src/ dst/"},
	{sh: "rsync -avv --max-size=10k src/ dst/"},
	{sh: "rsync -a --min-size=10k --info=skip src/ dst/"},
	{sh: "mount --bind src src; mount -o remount,bind,ro src; rsync -avv --remove-source-files src/ dst/"},
	{sh: "rsync -av --munge-links src/ dst/"},

	// Filter rules.
	{sh: "rsync -avv --exclude=/{" + spaceDir + "}/ --include='*/' --exclude='*' src/ dst/"},
	{sh: "rsync -avv --delete --filter='protect /'{gone.txt} --filter='risk /'{" + goneDir + "} --filter='P /'{" + goneDir + "}'/**' src/ dst/"},
	{sh: "printf '%s\\n' '- '{plain.txt} '- /'{" + cjkDir + "} >rules; rsync -avv --filter='. rules' src/ dst/"},
	{sh: "printf '%s\\n' /{" + deepDir + "} >rules; rsync -avvi --exclude-from=rules src/ dst/"},

	// Lists of files.
	{sh: "printf '%s\\n' {" + umlautFile + "} {" + deepDir + "/seven} {gone.txt} >list; rsync -av --files-from=list src/ new/"},
	{sh: "printf '%s\\0' {" + spaceDir + "}/ {new\nline} {kept/gone\nwith newline} | rsync -avvr0 --files-from=- src/ dst/"},
	{sh: "rsync -av --files-from=list src/ new/"},

	// rsync at both ends of a pipe, and a daemon.
	{sh: "rsync -avP -e $RSH host:$PWD/src/ new/"},
	{sh: "rsync -avi --delete src/ rsync://host/dst/"},
	{sh: "rsync -avv rsync://host/src/ dst/"},
	// After `./`, a name that begins with a dash is no option.
	{sh: "rsync -av rsync://host/src/./{" + spaceDir + "} host::src/./{gone.txt} dst/"},
	{sh: "rsync -aR rsync://host/src/./{" + deepDir + "} new" + daemonLog, aside: `\d+$`},
	{sh: "rsync -a --delete src/ host::dst/" + daemonLog, aside: `\d+$`},

	// Batches, of the same rsync.
	{sh: "rsync -av --write-batch=batch src/ new/; rsync -avv --read-batch=batch dst/"},

	// The additions of -vvv. Their numbers are indexes, sizes and ids.
	{sh: "rsync -aHvvv --delete src/ dst/", aside: "[0-9]+"},

	// timemachine.
	{sh: timemachine + " --verbose --itemize-changes $PWD/src $PWD/dst/.inprogress"},
	{sh: timemachine + " --link-dest=../current --verbose --progress $PWD/src/ $PWD/dst/.inprogress"},
}

// inside are commands for which MOUNT is a directory inside the encrypted tree.
var inside = []comparison{
	{sh: "rsync -avi --delete src/{deep}/ dst/{deep}/", mount: "deep"},
	{sh: "rsync -av --progress src/{" + deepDir + "}/ new/", mount: deepDir},
	{sh: "rsync -av src/{" + deepDir + "} new/", mount: deepDir},
	{sh: "rsync -avi src/{" + spaceDir + "} dst/", mount: spaceDir},
	{sh: "rsync -avi $PWD/src/{" + cjkDir + "}/ $PWD/new/", mount: cjkDir},
	{sh: "rsync -av src/{" + longDir + "}/ new/", mount: longDir},
	{sh: "rsync -av src/{" + linkDir + "}/ dst/{" + linkDir + "}/", mount: linkDir},
	{sh: "$AS rsync -rltv src/{" + spaceDir + "}/ dst/{" + spaceDir + "}/", mount: spaceDir},
}

// few are commands of every kind, for file systems of many kinds.
var few = []comparison{
	{sh: "rsync -avv src/ dst/"},
	{sh: "rsync -aHvi --delete src dst"},
	{sh: "rsync -aHP --delete --out-format='[%n]<%f>%o|%i|%L' $PWD/src/ dst/"},
	{sh: "rsync -a src"},
	{sh: "rsync -avvb --suffix=.bak --exclude=/{" + spaceDir + "} src/ dst/"},
	{sh: "$AS rsync -rltv" + noMax + " src/ dst/"},
	{sh: "rsync -avi --delete src/{deep}/ dst/{deep}/", mount: "deep"},
	{sh: "rsync -avi $PWD/src/{" + deepDir + "} $PWD/new", mount: deepDir},
}

// failures are commands in which something goes wrong.
var failures = []comparison{
	// The disk is full.
	{sh: "mkdir new; mount -t tmpfs -o size=16k none new; rsync -av src/{" + bigDir + "} new"},
	{sh: "mkdir new; mount -t tmpfs -o size=16k none new; rsync -avP --partial-dir=.partial src/{" + bigDir + "}/ new/", mount: bigDir},
	{sh: "mkdir new; mount -t tmpfs -o nr_inodes=2 none new; rsync -av src/{" + errDir + "} new"},
	{sh: "mkdir new; mount -t tmpfs -o nr_inodes=1 none new; rsync -av src/{" + errDir + "}/ new", mount: errDir},
	{sh: "mkdir tmp; mount -t tmpfs -o nr_inodes=1 none tmp; rsync -dlptv -T $PWD/tmp" + noMax + " src/ new/"},

	// The destination is read-only.
	{sh: readOnly + "rsync -avv" + noMax + " src/ dst/"},
	{sh: readOnly + "rsync -ai --delete" + noMax + " src/ dst/"},
	{sh: readOnly + "rsync -av --inplace src/ dst/"},
	{sh: readOnly + "rsync -av --delay-updates --delete" + noMax + " src dst"},
	// The daemon confines targets to its module, which it cannot do with encrypted ones.
	{sh: readOnly + "rsync -av" + noMax + " --exclude=/{" + linkDir + "/absolute} --exclude=/{" + linkDir + "/upwards} src/ rsync://host/dst/"},
	{sh: readOnly + "rsync -av" + noMax + " src/ rsync://host/chroot/"},
	{sh: "mkdir bak; mount --bind bak bak; mount -o remount,bind,ro bak; rsync -avb --backup-dir=$PWD/bak src/{" + umlautFile + "} dst/"},

	// No permission: another user's files.
	{sh: "chown -R 65534 dst; $AS rsync -aHvi --delete --ignore-errors src dst"},
	{sh: "$AS rsync -rltv" + noMax + " src/ dst/"},
	{sh: "$AS rsync -rlti --delete --ignore-errors" + noMax + " src/ dst/"},
	{sh: "mkdir new; chmod 777 new; $AS rsync -av --super" + noMax + " src/ new/"},
	// Temporary files can be made, but not renamed over root's files.
	{sh: "chmod -R 1777 dst; $AS rsync -rv" + noMax + " src/ dst/"},
	{sh: "chmod -R 1777 dst; $AS rsync -rlv --delay-updates" + noMax + " src/ dst/"},
	{sh: "chmod -R 1777 dst; $AS rsync -rlv --delete --ignore-errors" + noMax + " src/ dst/"},

	// Something else is in the way.
	{sh: "for f in {" + umlautFile + "} {a pipe} {" + linkDir + "/kept}; do rm -f dst/\"$f\"; mkdir -p dst/\"$f\"/x; done; rsync -avvb src/ dst/"},
	{sh: "mount -t tmpfs none dst/{" + goneDir + "}; rsync -avx --delete src/ dst/"},
	{sh: "mkdir ref; mount -t tmpfs none ref; cp -a old/. ref; rsync -avi --link-dest=../ref src/ new/"},

	// Nothing exists at the path.
	{sh: "rsync -av src/{gone.txt} src/{" + goneDir + "}/ dst/"},
	{sh: "rsync -avL src/{" + danglingDir + "} dst/"},
	{sh: "rsync -av src/{plain.txt}/ dst/"},
	{sh: "rsync -avR src/{" + spaceDir + "}/../{plain.txt} dst/"},
	{sh: "rsync -av rsync://host/nowhere/{" + spaceDir + "} dst/"},
	{sh: "rsync -av rsync://host/src/./{gone.txt} dst/"},

	// Files that vanish after rsync has them in its list. It has them when the pipe and
	// its buffer have taken more comments than they can hold.
	{sh: vanish("-av --progress"), alone: true},

	// A daemon refuses.
	{sh: "rsync -av src/ rsync://host/refuse/"},
	{sh: "rsync -av src/{" + spaceDir + "} rsync://host/refuse/./{" + cjkDir + "}"},
}

// tools are commands of other programs.
var tools = []comparison{
	{sh: "find $PWD/src/{" + spaceDir + "} -type f -printf '%p (%P)\\n'", mount: spaceDir},
	// tar shows a newline raw, or escapes everything that is not ASCII.
	{sh: "tar cvf /dev/null --quoting-style=literal src/{" + spaceDir + "} src/{" + cjkDir + "}"},
	{sh: "tar cf - src/{" + danglingDir + "} src/{" + cjkDir + "} | tar tvf - --quoting-style=literal", aside: "^[^ ]+ [^ ]+ +[0-9]+"},
	{sh: "du -a src/{" + spaceDir + "}", aside: "^[0-9]+"},
	{sh: "ls -l src/{" + spaceDir + "}", mount: spaceDir, aside: "^total.*|^([^ ]+ +){5}"},
	{sh: "sha256sum src/{" + umlautFile + "} src/{" + spaceDir + "/Ümläut.txt}", aside: "^[0-9a-f]{64}"},
	{sh: "cp -av src/{" + cjkDir + "} dst/"},
	{sh: "rm -rv dst/{" + spaceDir + "}"},
}

// vanish returns a run of rsync with the given flags, during which a file vanishes.
func vanish(flags string) string {
	return "v='../P/src/verschwindet ü'; echo x >\"$v\"; " +
		"{ printf '%s\\n' {verschwindet ü} {plain.txt}; yes '#' | head -c 150000; rm \"$v\"; } | " +
		"rsync " + flags + " --files-from=- src/ new/"
}

// readOnly makes the destination a read-only file system.
const readOnly = "mount --bind dst dst; mount -o remount,bind,ro dst; "

// noMax leaves out the name of 255 bytes: rsync cuts its temporary name at 246 bytes
// (receiver.c, get_tmpname), but the encrypted name is short.
var noMax = " --exclude={" + maxName + "}"

// daemonLog prints the daemon's log after its last line has been written: the client may
// end earlier.
const daemonLog = "; until grep -q ' sent .* received ' daemon.log; do :; done; cat daemon.log"

// sameKind leaves out the directories that are something else at the destination. With
// --ignore-existing, what is there stays in the way, and the resulting error depends on
// the order of the names.
const sameKind = " --exclude=/{" + fileToDir + "} --exclude=/{link to dir}"

// timemachine is how linux-timemachine calls rsync.
const timemachine = "ln -s $PWD/old dst/current; rsync --recursive --perms --owner --group --times --links" +
	" --delete --delete-excluded --partial-dir=.partial"

// The nasty tree of the oracle is a table. Every row is a path with its state at the
// first backup and its state at the second. A state is
//
//	file V [MODE] [later]  a small file; V is its content, later a younger date
//	big V                  a bit over 20 kB, for commands with a size limit
//	dir [MODE]             a directory (those above a row need no row)
//	pipe                   a FIFO
//	-> TARGET              a symbolic link
//	= PATH                 a hard link
//
// or, if empty, that nothing exists.
type row struct{ path, was, is string }

// Names that commands and exceptions refer to:
const (
	umlautFile = "Übergrößen für Jürgen.txt"
	cjkDir     = "日本語の フォルダ"
	spaceDir   = "My Documents"
	goneDir    = "gone forever"
	deepDir    = "deep/zwei/drei 3/vier/fünf 5/six"
	fileToDir  = "was a file"
	errDir     = "only errors" // for the commands that fail
	bigDir     = "only big"
	linkDir    = "only links"
	hardDir    = "hard links"

	danglingDir = "only dangling links"

	// lookalike has the shape of an encrypted name: 22 letters of base64url with the
	// spare bits zero.
	lookalike = "TheQuickBrownFoxJumpsg"
)

var (
	maxName = long("max ", 255) // the longest possible name
	longDir = long("dir ", 230)
)

// long returns a name of n bytes. From 176 bytes on, gocryptfs stores it as a long name.
func long(start string, n int) string {
	return start + strings.Repeat("0123456789", 26)[:n-len(start)]
}

// hard are the names of hard links. rsync shows the first in its list as the file and the
// others as `=> first`. The list is sorted, so encryption must keep the order of these
// names; see hardNames.
func nastyTree(hard []string) []row {
	rows := []row{
		{"plain.txt", "file 1", "file 1"},
		{"changed.txt", "file 1", "file 2"},
		{"only newer", "file 1", "file 1 later"},
		{"only mode", "file 1 644", "file 1 600"},
		{" leading blank", "", "file 1"},
		{"trailing blank ", "file 1", "file 2"},
		{"  two  blanks  inside  ", "file 1", "file 2"},
		{`it's "quoted".txt`, "file 1", "file 2"},
		{`back\slash\n.txt`, "file 1", "file 2"},
		{`hash\#123 and \#999`, "file 1", "file 2"},
		{`hash\#12`, "", "file 1"},
		{umlautFile, "file 1", "file 2"},
		{"decomposed e\u0301 o\u0308", "", "file 1"},
		{"日本語の名前.txt", "", "file 1"},
		{"🎉 party 🥳.jpg", "file 1", "file 2"},
		{"& < > | ; $HOME `id` *?[]", "file 1", "file 2"},
		{"arrow -> and => inside", "file 1", "file 2"},
		{"colon: (paren) is uptodate", "file 1", "file 2"},
		{"100% 1.00MB/s 0:00:00", "", "file 1"},
		{lookalike, "file 1", "file 2"},
		{"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeQ", "file 1", "file 2"},
		{"gocryptfs.longname.not one", "", "file 1"},
		{".dotfile", "file 1", "file 2"},
		{"..two dots", "", "file 1"},
		{"trailing dot.", "", "file 1"},
		{"-n", "", "file 1"},
		{"--delete", "file 1", "file 2"},
		{"~tilde~", "file 1", "file 2"},

		// Control bytes. None starts with CR: rsync prints such a line with the CR raw
		// (log.c, for its progress lines).
		{"new\nline", "file 1", "file 2"},
		{"tab\tbed", "file 1", "file 2"},
		{"esc\x1b[31mred", "", "file 1"},
		{"carriage\rreturn", "file 1", "file 2"},
		{"del\x7fete", "", "file 1"},
		{"c1\u0085control", "", "file 1"},
		{"all\x01\x02\x07\x08\x0b\x0c\x0e\x1f", "", "file 1"},

		// Not UTF-8. Never deleted: the JSON of the control socket loses those bytes.
		{"latin1 \xe4\xf6\xfc", "file 1", "file 2"},
		{"only bad \xff\xfe", "", "file 1"},
		{"bad dir \xe9/in it", "file 1", "file 2"},
		{"bad dir \xe9/bad in it \xe9", "", "file 1"},
		{long("long bad \xe9 ", 210), "file 1", "file 2"},

		// Long names: the last short one has 175 bytes. Never deleted in a reverse mount,
		// where gocryptfs finds long names by listing the directory.
		{long("175 ", 175), "file 1", "file 2"},
		{long("176 ", 176), "file 1", "file 2"},
		{long("long für ", 200), "file 1", "file 2"},
		{long("long\nline ", 220), "", "file 1"},
		{maxName, "", "file 1"},
		{longDir + "/" + long("below ", 190), "file 1", "file 2"},
		{longDir + "/short", "", "file 1"},
		{longDir + "/empty in long", "", "dir"},

		{"big file.iso", "big 1", "big 2"},
		{"new big file.iso", "", "big 1"},
		{"a pipe", "pipe", "pipe"},
		{"new pipe ü", "", "pipe"},
		{"empty", "dir", "dir"},
		{"empty new ö", "", "dir"},

		{spaceDir + "/Letter to Ann.odt", "file 1", "file 2"},
		{spaceDir + "/Ümläut.txt", "file 1", "file 2"},
		{spaceDir + "/kept", "file 1", "file 1"},
		{spaceDir + "/" + goneDir, "file 1", ""},
		{spaceDir + "/sub/one", "file 1", "file 2"},
		{spaceDir + "/sub/new two", "", "file 1"},
		{cjkDir + "/ファイル", "file 1", "file 2"},
		{cjkDir + "/新しい", "", "file 1"},
		{deepDir + "/seven", "file 1", "file 2"},
		{deepDir + "/new\tseven", "", "file 1"},
		{"deep/zwei/new here/too", "", "file 1"},
		{lookalike + "gh0Q/" + lookalike, "file 1", "file 2"},

		// Deleted, or of another kind now. No directory becomes a file: rsync replaces
		// an empty one, but no directory is empty in the encrypted view. The commands
		// that fail cover this.
		{"gone.txt", "file 1", ""},
		{"gone Ä 日本 🎈", "file 1", ""},
		{"kept/gone\nwith newline", "file 1", ""},
		{"kept/stays", "file 1", "file 1"},
		{`gone\#123`, "file 1", ""},
		{goneDir + "/one", "file 1", ""},
		{goneDir + "/zwei ü/three", "file 1", ""},
		{goneDir + "/zwei ü/vier\t", "file 1", ""},
		{"gone link", "-> plain.txt", ""},
		{"gone pipe", "pipe", ""},
		{fileToDir, "file 1", ""},
		{fileToDir + "/content", "", "file 2"},
		{"file to link", "file 1", "-> plain.txt"},
		{"link to file", "-> plain.txt", "file 2"},
		{"link to dir", "-> plain.txt", ""},
		{"link to dir/content", "", "file 2"},
		{"pipe to file", "pipe", "file 2"},

		// For root only.
		{"unreadable ü", "", "file 1 0"},
		{"unreadable dir ü/content", "", "file 1"},
		{"unreadable dir ü", "", "dir 700"},

		{errDir + "/Brief an Käthe", "file 1", "file 2"},
		{errDir + "/new ß", "", "file 1"},
		{errDir + "/sub dir/unter ü", "", "file 1"},
		{errDir + "/" + long("long ", 200), "file 1", "file 2"},
		{bigDir + "/Film größer als die Platte.mkv", "", "big 1"},

		{danglingDir + "/ä", "", "-> no such file"},
		{danglingDir + "/" + long("long ", 200), "", "-> no such file"},
		{"link to nowhere", "", "-> no such file"},
		{linkDir + "/short", "", "-> x"},
		{linkDir + "/changed ü", "-> ../plain.txt", "-> ../changed.txt"},
		{linkDir + "/kept", "-> ../plain.txt", "-> ../plain.txt"},
		{linkDir + "/absolute", "", "-> /etc/hostname"},
		{linkDir + "/to a dir", "", "-> ../" + spaceDir},
		{linkDir + "/upwards", "", "-> ../../../../../x"},
		{linkDir + "/arrow -> in it", "", "-> a -> b => c"},
		{linkDir + "/blanks", "", "->  leading and trailing "},
		{linkDir + "/umlaut ü", "", "-> ../" + umlautFile},
		{linkDir + "/control", "", "-> tab\t newline\n esc\x1b[0m cr\r \\#123"},
		{linkDir + "/latin1", "", "-> \xe4\xf6"},
		{linkDir + "/looks encrypted", "", "-> " + lookalike},
		{linkDir + "/long", "", "-> " + strings.Repeat("0123456789/", 100)},
		{linkDir + "/" + long("long ", 200), "", "-> ../plain.txt"},
		{linkDir + "/new\nline", "-> ../plain.txt", "-> ../changed.txt"},

		{hard[0], "file 1", "file 2"},
		{hard[1], "= " + hard[0], "= " + hard[0]},
		{hard[2], "", "file 1"},
		{hard[3], "", "= " + hard[2]},
		{hard[4], "", "= " + hard[2]},
	}
	// The encrypted target of 16·k bytes is as long as an encrypted name.
	for k := 1; k <= 6; k++ {
		rows = append(rows, row{fmt.Sprintf("%s/16·%d", linkDir, k), "", "-> " + long("", 16*k)})
	}
	return rows
}

// hardNames picks five names below hardDir whose cipher names are in the same order: from
// each forty candidates, the one that comes next.
func hardNames(t testing.TB, m *mount) []string {
	t.Helper()
	var names []string
	last := ""
	for k := range 5 {
		name, next := "", ""
		for i := range 40 {
			candidate := fmt.Sprintf("%s/härd %d %02d", hardDir, k, i)
			c := m.encrypt(t, candidate)
			if c > last && (name == "" || c < next) {
				name, next = candidate, c
			}
		}
		if name == "" {
			t.Fatalf("no name in order after %q", names)
		}
		names, last = append(names, name), next
	}
	return names
}

// The dates of the tree: nothing depends on when the test runs.
var (
	firstDay  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	secondDay = firstDay.AddDate(0, 1, 0)
)

// buildTree makes the first state of rows in root.
func buildTree(t testing.TB, root string, rows []row) {
	t.Helper()
	for _, r := range rows {
		if r.was != "" {
			create(t, root, r.path, r.was)
		}
	}
	dateDirs(t, root, func(string) time.Time { return firstDay })
}

// changeTree turns the first state into the second. Directories in which something
// changed get a younger date.
func changeTree(t testing.TB, root string, rows []row) {
	t.Helper()
	changed := map[string]bool{}
	for _, r := range rows {
		if r.was != r.is {
			changed[filepath.Dir(r.path)] = true
		}
		if r.was == "" || r.is != "" {
			continue
		}
		check(t, os.RemoveAll(filepath.Join(root, r.path)))
		removeEmpty(root, filepath.Dir(r.path))
	}
	for _, r := range rows {
		if r.was != r.is && r.is != "" {
			create(t, root, r.path, r.is)
		}
	}
	dateDirs(t, root, func(dir string) time.Time {
		if changed[dir] {
			return secondDay
		}
		return firstDay
	})
}

// removeEmpty removes the directories, from the leaves up, that the last removal has left
// empty.
func removeEmpty(root, dir string) {
	for dir != "." && os.Remove(filepath.Join(root, dir)) == nil {
		dir = filepath.Dir(dir)
	}
}

// create makes one entry of the tree and replaces what is there. A file is overwritten,
// so that its hard links stay.
func create(t testing.TB, root, path, state string) {
	t.Helper()
	full := filepath.Join(root, path)
	check(t, os.MkdirAll(filepath.Dir(full), 0o755))
	kind, rest, _ := strings.Cut(state, " ")
	if info, err := os.Lstat(full); err == nil && !stays(info, kind) {
		os.Remove(full)
	}
	switch kind {
	case "dir":
		check(t, os.MkdirAll(full, 0o755))
		if rest != "" {
			check(t, os.Chmod(full, parseMode(t, rest)))
		}
	case "pipe":
		check(t, syscall.Mkfifo(full, 0o644))
	case "->":
		check(t, os.Symlink(rest, full))
	case "=":
		check(t, os.Link(filepath.Join(root, rest), full))
	case "file":
		writeFile(t, full, path+"\n", strings.Fields(rest))
	case "big":
		writeFile(t, full, strings.Repeat(path, 1+20_000/len(path)), strings.Fields(rest))
	default:
		t.Fatalf("%q: unknown state %q", path, state)
	}
}

// stays reports whether what is there can become an entry of that kind.
func stays(info os.FileInfo, kind string) bool {
	switch kind {
	case "file", "big":
		return info.Mode().IsRegular()
	case "dir":
		return info.IsDir()
	}
	return false
}

// writeFile writes a file from the fields of its state: a version, a mode and "later".
// Only the version is required.
func writeFile(t testing.TB, full, content string, fields []string) {
	t.Helper()
	version, date, mode := fields[0], firstDay, os.FileMode(0o644)
	if version != "1" {
		date = secondDay
	}
	for _, f := range fields[1:] {
		if f == "later" {
			date = secondDay
			continue
		}
		mode = parseMode(t, f)
	}
	content = version + " " + content
	// In a forward file system, what is written again is encrypted again.
	if old, err := os.ReadFile(full); err != nil || string(old) != content {
		check(t, os.WriteFile(full, []byte(content), mode))
	}
	check(t, os.Chmod(full, mode))
	check(t, os.Chtimes(full, date, date))
}

// parseMode parses the mode in a state.
func parseMode(t testing.TB, octal string) os.FileMode {
	t.Helper()
	bits, err := strconv.ParseUint(octal, 8, 32)
	check(t, err)
	return os.FileMode(bits)
}

// dateDirs dates the directories of the tree, from the leaves up.
func dateDirs(t testing.TB, root string, date func(dir string) time.Time) {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	check(t, err)
	for _, dir := range slices.Backward(dirs) {
		rel, err := filepath.Rel(root, dir)
		check(t, err)
		check(t, os.Chtimes(dir, date(rel), date(rel)))
	}
}
