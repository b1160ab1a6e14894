#!/usr/bin/env bash
# dist.sh VERSION DIR OS/ARCH...: makes archives, packages and checksums for a release.
# The same source gives the same bytes, which depend on no path, clock, user or umask.
set -euo pipefail

name=gocryptfs-rsync-pretty
version=$1
mkdir -p "$2"
dist=$(cd "$2" && pwd)
shift 2

rm -f "$dist/$name"[-_]* "$dist/SHA256SUMS"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$PWD
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

export PKGVERSION=${version#v}

# The changelog of the packages, from CHANGELOG.md: an entry for each release, below one for a
# version that is none.
{
	grep -qF "## [$PKGVERSION] - " CHANGELOG.md || echo "$PKGVERSION $(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)"
	sed -n 's/^## \[\([0-9].*\)\] - \(.*\)/\1 \2T00:00:00Z/p' CHANGELOG.md
} | while read -r release date; do
	cat <<-END
		- semver: $release-1
		  date: $date
		  packager: $(sed -n 's/^maintainer: //p' .ci/nfpm.yaml)
		  deb: {urgency: low, distributions: [unstable]}
		  changes: [{note: "$release; changelog.gz lists the changes."}]
	END
done >"$stage/changelog.yaml"

# NOTICES lists what is linked in, with the licenses, and names the Go release.
{
	echo "Built by $(go version | cut -d ' ' -f 3) with CGO_ENABLED=0 -trimpath, and linked with the modules"
	echo 'below and the Go library. Their licenses follow.'
	CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}	{{.Dir}}{{end}}{{end}}' . |
		sort -u | sed '/^$/d' >"$stage/modules"
	printf 'Go	%s\n' "$(go env GOROOT)" >>"$stage/modules"
	while IFS=$'\t' read -r module dir; do
		printf '\n== %s\n\n' "$module"
		cat "$dir"/LICENSE*
	done <"$stage/modules"
} >"$stage/NOTICES"

for platform; do
	export GOOS=${platform%/*} GOARCH=${platform#*/}
	dir=$name-${version#v}-$GOOS-$GOARCH
	install -d "$stage/$dir"
	install -m 644 LICENSE README.md CHANGELOG.md $name.1 "$stage/NOTICES" "$stage/$dir"
	CGO_ENABLED=0 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -buildid= -X main.version=$version" -o "$stage/$dir/$name"
	chmod 755 "$stage/$dir/$name"

	tar -c -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
		--mtime="@$SOURCE_DATE_EPOCH" "$dir" | gzip -9n >"$dist/$dir.tar.gz"

	[ "$GOOS" = linux ] || continue
	gzip -9n "$stage/$dir/$name.1" "$stage/$dir/CHANGELOG.md"
	cp "$stage/changelog.yaml" "$stage/$dir"
	cat >"$stage/$dir/lintian" <<-END
		# as Go does it
		$name: statically-linked-binary [usr/bin/$name]
	END
	{
		cat LICENSE
		echo
		echo 'Modules are linked in, whose licenses are in the file NOTICES beside this one.'
	} >"$stage/$dir/copyright"
	for packager in deb rpm; do
		(cd "$stage/$dir" && "$top/.tools/nfpm" package -f "$top/.ci/nfpm.yaml" -p $packager -t "$dist" >/dev/null)
	done
done

cd "$dist"
sha256sum -- *.tar.gz *.deb *.rpm >SHA256SUMS
