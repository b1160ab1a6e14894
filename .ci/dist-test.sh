#!/usr/bin/env bash
# Makes a release twice, the second time in another directory with another umask and time zone, and
# checks that the bytes are the same. Then installs the .deb below a scratch root, runs the program
# and checks that removing the package leaves nothing behind.
set -euo pipefail

name=gocryptfs-rsync-pretty
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

make -s dist DIST="$work/one" VERSION=v1.2.3
mkdir "$work/elsewhere"
git ls-files -z -co --exclude-standard | tar -c --null -T - | tar -x -C "$work/elsewhere"
ln -s "$PWD/.tools" "$work/elsewhere/.tools"
(umask 077 && TZ=Asia/Tokyo make -s -C "$work/elsewhere" dist DIST="$work/two" VERSION=v1.2.3)
diff -r "$work/one" "$work/two"
(cd "$work/one" && sha256sum --quiet -c SHA256SUMS)
newest=$(sed -n 's/^## \[\([0-9].*\)\] - .*/\1/p' CHANGELOG.md | head -n 1)
dpkg --compare-versions "$newest" le "$(.ci/version.sh)"
dpkg --compare-versions "$(.ci/version.sh)" lt "$newest.1"

root=$work/root
install -d "$root/var/lib/dpkg/"{info,updates}
touch "$root/var/lib/dpkg/status"
below_root() { # with manuals and documents, which some images leave out
	dpkg --root="$root" --force-not-root --log=/dev/null --path-include='/usr/share/*' "$@" >/dev/null
}
below_root -i "$work/one/${name}_1.2.3-1_$(dpkg --print-architecture).deb"
[[ $("$root/usr/bin/$name" -version) == *1.2.3* ]]
[[ $("$root/usr/bin/$name" -h) == *CTLSOCK* ]]
for doc in NOTICES README.md changelog.Debian.gz changelog.gz copyright; do
	[ -s "$root/usr/share/doc/$name/$doc" ] || { echo "dist-test: error: no $doc" >&2; exit 1; }
done
! command -v lintian >/dev/null || lintian -IE --pedantic --fail-on error,warning,info,pedantic "$work/one/"*.deb
mandoc -W error "$root/usr/share/man/man1/$name.1.gz" >/dev/null
below_root -r $name
left=$(find "$root" -path "$root/var" -prune -o ! -type d -print)
[ -z "$left" ] || { echo "dist-test: error: left behind: $left" >&2; exit 1; }
echo "dist-test: $(find "$work/one" -type f | wc -l) files repeat byte for byte; the .deb installs, runs and goes"
