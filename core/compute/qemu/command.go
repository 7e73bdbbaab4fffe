package qemu

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// Files in a machine's directory. QEMU runs there and is given their bare
// names, so that neither the length of the directory's path (a unix socket's
// is limited to 108 bytes) nor its characters matter.
const (
	recordFile   = "machine.json"
	rootFile     = "root.qcow2"
	configFile   = "config.iso"
	monitorFile  = "qmp.sock"
	pidFile      = "qemu.pid"
	consoleFile  = "console.log"
	consolePipe  = "console" // QEMU appends .in and .out
	messagesFile = "qemu.log"
	messagesPipe = "qemu.out"
	templateFile = "template.qcow2" // a fork's: the disk of its template
)

// templatesDir is in the driver's directory, beside those of machines.
const templatesDir = "templates"

// variant is how a machine's QEMU differs from that of one which boots from
// its image. The zero value is no difference.
type variant struct {
	// memory is the file behind the guest's memory. With it comes the channel
	// on which the guest and the driver speak of forking: see channel.
	memory string
	// shared has the guest's writes go to that file: a template is made.
	// Otherwise they stay the machine's own, and its state is loaded.
	shared bool
	// layered says that the root disk's overlay lies on a template's disk.
	layered bool
}

// Slots of the PCI bus. What a machine always has sits at fixed places, the
// root disk first, since Linux names disks in the order of slots; volumes get
// the free ones. The config drive is last, so that volumes present at boot
// come right after the root disk.
const (
	rootSlot   = "2"
	netSlot    = "3"
	rngSlot    = "4"
	configSlot = "1f"
)

// arguments is the command line, without the program, that runs a machine.
//
// A guest that boots under TCG gains from having no firmware devices to probe
// (-nodefaults) and no option ROMs (romfile=). Debian's cloud kernel of 512 MB
// then takes 2.2 s of processor time to its first program, 1.7 s by the clock on
// an idle host, and QEMU 225 MB of memory. q35 and microvm are no faster, and hotplug
// needs more on the one and is missing on the other. The rest is up to the
// image: an unpacked vmlinux (PVH) saves the guest 0.2 s, "cryptomgr.notests"
// and "tsc=reliable" 0.3 s. "no_timer_check" belongs on every command line: on
// a busy host the check fails, and the kernel hangs.
func arguments(m compute.Machine, a Acceleration, v variant) []string {
	args := []string{
		"-name", m.ID, "-uuid", m.ID,
		"-no-user-config", "-nodefaults", "-display", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine", "pc,usb=off,vmport=off,hpet=off,memory-backend=ram",
	}
	args = append(args, a.arguments()...)
	args = append(args,
		"-smp", strconv.Itoa(m.VCPUs),
		"-m", strconv.Itoa(m.MemoryMB),
		"-object", v.memoryObject(m.MemoryMB),
		"-rtc", "base=utc",
		"-boot", "strict=on",
		"-pidfile", pidFile,
		"-chardev", "socket,id=monitor,fd=3,server=on,wait=off", // see listen
		"-mon", "chardev=monitor,mode=control",
		"-chardev", "pipe,id=console,path="+consolePipe,
		"-serial", "chardev:console",
	)
	args = append(args, v.arguments()...)
	args = append(args,
		"-device", "vmgenid,guid=auto",
		"-object", "rng-builtin,id=rng",
		"-device", "virtio-rng-pci,rng=rng,addr="+rngSlot,
	)
	args = append(args, rootArguments(m.Root, v.layered)...)
	args = append(args, networkArguments(m.Interface, v)...)
	for _, disk := range m.Disks {
		args = append(args, "-blockdev", compact(diskNode(disk)), "-device", compact(diskDevice(disk)))
	}
	if len(m.ConfigDrive) > 0 {
		node := blockNode{Driver: "raw", Name: "config", ReadOnly: true, File: &fileNode{Driver: "file", Name: configFile}}
		args = append(args,
			"-blockdev", compact(node),
			"-device", "virtio-blk-pci,id=config,drive=config,serial=config,addr="+configSlot)
	}
	if m.Kernel != "" {
		args = append(args, "-kernel", m.Kernel, "-append", m.CommandLine)
	}
	if m.Kernel != "" && m.Ramdisk != "" {
		args = append(args, "-initrd", m.Ramdisk)
	}
	return args
}

// memoryObject is the guest's memory.
func (v variant) memoryObject(sizeMB int) string {
	if v.memory == "" {
		return fmt.Sprintf("memory-backend-ram,id=ram,size=%dM", sizeMB)
	}
	share := "off"
	if v.shared {
		share = "on"
	}
	return fmt.Sprintf("memory-backend-file,id=ram,size=%dM,mem-path=%s,share=%s", sizeMB, v.memory, share)
}

// arguments are those of templates and their forks alone. QEMU inherits its
// end of the channel; when the other one is closed, what the guest writes
// goes nowhere. A fork's state is loaded by the monitor, since what it leaves
// out (x-ignore-shared) cannot be said on the command line.
func (v variant) arguments() (args []string) {
	if v.memory != "" {
		args = []string{"-chardev", fmt.Sprintf("socket,id=channel,fd=%d", channelFD), "-serial", "chardev:channel"}
	}
	if v.memory != "" && !v.shared {
		args = append(args, "-incoming", "defer")
	}
	return args
}

