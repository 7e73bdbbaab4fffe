package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
)

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

// create makes a server and waits until it is active.
func (s *session) create(ctx context.Context, c Config, label Label, r Request) (*servers.Server, error) {
	found, known, err := s.lookUp(ctx, label)
	if err != nil {
		return nil, err
	}
	id, err := s.post(ctx, c, found, r)
	if known && (gophercloud.ResponseCodeIs(err, http.StatusBadRequest) || gophercloud.ResponseCodeIs(err, http.StatusNotFound)) {
		s.forget(label) // the image or the flavor is gone
		return s.create(ctx, c, label, r)
	}
	if gophercloud.ResponseCodeIs(err, http.StatusForbidden) && strings.Contains(err.Error(), "uota") {
		return nil, fmt.Errorf("%w: %w", errNoRoom, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	active, err := s.awaitActive(ctx, c.LaunchTimeout, id)
	if err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, s.delete(cleanup, id))
	}
	return active, nil
}

// post asks for a server and returns its id.
func (s *session) post(ctx context.Context, c Config, found ids, r Request) (string, error) {
	metadata := map[string]string{metadataBuild: r.Build, metadataGate: c.Instance}
	for key, value := range r.Metadata {
		metadata[key] = value[:min(len(value), 255)]
	}
	server, err := servers.Create(ctx, s.compute, keypairs.CreateOptsExt{
		CreateOptsBuilder: servers.CreateOpts{
			Name: "build-" + r.Build, ImageRef: found.image, FlavorRef: found.flavor, Metadata: metadata, ConfigDrive: new(true),
		},
		KeyName: s.keypair,
	}, nil).Extract()
	if err != nil {
		return "", err
	}
	return server.ID, nil
}

// pacer pauses between questions: the longer something takes, the longer it
// may go unnoticed. What takes a quarter of a second is asked for at most some
// thirty times, what takes a minute some hundred and twenty times.
type pacer struct{ began time.Time }

func newPacer() pacer { return pacer{time.Now()} }

func (p pacer) pause(ctx context.Context) error {
	return wait(ctx, min(max(time.Since(p.began)/10, 5*time.Millisecond), time.Second))
}

// awaitActive asks until the cloud says that a server is active, or has failed.
func (s *session) awaitActive(ctx context.Context, timeout time.Duration, id string) (*servers.Server, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("server %s is not active after %s", id, timeout))
	defer cancel()
	for pace := newPacer(); ; {
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
		if err := pace.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// delete removes a server and returns once it is gone.
func (s *session) delete(ctx context.Context, id string) error {
	err := servers.Delete(ctx, s.compute, id).ExtractErr()
	for pace := newPacer(); err == nil; {
		if _, err = servers.Get(ctx, s.compute, id).Extract(); err != nil {
			break
		}
		if err := pace.pause(ctx); err != nil {
			return fmt.Errorf("server %s is still there: %w", id, err)
		}
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
