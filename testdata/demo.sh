#!/usr/bin/env bash
# Makes two backups of an encrypted view, the second after some changes. Shows each line as rsync
# prints it and, beside it, as the filter writes it; then the second log again, when nothing is
# mounted. However it ends, its temporary directory is unmounted and removed.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

bold='' dim='' off='' color=never
if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
	bold=$'\e[1m' dim=$'\e[2m' off=$'\e[m' color=always
fi

columns=${COLUMNS:-$(tput cols 2>/dev/null || echo 120)}

# Prints LINE, which starts at column LEFT, broken at blanks to WIDTH columns. Further lines are
# indented by INDENT columns more.
wrap() { # LINE WIDTH LEFT INDENT
	local rest=$1 width=$2 part
	while [ ${#rest} -gt "$width" ]; do
		part=${rest:0:width+1}
		part=${part% *}
		printf '%s\n%*s' "$part" $(($3 + $4)) ''
		rest=${rest:${#part}+1} width=$(($2 - $4))
	done
	printf '%s\n' "$rest"
}

step() { printf '\n%s' "$bold" && wrap "$1" "$columns" 0 0 && printf '%s' "$off"; }

fail() { # MESSAGE HINT
	printf 'demo: error: %s\ndemo: hint: %s\n' "$1" "$2" >&2
	exit 1
}

work=''
mounted() { # waits until gocryptfs, $!, has mounted; false when it has ended instead
	until mountpoint -q "$work/view"; do
		kill -0 $! || return
		sleep 0.05
	done 2>/dev/null
}
unmount() {
	! mounted || fusermount3 -u "$work/view" || fusermount3 -uz "$work/view" || return
	for _ in {1..50}; do # gocryptfs goes on while another program is in the view
		kill -0 $! || return 0
		sleep 0.1
	done
	kill -KILL $!
	wait $! || :
} 2>/dev/null
cleanup() {
	set +e # a signal during the start of a pipeline makes that a failed command
	trap '' HUP INT TERM
	[ -n "$work" ] || return 0
	cd /
	if [ -z "${!-}" ] || unmount; then
		rm -rf --one-file-system "$work"
	else
		printf 'demo: error: cannot unmount %s\ndemo: hint: fusermount3 -uz %s\n' "$work/view"{,} >&2
	fi
	work=
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

.ci/deps.sh rsync fusermount3
fuse='as root: modprobe fuse; for a container: --device /dev/fuse --cap-add SYS_ADMIN'
[ -c /dev/fuse ] || fail 'there is no /dev/fuse' "$fuse"
if ! why=$({ : <>/dev/fuse; } 2>&1); then
	[[ $why != *Permission* ]] || fuse='run this as root, or as root: chmod 666 /dev/fuse'
	fail "/dev/fuse: ${why##*: }" "$fuse"
fi
PATH=$PWD:$PWD/.tools:$PATH
work=$(mktemp -d)
export TMPDIR=$work
"${MAKE:-make}" -s build
if ! command -v gocryptfs >/dev/null; then
	echo 'building gocryptfs: half a minute, this time only'
	"${MAKE:-make}" -s .tools/gocryptfs
fi

# Prints each raw line, cut to its column, beside the pretty line. Nothing stands beside a line that
# the filter leaves out.
beside() { # RAW PRETTY
	local raw pretty sgr left=$((columns * 3 / 8))
	local right=$((columns - left - 3))
	printf '\n%s  %-*s %s%s\n' "$dim" $left 'rsync prints' 'you read' "$off"
	while IFS= read -r raw <&3; do
		pretty=''
		case $raw in
		*gocryptfs.conf | *gocryptfs.diriv | *gocryptfs.longname.*.name) ;;
		*) IFS= read -r pretty <&4 ;;
		esac
		[ ${#raw} -le $left ] || raw=${raw:0:left-1}…
		printf '  %s%s%s' "$dim" "$raw" "$off"
		[ -n "$pretty" ] || { echo && continue; }
		sgr='' # the color of the whole line
		[[ $pretty != $'\e['* ]] || sgr=${pretty%%m*}m
		pretty=${pretty#"$sgr"}
		printf '%*s%s' $((left + 1 - ${#raw})) '' "$sgr"
		wrap "${pretty%$'\e[0m'}" $((right < 60 ? right : 60)) $((left + 3)) 12
		printf '%s' "$off"
	done 3<"$1" 4<"$2"
}

backup() {
	echo '  $ rsync -ai --delete view/ backup/ 2>&1 |'
	echo '    gocryptfs-rsync-pretty -hide-meta -map names ctl view'
	rsync -ai --delete view/ backup/ 2>&1 | tee raw |
		gocryptfs-rsync-pretty -color $color -hide-meta -map names ctl view >pretty
	beside raw pretty
}

cd "$work"
mkdir home view

step 'a few files to back up'
summer='Photos/Summer in Zürich'
minutes="Minutes of the annual meeting, with the treasurer's report, the vote on the clubhouse roof, \
three objections, two apologies and a list of all who brought cake, pie and coffee 🍰.txt"
mkdir -p "home/$summer" home/Recipes
for file in "$summer/café.jpg" "$summer/IMG_2041.jpg" Recipes/Käsespätzle.txt "$minutes" 'to do (old).txt'; do
	echo "$file" >"home/$file"
done
ln -s "$summer/café.jpg" 'home/best photo'
find home -exec touch -h -d yesterday {} + # else rsync misses a change within the same second
find home -mindepth 1 \( -type l -printf '%P -> %l\n' -o -type f -printf '%P\n' \) | sort |
	while IFS= read -r file; do printf '  ' && wrap "$file" $((columns < 98 ? columns - 4 : 96)) 2 2; done

step 'an encrypted view of them, for a place that must not read them'
echo '  $ gocryptfs -reverse -ctlsock ctl home view'
gocryptfs -q -init -reverse -scryptn 10 -extpass 'echo demo' home
# setsid keeps Ctrl-C away from gocryptfs: if it is killed while it mounts, it never ends.
setsid gocryptfs -q -fg -nosyslog -reverse -extpass 'echo demo' -ctlsock ctl home view >log 2>&1 &
mounted || fail "cannot mount: $(head -n 1 log)" "$fuse"

step 'the first backup'
backup

step 'a photo renamed, a recipe added, one changed, the minutes deleted'
mv "home/$summer/IMG_2041.jpg" "home/$summer/swans 🦢.jpg"
echo 'more cheese' >>home/Recipes/Käsespätzle.txt
echo 'apples' >"home/Recipes/Grandma's apple pie.txt"
rm "home/$minutes"
backup

unmount || exit
step 'unmounted: the same log, from the names that were remembered'
echo '  $ gocryptfs-rsync-pretty -hide-meta -map names < rsync.log'
gocryptfs-rsync-pretty -color $color -hide-meta -map names <raw >pretty
beside raw pretty

cleanup
step 'the temporary directory is removed'
echo '  to install the filter: make install'
echo '  to put it into a backup script: see README.md'
