// Package node drives test machines: it takes servers from any cloud that
// speaks the OpenStack APIs, copies a tree into them, runs steps there over
// ssh and deletes them.
//
// The words are Nodepool's: a node is a machine for one build, and a label
// says which image and flavor it is made of.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"golang.org/x/crypto/ssh"
)

// ErrUnknownLabel says that no label of the name asked for is configured.
var ErrUnknownLabel = errors.New("unknown label")

// MissingError says that the cloud lacks what a label is made of. Nothing but
// somebody who makes it helps, and then a Launch works.
type MissingError struct{ What string }

func (e *MissingError) Error() string { return "the cloud has no " + e.What }

// The metadata by which a gate finds its servers again.
const (
	metadataBuild = "gatehouse_build"
	metadataGate  = "gatehouse_gate"
)

// Label is a kind of machine: an image and a flavor, by name or id.
type Label struct{ Image, Flavor string }

// Config is what a Provider is made of. Everything without a default in its
// comment is required.
type Config struct {
	// CloudsFile is a clouds.yaml, and Cloud the name of the cloud in it. It
	// is read at each Connect, so that the file may appear or change later.
	CloudsFile, Cloud string

	// Instance names this gate among others that use the same project of the
	// cloud: only servers that carry the name are ever swept.
	Instance string

	// Labels by name. The empty name is the label of jobs that name none.
	Labels map[string]Label

	// User logs in and owns what is copied. Default "gate".
	User string

	// Ports are the ports on which ssh may answer at a server's address, tried
	// in turn. Default 22 and 2222.
	Ports []int

	// LaunchTimeout bounds the time from a server's creation to its first
	// answer. Default 5 minutes.
	LaunchTimeout time.Duration

	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.User == "" {
		c.User = "gate"
	}
	if len(c.Ports) == 0 {
		c.Ports = []int{22, 2222}
	}
	if c.LaunchTimeout == 0 {
		c.LaunchTimeout = 5 * time.Minute
	}
	return c
}

// Request asks for a node.
type Request struct {
	Build    string            // the build's UUID
	Label    string            // "" for the default label
	Metadata map[string]string // for people who look at the list of servers
}

// Node is a machine that answers. Its methods may be called concurrently, but
// for Connect and Close.
type Node struct {
	provider *Provider
	server   string // the server's id
	address  string // host:port
	client   *ssh.Client
	timings  Timings

	// lifetime ends when the node is closed; it is what tasks run with.
	lifetime    context.Context //nolint:containedctx // see above
	endLifetime context.CancelFunc
	tasks       sync.WaitGroup
	cleanup     []func()
}

// Timings say where the time of a launch went.
type Timings struct {
	Create time.Duration // from the request to the cloud's word that the server is active
	Boot   time.Duration // from there to the first answer over ssh
}

// Address is the host and port at which the node answers.
func (n *Node) Address() string { return n.address }

// Server is the id of the node's server in the cloud.
func (n *Node) Server() string { return n.server }

// Home is the home directory of the node's user.
func (n *Node) Home() string { return "/home/" + n.provider.config.User }

// Timings say how long the node's launch took.
func (n *Node) Timings() Timings { return n.timings }

// Launch makes a server, waits until it answers and logs in. While the
// project's quota or the cloud's hosts are used up, it waits for room, until
// ctx ends. On an error nothing of the node remains in the cloud, as far as
// the cloud can be reached; Sweep finds the rest.
//
// It reports ErrUnknownLabel for a label that is not configured, and a
// MissingError if the cloud does not have the label's image or flavor.
func (p *Provider) Launch(ctx context.Context, r Request) (*Node, error) {
	label, ok := p.config.Labels[r.Label]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownLabel, r.Label)
	}
	s, err := p.session(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	server, err := s.createWhenThereIsRoom(ctx, p.config, label, r)
	if err != nil {
		return nil, fmt.Errorf("launch node: %w", err)
	}
	n := &Node{provider: p, server: server.ID}
	n.timings.Create = time.Since(start)
	if err := n.connect(ctx, s, server); err != nil {
		err = fmt.Errorf("launch node: %w%s", err, s.consoleTail(ctx, server.ID))
		return nil, errors.Join(err, p.remove(ctx, server.ID))
	}
	n.timings.Boot = time.Since(start) - n.timings.Create
	n.lifetime, n.endLifetime = context.WithCancel(context.WithoutCancel(ctx))
	n.tasks.Go(n.watch)
	return n, nil
}

// Close ends what the node was connected to, deletes its server and returns
// once it is gone. It works after ctx has been canceled, too, and may be
// called again.
func (n *Node) Close(ctx context.Context) error {
	n.disconnect()
	return n.provider.remove(ctx, n.server)
}

// remove deletes a server and waits until it is gone, for a minute at most.
func (p *Provider) remove(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	s, err := p.session(ctx)
	if err != nil {
		return err
	}
	return s.delete(ctx, server)
}

// Sweep deletes the servers of this gate that no build needs any longer: all
// that carry the gate's name and a build that keep denies.
func (p *Provider) Sweep(ctx context.Context, keep func(build string) bool) error {
	s, err := p.session(ctx)
	if err != nil {
		return err
	}
	pages, err := servers.List(s.compute, servers.ListOpts{}).AllPages(ctx)
	if err != nil {
		return fmt.Errorf("list servers: %w", err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return fmt.Errorf("list servers: %w", err)
	}
	var errs []error
	for _, server := range all {
		if server.Metadata[metadataGate] != p.config.Instance || keep(server.Metadata[metadataBuild]) {
			continue
		}
		p.config.Log.InfoContext(ctx, "leaked server deleted", "server", server.ID, "build", server.Metadata[metadataBuild])
		errs = append(errs, p.remove(ctx, server.ID))
	}
	return errors.Join(errs...)
}
