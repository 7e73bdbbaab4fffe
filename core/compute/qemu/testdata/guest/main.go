// Guest is the first and only program of the machines in the driver's tests.
// It says on its console what it sees.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// modules in the order in which they need each other.
var modules = []string{
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
	"virtio_blk", "failover", "net_failover", "virtio_net", "button", "evdev",
}

func main() {
	if err := run(); err != nil {
		fmt.Println("guest: failed:", err)
	}
	for {
		time.Sleep(time.Hour) // the first program must not end
	}
}

func run() error {
	for _, fs := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := os.MkdirAll(fs[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fs[0], fs[1], fs[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", fs[0], err)
		}
	}
	for _, name := range modules {
		module, err := os.ReadFile("/" + name + ".ko")
		if err != nil {
			return err
		}
		if err := unix.InitModule(module, ""); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	if err := configure(); err != nil {
		return fmt.Errorf("configure eth0: %w", err)
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if err := becomeTemplate(string(line)); err != nil {
		return err
	}
	showMarks()
	l, err := net.Listen("tcp", ":22")
	if err != nil {
		return err
	}
	go serve(l)
	go watchDisks()
	if !bytes.Contains(line, []byte("guest.deaf")) {
		if err := watchPowerButton(); err != nil {
			return err
		}
	}
	fmt.Println("guest: up")
	for _, word := range strings.Fields(string(line)) {
		if targets, ok := strings.CutPrefix(word, "guest.probe="); ok {
			probe(strings.Split(targets, ","))
		}
		if word == "guest.flood" {
			flood()
		}
		if word == "guest.off" {
			return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
	return nil
}

// configure gives eth0 its address and the default route.
func configure() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		call  uint
		value [4]byte
	}{{unix.SIOCSIFADDR, [4]byte{10, 0, 2, 15}}, {unix.SIOCSIFNETMASK, [4]byte{255, 255, 255, 0}}} {
		r, err := unix.NewIfreq("eth0")
		if err != nil {
			return err
		}
		if err := r.SetInet4Addr(step.value[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, step.call, r); err != nil {
			return err
		}
	}
	r, err := unix.NewIfreq("eth0")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
		return err
	}
	return addRoute()
}

// addRoute sends everything to 10.0.2.2, by rtnetlink(7).
func addRoute() error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, field := range []any{
		unix.NlMsghdr{Len: 44, Type: unix.RTM_NEWROUTE, Flags: unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_ACK},
		unix.RtMsg{Family: unix.AF_INET, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_STATIC, Type: unix.RTN_UNICAST},
		unix.RtAttr{Len: 8, Type: unix.RTA_GATEWAY}, [4]byte{10, 0, 2, 2},
		unix.RtAttr{Len: 8, Type: unix.RTA_OIF}, uint32(eth0.Index),
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			return err
		}
	}
	if err := unix.Sendto(s, b.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil || n < 20 {
		return fmt.Errorf("no answer of %d bytes: %w", n, err)
	}
	if code := int32(binary.LittleEndian.Uint32(answer[16:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// serve greets whoever connects to port 22.
func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, "hello from the guest")
		c.Close()
	}
}

// watchDisks says which disks come, with what they hold, and go. An empty one
// gets something to hold.
func watchDisks() {
	known := map[string]string{}
	for {
		present := map[string]bool{}
		paths, _ := filepath.Glob("/sys/block/vd*")
		for _, path := range paths {
			name := filepath.Base(path)
			present[name] = true
			if _, ok := known[name]; ok {
				continue
			}
			serial, err := os.ReadFile(path + "/serial")
			if err != nil {
				continue // it is still coming
			}
			known[name] = string(serial)
			holds, err := look("/dev/" + name)
			fmt.Printf("guest: disk %s holds %q %v\n", serial, holds, err)
		}
		for name, serial := range known {
			if !present[name] {
				delete(known, name)
				fmt.Printf("guest: disk %s is gone\n", serial)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// look reads the first bytes of a disk, and writes there if there is nothing.
func look(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	first := make([]byte, 16)
	if _, err := io.ReadFull(f, first); err != nil {
		return "", err
	}
	text := string(bytes.Trim(first, "\x00"))
	if text != "" {
		return text, nil
	}
	if _, err := f.WriteAt([]byte("written by guest"), 0); err != nil {
		return "", err
	}
	return "", f.Sync()
}

// event is an input_event of the kernel.
type event struct {
	Time       [2]int64
	Type, Code uint16
	Value      int32
}

// watchPowerButton opens the devices that may be the power button, then powers
// off, in the background, when it is pressed.
func watchPowerButton() error {
	var paths []string
	for len(paths) < 2 { // a keyboard, and the button
		paths, _ = filepath.Glob("/dev/input/event*")
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		go func() {
			const keyEvent, keyPower, pressed = 1, 116, 1
			var e event
			for binary.Read(f, binary.LittleEndian, &e) == nil {
				if e.Type == keyEvent && e.Code == keyPower && e.Value == pressed {
					fmt.Println("guest: powering off")
					unix.Sync()
					unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
				}
			}
		}()
	}
	return nil
}

// probe says which of the targets, NETWORK:HOST:PORT, it can reach.
func probe(targets []string) {
	for _, target := range targets {
		network, address, _ := strings.Cut(target, ":")
		if err := reach(network, address); err != nil {
			fmt.Println("guest: cannot reach", target, err)
		} else {
			fmt.Println("guest: reached", target)
		}
	}
	fmt.Println("guest: probed")
}

func reach(network, address string) error {
	c, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if network == "udp" {
		if _, err := c.Write(question); err != nil {
			return err
		}
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// question is a DNS query for localhost; a TFTP server takes it for a request
// of an unknown kind, and answers with an error.
var question = []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01")

// flood writes 2.5 MiB to the console.
func flood() {
	line := strings.Repeat("x", 1023) + "\n"
	for range 2560 {
		os.Stdout.WriteString(line)
	}
	fmt.Println("guest: flooded")
}
