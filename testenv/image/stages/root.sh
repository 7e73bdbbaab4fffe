# Makes the root disk, as root in mount and process namespaces of its own, so
# that nothing stays mounted or running however it ends.
#
#   fd 0: tar of what is added    fd 3: the disk
#   fd 4: tar of the base system  fd 5: tar with the kernel's modules, or empty
#   fd 6: takes a tar that tells what users and programs the system has, once
#         its packages are installed; only then does fd 0 bring anything
#
#   STAGE_DIR       directory to work in, empty; it is left so
#   STAGE_SIZE      of the disk, in MiB
#   STAGE_UUID      of the file system
#   STAGE_EPOCH     time of what is made here, in seconds
#   STAGE_PACKAGES  to install
#   STAGE_SUDO      "yes" if there must be sudo
#   STAGE_PROXIES   variables by which programs find their way out, one a line
set -eu
PATH=$PATH:/usr/sbin:/sbin # which an ordinary user's leaves out
work=$STAGE_DIR
root=$work/root
trap 'cd /; umount -R "$root/proc" "$root/dev" 2>/dev/null || :; rm -rf "$work/root" "$work/tmp" "$work"/*' EXIT
trap 'exit 143' TERM INT HUP
exec 7>&1 # since functions may be asked for their output

say() { echo "## $*" >&7; }
fail() { echo "$*" >&2; exit 1; }

# A base system is somebody else's: its links may point anywhere, so nothing
# but the work can be written to. (Without root nothing else could be anyway.)
mount --bind "$work" "$work"
if [ "$(id -u)" = 0 ]; then
	awk '{print $5}' /proc/self/mountinfo | while read -r mounted; do
		case $(printf %b "$mounted") in
		"$work" | /proc | /proc/* | /dev | /dev/*) ;;
		*) mount -o remount,bind,ro "$(printf %b "$mounted")" 2>/dev/null || : ;;
		esac
	done
fi
mkdir "$root" "$work/tmp"
chmod 755 "$root"
export TMPDIR="$work/tmp"
touch -d "1 second ago" "$work/begin" # for the clock by which files get their times ticks slowly

say "unpack the base system"
tar -C "$root" -x --numeric-owner --xattrs --xattrs-include=security.capability <&4
for dir in dev proc sys run tmp var/tmp etc usr/lib; do
	# Never through a link that leads out of the tree.
	[ -d "$root/$dir" ] || [ -L "$root/$dir" ] || mkdir -p "$root/$dir"
done
chmod 1777 "$root/tmp" "$root/var/tmp"
rm -rf "$root"/boot/*

# has PROGRAM: whether the tree has it, be it through a link of the tree's own.
has() {
	for dir in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin; do
		if [ -x "$root/$dir/$1" ] || [ -L "$root/$dir/$1" ]; then return 0; fi
	done
	return 1
}

# What a chroot needs of a running system.
[ ! -L "$root/dev" ] && [ ! -L "$root/proc" ] || fail "the base system's /dev or /proc is a link"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -m 1777 "$root/dev/shm"
mount -t proc proc "$root/proc"

# as_root COMMAND...: in the tree, with the rights that a container's root has.
as_root() {
	# The proxies are words of env's.
	(IFS='
'
		# shellcheck disable=SC2086
		exec env -i HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $STAGE_PROXIES \
			setpriv --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+setfcap,+net_bind_service,+sys_chroot,+mknod,+audit_write \
			chroot "$root" "$@" </dev/null)
}

missing=
for program in sh tar env cat; do has $program || missing="$missing $program"; done
[ -z "$missing" ] || fail "the base system lacks what every job needs:$missing"

# The name servers are the host's while the image is built.
keep_resolver() {
	mv "$root/etc/resolv.conf" "$work/resolv.conf" 2>/dev/null || :
	[ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf >"$root/etc/resolv.conf"
}
put_back_resolver() {
	rm -f "$root/etc/resolv.conf"
	[ ! -e "$work/resolv.conf" ] && [ ! -L "$work/resolv.conf" ] || mv "$work/resolv.conf" "$root/etc/resolv.conf"
}

# install PACKAGE...: by the tree's own package manager.
install() {
	if has apt-get; then
		[ -e "$root/usr/sbin/policy-rc.d" ] || {
			printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # start no services
			chmod 755 "$root/usr/sbin/policy-rc.d"
			trim=yes
		}
		as_root apt-get -qq -o Acquire::Retries=3 update
		as_root apt-get -qq -y --no-install-recommends -o Acquire::Retries=3 -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold install "$@"
		as_root apt-get -qq clean
		[ -z "${trim:-}" ] || rm -f "$root/usr/sbin/policy-rc.d"
		rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
	elif has apk; then
		as_root apk add --no-cache --quiet "$@"
	elif has microdnf; then
		as_root microdnf -y --setopt=install_weak_deps=0 install "$@" && as_root microdnf clean all
	elif has dnf; then
		as_root dnf -q -y --setopt=install_weak_deps=False install "$@" && as_root dnf -q clean all
	else
		fail "the base system has none of apt-get, apk, dnf to install $* (user: {sudo: false} does without sudo)"
	fi
}

keep_resolver
[ "$STAGE_SUDO" != yes ] || has sudo || STAGE_PACKAGES="${STAGE_PACKAGES:+$STAGE_PACKAGES }sudo"
if [ -n "$STAGE_PACKAGES" ]; then
	say "install $STAGE_PACKAGES"
	# shellcheck disable=SC2086 # names of packages
	install $STAGE_PACKAGES
fi

if has modprobe; then
	say "add the kernel's modules"
	tar -C "$root" -x --numeric-owner --keep-directory-symlink --no-overwrite-dir --wildcards './lib/modules/*' <&5 2>/dev/null || :
	for modules in "$root"/lib/modules/*; do
		[ ! -d "$modules" ] || ! has depmod || as_root depmod "${modules##*/}" || say "depmod failed: modprobe will find no modules"
	done