// rootArguments plug in the overlay of the root disk.
//
// Its flushes stop at the host's page cache: what a guest has synced survives
// the end of QEMU and of Gatehouse, but not a crash of the host itself, after
// which a server is rebuilt from its image. That makes the fsyncs of package
// managers and databases, most of what a test machine writes, nearly free.
// Volumes outlive servers; theirs reach the disk.
//
// The base image ends the chain, whatever its header says. (The boot index 0
// is that of a kernel given with -kernel.) Forks share the image and the disk
// of their template, which the host must not forget whenever one of them
// starts: that is what drop-cache is off for.
func rootArguments(base compute.BaseImage, layered bool) []string {
	cache := &cacheMode{NoFlush: true}
	below := &blockNode{
		Driver: base.Format, Name: "base", ReadOnly: true,
		File: &fileNode{Driver: "file", Name: base.File, DropCache: new(false)},
	}
	if base.Format == "qcow2" {
		below.Backing = json.RawMessage("null")
	}
	if layered {
		below = &blockNode{
			Driver: "qcow2", Name: "template", ReadOnly: true,
			File:    &fileNode{Driver: "file", Name: templateFile, DropCache: new(false)},
			Backing: below,
		}
	}
	node := blockNode{
		Driver: "qcow2", Name: "root", Cache: cache, Discard: "unmap",
		File:    &fileNode{Driver: "file", Name: rootFile, Cache: cache, Discard: "unmap", DropCache: new(false)},
		Backing: below,
	}
	return []string{
		"-blockdev", compact(node),
		"-device", "virtio-blk-pci,id=root,drive=root,serial=root,bootindex=1,addr=" + rootSlot,
	}
}

// networkArguments give the machine QEMU's user network, one of its own. With
// restrict, the guest's packets go nowhere but into connections that came in
// by a forwarded port.
//
// A guest that is forked would announce itself to the network at once
// (guest_announce), with the MAC address of its template.
func networkArguments(i compute.Interface, v variant) []string {
	net := []string{"user,id=net,ipv6=off,restrict=on"}
	if i.Outgoing {
		net[0] = "user,id=net,ipv6=off"
	}
	if i.Address.IsValid() {
		for _, port := range i.Ports {
			net = append(net, fmt.Sprintf("hostfwd=tcp:%s:%d-:%d", i.Address, port.Host, port.Guest))
		}
	}
	device := "virtio-net-pci,id=net,netdev=net,romfile=,addr=" + netSlot
	if v.memory != "" {
		device += ",guest_announce=off"
	}
	if i.MAC != "" {
		device += ",mac=" + i.MAC
	}
	return []string{"-netdev", strings.Join(net, ","), "-device", device}
}

// blockNode is a BlockdevOptions object of QMP.
type blockNode struct {
	Driver   string     `json:"driver"`
	Name     string     `json:"node-name"`
	ReadOnly bool       `json:"read-only,omitempty"`
	Cache    *cacheMode `json:"cache,omitempty"`
	Discard  string     `json:"discard,omitempty"`
	File     *fileNode  `json:"file"`
	Backing  any        `json:"backing,omitempty"` // a blockNode; "null" for none
}

type fileNode struct {
	Driver    string     `json:"driver"`
	Name      string     `json:"filename"`
	Cache     *cacheMode `json:"cache,omitempty"`
	Discard   string     `json:"discard,omitempty"`
	DropCache *bool      `json:"drop-cache,omitempty"`
}

type cacheMode struct {
	NoFlush bool `json:"no-flush"`
}

// blockDevice is the argument of device_add for a virtio disk.
type blockDevice struct {
	Driver string `json:"driver"`
	ID     string `json:"id"`
	Drive  string `json:"drive"`
	Serial string `json:"serial"`
}

// diskNode is how the host opens a volume. QEMU locks the file, so that no two
// machines write it.
func diskNode(d compute.Disk) blockNode {
	return blockNode{
		Driver: d.Format, Name: diskName(d.Serial), ReadOnly: d.ReadOnly, Discard: "unmap",
		File: &fileNode{Driver: "file", Name: d.File, Discard: "unmap"},
	}
}

// diskDevice is how the guest sees a volume.
func diskDevice(d compute.Disk) blockDevice {
	const longest = 20 // VIRTIO_BLK_ID_BYTES
	name := diskName(d.Serial)
	return blockDevice{Driver: "virtio-blk-pci", ID: name, Drive: name, Serial: d.Serial[:min(len(d.Serial), longest)]}
}

// diskName names a volume's node and device. A node's name has at most 31
// bytes, less than a UUID, and not any characters.
func diskName(serial string) string {
	sum := sha256.Sum256([]byte(serial))
	return "disk-" + hex.EncodeToString(sum[:12])
}

// compact is v as JSON, for types that cannot fail.
func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
