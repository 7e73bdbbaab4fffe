// Package compute is the compute service: it keeps servers, and has a Driver
// run them as machines. It implements Nova's API v2.1 with the microversions
// 2.1 to 2.93: https://docs.openstack.org/api-ref/compute/
//
// A request only records what is wanted: a server's task. Run does the tasks,
// and so picks up after a crash whatever was not finished.
package compute

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Config is what a Service is made of. Dir, Log, Tokens, Driver, Images and
// Volumes are required; the zero value of the others is said with each.
type Config struct {
	// Dir holds the database and the cache of images. It must exist or can be
	// made.
	Dir string
	// InMemory keeps the database in memory, for tests.
	InMemory bool

	Log *slog.Logger
	// Tokens tells the API who calls, Metrics (nil: nothing) counts its requests.
	Tokens  httpapi.Tokens
	Metrics *httpapi.Metrics

	Driver  Driver
	Images  Images
	Volumes Volumes

	// Host names this host in the API. Empty: "gatehouse".
	Host string
	// VCPUs and MemoryMB are what the servers of this host may claim in all,
	// running or not. Zero: without limit.
	VCPUs, MemoryMB int
	// DiskGB is the size of the disk under Dir, for display.
	DiskGB int

	// Flavors are made when the database is.
	Flavors []Flavor
	// Quotas are the limits of a project that has none of its own. Zero
	// value: DefaultQuotas.
	Quotas Quotas

	// Addresses are given to servers, one each. Zero value: 127.64.0.0/10.
	Addresses netip.Prefix
	// Ports of a server's address are forwarded to it.
	Ports []Forward
	// Outgoing lets servers open connections.
	Outgoing bool
	// ConfigDrive gives a config drive to servers made without saying so.
	ConfigDrive bool

	// Workers is how many servers are worked on at the same time. Zero: 8.
	Workers int
	// StopGrace is how long a guest may take to shut down. Zero: 60 s; as in
	// Nova, os-stop and a soft reboot wait for it before they use force.
	StopGrace time.Duration
	// KeepImages is how long an unused image stays cached. Zero: 24 h.
	KeepImages time.Duration
}

func (c Config) withDefaults() Config {
	if c.Host == "" {
		c.Host = "gatehouse"
	}
	if c.Quotas == (Quotas{}) {
		c.Quotas = DefaultQuotas
	}
	if !c.Addresses.IsValid() {
		c.Addresses = netip.MustParsePrefix("127.64.0.0/10")
	}
	if c.Workers == 0 {
		c.Workers = 8
	}
	if c.StopGrace == 0 {
		c.StopGrace = time.Minute
	}
	if c.KeepImages == 0 {
		c.KeepImages = 24 * time.Hour
	}
	return c
}

// Service is the compute service of one host. Its methods may be called
// concurrently.
type Service struct {
	config  Config
	log     *slog.Logger
	store   *store
	images  *imageCache
	queue   *queue
	scratch string   // a directory for what lives no longer than this process
	deaths  sync.Map // by server: why its machine died, as long as it is not recorded
}

// New opens the service's database, making it if need be. Close it after use.
// Tasks are done only while Run runs.
func New(ctx context.Context, config Config) (*Service, error) {
	config = config.withDefaults()
	if !config.Addresses.Addr().Is4() {
		return nil, fmt.Errorf("addresses for servers must be IPv4, not %s", config.Addresses)
	}
	s := &Service{config: config, log: config.Log, queue: newQueue(), scratch: filepath.Join(config.Dir, "tmp")}
	if err := os.RemoveAll(s.scratch); err != nil {
		return nil, fmt.Errorf("empty scratch directory: %w", err)
	}
	if err := os.MkdirAll(s.scratch, 0o700); err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	var err error
	if s.images, err = newImageCache(config.Images, filepath.Join(config.Dir, "images")); err != nil {
		return nil, err
	}
	file := filepath.Join(config.Dir, "compute.db")
	if config.InMemory {
		file = ""
	}
	if s.store, err = openStore(ctx, file); err != nil {
		return nil, err
	}
	if err := s.store.makeFirstFlavors(ctx, config.Flavors); err != nil {
		return nil, errors.Join(fmt.Errorf("make first flavors: %w", err), s.Close())
	}
	return s, nil
}

// Close closes the database. Run must have returned.
func (s *Service) Close() error { return s.store.close() }

// explain makes a fault of an error that says that the host's disk is full:
// who operates the cloud, and who uses it, should see that at once.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || db.IsFull(err) {
		return fmt.Errorf("%w (%w)", fault.New(fault.NoSpace, "The host's disk is full."), err)
	}
	return err
}

// Caller is who asks for something, and on behalf of which project.
type Caller struct {
	UserID, ProjectID string
	Admin             bool   // may see and do everything
	RequestID         string // of the request, for the server's list of actions
}
