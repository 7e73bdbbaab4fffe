package compute

import (
	"context"
	"errors"
	"net/netip"
)

// Driver runs machines on one host: what a hypervisor does for the service.
// Its methods may be called concurrently; calls for the same machine are made
// one after the other. drivertest holds what every driver must do.
//
// An error that the owner of a server may see and act on is a fault; all
// others are internal. Every method but Spawn, Destroy and Machines reports
// fault.NotFound for a machine that the host does not have.
type Driver interface {
	// Spawn makes a machine and powers it on. It returns once the hypervisor
	// runs it, not once the guest answers. ctx bounds the spawn, not the life
	// of the machine. When it fails, nothing of the machine remains. A taken
	// port of the interface's address is ErrAddressInUse, a full disk
	// fault.NoSpace; to spawn a machine that exists is an error.
	Spawn(ctx context.Context, m Machine) error

	// Start powers on a machine that is off. Starting a running one does
	// nothing.
	Start(ctx context.Context, id string) error

	// Stop powers a machine off: by asking the guest (ACPI), and by force when
	// it is still on when grace is over. Stopping a stopped one does nothing.
	Stop(ctx context.Context, id string, grace Grace) error

	// Reboot restarts a machine: within grace the guest may shut itself down
	// (ACPI), after it, the machine is reset with its devices as they are. A
	// machine that is off is started.
	Reboot(ctx context.Context, id string, grace Grace) error

	// Destroy removes a machine, running or not, and all that it had on the
	// host. Destroying one that does not exist does nothing.
	Destroy(ctx context.Context, id string) error

	// Power reports whether a machine runs.
	Power(ctx context.Context, id string) (Power, error)

	// Machines lists the ids of all machines the host has, running or not.
	Machines(ctx context.Context) ([]string, error)

	// Console returns the last lines (all for a negative number) that the
	// machine wrote to its first serial port, at most the last 1 MiB.
	Console(ctx context.Context, id string, lines int) ([]byte, error)

	// AttachDisk plugs a disk into a machine, running or not; a running guest
	// sees it at once, as a virtio disk whose serial is the disk's, cut to 20
	// bytes. It stays plugged over a stop and start. Attaching one that is
	// attached does nothing.
	AttachDisk(ctx context.Context, id string, d Disk) error

	// DetachDisk unplugs a disk and returns once the host has let go of its
	// file, so that it can be attached elsewhere. Detaching one that is not
	// attached does nothing.
	DetachDisk(ctx context.Context, id, serial string) error

	// Events delivers what happened to machines without being asked for, from
	// now on and until ctx ends, when the channel is closed. It also reports,
	// at first, machines that went off while nobody listened.
	Events(ctx context.Context) <-chan Event
}

// Preparer is a Driver for which some machines need a long preparation, after
// which all like them are spawned fast.
type Preparer interface {
	// Prepare begins what Spawn would have to wait for, if nobody has begun it,
	// and returns a channel that is closed when that is over: nil if there is
	// nothing to wait for. Whether it succeeded, Spawn will tell.
	Prepare(ctx context.Context, m Machine) <-chan struct{}
}

// ErrAddressInUse says that a machine's address has a port that something
// else on the host listens on: spawning with another address may work.
var ErrAddressInUse = errors.New("address in use")

// Grace is how long a guest may take to shut down by itself, in seconds.
// Zero means by force at once.
type Grace int

// Power is the power state of a machine.
type Power int

// The power states a driver knows.
const (
	Off Power = iota
	On
)

// Event says that a machine went off without having been told to.
type Event struct {
	ID string
	// Reason is empty if the guest shut itself down; else it says why the
	// hypervisor died, for the owner of the server to read.
	Reason string
}

// Machine is what a driver needs to know of a server.
type Machine struct {
	ID       string // the server's id: a UUID
	Name     string // the server's name, free text; for people only
	VCPUs    int
	MemoryMB int

	// Root is the image that the machine's root disk is an overlay of: a file
	// that outlives every machine made from it and is never changed. Kernel
	// and Ramdisk, if set, are booted directly, with CommandLine; otherwise
	// firmware boots the root disk.
	Root            BaseImage
	DiskGB          int // size of the root disk; 0: the image's own
	Kernel, Ramdisk string
	CommandLine     string

	// Fork is the wish to be made of a guest that was booted before, which
	// asks the image for help; see docs/cloud.md. A driver may ignore it, and
	// boots the machine where it cannot grant it.
	Fork bool

	// ConfigDrive is an ISO 9660 image labelled "config-2", or nil.
	ConfigDrive []byte

	Interface Interface
	Disks     []Disk // volumes attached from the start
}

// BaseImage is a disk image on the host. Format is "raw" or "qcow2".
type BaseImage struct{ File, Format string }

// Disk is a volume on the host. Serial, at most 36 bytes, names it within its
// machine.
type Disk struct {
	Serial   string // the volume's id
	File     string
	Format   string // "raw" or "qcow2"
	ReadOnly bool
}

// Interface is a machine's one network interface. The guest is given
// 10.0.2.15/24 by DHCP; Address, one of the host's loopback addresses, is
// forwarded to it for the given TCP ports.
type Interface struct {
	MAC     string
	Address netip.Addr // invalid: nothing is forwarded
	Ports   []Forward
	// Outgoing lets the guest open connections. Without it, the guest reaches
	// nothing at all: neither the host, nor the network, nor other machines.
	Outgoing bool
}

// Forward maps a TCP port of a machine's Address to one of the guest's.
type Forward struct{ Host, Guest int }
