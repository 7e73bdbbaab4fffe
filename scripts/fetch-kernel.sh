#!/bin/sh
# fetch-kernel: puts Debian's cloud kernel into .cache/kernel, for tests that
# boot a machine and for the proof of acceleration.
#
# Nothing is installed and no root is needed: apt-get downloads the package and
# dpkg-deb unpacks it. A second run finds the kernel there and does nothing.
#
#   .cache/kernel/vmlinuz    the kernel
#   .cache/kernel/modules/   its modules (lib/modules/VERSION)
#   .cache/kernel/version    the package it came from
set -eu

cd "$(dirname "$0")/.."
cache=.cache/kernel
[ -f $cache/version ] && exit 0

for program in apt-get apt-cache dpkg-deb; do
	command -v $program >/dev/null || {
		echo "fetch-kernel: $program is missing: this needs Debian or Ubuntu" >&2
		exit 1
	}
done

# The metapackage's dependency is the newest kernel; its name has the version.
package=$(apt-cache depends linux-image-cloud-amd64 |
	sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$package" ] || {
	echo "fetch-kernel: apt knows no linux-image-cloud-amd64; run apt-get update" >&2
	exit 1
}

mkdir -p .cache
stage=$(mktemp -d .cache/kernel.XXXXXX)
trap 'rm -rf "$stage"' EXIT
echo "fetch-kernel: downloading $package" >&2
(cd "$stage" && apt-get download -q "$package" >&2 && dpkg-deb -x ./*.deb root)

mkdir "$stage/kernel"
mv "$stage"/root/boot/vmlinuz-* "$stage/kernel/vmlinuz"
mv "$stage"/root/lib/modules/* "$stage/kernel/modules"
echo "$package" >"$stage/kernel/version"
rm -rf $cache
mv "$stage/kernel" $cache
