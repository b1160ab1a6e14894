#!/usr/bin/env bash
# Runs programs other than rsync over a small tree that gocryptfs shows encrypted, and stores what
# they print. captures.txtar has a section for each command, named after it, with its raw output;
# names.tsv has the names of the tree, cipher path and plain path.
#
# Commands that are not installed are left out, with a message. All of them come from Debian
# packages of about the same name.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C.UTF-8 TZ=UTC TERM=xterm-256color HOME=/tmp/capture/me
unset LS_COLORS XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME

other=$PWD/testdata/other
# shellcheck source=testdata/view.sh
. testdata/view.sh

age() { # sets times that do not change from one run to the next
	find "$@" -depth ! -type l -exec touch -d '2026-01-02 03:04:05' {} +
	find "$@" -type l -exec touch -h -d '2026-01-02 03:04:05' {} +
}

first_state() {
	local name
	# plan.md is -gteisNhNynVYTCxOTY2VA, which some programs take for an option.
	for name in plan.md .hidden 'with blanks.txt' Übergrößen.ods 'a name of 16+ bytes.tar.gz' \
		"$(long 'long name' 180)" "$(long 'long directory' 190)/in a long directory" \
		'My Documents/Letter to Ann.odt' 'My Documents/old/Bericht für Jürgen.odt' \
		'My Documents/old/one more letter.odt' \
		deep/two/drei/四/file.txt 'deep/a file beside directories' gone.txt 'deep/gone too'; do
		put "./$name"
	done
	put ./twin.txt 'the same'
	put './My Documents/twin of it.txt' 'the same'
	mkdir 'home/an empty directory'
	ln -s '../My Documents/Letter to Ann.odt' 'home/deep/a link'
	chmod 755 home/plan.md
	age home
}

second_state() {
	rm home/gone.txt 'home/deep/gone too'
	put ./plan.md changed
	put './My Documents/old/Bericht für Jürgen.odt' changed
	put './My Documents/new/brand new 新.txt'
	age home
}

# Prints CIPHERPATH and PLAINPATH, separated by a tab.
table() {
	find home -mindepth 1 ! -name .gocryptfs.reverse.conf -printf '%P\0' |
		while IFS= read -r -d '' plain; do
			printf '%s\t%s\n' "$(printf '%s\0' "$plain" | gocryptfs-xray -0 -encrypt-paths ctl.sock | tr -d '\0')" "$plain"
		done
}

record() { # COMMAND: in a shell, in /tmp/capture
	local program
	# shellcheck disable=SC2013 # it is to loop over words
	for program in $(grep -oP '(?:^|\| |&& )\K[a-z0-9._-]+' <<<"$1"); do
		type -t "$program" >/dev/null || {
			printf 'capture: %s is not in PATH: left out: %s\n' "$program" "$1" >&2
			return
		}
	done
	bash -c "$1" >raw 2>&1 </dev/null || : # some report differences
	[ -s raw ] || { echo "EMPTY $1" >&2; return; }
	[ -z "$(tail -c 1 raw)" ] || echo >>raw
	{
		printf -- '-- %s --\n' "$1"
		cat raw
	} >>captures.txtar
}

in_syslog() { # prints what rsyslogd makes of standard input, as one message
	printf '%s\n' 'module(load="imuxsock" SysSock.Use="off")' "input(type=\"imuxsock\" Socket=\"$PWD/socket\")" \
		"action(type=\"omfile\" file=\"$PWD/syslog\")" >rsyslog.conf
	rsyslogd -n -f "$PWD/rsyslog.conf" -i "$PWD/rsyslog.pid" &
	until [ -S socket ]; do sleep 0.1; done
	logger -u socket -t rsync -- "$(cat)"
	until [ -s syslog ]; do sleep 0.1; done
	kill $!
	wait $!
	cat syslog
	rm -f socket syslog
}

in_journal() { # prints what journalctl makes of standard input, as one message
	cat >text
	{
		printf '__REALTIME_TIMESTAMP=1767323045000000\nSYSLOG_IDENTIFIER=rsync\nMESSAGE\n'
		printf '%016x' "$(stat -c %s text)" | tac -rs .. | sed 's/../\\x&/g' | xargs -0 printf %b
		cat text
		printf '\n\n'
	} | /lib/systemd/systemd-journal-remote -o "$PWD/rsync.journal" - 2>/dev/null
	journalctl -o json --file "$PWD/rsync.journal"
}
export -f in_syslog in_journal

