package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"golang.org/x/crypto/ssh"
)

// Provider takes machines from one cloud. Its methods may be called
// concurrently. It logs in when it is first used.
type Provider struct {
	config Config
	key    ssh.Signer // logs in to all of the provider's nodes

	mu      sync.Mutex
	current *session
}

// New makes a provider with an ssh key of its own. The caller must Close it.
func New(c Config) (*Provider, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return &Provider{config: c.withDefaults(), key: key}, nil
}

// session is a login to the cloud, with the provider's key registered there.
type session struct {
	compute, image *gophercloud.ServiceClient
	keypair        string
}

// session returns the login to the cloud, making it if there is none yet.
func (p *Provider) session(ctx context.Context) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		return p.current, nil
	}
	s, err := p.login(ctx)
	if err != nil {
		return nil, fmt.Errorf("log in to cloud %s: %w", p.config.Cloud, err)
	}
	p.current = s
	return s, nil
}

func (p *Provider) login(ctx context.Context) (*session, error) {
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(p.config.Cloud), clouds.WithLocations(p.config.CloudsFile))
	if err != nil {
		return nil, err
	}
	auth.AllowReauth = true
	client, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		return nil, err
	}
	s := &session{}
	if s.compute, err = openstack.NewComputeV2(client, endpoint); err != nil {
		return nil, err
	}
	if s.image, err = openstack.NewImageV2(client, endpoint); err != nil {
		return nil, err
	}
	public := ssh.MarshalAuthorizedKey(p.key.PublicKey())
	// The key's own name, so that two runs of one gate never share a keypair.
	s.keypair = keypairPrefix(p.config.Instance) + ssh.FingerprintSHA256(p.key.PublicKey())[len("SHA256:"):][:8]
	s.keypair = strings.NewReplacer("/", "_", "+", "_").Replace(s.keypair)
	if err := s.deleteKeypairs(ctx, keypairPrefix(p.config.Instance)); err != nil {
		return nil, err
	}
	_, err = keypairs.Create(ctx, s.compute, keypairs.CreateOpts{Name: s.keypair, PublicKey: string(public)}).Extract()
	if err != nil {
		return nil, fmt.Errorf("register ssh key: %w", err)
	}
	return s, nil
}

func keypairPrefix(instance string) string { return "gatehouse-" + instance + "-" }

// deleteKeypairs removes what earlier runs that were killed left behind.
func (s *session) deleteKeypairs(ctx context.Context, prefix string) error {
	pages, err := keypairs.List(s.compute, keypairs.ListOpts{}).AllPages(ctx)
	if err != nil {
		return fmt.Errorf("list keypairs: %w", err)
	}
	all, err := keypairs.ExtractKeyPairs(pages)
	if err != nil {
		return fmt.Errorf("list keypairs: %w", err)
	}
	for _, k := range all {
		if !strings.HasPrefix(k.Name, prefix) {
			continue
		}
		err := keypairs.Delete(ctx, s.compute, k.Name, nil).ExtractErr()
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return fmt.Errorf("delete keypair %s: %w", k.Name, err)
		}
	}
	return nil
}

// Close forgets the login and removes the provider's key from the cloud.
// Nodes that are still there keep working.
func (p *Provider) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return nil
	}
	s := p.current
	p.current = nil
	return s.deleteKeypairs(ctx, s.keypair)
}

// errNoRoom says that a server could not be made for lack of quota or hosts.
var errNoRoom = errors.New("no room")

// createWhenThereIsRoom makes a server and waits until it is active.
func (s *session) createWhenThereIsRoom(ctx context.Context, c Config, label Label, r Request) (*servers.Server, error) {
	pause := 500 * time.Millisecond
	for {
		server, err := s.create(ctx, c, label, r)
		if !errors.Is(err, errNoRoom) {
			return server, err
		}
		c.Log.InfoContext(ctx, "node waits for room in the cloud", "build", r.Build, "reason", err)
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, 5*time.Second)
	}
}

