package compute

import (
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/metadata"
)

// addressTries is how many addresses are tried for a server before it fails.
const addressTries = 16

// seedSize is how much entropy a guest is given, in bytes: as much as by Nova.
const seedSize = 512

// build makes a server's machine and powers it on. It may be repeated: after
// a crash nobody knows how far it got.
func (s *Service) build(ctx context.Context, server Server) error {
	start := time.Now()
	server, err := s.schedule(ctx, server)
	if err == nil {
		err = s.spawn(ctx, &server)
	}
	if errors.Is(err, errTaskChanged) {
		return nil // it is being deleted
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*waitError](err); ok {
		return err // it is built when that is over
	}
	s.finish(ctx, server.ID, "create", err)
	if err != nil {
		s.log.WarnContext(ctx, "server not built", "server", server.ID, "err", err)
		return s.settle(ctx, server, func(now *Server) {
			now.fail(err, "The machine could not be started; the service's log says why.")
			now.Host, now.Network.Address = "", netip.Addr{}
		})
	}
	s.log.InfoContext(ctx, "server active", "server", server.ID, "address", server.Network.Address, "took", time.Since(start))
	if err := s.settle(ctx, server, func(now *Server) {
		now.VMState, now.Power, now.LaunchedAt = Active, Running, time.Now().UTC()
	}); err != nil {
		return err
	}
	return s.observe(ctx, server.ID)
}

// schedule claims what the server needs of the host. Nova's words for a host
// that is full are "No valid host was found."
func (s *Service) schedule(ctx context.Context, server Server) (Server, error) {
	return s.store.claim(ctx, server, s.config.Host, func(used Usage) error {
		over := func(used, more, limit int) bool { return limit > 0 && used+more > limit }
		if over(used.Cores, server.Flavor.VCPUs, s.config.VCPUs) || over(used.RAMMB, server.Flavor.MemoryMB, s.config.MemoryMB) {
			return fault.New(fault.Unavailable, "No valid host was found. There are not enough hosts available.")
		}
		return nil
	})
}

// spawn has the driver make the machine, with another address as long as
// something else on the host uses the one that was chosen.
func (s *Service) spawn(ctx context.Context, server *Server) error {
	machine, err := s.machine(ctx, *server)
	if err != nil {
		return err
	}
	if p, ok := s.config.Driver.(Preparer); ok && machine.Fork {
		if over := p.Prepare(ctx, machine); over != nil {
			return &waitError{over}
		}
	}
	if err := s.config.Driver.Destroy(ctx, server.ID); err != nil { // what an unfinished build has left
		return fmt.Errorf("clear the way for the machine: %w", err)
	}
	for try := 0; ; try++ {
		if !server.Network.None {
			if *server, err = s.store.assignAddress(ctx, *server, s.chooseAddress); err != nil {
				return err
			}
			machine.Interface = s.wire(*server)
		}
		err := s.config.Driver.Spawn(ctx, machine)
		if !errors.Is(err, ErrAddressInUse) {
			return err
		}
		s.log.InfoContext(ctx, "address in use by something else", "server", server.ID, "address", server.Network.Address)
		if try == addressTries {
			return fault.New(fault.Unavailable, "No free address was found on the host.")
		}
	}
}

// waitError says that a server's task can go on only when something is over,
// for which no worker should wait.
type waitError struct{ over <-chan struct{} }

func (*waitError) Error() string { return "the host prepares for machines like this" }

// chooseAddress picks a free address of the pool: it looks from a random one
// on, so that two clouds on one host rarely choose the same.
func (s *Service) chooseAddress(used map[netip.Addr]bool) (netip.Addr, error) {
	return nextAddress(s.config.Addresses, used, rand.Uint64()) //nolint:gosec // no secret
}

func nextAddress(pool netip.Prefix, used map[netip.Addr]bool, random uint64) (netip.Addr, error) {
	size := uint64(1) << (32 - pool.Bits())
	base := pool.Masked().Addr().As4()
	first := uint64(base[0])<<24 | uint64(base[1])<<16 | uint64(base[2])<<8 | uint64(base[3])
	for i := range size {
		n := first + (random%size+i)%size
		if last := n & 0xff; last == 0 || last == 0xff { // some programs take them for networks and broadcasts
			continue
		}
		address := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) //nolint:gosec // the bytes of n
		if !used[address] {
			return address, nil
		}
	}
	return netip.Addr{}, fault.New(fault.Unavailable, "No free address is left in %s.", pool)
}

// wire describes a server's interface for the driver.
func (s *Service) wire(server Server) Interface {
	return Interface{MAC: server.Network.MAC, Address: server.Network.Address, Ports: s.config.Ports, Outgoing: s.config.Outgoing}
}

// newNetwork gives an interface its address on the wire, of Nova's range, and
// its id.
func newNetwork() Network {
	r := rand.Uint32() //nolint:gosec // no secret
	return Network{
		MAC:    fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", byte(r>>16), byte(r>>8), byte(r)), //nolint:gosec // the bytes of r
		PortID: uuid.NewString(),
	}
}

// machine describes a server for the driver.
func (s *Service) machine(ctx context.Context, server Server) (Machine, error) {
	m := Machine{
		ID: server.ID, Name: server.Name, VCPUs: server.Flavor.VCPUs, MemoryMB: server.Flavor.MemoryMB,
		DiskGB: server.Flavor.DiskGB, CommandLine: server.Boot.CommandLine, Fork: server.Boot.Fork,
		Root: BaseImage{Format: server.Boot.Format}, Interface: s.wire(server),
	}
	for id, file := range map[string]*string{
		server.Boot.ImageID: &m.Root.File, server.Boot.Kernel: &m.Kernel, server.Boot.Ramdisk: &m.Ramdisk,
	} {
		if id == "" {
			continue
		}
		var err error
		if *file, err = s.images.file(ctx, id); err != nil {
			return m, err
		}
	}
	attachments, err := s.store.attachments(ctx, server.ID)
	if err != nil {
		return m, err
	}
	for _, a := range attachments {
		m.Disks = append(m.Disks, a.Disk)
	}
	if server.ConfigDrive {
		if m.ConfigDrive, err = s.configDrive(server); err != nil {
			return m, fmt.Errorf("make config drive: %w", err)
		}
	}
	return m, nil
}

func (s *Service) configDrive(server Server) ([]byte, error) {
	userData, err := base64.StdEncoding.DecodeString(server.UserData)
	if err != nil {
		return nil, err
	}
	instance := metadata.Instance{
		ID: server.ID, Name: server.Name, Hostname: server.Hostname, ProjectID: server.ProjectID,
		Zone: Zone, LaunchIndex: server.LaunchIndex, Metadata: server.Metadata, UserData: userData,
		MAC: server.Network.MAC, PortID: server.Network.PortID, Type: server.Flavor.Name,
		ReservationID: server.ReservationID, Address: FixedAddress, RandomSeed: make([]byte, seedSize),
	}
	_, _ = crand.Read(instance.RandomSeed) // it never fails
	if server.Key != nil {
		instance.Keys = []metadata.Key{{Name: server.Key.Name, Type: server.Key.Type, Data: server.Key.Public}}
	}
	return metadata.ConfigDrive(s.scratch, instance)
}
