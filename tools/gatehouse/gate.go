package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
	"github.com/gatehouse-dev/gatehouse/gate"
	"github.com/gatehouse-dev/gatehouse/gate/gerrit"
	"github.com/gatehouse-dev/gatehouse/testenv/network"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// gateUser is the name of the gate's user, in the cloud, where it has a
// project of the same name, and on the review server.
const gateUser = "gate"

// gateFile is the file that gates a branch which holds it.
const gateFile = ".gate.yaml"

func (s *system) gateCloudsFile() string { return filepath.Join(s.data, "gate", "clouds.yaml") }

// startGate starts the gate. It knows the other two houses by their addresses
// and its own credentials only, as if they were somebody else's.
func (s *system) startGate(ctx context.Context, o options, listener net.Listener, users *identity.Service) error {
	dir := filepath.Join(s.data, "gate")
	source, err := gerrit.New(gerrit.Config{
		URL: "http://" + s.endpoints.Review, SSH: s.endpoints.ReviewSSH,
		User: gateUser, Password: s.gatePassword, Dir: dir, Log: s.log,
	})
	if err != nil {
		return err
	}
	labels := map[string]node.Label{}
	var names []string
	for name, l := range o.Labels {
		labels[name] = node.Label{Image: l.Image, Flavor: l.Flavor}
		names = append(names, name)
	}
	instance, err := instanceName(filepath.Join(dir, "instance"))
	if err != nil {
		return err
	}
	machines, err := node.New(node.Config{
		CloudsFile: s.gateCloudsFile(), Cloud: cloudName, Instance: instance, Labels: labels, Log: s.log,
	})
	if err != nil {
		return err
	}
	offers, err := s.networks(ctx, o.Network)
	if err != nil {
		return err
	}
	g, err := gate.New(ctx, gate.Config{
		Dir: dir, Log: s.log, Source: source, Nodes: gate.FromCloud(machines), Labels: names, Networks: offers,
		PublicURL: func() string { return s.gateURL }, MaxNodes: o.Nodes,
		Verify: func(ctx context.Context, name, password string) (bool, error) {
			_, admin, err := users.Verify(ctx, name, password)
			if fault.Is(err, fault.Unauthorized) {
				return false, nil
			}
			return admin, err
		},
		Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, g.Close)
	s.run(ctx, "gate",
		func(ctx context.Context) error {
			err := g.Run(ctx)
			// The cloud is still there: houses stop last started first.
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if closed := machines.Close(leave); closed != nil {
				s.log.WarnContext(ctx, "the gate's ssh key stays registered", "err", closed)
			}
			return err
		},
		func(ctx context.Context) error { return serve(ctx, listener, withHealth(g.Handler(), s.registry)) },
	)
	return nil
}

// networks are what jobs may ask to reach.
func (s *system) networks(ctx context.Context, n jobNetwork) (*network.Offers, error) {
	return network.New(network.Config{Full: n.Full, Go: s.goProxy(ctx), Proxies: n.Proxies, Log: s.log})
}

// goProxy is the Go module proxy over this host's module cache; nil if the
// host has no Go.
func (s *system) goProxy(ctx context.Context) *network.GoProxy {
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOMODCACHE", "GOPROXY", "GONOPROXY")
	cmd.Dir = s.data // outside of any module
	out, err := cmd.Output()
	var env struct{ GOMODCACHE, GOPROXY, GONOPROXY string }
	if err == nil {
		err = json.Unmarshal(out, &env)
	}
	if err != nil {
		s.log.InfoContext(ctx, "no Go on this host: jobs have no module proxy", "err", err)
		return nil
	}
	return &network.GoProxy{
		Cache: filepath.Join(env.GOMODCACHE, "cache", "download"), Upstream: env.GOPROXY, Private: env.GONOPROXY,
	}
}

// instanceName reads the gate's name from file, or makes one: by it the gate
// tells its machines from those of others in the same project of a cloud.
func instanceName(file string) (string, error) {
	name, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		name = []byte(rand.Text()[:12])
		err = writeFile(file, name, 0o600)
	}
	return string(name), err
}
