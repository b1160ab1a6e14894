#!/bin/sh
# Prints the version of this source. The commit that gives CHANGELOG.md a release is that release.
# Another one comes after the newest: 1.0.0+git20261129.43ebcd8, with its day and hash, is above
# 1.0.0 and below 1.0.1 for people, dpkg and rpm.
cd "$(dirname "$0")/.." || exit

version=$(sed -n '/^## \[[0-9]/{s/^## \[\([^]]*\)\].*/\1/p;q;}' CHANGELOG.md)
dirty=
git diff --quiet HEAD 2>/dev/null
[ $? -ne 1 ] || dirty=.dirty # an archive has no history: 129
if [ $dirty ] || grep -q '^## \[Unreleased\]' CHANGELOG.md || git diff --quiet HEAD^ -- CHANGELOG.md 2>/dev/null; then
	commit=$(TZ=UTC0 git log -1 --format=git%cd.%h --date=format-local:%Y%m%d 2>/dev/null)
	version=$version+${commit:-devel}$dirty
fi
echo "$version"
