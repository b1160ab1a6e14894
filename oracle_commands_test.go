package main

// comparison is one line of the oracle's tables.
type comparison struct {
	sh    string // a shell script; {path} is a plain path, encrypted on the other side
	mount string // if set, MOUNT is this directory inside the encrypted tree
	alone bool   // not on both sides at once: it changes the source
	aside string // a pattern of what differs for a reason of its own
}

var commands = []comparison{
	// Names, `-> target`, `=> hard link`, deletions.
	{sh: "rsync -av src/ dst/"},
	{sh: "rsync -av src dst/"},
	{sh: "rsync -av src new"},
	{sh: "rsync -av $PWD/src/ $PWD/new/"},
	{sh: "rsync -av $PWD/src dst"},
	{sh: "rsync -avv src/ dst/"},
	{sh: "rsync -avv src dst"},
	{sh: "rsync -aHv src/ dst/"},
	{sh: "rsync -aHvv src new/"},
	{sh: "rsync -ai src/ dst/"},
	{sh: "rsync -aii src/ dst/"},
	{sh: "rsync -aHvi --delete src/ dst/"},
	{sh: "rsync -aHvvi --delete src dst/"},
	{sh: "rsync -aHii src new"},
	{sh: "rsync -avn --delete src/ dst/"},
	{sh: "rsync -ain --delete --dry-run src dst"},
	{sh: "rsync -rv src/ new/"},
	{sh: "rsync -rlptgoDvc src/ dst/"},
	{sh: "rsync -aviI --no-whole-file src/ dst/"},
	{sh: "rsync -avi --size-only src/ dst/"},
	{sh: "rsync -avi --inplace --checksum src/ dst/"},
	{sh: "rsync -avi --append src/ dst/"},
	{sh: "rsync -avi --omit-dir-times --omit-link-times --chmod=D711,F640 src/ dst/"},
	{sh: "rsync -dv src/ dst/"},
	{sh: "rsync -v src/{-n} src/{--delete} src/{.dotfile} src/{empty} src/{a pipe} new/"},
	{sh: "rsync -avi src/{" + umlautFile + "} dst/"},
	{sh: "rsync -avv src/{" + umlautFile + "} dst/other"},
	{sh: "rsync -avi src/{" + spaceDir + "} src/{" + cjkDir + "} src/{plain.txt} dst/"},
	{sh: "rsync -avi --mkpath src/ new/one/two"},
	{sh: "LC_ALL=C rsync -av --delete src/ dst/"},
	{sh: "rsync -8avi --delete src/ dst/"},
	{sh: "rsync -avv --outbuf=N src/ dst/"},
	{sh: "rsync -avi --stderr=all --delete src/ dst/"},
	{sh: "rsync -avi --stderr=client --delete src/ dst/"},

	// -R keeps the path that was given.
	{sh: "rsync -aRv src/{" + spaceDir + "}/ new/"},
	{sh: "rsync -aRvi src/./{" + deepDir + "}/ dst/"},
	{sh: "rsync -aRvi --no-implied-dirs $PWD/src/{" + cjkDir + "} new"},
	{sh: "rsync -aRii $PWD/src/./{" + spaceDir + "} dst"},

	// Progress and --info.
	{sh: "rsync -av --progress src/ dst/"},
	{sh: "rsync -aP src new/"},
	{sh: "rsync -avi --progress --no-inc-recursive src/ dst/"},
	{sh: "rsync -ai --delete --info=progress2 src/ dst/"},
	{sh: "rsync -av --info=progress2 src new"},
	{sh: "rsync -a --info=name src/ dst/"},
	{sh: "rsync -a --info=name2,skip2,del,copy,remove src/ dst/"},
	{sh: "rsync -aH --info=all --delete src/ dst/"},
	{sh: "rsync -a --stats --human-readable --info=name src/ dst/"},
	{sh: "rsync -av --info=stats2,flist2 src/ dst/"},

	// --out-format: names next to any byte.
	{sh: "rsync -a --out-format='%n' src/ dst/"},
	{sh: "rsync -a --out-format='[%n]<%n>|%n|' src/ dst/"},
	{sh: "rsync -aH --out-format='%i %n%L' src/ dst/"},
	{sh: "rsync -a --out-format='%f' src/ dst/"},
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
	{sh: "rsync src/"},
	{sh: "rsync -r --list-only src/"},
	{sh: "rsync -a src"},
	{sh: "rsync -aH --list-only $PWD/src/"},
	{sh: "rsync -aU --list-only src/{" + linkDir + "}"},
	{sh: "rsync -a --list-only --exclude='*' src/"},

	// Logs.
	{sh: "rsync -a --log-file=log src/ dst/; cat log"},
	{sh: "rsync -aH --delete --log-file=log --log-file-format='%o <%n> %i %L' src dst; cat log"},
	{sh: "rsync -avi --delete --log-file=log src/ dst/ >out; cat log"},

	// Backups.
	{sh: "rsync -avvb src/ dst/"},
	{sh: "rsync -avvb --suffix=.bak src/ dst/"},
	{sh: "rsync -avvb --suffix=.2026-01-02 --delete src/ dst/"},
	{sh: "rsync -avvib --suffix=-2026-11-23 --delete src/ dst/"},
	{sh: "rsync -avvib --suffix=_bak src/ dst/; rsync -avvi --delete src/ dst/"},
	{sh: "rsync -avvb --delete --backup-dir=$PWD/bak src/ dst/"},
	{sh: "rsync -aviib --delete --backup-dir=../bak --suffix=.old src/ dst/"},
	{sh: "rsync -ab --delete --info=backup,del src/ dst/"},

	// Deletions.
	{sh: "rsync -avv --delete-before src/ dst/"},
	{sh: "rsync -avv --delete-during src/ dst/"},
	{sh: "rsync -avv --delete-delay src/ dst/"},
	{sh: "rsync -avv --delete-after src/ dst/"},
	{sh: "rm dst/{changed.txt}; mkdir -p dst/{changed.txt}/x; rsync -av --force src/ dst/"},
	{sh: "rsync -avi --delete-excluded --exclude=/{" + spaceDir + "} src/ dst/"},
	{sh: "rsync -a --delete --max-delete=0 --info=del,name src/ dst/"},
	{sh: "rsync -avi --delete --existing --ignore-existing" + sameKind + " src/ dst/"},
	{sh: "rsync -avir --delete-missing-args src/{" + goneDir + "} src/{gone.txt} dst/"},
	{sh: "rsync -avi --ignore-missing-args src/{gone.txt} src/{" + umlautFile + "} dst/"},

	// Other trees to compare with.
	{sh: "rsync -avv --link-dest=../old src/ new/"},
	{sh: "rsync -avii --link-dest=$PWD/old src/ new/"},
	{sh: "rsync -avv --copy-dest=../old src/ new/"},
	{sh: "rsync -avii --compare-dest=../old src/ new/"},
	{sh: "rsync -av --link-dest=../nowhere --link-dest=../old src new"},
	{sh: "rsync -avv --link-dest=../dst/{plain.txt} src/ new/"},

	// Where files are while they are made.
	{sh: "rsync -avi --partial-dir=.partial src/ dst/"},
	{sh: "rsync -avv --delay-updates --delete src/ dst/"},
	{sh: "mkdir tmp; rsync -avv -T $PWD/tmp src/ dst/"},
	{sh: "rsync -avv --fuzzy src/ dst/"},
	{sh: "rsync -avi --fsync --preallocate src/ dst/"},

	// What is left out.
	{sh: "rsync -avv --existing src/ dst/"},
	{sh: "rsync -avv --ignore-existing" + sameKind + " src/ dst/"},
	{sh: "rsync -a --ignore-existing --info=skip2" + sameKind + " src/ dst/"},
	{sh: "touch -d 2030-01-01 dst/{" + umlautFile + "} dst/{" + spaceDir + "/Ümläut.txt}; rsync -auvv src/ dst/"},
	{sh: "rsync -avv --max-size=10k src/ dst/"},
	{sh: "rsync -a --min-size=10k --info=skip src/ dst/"},
	{sh: "rsync -av --no-specials --no-links src/ dst/"},
	{sh: "rsync -v src/{" + spaceDir + "} src/{plain.txt} new/"},
	{sh: "rsync -lptv src src/{" + umlautFile + "} dst/"},
	{sh: "rsync -avm --exclude=gocryptfs.diriv src/ new/"},
	{sh: "mount --bind src src; mount -o remount,bind,ro src; rsync -avv --remove-source-files src/ dst/"},
	{sh: "rsync -av --munge-links src/ dst/"},

	// Filter rules.
	{sh: "rsync -avv --exclude=/{" + spaceDir + "} --exclude={" + umlautFile + "} src/ dst/"},
	{sh: "rsync -avv --exclude=/{" + spaceDir + "}/ --include='*/' --exclude='*' src/ dst/"},
	{sh: "rsync -avv --delete --filter='protect /'{gone.txt} --filter='risk /'{" + goneDir + "} --filter='P /'{" + goneDir + "}'/**' src/ dst/"},
	{sh: "printf '%s\\n' '- '{plain.txt} '- /'{" + cjkDir + "} >rules; rsync -avv --filter='. rules' src/ dst/"},
	{sh: "printf '%s\\n' /{" + deepDir + "} >rules; rsync -avvi --exclude-from=rules src/ dst/"},

	// Lists of files.
	{sh: "printf '%s\\n' {" + umlautFile + "} {" + deepDir + "/seven} {gone.txt} >list; rsync -av --files-from=list src/ new/"},
	{sh: "printf '%s\\0' {" + spaceDir + "}/ {new\nline} {kept/gone\nwith newline} | rsync -avvr0 --files-from=- src/ dst/"},
	{sh: "rsync -av --files-from=list src/ new/"},

	// rsync at both ends of a pipe, and a daemon.
	{sh: "rsync -av -e $RSH src/ host:$PWD/dst/"},
	{sh: "rsync -avvi --delete -e $RSH host:$PWD/src dst"},
	{sh: "rsync -avv -e $RSH src/{" + umlautFile + "} host:$PWD/dst/"},
	{sh: "rsync -avP -e $RSH host:$PWD/src/ new/"},
	{sh: "rsync -avi --delete src/ rsync://host/dst/"},
	{sh: "rsync -avv rsync://host/src/ dst/"},
	// Behind `./` a name that begins with a dash is no option.
	{sh: "rsync -av rsync://host/src/./{" + spaceDir + "} host::src/./{gone.txt} dst/"},
	{sh: "rsync -a rsync://host/src/"},
	{sh: "rsync -aR rsync://host/src/./{" + deepDir + "} new" + daemonLog, aside: `\d+$`},
	{sh: "rsync -a --delete src/ host::dst/" + daemonLog, aside: `\d+$`},

	// Batches, of the same rsync.
	{sh: "rsync -av --write-batch=batch src/ new/; rsync -avv --read-batch=batch dst/"},

	// What -vvv adds. Its numbers are indexes, sizes and ids.
	{sh: "rsync -aHvvv --delete src/ dst/", aside: "[0-9]+"},

	// timemachine.
	{sh: timemachine + " --verbose --itemize-changes $PWD/src $PWD/dst/.inprogress"},
	{sh: timemachine + " --link-dest=../current --verbose --progress $PWD/src/ $PWD/dst/.inprogress"},
}