func (s *session) create(ctx context.Context, c Config, label Label, r Request) (*servers.Server, error) {
	image, err := s.imageID(ctx, label.Image)
	if err != nil {
		return nil, err
	}
	flavor, err := s.flavorID(ctx, label.Flavor)
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{metadataBuild: r.Build, metadataGate: c.Instance}
	for key, value := range r.Metadata {
		metadata[key] = value[:min(len(value), 255)]
	}
	server, err := servers.Create(ctx, s.compute, keypairs.CreateOptsExt{
		CreateOptsBuilder: servers.CreateOpts{
			Name: "build-" + r.Build, ImageRef: image, FlavorRef: flavor, Metadata: metadata, ConfigDrive: new(true),
		},
		KeyName: s.keypair,
	}, nil).Extract()
	if gophercloud.ResponseCodeIs(err, http.StatusForbidden) && strings.Contains(err.Error(), "uota") {
		return nil, fmt.Errorf("%w: %w", errNoRoom, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	active, err := s.awaitActive(ctx, c.LaunchTimeout, server.ID)
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, s.delete(cleanup, server.ID))
	}
	return active, nil
}

// awaitActive asks until the cloud says that a server is active, or has failed.
func (s *session) awaitActive(ctx context.Context, timeout time.Duration, id string) (*servers.Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("server %s is not active after %s", id, timeout))
	defer cancel()
	for pause := 25 * time.Millisecond; ; pause = min(pause*3/2, time.Second) {
		server, err := servers.Get(ctx, s.compute, id).Extract()
		if err != nil {
			return nil, fmt.Errorf("ask for server %s: %w", id, errors.Join(err, context.Cause(ctx)))
		}
		switch server.Status {
		case "ACTIVE":
			return server, nil
		case "ERROR":
			if strings.Contains(server.Fault.Message, "No valid host") {
				return nil, fmt.Errorf("%w: %s", errNoRoom, server.Fault.Message)
			}
			return nil, fmt.Errorf("server %s failed: %s", id, server.Fault.Message)
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// delete removes a server and returns once it is gone.
func (s *session) delete(ctx context.Context, id string) error {
	err := servers.Delete(ctx, s.compute, id).ExtractErr()
	for pause := 10 * time.Millisecond; err == nil; pause = min(pause*3/2, time.Second) {
		if err := wait(ctx, pause); err != nil {
			return fmt.Errorf("server %s is still there: %w", id, err)
		}
		_, err = servers.Get(ctx, s.compute, id).Extract()
	}
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil
	}
	return fmt.Errorf("delete server %s: %w", id, err)
}

// consoleTail is the end of what a server wrote to its console, for an error
// message; empty if it cannot be had.
func (s *session) consoleTail(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	text, err := servers.ShowConsoleOutput(ctx, s.compute, id, servers.ShowConsoleOutputOpts{Length: 20}).Extract()
	if err != nil || strings.TrimSpace(text) == "" {
		return ""
	}
	return "\nThe console's last lines:\n" + text[max(0, len(text)-4096):]
}

func (s *session) imageID(ctx context.Context, name string) (string, error) {
	pages, err := images.List(s.image, images.ListOpts{Name: name, Sort: "created_at:desc", Status: images.ImageStatusActive}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	found, err := images.ExtractImages(pages)
	if err != nil {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	if len(found) > 0 {
		return found[0].ID, nil
	}
	image, err := images.Get(ctx, s.image, name).Extract()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) && !gophercloud.ResponseCodeIs(err, http.StatusBadRequest) {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	if err != nil || image.Status != images.ImageStatusActive {
		return "", &MissingError{fmt.Sprintf("active image %q: make it with `gatehouse image build`", name)}
	}
	return image.ID, nil
}

func (s *session) flavorID(ctx context.Context, name string) (string, error) {
	pages, err := flavors.ListDetail(s.compute, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("look up flavor %s: %w", name, err)
	}
	found, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return "", fmt.Errorf("look up flavor %s: %w", name, err)
	}
	for _, f := range found {
		if f.Name == name || f.ID == name {
			return f.ID, nil
		}
	}
	return "", &MissingError{fmt.Sprintf("flavor %q", name)}
}

// wait pauses, or reports why ctx ended.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
