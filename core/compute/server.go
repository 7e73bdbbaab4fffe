package compute

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Server is a machine as its owner knows it. Its fields change only by the
// service's methods and tasks.
type Server struct {
	ID, ProjectID, UserID string

	Name, Description string
	Hostname          string // what the guest is told it is called
	Metadata          map[string]string
	Tags              []string
	SecurityGroups    []string // names, as given; nothing enforces them yet
	AccessIPv4        string
	AccessIPv6        string
	DiskConfig        string // "AUTO" or "MANUAL"
	Locked            bool
	LockedReason      string

	Flavor      Flavor // as it was when the server was made
	Boot        Boot
	Key         *Key
	UserData    string // base64; empty if none
	ConfigDrive bool

	VMState   VMState
	TaskState TaskState
	Power     PowerState
	Fault     *Fault // the last one; shown while VMState is Errored

	ReservationID string
	LaunchIndex   int
	Host          string // '' while nothing is claimed for it
	Network       Network

	CreatedAt, UpdatedAt time.Time
	LaunchedAt           time.Time // zero before it first ran
}

// Boot is what a server boots from: images of the image service, and how.
type Boot struct {
	ImageID, Format string
	Kernel, Ramdisk string // ids of images, if the kernel is booted directly
	CommandLine     string
	Fork            bool `json:",omitempty"` // the image asks for it: see forkProperty
}

// Key is the public key that a server was made with.
type Key struct{ Name, Type, Public string }

// Network is a server's one interface. Its fixed address is FixedAddress.
type Network struct {
	None    bool       // it was made without an interface
	Address netip.Addr // of the host, forwarded to the guest; invalid before it is built
	MAC     string
	PortID  string
}

// FixedAddress is what every guest is given: each is on a network of its own.
var FixedAddress = netip.AddrFrom4([4]byte{10, 0, 2, 15})

// NetworkName is what the API calls that network.
const NetworkName = "private"

// Zone is the one availability zone.
const Zone = "nova"

// VMState is what a server is when nothing is being done to it.
type VMState string

// The states that a server may be in.
const (
	Building VMState = "building"
	Active   VMState = "active"
	Stopped  VMState = "stopped"
	Errored  VMState = "error"
)

// TaskState is what is being done to a server, or empty.
type TaskState string

// The tasks. Nova has more; these are the ones that a client sees here.
const (
	Idle          TaskState = ""
	Scheduling    TaskState = "scheduling"
	Spawning      TaskState = "spawning"
	PoweringOff   TaskState = "powering-off"
	PoweringOn    TaskState = "powering-on"
	Rebooting     TaskState = "rebooting"
	RebootingHard TaskState = "rebooting_hard"
	Deleting      TaskState = "deleting"
)

// PowerState is what the driver last said of a server's machine.
type PowerState int

// The power states, with Nova's numbers.
const (
	NoState  PowerState = 0
	Running  PowerState = 1
	Shutdown PowerState = 4
)

// Fault says why a server is in error.
type Fault struct {
	Code    int // an HTTP status
	Message string
	Details string // for administrators
	Time    time.Time
}

// Status is the server's state in the API's word.
func (s Server) Status() string {
	switch s.VMState {
	case Building:
		return "BUILD"
	case Stopped:
		return "SHUTOFF"
	case Errored:
		return "ERROR"
	case Active:
		if s.TaskState == Rebooting {
			return "REBOOT"
		}
		if s.TaskState == RebootingHard {
			return "HARD_REBOOT"
		}
	}
	return "ACTIVE"
}

// Progress of the build, in percent: there is no telling before it is done.
func (s Server) Progress() int {
	if s.VMState == Building {
		return 0
	}
	return 100
}

// fail puts the server in error: with what err says, if that is meant for the
// server's owner, else with fallback.
func (s *Server) fail(err error, fallback string) {
	s.VMState, s.TaskState = Errored, Idle
	s.Fault = &Fault{Code: 500, Message: fallback, Details: err.Error(), Time: time.Now().UTC()}
	if f, ok := errors.AsType[*fault.Error](explain(err)); ok {
		s.Fault.Message = f.Message
	}
}

// allows reports fault.Conflict if an action cannot be taken in the server's
// state. Nil states are all of them; the server must be idle, or busy with one
// of the tasks.
func (s *Server) allows(action string, c Caller, states []VMState, tasks ...TaskState) error {
	if s.Locked && !c.Admin {
		return fault.New(fault.Conflict, "Instance %s is locked", s.ID)
	}
	in := func(attribute, value string) error {
		return fault.New(fault.Conflict, "Cannot '%s' instance %s while it is in %s %s", action, s.ID, attribute, value)
	}
	if states != nil && !slices.Contains(states, s.VMState) {
		return in("vm_state", string(s.VMState))
	}
	if !slices.Contains(append(tasks, Idle), s.TaskState) {
		return in("task_state", string(s.TaskState))
	}
	return nil
}
