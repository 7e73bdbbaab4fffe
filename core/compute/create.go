package compute

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// NewServer says what servers to make. Name, FlavorID and ImageID are
// required.
type NewServer struct {
	Name, Description, Hostname string
	FlavorID, ImageID           string
	Count                       int // at least 1; names get a number if it is more
	MinCount                    int // how many will do if the quota is short
	KeyName                     string
	UserData                    string // base64
	ConfigDrive                 *bool  // nil: as the service is configured
	Metadata                    map[string]string
	Tags                        []string
	SecurityGroups              []string
	AccessIPv4, AccessIPv6      string
	DiskConfig                  string
	NoNetwork                   bool
}

// CreateServers records servers; Run builds them. It reports fault.BadRequest
// for what cannot be found or does not fit, and fault.OverQuota.
func (s *Service) CreateServers(ctx context.Context, c Caller, n NewServer) ([]Server, error) {
	flavor, err := s.Flavor(ctx, c, n.FlavorID)
	if err != nil {
		return nil, badReference(err)
	}
	if flavor.Disabled {
		return nil, fault.New(fault.BadRequest, "Flavor %s could not be found.", n.FlavorID)
	}
	boot, err := s.boot(ctx, c, n.ImageID, flavor)
	if err != nil {
		return nil, badReference(err)
	}
	key, err := s.key(ctx, c, n.KeyName)
	if err != nil {
		return nil, err
	}
	limits, err := s.Quota(ctx, c.ProjectID)
	if err != nil {
		return nil, err
	}
	if limits.MetadataItems >= 0 && len(n.Metadata) > limits.MetadataItems {
		return nil, fault.New(fault.OverQuota, "Maximum number of metadata items exceeds %d", limits.MetadataItems)
	}
	servers := make([]Server, n.Count)
	reservation := "r-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:8]
	for i := range servers {
		servers[i] = s.newServer(c, n, i)
		servers[i].Flavor, servers[i].Boot, servers[i].Key = flavor, boot, key
		servers[i].ReservationID = reservation
	}
	servers, err = s.store.insertServers(ctx, servers, n.MinCount, limits, newAction(c, "create"))
	if err != nil {
		return nil, err
	}
	for _, server := range servers {
		s.queue.add(server.ID)
	}
	return servers, nil
}

func (s *Service) newServer(c Caller, n NewServer, index int) Server {
	now := time.Now().UTC()
	server := Server{
		ID: uuid.NewString(), ProjectID: c.ProjectID, UserID: c.UserID,
		Name: n.Name, Description: n.Description, Hostname: n.Hostname,
		Metadata: maps.Clone(n.Metadata), Tags: n.Tags, SecurityGroups: n.SecurityGroups,
		AccessIPv4: n.AccessIPv4, AccessIPv6: n.AccessIPv6, DiskConfig: n.DiskConfig,
		UserData: n.UserData, ConfigDrive: s.config.ConfigDrive, LaunchIndex: index,
		VMState: Building, TaskState: Scheduling, Network: newNetwork(),
		CreatedAt: now, UpdatedAt: now,
	}
	if n.ConfigDrive != nil {
		server.ConfigDrive = *n.ConfigDrive
	}
	if n.NoNetwork {
		server.Network = Network{None: true}
	}
	if n.Count > 1 {
		server.Name = fmt.Sprintf("%s-%d", n.Name, index+1)
	}
	if server.Hostname == "" {
		server.Hostname = hostname(server.Name, server.ID)
	}
	return server
}

// hostname makes a host's name of a server's: as Nova does, by leaving out
// what must not be in one.
func hostname(name, id string) string {
	host := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '_':
			return '-'
		case r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, name)
	if host = strings.Trim(host, "-."); len(host) > 63 {
		host = strings.Trim(host[:63], "-.")
	}
	if host == "" {
		return "server-" + id
	}
	return host
}

// boot checks that an image can be booted with a flavor, and by what.
func (s *Service) boot(ctx context.Context, c Caller, id string, f Flavor) (Boot, error) {
	project := c.ProjectID
	if c.Admin {
		project = ""
	}
	image, err := s.image(ctx, project, id)
	if err != nil {
		return Boot{}, err
	}
	if err := fits(image, f); err != nil {
		return Boot{}, err
	}
	fork, err := wantsFork(image)
	if err != nil {
		return Boot{}, err
	}
	boot := Boot{
		Fork: fork, ImageID: id, Format: image.DiskFormat,
		Kernel: image.Properties["kernel_id"], Ramdisk: image.Properties["ramdisk_id"],
		CommandLine: image.Properties["os_command_line"],
	}
	for _, part := range []string{boot.Kernel, boot.Ramdisk} {
		if part == "" {
			continue
		}
		if _, err := s.image(ctx, project, part); err != nil {
			return Boot{}, err
		}
	}
	if boot.Ramdisk != "" && boot.Kernel == "" {
		return Boot{}, fault.New(fault.BadRequest, "Image %s has a ramdisk_id but no kernel_id.", id)
	}
	return boot, nil
}

// forkProperty of an image, "true", has servers made from it forked from a
// guest that was booted before, if the host can; see docs/cloud.md.
const forkProperty = "gatehouse_fork"

func wantsFork(image Image) (bool, error) {
	switch value := image.Properties[forkProperty]; strings.ToLower(value) {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, fault.New(fault.BadRequest, "Image %s has the property %s=%s, which is neither true nor false.",
			image.ID, forkProperty, value)
	}
}

func (s *Service) image(ctx context.Context, project, id string) (Image, error) {
	image, err := s.config.Images.Get(ctx, project, id)
	if err != nil {
		return image, err
	}
	if !image.Active {
		return image, fault.New(fault.BadRequest, "Image %s is not active.", id)
	}
	return image, nil
}

// fits reports fault.BadRequest if an image needs more than a flavor has.
func fits(image Image, f Flavor) error {
	const gib = 1 << 30
	switch {
	case image.DiskFormat != "raw" && image.DiskFormat != "qcow2":
		return fault.New(fault.BadRequest, "Image %s is unacceptable: Format %s cannot be booted; raw and qcow2 can.",
			image.ID, image.DiskFormat)
	case f.MemoryMB < image.MinRAMMB:
		return fault.New(fault.BadRequest, "Flavor's memory is too small for requested image.")
	case f.DiskGB > 0 && f.DiskGB < image.MinDiskGB:
		return fault.New(fault.BadRequest,
			"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is %d bytes, minimum size is %d bytes.",
			int64(f.DiskGB)*gib, int64(image.MinDiskGB)*gib)
	case f.DiskGB > 0 && int64(f.DiskGB)*gib < image.VirtualSize:
		return fault.New(fault.BadRequest,
			"Flavor's disk is too small for requested image. Flavor disk is %d bytes, image is %d bytes.",
			int64(f.DiskGB)*gib, image.VirtualSize)
	}
	return nil
}

func (s *Service) key(ctx context.Context, c Caller, name string) (*Key, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no key was asked for
	}
	pair, err := s.store.keypair(ctx, c.UserID, name)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.BadRequest, "Invalid key_name provided.")
	}
	if err != nil {
		return nil, err
	}
	return &Key{Name: pair.Name, Type: pair.Type, Public: pair.PublicKey}, nil
}

// badReference makes what a body refers to in vain the body's fault.
func badReference(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.NotFound {
		return fault.New(fault.BadRequest, "%s", f.Message)
	}
	return err
}
