package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
	"github.com/gatehouse-dev/gatehouse/core/identity"
	"github.com/gatehouse-dev/gatehouse/core/image"
	"github.com/gatehouse-dev/gatehouse/core/volume"
)

// catalog are the services of our cloud. Its clients find them by type; a
// service that we do not have is not listed.
var catalog = []identity.CatalogService{
	{Type: "identity", Name: "keystone", Path: "/identity/v3"},
	{Type: "image", Name: "glance", Path: "/image"},
	{Type: "compute", Name: "nova", Path: "/compute/v2.1"},
	{Type: "volumev3", Name: "cinderv3", Path: "/volume/v3/{project_id}"},
	{Type: "block-storage", Name: "cinder", Path: "/volume/v3/{project_id}"},
}

// flavors are made with the database. Their sizes are those of OpenStack's
// traditional flavors, and one for test machines.
var flavors = []compute.Flavor{
	{ID: "1", Name: "m1.tiny", VCPUs: 1, MemoryMB: 512, DiskGB: 1},
	{ID: "2", Name: "m1.small", VCPUs: 1, MemoryMB: 2048, DiskGB: 20},
	{ID: "3", Name: "m1.medium", VCPUs: 2, MemoryMB: 4096, DiskGB: 40},
	{ID: "4", Name: "m1.large", VCPUs: 4, MemoryMB: 8192, DiskGB: 80},
	{ID: "10", Name: testFlavor, VCPUs: 2, MemoryMB: 2048, DiskGB: 10},
}

// startCore starts the cloud and returns its identity service, which the
// review server asks for passwords.
func (s *system) startCore(ctx context.Context, o options, listener net.Listener) (*identity.Service, error) {
	url := "http://" + s.endpoints.Core + "/identity/v3"
	metrics := httpapi.NewMetrics(s.registry)
	users, err := identity.New(ctx, identity.Config{
		Log: s.log, Metrics: metrics, File: filepath.Join(s.data, "identity", "identity.db"),
		Catalog: catalog, Region: region,
	})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, users.Close)
	if err := s.bootstrap(ctx, users, url); err != nil {
		return nil, err
	}
	images, err := image.New(ctx, image.Config{Dir: filepath.Join(s.data, "image"), Log: s.log, Tokens: users, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, images.Close)
	volumes, err := volume.New(ctx, volume.Config{
		Dir: filepath.Join(s.data, "volume"), Log: s.log, Tokens: users, Metrics: metrics, Images: volumeImages{images},
	})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, volumes.Close)
	servers, err := s.openCompute(ctx, compute.Config{
		Log: s.log, Tokens: users, Metrics: metrics, Images: imageDoor{images}, Volumes: volumeDoor{volumes},
	}, o)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	for prefix, service := range map[string]http.Handler{
		"/identity": users.Handler(),
		"/image":    images.Handler(),
		"/compute":  servers.Handler(),
		"/volume":   volumes.Handler(),
	} {
		mux.Handle(prefix, service)
		mux.Handle(prefix+"/", service)
	}
	s.run(ctx, "cloud",
		users.Run, volumes.Run, servers.Run, func(ctx context.Context) error {
			return serve(ctx, listener, withHealth(mux, s.registry))
		})
	return users, nil
}

// bootstrap makes, so far as they are missing, the administrator and the
// gate's user, and writes the credentials of both.
func (s *system) bootstrap(ctx context.Context, users *identity.Service, url string) error {
	password, err := credentials(s.cloudsFile(), url, "admin", "admin")
	if err != nil {
		return err
	}
	if err := users.Bootstrap(ctx, identity.BootstrapConfig{AdminPassword: password}); err != nil {
		return err
	}
	s.gatePassword, err = credentials(s.gateCloudsFile(), url, gateUser, gateUser)
	if err != nil {
		return err
	}
	_, err = users.EnsureAccount(ctx, identity.Account{Name: gateUser, Password: s.gatePassword, Project: gateUser, Role: "member"})
	return err
}

// openCompute opens the compute service on the QEMU driver.
func (s *system) openCompute(ctx context.Context, c compute.Config, o options) (*compute.Service, error) {
	c.Dir = filepath.Join(s.data, "compute")
	driver, err := qemu.New(qemu.Config{Dir: filepath.Join(c.Dir, "machines"), Log: s.log, Accel: o.Acceleration})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, driver.Close)
	memory, err := memoryMB()
	if err != nil {
		return nil, err
	}
	c.Driver = driver
	c.VCPUs = max(1, int(o.CPUAllocationRatio*float64(runtime.NumCPU())))
	c.MemoryMB = max(1, int(o.RAMAllocationRatio*float64(memory)))
	c.Flavors, c.Ports, c.ConfigDrive = flavors, []compute.Forward{sshForward(ctx)}, true
	servers, err := compute.New(ctx, c)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, servers.Close)
	return servers, nil
}

// sshForward forwards port 22 of a server's address to the guest's; where
// only root may bind that, port 2222.
func sshForward(ctx context.Context) compute.Forward {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.127.127.127:22")
	if err != nil {
		return compute.Forward{Host: 2222, Guest: 22}
	}
	listener.Close()
	return compute.Forward{Host: 22, Guest: 22}
}

// memoryMB is the host's memory.
func memoryMB() (int, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("size of the host's memory: %w", err)
	}
	return int(info.Totalram * uint64(info.Unit) >> 20), nil
}
