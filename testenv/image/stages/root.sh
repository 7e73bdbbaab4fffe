# Makes the root disk, as root in mount and process namespaces of its own, so
# that nothing stays mounted or running however it ends.
#
#   $1 directory to work in    $2 user    $3 his id    $4 size in MiB
#   fd 0: tar of what is added to the base system    fd 3: the disk
#   fd 4: tar of the base system
set -eu
root=$(mktemp -d "$1/gatehouse-image.XXXXXX")
trap 'cd /; umount -R "$root/proc" "$root/dev" 2>/dev/null || :; rm -rf "$root"' EXIT
trap 'exit 143' TERM INT HUP
chmod 755 "$root"
user=$2 uid=$3 size=$4

say() { echo "## $*"; }

# Not the devices: a namespace's root may not make any, and the running system
# has its own.
say "unpack the base system"
tar -C "$root" -x --numeric-owner --exclude='./dev/*' <&4
rm -rf "$root"/boot/*

say "add the toolchain and files"
tar -C "$root" -x --numeric-owner

home=/home/$user
chroot "$root" groupadd -g "$uid" "$user"
chroot "$root" useradd -m -d "$home" -u "$uid" -g "$uid" -s /bin/bash "$user"
echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
chmod 440 "$root/etc/sudoers.d/$user"
cp -R "$root/usr/lib/gatehouse/home/." "$root$home/"
chroot "$root" chown -R "$uid:$uid" "$home"

# What a chroot needs of a running system.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t proc proc "$root/proc"

say "warm the caches"
chroot --userspec="$uid:$uid" --groups= "$root" /usr/bin/env -i \
	HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 \
	/bin/bash -eu /usr/lib/gatehouse/warm.sh </dev/null
umount "$root/proc"
umount -R "$root/dev"
rm -rf "$root/usr/lib/gatehouse" "${root:?}$home/src" "$root"/tmp/* "$root"/var/tmp/*
mkdir "$root$home/src"
chown "$uid:$uid" "$root$home/src"

# Go and golangci-lint throw away what was not used for five days, by its time
# of modification; an image may be older. (ext4's seconds, as mke2fs 1.47
# writes them, end in 2038.)
find "$root$home/.cache" -exec touch -h -d 2037-01-01T00:00:00Z {} +

say "make the file system"
mke2fs -q -F -t ext4 -L gatehouse-root -d "$root" -m 0 -N 262144 \
	-J size=16 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard /proc/self/fd/3 "${size}M"
