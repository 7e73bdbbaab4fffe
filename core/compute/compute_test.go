package compute_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/fake"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

const (
	rootImage   = "11111111-1111-4111-8111-111111111111"
	kernelImage = "22222222-2222-4222-8222-222222222222"
	directImage = "33333333-3333-4333-8333-333333333333" // boots kernelImage
	queuedImage = "44444444-4444-4444-8444-444444444444"
	largeImage  = "55555555-5555-4555-8555-555555555555"
	forkedImage = "66666666-6666-4666-8666-666666666666" // asks to be forked
	neitherFork = "77777777-7777-4777-8777-777777777777" // does and doesn't
	volumeA     = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	volumeB     = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
	project     = "0123456789abcdef0123456789abcdef"
)

// tokens are the callers that tests act as, by their tokens.
type tokens map[string]httpapi.Caller

func (t tokens) Validate(_ context.Context, token string) (httpapi.Caller, error) {
	caller, ok := t[token]
	if !ok {
		return caller, fault.New(fault.Unauthorized, "The request you have made requires authentication.")
	}
	return caller, nil
}

var callers = tokens{
	"admin":  {UserID: "a", UserName: "admin", ProjectID: "fedcba9876543210fedcba9876543210", Roles: []string{"admin", "member", "reader"}},
	"member": {UserID: "m", UserName: "member", ProjectID: project, Roles: []string{"member", "reader"}},
	"reader": {UserID: "r", UserName: "reader", ProjectID: project, Roles: []string{"reader"}},
	"other":  {UserID: "o", UserName: "other", ProjectID: "00000000000000000000000000000000", Roles: []string{"member", "reader"}},
	"none":   {UserID: "n", UserName: "none"},
}

// images is an image service whose images hold their own ids. It counts how
// often each was opened.
type images struct {
	mu     sync.Mutex
	opened map[string]int
	gone   map[string]bool
}

func (i *images) Get(_ context.Context, _, id string) (compute.Image, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	known := map[string]compute.Image{
		rootImage:   {DiskFormat: "qcow2", Active: true, VirtualSize: 1 << 30},
		kernelImage: {DiskFormat: "aki", Active: true},
		queuedImage: {DiskFormat: "raw"},
		largeImage:  {DiskFormat: "raw", Active: true, VirtualSize: 100 << 30, MinRAMMB: 4096},
		forkedImage: {DiskFormat: "qcow2", Active: true, Properties: map[string]string{"gatehouse_fork": "True"}},
		neitherFork: {DiskFormat: "qcow2", Active: true, Properties: map[string]string{"gatehouse_fork": "maybe"}},
		directImage: {
			DiskFormat: "raw", Active: true,
			Properties: map[string]string{"kernel_id": kernelImage, "os_command_line": "root=/dev/vda"},
		},
	}
	image, ok := known[id]
	if !ok || i.gone[id] {
		return image, fault.New(fault.NotFound, "Image %s could not be found.", id)
	}
	image.ID = id
	return image, nil
}

func (i *images) Open(_ context.Context, id string) (io.ReadCloser, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.opened[id]++
	return io.NopCloser(bytes.NewReader([]byte(id))), nil
}

// volumes is a volume service that knows the status of two volumes.
type volumes struct {
	mu     sync.Mutex
	status map[string]string // by volume
	server map[string]string // by volume
}

func (v *volumes) Reserve(_ context.Context, _, volume, server, _ string) (compute.Disk, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if volume != volumeA && volume != volumeB {
		return compute.Disk{}, fault.New(fault.NotFound, "Volume %s could not be found.", volume)
	}
	if holder := v.server[volume]; holder != "" && holder != server {
		return compute.Disk{}, fault.New(fault.BadRequest, "Invalid volume: volume %s is in use", volume)
	}
	v.server[volume], v.status[volume] = server, "attaching"
	return compute.Disk{Serial: volume, File: "/" + volume, Format: "raw"}, nil
}

func (v *volumes) set(volume, server, status string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.server[volume] == server {
		v.status[volume] = status
	}
	return nil
}

func (v *volumes) Attached(_ context.Context, volume, server string) error {
	return v.set(volume, server, "in-use")
}

func (v *volumes) BeginDetaching(_ context.Context, volume, server string) error {
	return v.set(volume, server, "detaching")
}

func (v *volumes) Detached(_ context.Context, volume, server string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.server[volume] == server {
		delete(v.server, volume)
		v.status[volume] = "available"
	}
	return nil
}

func (v *volumes) Status(volume string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.status[volume]
}

