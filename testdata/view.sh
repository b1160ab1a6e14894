# shellcheck shell=bash
# Shared by the capture scripts: a small tree that gocryptfs shows encrypted.
#
# It lies in /tmp/capture, so that the captures hold no other path. Its key is zero, so that a path
# is always encrypted to the same name.

work=/tmp/capture

fail() {
	printf 'capture: error: %s\n' "$1" >&2
	exit 1
}

server=''
cleanup() {
	cd /
	[ -z "$server" ] || unmount || :
	rm -rf --one-file-system "$work"
}

unmount() {
	kill "$server" # on SIGTERM it unmounts
	wait "$server" || :
	server=''
}

# Mounts the view. After changes it has to be mounted again: the kernel's cache does not notice them.
mount_view() {
	gocryptfs -q -fg -nosyslog -reverse -zerokey -ctlsock ctl.sock home mount >log 2>&1 &
	server=$!
	until mountpoint -q mount; do
		kill -0 "$server" 2>/dev/null || fail "cannot mount: $(tail -n 1 log)"
		sleep 0.05
	done
}

long() { # START LENGTH: prints a name of LENGTH characters
	local name=$1
	while [ ${#name} -lt "$2" ]; do name+=' and so on'; done
	printf '%s' "${name:0:$2}"
}

put() { # NAME [TEXT]
	mkdir -p "home/${1%/*}"
	printf '%s\n' "${2-$1}" >"home/$1"
}

# Makes an empty tree in $work and changes to that directory.
begin() {
	PATH=$PWD/.tools:$PATH
	mkdir "$work"
	trap cleanup EXIT
	cd "$work" || exit
	mkdir home mount
	gocryptfs -q -init -reverse -scryptn 10 -extpass 'echo capture' home
}