// inside are commands over a directory of the encrypted tree that is given as
// MOUNT.
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
	{sh: "mkdir new; mount -t tmpfs -o size=16k none new; rsync -avv --inplace --stats src/{" + bigDir + "} new"},
	{sh: "mkdir new; mount -t tmpfs -o size=16k none new; rsync -avP --partial-dir=.partial src/{" + bigDir + "}/ new/", mount: bigDir},
	{sh: "mkdir new; mount -t tmpfs -o nr_inodes=1 none new; rsync -av src/{" + errDir + "} new"},
	{sh: "mkdir new; mount -t tmpfs -o nr_inodes=2 none new; rsync -av src/{" + errDir + "} new"},
	{sh: "mkdir new; mount -t tmpfs -o nr_inodes=1 none new; rsync -av src/{" + errDir + "}/ new", mount: errDir},
	{sh: "mkdir tmp; mount -t tmpfs -o nr_inodes=1 none tmp; rsync -dlptv -T $PWD/tmp" + noMax + " src/ new/"},

	// The destination is read-only.
	{sh: readOnly + "rsync -avv" + noMax + " src/ dst/"},
	{sh: readOnly + "rsync -ai --delete" + noMax + " src/ dst/"},
	{sh: readOnly + "rsync -av --inplace src/ dst/"},
	{sh: readOnly + "rsync -av --delay-updates --delete" + noMax + " src dst"},
	// The daemon makes targets stay in its module, which it cannot with encrypted ones.
	{sh: readOnly + "rsync -av" + noMax + " --exclude=/{" + linkDir + "/absolute} --exclude=/{" + linkDir + "/upwards} src/ rsync://host/dst/"},
	{sh: readOnly + "rsync -av" + noMax + " src/ rsync://host/chroot/"},
	{sh: "mkdir bak; mount --bind bak bak; mount -o remount,bind,ro bak; rsync -avb --backup-dir=$PWD/bak src/{" + umlautFile + "} dst/"},

	// No permission: another user's files.
	{sh: "chown -R 65534 dst; $AS rsync -av src/ dst/"},
	{sh: "chown -R 65534 dst; $AS rsync -aHvi --delete --ignore-errors src dst"},
	{sh: "$AS rsync -rltv" + noMax + " src/ dst/"},
	{sh: "$AS rsync -rlti --delete --ignore-errors" + noMax + " src/ dst/"},
	{sh: "mkdir new; chmod 777 new; $AS rsync -av --super" + noMax + " src/ new/"},
	// Temporary files can be made, but not renamed over what is root's.
	{sh: "chmod -R 1777 dst; $AS rsync -rv" + noMax + " src/ dst/"},
	{sh: "chmod -R 1777 dst; $AS rsync -rlv --delay-updates" + noMax + " src/ dst/"},
	{sh: "chmod -R 1777 dst; $AS rsync -rlv --delete --ignore-errors" + noMax + " src/ dst/"},

	// Something else is in the way.
	{sh: "rm dst/{changed.txt}; mkdir -p dst/{changed.txt}/x; rsync -av src/ dst/"},
	{sh: "for f in {" + umlautFile + "} {a pipe} {" + linkDir + "/kept}; do rm -f dst/\"$f\"; mkdir -p dst/\"$f\"/x; done; rsync -avvb src/ dst/"},
	{sh: "mount -t tmpfs none dst/{" + goneDir + "}; rsync -avx --delete src/ dst/"},
	{sh: "mkdir ref; mount -t tmpfs none ref; cp -a old/. ref; rsync -avi --link-dest=../ref src/ new/"},

	// Nothing is there.
	{sh: "rsync -av src/{gone.txt} src/{" + goneDir + "}/ dst/"},
	{sh: "rsync -avL src/{" + danglingDir + "} dst/"},
	{sh: "rsync -av src/{plain.txt}/ dst/"},
	{sh: "rsync -avR src/{" + spaceDir + "}/../{plain.txt} dst/"},
	{sh: "rsync -av rsync://host/nowhere/{" + spaceDir + "} dst/"},
	{sh: "rsync -av rsync://host/src/./{gone.txt} dst/"},

	// Files that vanish once rsync has them in its list. That it has is sure
	// when the pipe and its buffer have taken more comments than they can hold.
	{sh: vanish("-av --progress"), alone: true},

	// A daemon says no.
	{sh: "rsync -av src/ rsync://host/refuse/"},
	{sh: "rsync -av src/{" + spaceDir + "} rsync://host/refuse/{" + cjkDir + "}"},
}

