//go:build e2e

package qemu_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// forkable has a machine fork from a template that others share.
func forkable(m *compute.Machine) {
	m.Fork, m.ConfigDrive = true, []byte("config of "+m.ID[:6])
	m.Interface.MAC = "fa:16:3e:00:00:01"
}

func TestForksShareATemplateAndNothingElse(t *testing.T) {
	h := newHost(t)
	first, second := h.spawn(t, forkable), h.spawn(t, forkable)
	for _, m := range []compute.Machine{first, second} {
		console := h.requireSays(t, m.ID, "guest: up")
		assert.Contains(t, console, "guest: forked "+m.ID+" fa:16:3e:00:00:01")
		assert.Contains(t, console, `guest: memory holds "" true`)
		assert.Contains(t, console, `guest: marks "template" "`+m.ID+`" config "config of `+m.ID[:6]+`"`)
		assert.Equal(t, 1, strings.Count(console, "guest: forked"))
	}
	require.NotEqual(t, first.ID, second.ID)
}