fi

say "add users and files"
: >"$work/programs"
for program in bash sudo; do ! has $program || echo $program >>"$work/programs"; done
set --
for file in etc/passwd etc/group etc/shadow etc/subuid etc/subgid etc/skel; do
	[ ! -e "$root/$file" ] || set -- "$@" "$file"
done
[ $# = 0 ] || set -- -C "$root" "$@"
tar --sort=name -c -C "$work" programs "$@" >&6
exec 6>&-
tar -C "$root" -x --numeric-owner --keep-directory-symlink --no-overwrite-dir
{ read -r user && read -r home && read -r uid && read -r gid; } <"$root/usr/lib/gatehouse/build/account"

for script in "$root"/usr/lib/gatehouse/build/scripts/*; do
	[ -e "$script" ] || continue
	say "run script ${script##*/}"
	as_root /bin/sh -e "/usr/lib/gatehouse/build/scripts/${script##*/}"
done

say "warm the caches"
env -i HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin \
	chroot --userspec="$uid:$gid" --groups= "$root" /bin/sh -eu /usr/lib/gatehouse/build/warm </dev/null >&7

put_back_resolver
umount "$root/proc"
umount -R "$root/dev"
# The trees of modules stay for the template's commands.
for tree in "$root$home"/src/*; do
	[ -d "$tree" ] || continue
	mkdir -p "$root/usr/lib/gatehouse/src"
	mv "$tree" "$root/usr/lib/gatehouse/src/"
done
rm -rf "$root/usr/lib/gatehouse/build" "$root"/tmp/* "$root"/var/tmp/* "$root"/run/* \
	"$root"/var/log/apt "$root"/var/log/dpkg.log "$root"/var/log/alternatives.log \
	"$root"/var/cache/ldconfig/aux-cache "$root"/etc/passwd- "$root"/etc/group- "$root"/etc/shadow- "$root"/etc/gshadow- \
	"$root"/etc/subuid- "$root"/etc/subgid-
[ ! -s "$root/etc/machine-id" ] || : >"$root/etc/machine-id"

# What was made here has one time, so that the same inputs give the same disk.
find "$root" -newer "$work/begin" -exec touch -h -d "@$STAGE_EPOCH" {} +
# Go and golangci-lint throw away what was not used for five days, by its time
# of modification; an image may be older. (ext4's seconds, as mke2fs 1.47
# writes them, end in 2038.)
[ ! -d "$root$home/.cache" ] || find "$root$home/.cache" -exec touch -h -d 2037-01-01T00:00:00Z {} +

used=$(du -sm "$root" | cut -f 1)
# Structures of the file system, and room to boot.
[ $((used + 128)) -le "$STAGE_SIZE" ] || fail "the system has $used MB: too much for a disk of $STAGE_SIZE MB (disk-mb)"
say "make the file system of $used MB"
# Without lazy initialisation, which guests would catch up on, each in its own
# memory. Without checksums of metadata: nothing flips bits between a machine
# of an hour and its disk, and emulated machines compute them slowly.
E2FSPROGS_FAKE_TIME=$STAGE_EPOCH mke2fs -q -F -t ext4 -L gatehouse-root -d "$root" -m 0 -b 4096 -N 262144 -J size=16 \
	-O ^metadata_csum,uninit_bg -U "$STAGE_UUID" \
	-E "hash_seed=$STAGE_UUID,lazy_itable_init=0,lazy_journal_init=0,nodiscard" /proc/self/fd/3 "${STAGE_SIZE}M"
