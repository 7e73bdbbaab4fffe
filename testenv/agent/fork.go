package agent

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become makes this copy of a template a machine of its own.
func (m *machine) become(f fork) (*identified, error) {
	now := unix.NsecToTimespec(f.Time)
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return nil, fmt.Errorf("set the clock: %w", err)
	}
	// Before anything random is made: all forks of a template have the state
	// of its generator.
	if err := stirRandom("/dev/urandom", f.Seed); err != nil {
		return nil, fmt.Errorf("reseed the random generator: %w", err)
	}
	if err := changeMAC("eth0", f.MAC); err != nil {
		return nil, fmt.Errorf("change the MAC: %w", err)
	}
	data, err := findConfigDrive(m.disks)
	if err != nil {
		return nil, err
	}
	if data.UUID != f.UUID {
		return nil, fmt.Errorf("the config drive is of server %q, not of %q", data.UUID, f.UUID)
	}
	return m.identify(data)
}

// stirRandom adds a seed to the kernel's entropy, and has its generator
// use that at once; see random(4).
func stirRandom(device string, seed []byte) error {
	random, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer random.Close()
	info := poolInfo(seed)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, random.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info[0]))); errno != 0 { //nolint:gosec // the ioctl takes a pointer
		return errno
	}
	return unix.IoctlSetInt(int(random.Fd()), unix.RNDRESEEDCRNG, 0)
}

// poolInfo is the kernel's struct rand_pool_info: the bits of entropy in a
// seed, its bytes, and itself.
func poolInfo(seed []byte) []byte {
	info := binary.NativeEndian.AppendUint32(nil, uint32(8*len(seed))) //nolint:gosec // a line's
	info = binary.NativeEndian.AppendUint32(info, uint32(len(seed)))   //nolint:gosec // the same
	return append(info, seed...)
}

// changeMAC gives an interface another address. It stays up: virtio_net can.
func changeMAC(name, mac string) error {
	if mac == "" {
		return nil
	}
	address, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	request := hardwareAddress(name, address)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFHWADDR, uintptr(unsafe.Pointer(&request[0]))); errno != 0 { //nolint:gosec // the ioctl takes a pointer
		return errno
	}
	return nil
}

// hardwareAddress is the kernel's struct ifreq with an Ethernet address, which
// x/sys/unix has no way to set; see netdevice(7).
func hardwareAddress(name string, mac net.HardwareAddr) []byte {
	const size = 40
	request := make([]byte, size)
	copy(request[:unix.IFNAMSIZ-1], name)
	binary.NativeEndian.PutUint16(request[unix.IFNAMSIZ:], unix.ARPHRD_ETHER)
	copy(request[unix.IFNAMSIZ+2:], mac)
	return request
}
