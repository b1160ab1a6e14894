#!/bin/sh
# deps.sh COMMAND...: installs the packages of the commands that are missing. It says which, and
# without CI=true it uses sudo only after a yes.
set -eu
PATH=$PATH:/usr/lib/openssh # of sftp-server

missing=
for command; do
	command -v "$command" >/dev/null && continue
	case $command in
	fusermount3) missing="$missing fuse3" ;;
	sftp-server) missing="$missing openssh-sftp-server" ;;
	gcc) missing="$missing gcc libc6-dev" ;;
	*) missing="$missing $command" ;;
	esac
done
[ -n "$missing" ] || exit 0

fail() {
	echo "deps: error: missing:$missing" >&2
	echo "deps: hint: $1" >&2
	exit 1
}

command -v apt-get >/dev/null || fail 'install them with the package manager of this system'
sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
	command -v sudo >/dev/null || fail "as root, run: apt-get install$missing"
	if [ "${CI-}" != true ]; then
		[ -t 0 ] || fail "run: sudo apt-get install$missing"
		printf 'deps: missing:%s\ndeps: install with sudo apt-get? [y/N] ' "$missing"
		read -r answer
		[ "$answer" = y ] || fail "run: sudo apt-get install$missing"
	fi
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word for each package
if ! { $sudo apt-get -qq update && $sudo apt-get -qq install --no-install-recommends $missing; } >/dev/null; then
	fail "apt-get could not install them; see above"
fi