captures() {
	while IFS= read -r command; do
		record "$command"
	done <<'COMMANDS'
ls --color=always mount
ls -A --color=always mount/*
ls -l --color=always mount
ls -R mount
ls -lR --color=always mount
ls -R --quoting-style=c mount
ls -1 --hyperlink=always mount/*/
(cd mount && ls -ARF --color=always)
du -a mount
du -ah --time mount
find mount -ls
find mount -printf '%p %f\n'
find mount -mindepth 2 -printf '%h %f\n'
find mount -type f -exec stat -c '%n: %s' {} +
find mount -type f -exec file {} +
find mount -type f -exec sha256sum --tag {} +
bfs mount -color
bfs mount -color -ls
tree -C -f mount
tree -C -f -i mount
tree -J -f mount
tree -X -f mount
fdfind --color=always . mount
rg --color=always --files mount
rg --color=always --count --text --hidden '[a-m]' mount
rg --color=always --files-with-matches --text '[a-m]' mount
grep -r --color=always -c '[a-m]' mount
grep -r --color=always -l '[a-m]' mount
ack --color --count '[a-m]' mount
ag --color --files-with-matches '[a-m]' mount
ag --color -g . mount
ugrep -r --color=always -c '[a-m]' mount
exa --color=always -a mount
exa --color=always --recurse --long --no-user --no-time mount
exa --color=always -d mount/*/*
lsd --color=always --icon=never --recursive mount
lsd --color=always --icon=never -d mount/*/*
diff -rq backup mount
diff -rs backup mount
diff -r --color=always backup mount
colordiff -rq backup mount
icdiff -r backup mount
git -c color.ui=always status
git -c color.ui=always status --short --untracked-files=all
git -c color.ui=always diff --stat=250 --no-renames
git -c color.ui=always diff --name-status
git -c color.ui=always diff --no-index --raw backup mount
git -c color.ui=always grep --count -a -e '[a-m]'
git --no-pager log --color=always --name-status --format=%s
tar -cvvf a.tar mount
bsdtar -tvf a.tar
cd mount && find . -depth | cpio -ov --quiet >../a.cpio
zip -r a.zip mount
unzip -l a.zip
zipinfo a.zip
unzip -o a.zip -d unzipped
7z l a.zip
dar -Q -c a -R . -g mount -vt
cp -rv mount copy
mv -v copy/* unzipped/
chmod -Rv u+w unzipped/mount
rsync -ai --delete --backup --suffix=-2026-01-02 mount/ dated/
rclone copy -v --config /dev/null mount rcloned
rclone lsl --config /dev/null mount
rclone check --config /dev/null backup mount --combined -
borg create --list borg::one mount
borg list borg::one
duplicity list-current-files file:///tmp/capture/dup
unison backup unisoned -batch -ui text
unison mount unisoned -batch -ui text -force mount
hashdeep -r -l mount
jdupes -r mount backup
rmlint -o pretty:stdout mount backup
lsof -w +D mount
inotifywait -q -t 2 -m -r mount --exclude x
getfacl -R mount
getfattr -R -d -m - mount
lsattr -R backup
stow -nv -d . -t copied mount
ls -R mount/
ls --color=always mount/*/
ls -Q mount/*/
diff -u <(ls backup) <(ls mount)
diff -u <(cd backup && find) <(cd mount && find)
ls backup >old && ls mount >now && git diff --no-index --word-diff old now
ls -R --color=always mount/ | cat -v
du -a mount | cat -A
find $(find mount -type d -printf '%p/nothing ') 2>&1 | cat -v
ls --color=always mount | sed -n 'l 0'
bash -xc 'list=$(find mount)'
printf '%q\n' "$(find mount)"
ls -R mount | jq -Rs .
ls --color=always mount | jq -sRr @uri
find mount -print0 | jq -Rs .
rsync -rnv mount/ new/ | jq -Rsc '{stdout: ., lines: (. / "\n")}'
rsync -aiv --dry-run mount/ new/ | jc --rsync
du -a mount | jc --du -p
python3 -c 'import subprocess; print(subprocess.run(["rsync", "-rnv", "mount/", "new"], capture_output=True, text=True))'
ls -R --color=always mount/ | python3 -c 'import json, sys; [print(json.dumps({"log": line, "stream": "stdout"})) for line in sys.stdin]'
rsync -rn --progress mount/ new/ | python3 -c 'import json, sys; print(json.dumps([1.0, "o", sys.stdin.read().replace("\n", "\r\n")]))'
find mount -print0 | xargs -0 -I{} curl -sG --data-urlencode path={} -w '%{url_effective}\n' http://127.0.0.1:9/
find mount -maxdepth 1 -printf 'name=%f\n' | python3 -m quopri
ls mount | python3 -c 'import xml.etree.ElementTree as x, sys; print(x.tostring(x.Element("log", text=sys.stdin.read())).decode())'
strace -s 9999 -e trace=write ls -R mount/ 2>&1 >/dev/null | grep mount
find mount -print0 | xargs -0 -t -n 9 true
perl -MData::Dumper -e '$Data::Dumper::Useqq = 1; print Dumper(`ls -R --color=always mount/`)'
node -p '({stdout: require("child_process").execSync("find mount").toString()})'
php -r 'echo json_encode(explode("\n", shell_exec("find mount")));'
ruby -e 'p `ls -R --color=always mount/`'
lua5.4 -e 'print(string.format("%q", io.popen("ls -R --color=always mount/"):read("a")))'
ansible localhost -o -m shell -a 'rsync -rnv mount/ new/'
printf -- '- hosts: localhost\n  gather_facts: false\n  tasks: [{command: ls -R mount/}]\n' >play && ansible-playbook -v play
find mount | in_syslog
ls --color=always mount | in_syslog
find mount | in_journal
rsync -aX --dry-run --out-format=%i%n backup/ attributes/
(cd mount && find . -type f -printf '%h/._%f\n')
find mount -printf '<p><i>%P</i></p>\n' | pandoc -f html -t asciidoc --wrap=none
find mount -printf '* _%P_ __%f__\n' | pandoc -f gfm -t plain --wrap=none
COMMANDS
}

begin
mkdir me copied new

first_state
mount_view
table >names
cp -a mount backup
export GIT_DIR=$work/repo GIT_WORK_TREE=$work/backup
export RESTIC_REPOSITORY=$work/restic RESTIC_PASSWORD=capture BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
{
	git init
	git add .
	git -c user.name=me -c user.email=me@localhost commit -m one
	restic init
	borg init -e none borg
	cp -a backup dated
	cp -a backup attributes
	setfattr -n user.comment -v changed attributes/*
} >/dev/null 2>&1
unmount
second_state
mount_view
table >>names
GIT_WORK_TREE=$work/mount
captures
LC_ALL=C sort -u names >"$other/names.tsv"
mv captures.txtar "$other/"