// cloud is a compute service over a fake driver.
type cloud struct {
	config  compute.Config
	driver  fake.Driver
	images  *images
	volumes *volumes
	service *compute.Service
}

var firstFlavors = []compute.Flavor{
	{ID: "1", Name: "m1.tiny", VCPUs: 1, MemoryMB: 512, DiskGB: 1},
	{ID: "2", Name: "m1.small", VCPUs: 1, MemoryMB: 2048, DiskGB: 20},
	{ID: "private", Name: "private", VCPUs: 2, MemoryMB: 64, Private: true},
}

// newCloud makes a cloud that nothing runs yet.
func newCloud(tb testing.TB, change ...func(*compute.Config)) *cloud {
	tb.Helper()
	c := &cloud{
		driver: fake.New(), images: &images{opened: map[string]int{}, gone: map[string]bool{}},
		volumes: &volumes{status: map[string]string{}, server: map[string]string{}},
	}
	c.config = compute.Config{
		Dir: tb.TempDir(), Log: slog.New(slog.DiscardHandler), Tokens: callers, Driver: c.driver, Images: c.images, Volumes: c.volumes,
		Flavors: firstFlavors, Ports: []compute.Forward{{Host: 22, Guest: 22}}, ConfigDrive: true,
	}
	for _, f := range change {
		f(&c.config)
	}
	c.open(tb)
	return c
}

// open opens the service, as at first or after a restart.
func (c *cloud) open(tb testing.TB) {
	tb.Helper()
	service, err := compute.New(context.Background(), c.config)
	require.NoError(tb, err)
	c.service = service
	tb.Cleanup(func() { service.Close() })
}

// run does the tasks until the returned function is called, which waits for
// the end, or the test ends.
func (c *cloud) run(tb testing.TB) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.service.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.ErrorIs(tb, <-ended, context.Canceled)
		})
	}
	tb.Cleanup(stop)
	return stop
}

// client serves the API and returns gophercloud's client for it.
func (c *cloud) client(tb testing.TB, token, microversion string) *gophercloud.ServiceClient {
	tb.Helper()
	api := httptest.NewServer(c.service.Handler())
	tb.Cleanup(api.Close)
	return &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: token},
		Endpoint:       api.URL + "/compute/v2.1/", Type: "compute", Microversion: microversion,
	}
}

// start makes a cloud that runs, and a member's client.
func start(tb testing.TB, change ...func(*compute.Config)) (*cloud, *gophercloud.ServiceClient) {
	tb.Helper()
	c := newCloud(tb, change...)
	client := c.client(tb, "member", "")
	c.run(tb)
	return c, client
}

// timeout is how long a test waits for what should take milliseconds.
const timeout = 10 * time.Second

// waitFor waits until a server has a status, and returns it.
func waitFor(tb testing.TB, client *gophercloud.ServiceClient, id, status string) *servers.Server {
	tb.Helper()
	var server *servers.Server
	require.Eventually(tb, func() bool {
		var err error
		server, err = servers.Get(context.Background(), client, id).Extract()
		return err == nil && server.Status == status && server.TaskState == ""
	}, timeout, time.Millisecond, "server %s never was %s", id, status)
	return server
}

func waitGone(tb testing.TB, client *gophercloud.ServiceClient, id string) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		_, err := servers.Get(context.Background(), client, id).Extract()
		return gophercloud.ResponseCodeIs(err, 404)
	}, timeout, time.Millisecond)
}

func create(tb testing.TB, client *gophercloud.ServiceClient, opts servers.CreateOpts) *servers.Server {
	tb.Helper()
	if opts.Name == "" {
		opts.Name = "one"
	}
	if opts.ImageRef == "" {
		opts.ImageRef = rootImage
	}
	if opts.FlavorRef == "" {
		opts.FlavorRef = "2"
	}
	server, err := servers.Create(context.Background(), client, opts, nil).Extract()
	require.NoError(tb, err)
	return server
}

func active(tb testing.TB, client *gophercloud.ServiceClient, opts servers.CreateOpts) *servers.Server {
	tb.Helper()
	return waitFor(tb, client, create(tb, client, opts).ID, "ACTIVE")
}

// requireStatus requires an error to be an answer with a status and a message.
func requireStatus(tb testing.TB, err error, status int, message string) {
	tb.Helper()
	require.Error(tb, err)
	require.True(tb, gophercloud.ResponseCodeIs(err, status), "not %d: %v", status, err)
	require.ErrorContains(tb, err, message)
}
