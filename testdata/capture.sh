#!/usr/bin/env bash
# Makes real backups of a small tree of nasty names, which gocryptfs shows encrypted, and stores what
# they print in replay/: a NAME.txtar for each backup, with the command and its raw output, and
# names.tsv with the paths of the tree. TestReplay decodes them; what it expects follows from names.tsv.
#
# The captures of linux-timemachine (https://github.com/cytopia/linux-timemachine) are made again
# only if timemachine is in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 TZ=UTC

replay=$PWD/testdata/replay
# shellcheck source=testdata/view.sh
. testdata/view.sh

first_state() {
	local name
	for name in \
		plain.txt 'with blanks' ' leading blank' 'trailing blank ' '  two  blanks  ' \
		"it's" '"quoted".txt' 'back\slash' 'hash\#123' 'arrow -> and => inside' 'colon: is uptodate' \
		'100% 0:00:00 (xfr#1' '& < > | ; *?[]' -n --delete .hidden 'trailing dot.' \
		Übergrößen.txt '日本語の名前.txt' '🎉 party 🥳.jpg' \
		TheQuickBrownFoxJumpsg/TheQuickBrownFoxJumpsg \
		$'new\nline' $'tab\tbed' $'esc\e[31mred' $'carriage\rreturn' \
		"$(long 'long name' 200)" "$(long 'the longest name' 255)" \
		"$(long 'long directory' 180)/$(long 'long name in it' 180)" "$(long 'long directory' 180)/short" \
		'My Documents/Letter to Ann.odt' 'My Documents/old/Bericht für Jürgen.odt' \
		deep/two/drei/四/file 'gone forever/one' 'gone forever/zwei ü/three' gone.txt $'gone\nwith newline' \
		'a directory that becomes a file/content' 'a file that becomes a directory'; do
		put "./$name"
	done
	put ./large "$(seq 30000)"
	mkdir home/empty
	mkfifo 'home/a pipe'
	ln home/plain.txt 'home/a hard link to plain.txt'
	ln -s plain.txt 'home/a link'
	ln -s '../My Documents/Letter to Ann.odt' 'home/deep/link to a letter'
	ln -s /nowhere/at/all 'home/dangling ü'
	ln -s plain.txt 'home/gone link'
	find home -mindepth 1 -exec touch -h -d '2026-01-02 03:04:05' {} +
}

second_state() {
	rm -r home/gone* 'home/a directory that becomes a file' 'home/a file that becomes a directory'
	put './a directory that becomes a file'
	put './a file that becomes a directory/content'
	put ./plain.txt 'changed'
	put ./Übergrößen.txt 'changed'
	put './My Documents/Letter to Ann.odt' 'changed'
	put './My Documents/new/brand new 新.txt'
	put $'./tab\tbed' 'changed'
	put "./$(long 'long name' 200)" 'changed'
	put "./$(long 'another long name ö' 190)"
	put ./large "$(seq 31000)"
	chmod 600 'home/with blanks'
	ln -sfn Übergrößen.txt 'home/a link'
}

record() { # NAME COMMAND
	printf '%s\n-- raw --\n' "$2" >"$replay/$1.txtar"
	bash -c "$2" >>"$replay/$1.txtar" 2>&1 || : # some are meant to fail
}

quote() { # TEXT: prints it on one line without tabs, for strconv.Unquote
	local s=${1//\\/\\\\}
	s=${s//\"/\\\"}
	s=${s//$'\n'/\\n} s=${s//$'\t'/\\t} s=${s//$'\r'/\\r} s=${s//$'\e'/\\x1b}
	printf '"%s"' "$s"
}

# Prints CIPHERPATH, PLAINPATH and, for a symbolic link, both targets, separated by tabs.
table() {
	local plain cipher
	find home -mindepth 1 ! -name .gocryptfs.reverse.conf -printf '%P\0' |
		while IFS= read -r -d '' plain; do
			cipher=$(printf '%s\0' "$plain" | gocryptfs-xray -0 -encrypt-paths ctl.sock | tr -d '\0')
			printf '%s\t%s' "$cipher" "$(quote "$plain")"
			[ ! -L "home/$plain" ] ||
				printf '\t%s\t%s' "$(readlink "mount/$cipher")" "$(quote "$(readlink "home/$plain")")"
			echo
		done
}

runs=(
	progress2 'rsync -ai --delete --info=progress2 mount/ backup/'
	progress 'rsync -av --progress mount backup/'
	stats 'rsync -a --stats mount/ backup/'
	hardlinks 'rsync -aHvi --delete mount backup/'
)
if command -v timemachine >/dev/null; then
	runs+=(timemachine 'timemachine -d /tmp/capture/mount /tmp/capture/backup -- --verbose -i --progress')
else
	echo 'capture: timemachine is not in PATH: its captures stay as they are' >&2
fi

# Makes a backup with each command, each to its own destination.
backups() { # SUFFIX
	local i
	for ((i = 0; i < ${#runs[@]}; i += 2)); do
		mkdir -p "backups/${runs[i]}"
		mv "backups/${runs[i]}" backup
		record "${runs[i]}-$1" "${runs[i + 1]}"
		mv backup "backups/${runs[i]}"
	done
}

"${MAKE:-make}" -s .tools/gocryptfs .tools/gocryptfs-xray
begin
mkdir -p backups "$replay"

first_state
mount_view
table >names
backups first
unmount
second_state
mount_view
table >>names
sleep 1 # timemachine names a backup by the second
backups second
LC_ALL=C sort -u names >"$replay/names.tsv"
