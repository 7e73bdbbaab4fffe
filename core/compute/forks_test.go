package compute_test

import (
	"context"
	"sync"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

func TestAnImageMayAskForForks(t *testing.T) {
	c, client := start(t)
	for image, forks := range map[string]bool{forkedImage: true, rootImage: false} {
		server := active(t, client, servers.CreateOpts{ImageRef: image})
		machine, ok := c.driver.Machine(server.ID)
		require.True(t, ok)
		assert.Equal(t, forks, machine.Fork)
	}
	_, err := servers.Create(t.Context(), client, servers.CreateOpts{Name: "one", ImageRef: neitherFork, FlavorRef: "2"}, nil).Extract()
	requireStatus(t, err, 400, "gatehouse_fork=maybe")
}

// preparing is a driver that needs to prepare for forks until told otherwise.
type preparing struct {
	compute.Driver
	begun chan string // by machine

	mu   sync.Mutex
	over chan struct{} // nil: all is prepared
}

func (p *preparing) Prepare(_ context.Context, m compute.Machine) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil {
		return nil
	}
	p.begun <- m.ID
	return p.over
}

func (p *preparing) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.over)
	p.over = nil
}

// prepare makes a cloud with a single worker whose driver prepares.
func prepare(t *testing.T) (*preparing, func(*compute.Config)) {
	t.Helper()
	p := &preparing{over: make(chan struct{}), begun: make(chan string, 100)}
	return p, func(c *compute.Config) {
		p.Driver, c.Driver, c.Workers = c.Driver, p, 1
	}
}

func TestServersThatWaitForATemplateHoldNoWorker(t *testing.T) {
	driver, change := prepare(t)
	_, client := start(t, change)
	var waiting []string
	for range 5 {
		id := create(t, client, servers.CreateOpts{ImageRef: forkedImage}).ID
		assert.Equal(t, id, <-driver.begun)
		waiting = append(waiting, id)
	}
	active(t, client, servers.CreateOpts{})
	for _, id := range waiting {
		server, err := servers.Get(t.Context(), client, id).Extract()
		require.NoError(t, err)
		assert.Equal(t, "BUILD", server.Status)
	}
	driver.finish()
	for _, id := range waiting {
		waitFor(t, client, id, "ACTIVE")
	}
}

func TestServerThatWaitsForATemplateCanBeDeleted(t *testing.T) {
	driver, change := prepare(t)
	_, client := start(t, change)
	id := create(t, client, servers.CreateOpts{ImageRef: forkedImage}).ID
	<-driver.begun
	require.NoError(t, servers.Delete(t.Context(), client, id).ExtractErr())
	waitGone(t, client, id)
	driver.finish()
	active(t, client, servers.CreateOpts{ImageRef: forkedImage})
}

func TestServerThatWaitedForATemplateIsBuiltAfterARestart(t *testing.T) {
	driver, change := prepare(t)
	c := newCloud(t, change)
	client := c.client(t, "member", "")
	stop := c.run(t)
	id := create(t, client, servers.CreateOpts{ImageRef: forkedImage}).ID
	<-driver.begun
	stop()
	driver.finish()
	c.restart(t)
	c.run(t)
	waitFor(t, c.client(t, "member", ""), id, "ACTIVE")
}
