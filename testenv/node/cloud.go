package node

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
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

	mu    sync.Mutex
	found map[Label]ids
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
	s := &session{found: map[Label]ids{}}
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
