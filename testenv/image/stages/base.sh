# Run by mmdebstrap once the packages are installed, with the root directory
# as $1: puts a kernel and its modules there without installing them, which
# would pull in the tools to make an initramfs and make one.
set -eu
root=$1
kernel=$2
chroot "$root" sh -eu -c '
	cd /var/tmp
	real=$(apt-cache depends "$1" | sed -n "s/^ *Depends: \(linux-image-[0-9].*\)/\1/p" | head -n 1)
	apt-get -qq -o APT::Sandbox::User=root download "${real:-$1}"
	dpkg-deb --fsys-tarfile ./linux-image-*.deb | tar -C / -x --keep-directory-symlink
	rm ./linux-image-*.deb
	depmod "$(ls /lib/modules)"
' sh "$kernel"