// tools are commands of other programs.
var tools = []comparison{
	{sh: "find src/{" + spaceDir + "} src/{" + cjkDir + "} src/{deep}"},
	{sh: "find $PWD/src/{" + spaceDir + "} -type f -printf '%p (%P)\\n'", mount: spaceDir},
	// tar shows a newline raw, or escapes all that is not ASCII.
	{sh: "tar cvf /dev/null --quoting-style=literal src/{" + spaceDir + "} src/{" + cjkDir + "}"},
	{sh: "tar cf - src/{" + danglingDir + "} src/{" + cjkDir + "} | tar tvf - --quoting-style=literal", aside: "^[^ ]+ [^ ]+ +[0-9]+"},
	{sh: "du -a src/{" + spaceDir + "}", aside: "^[0-9]+"},
	{sh: "ls -l src/{" + spaceDir + "}", mount: spaceDir, aside: "^total.*|^([^ ]+ +){5}"},
	{sh: "sha256sum src/{" + umlautFile + "} src/{" + spaceDir + "/Ümläut.txt}", aside: "^[0-9a-f]{64}"},
	{sh: "cp -av src/{" + cjkDir + "} dst/"},
	{sh: "rm -rv dst/{" + spaceDir + "}"},
}

// vanish is a run of rsync with the flags in which a file vanishes.
func vanish(flags string) string {
	return "v='../P/src/verschwindet ü'; echo x >\"$v\"; " +
		"{ printf '%s\\n' {verschwindet ü} {plain.txt}; yes '#' | head -c 150000; rm \"$v\"; } | " +
		"rsync " + flags + " --files-from=- src/ new/"
}

// readOnly makes the destination a read-only file system.
const readOnly = "mount --bind dst dst; mount -o remount,bind,ro dst; "

// noMax leaves out the name of 255 bytes: rsync cuts the temporary name of a
// plain file at 246 bytes (receiver.c, get_tmpname), the encrypted one is short.
var noMax = " --exclude={" + maxName + "}"

// daemonLog prints the daemon's log once its last line is there: the client may
// end before.
const daemonLog = "; until grep -q ' sent .* received ' daemon.log; do :; done; cat daemon.log"

// sameKind leaves out the directories that are no directories at the
// destination: with --ignore-existing they stay in the way, and which error
// that leads to depends on the order of the names.
const sameKind = " --exclude=/{" + fileToDir + "} --exclude=/{link to dir}"

// timemachine is how linux-timemachine calls rsync.
const timemachine = "ln -s $PWD/old dst/current; rsync --recursive --perms --owner --group --times --links" +
	" --delete --delete-excluded --partial-dir=.partial"
