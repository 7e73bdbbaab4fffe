//go:build e2e

package qemu_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/drivertest"
)

// forkable has a machine fork from a template that others share.
func forkable(m *compute.Machine) {
	m.Fork, m.ConfigDrive = true, []byte("config of "+m.ID[:6])
	m.Interface.MAC = "fa:16:3e:00:00:01"
}

// misbehaving is forkable by a guest that does what it should not.
func misbehaving(how string) func(m *compute.Machine) {
	return func(m *compute.Machine) {
		forkable(m)
		m.CommandLine += " guest.fork=" + how
	}
}

// requireForked returns what the guest of a fork said when it became one, word
// by word: id, MAC address, time, seed, how much it remembers.
func (h *host) requireForked(t *testing.T, id string) []string {
	t.Helper()
	console := h.requireSays(t, id, "guest: up")
	_, said, forked := strings.Cut(console, "guest: forked ")
	require.True(t, forked, console)
	line, _, _ := strings.Cut(said, "\r\n")
	words := strings.Fields(line)
	require.Equal(t, id, words[0])
	return words
}

// requireBooted fails if a machine was forked.
func (h *host) requireBooted(t *testing.T, id string) {
	t.Helper()
	assert.NotContains(t, h.requireSays(t, id, "guest: up"), "forked")
}

// requireTemplates checks that the host has so many templates, and nothing
// unfinished.
func (h *host) requireTemplates(t *testing.T, count int) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(h.dir, "templates", "*"))
	require.NoError(t, err)
	whole, err := filepath.Glob(filepath.Join(h.dir, "templates", "*", "template.json"))
	require.NoError(t, err)
	require.Len(t, all, count)
	require.Len(t, whole, count)
	require.Empty(t, qemusIn(t, filepath.Join(h.dir, "templates")))
}

// TestForkingDriver holds forks to all that machines are held to. Its hosts
// are one, for the template to be made once.
func TestForkingDriver(t *testing.T) {
	shared := newHost(t)
	drivertest.Run(t, func(t *testing.T) drivertest.Setup {
		t.Helper()
		setup := shared.setup()
		setup.Machine = func(t *testing.T) compute.Machine {
			t.Helper()
			m := shared.machine(t)
			forkable(&m)
			return m
		}
		return setup
	})
	shared.requireTemplates(t, 1)
}

func TestForksShareATemplateAndNothingElse(t *testing.T) {
	h := newHost(t)
	first, second := h.spawn(t, forkable), h.spawn(t, forkable)
	seeds := map[string]bool{}
	for _, m := range []compute.Machine{first, second} {
		words := h.requireForked(t, m.ID)
		assert.Equal(t, "fa:16:3e:00:00:01", words[1])
		now, err := strconv.ParseInt(words[2], 10, 64)
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), time.Unix(0, now), timeout)
		seeds[words[3]] = true
		console := h.requireSays(t, m.ID, "guest: up")
		assert.Contains(t, console, `guest: memory holds "" true`)
		assert.Contains(t, console, `guest: marks "template" "`+m.ID+`" config "config of `+m.ID[:6]+`"`)
	}
	assert.Len(t, seeds, 2)
	h.requireTemplates(t, 1)
}

func TestStoppedForkKeepsItsDiskWithoutTheTemplate(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, forkable)
	h.requireForked(t, m.ID)
	require.NoError(t, h.driver.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(h.dir, "templates")))
	h.open(t)
	require.NoError(t, h.driver.Reboot(t.Context(), m.ID, 10))
	boots := func(times int) {
		require.Eventually(t, func() bool {
			console, err := h.driver.Console(t.Context(), m.ID, -1)
			return err == nil && strings.Count(string(console), `guest: marks "template" "`+m.ID+`"`) == times
		}, timeout, 10*time.Millisecond)
	}
	boots(2)
	require.NoError(t, h.driver.Stop(t.Context(), m.ID, 0))
	require.NoError(t, h.driver.Start(t.Context(), m.ID))
	boots(3)
	assert.Equal(t, 1, strings.Count(h.requireSays(t, m.ID, "guest: up"), "guest: forked"))
	h.requireTemplates(t, 0)
}

func TestForkHasItsVolumes(t *testing.T) {
	h := newHost(t)
	disk := h.disk(t)
	m := h.spawn(t, func(m *compute.Machine) {
		forkable(m)
		m.Disks = []compute.Disk{disk}
	})
	h.requireForked(t, m.ID)
	h.requireSays(t, m.ID, "guest: disk "+disk.Serial[:20]+` holds "" <nil>`)
}

func TestGuestThatCannotForkBoots(t *testing.T) {
	for how, reason := range map[string]string{
		"silent":  "not built within 5s",
		"garbage": `said \"login: \\x1b[31m\" instead of`,
		"fails":   `the guest failed: \"there is no module\"`,
		"endless": "no line ends within 1024 bytes",
		"forgets": "said nothing",
		"refuses": `the guest failed: \"no wish to be \\x1b[31manybody\"`,
	} {
		t.Run(how, func(t *testing.T) {
			h := newHost(t)
			patience := map[string]time.Duration{"silent": 5 * time.Second}
			h.driver.HurryTemplates(cmp.Or(patience[how], timeout), time.Second)
			first, second := h.spawn(t, misbehaving(how)), h.spawn(t, misbehaving(how))
			h.requireBooted(t, first.ID)
			h.requireBooted(t, second.ID)
			h.requireTemplates(t, 0)
			assert.Equal(t, 2, h.log.count("forking failed, booting"))
			assert.Equal(t, 1, h.log.count("template not built")+h.log.count("template condemned"))
			assert.Positive(t, h.log.count(reason), h.log.String())
		})
	}
}

func TestMachineThatCannotForkBoots(t *testing.T) {
	h := newHost(t)
	for name, change := range map[string]func(m *compute.Machine){
		"no config drive":                    func(m *compute.Machine) { m.ConfigDrive = nil },
		"its config drive has 2097153 bytes": func(m *compute.Machine) { m.ConfigDrive = make([]byte, 2<<20+1) },
		"no kernel of its own":               func(m *compute.Machine) { m.Kernel, m.Ramdisk = "", "" },
	} {
		m := h.spawn(t, func(m *compute.Machine) {
			forkable(m)
			change(m)
		})
		assert.Equal(t, 1, h.log.count(name))
		require.NoError(t, h.driver.Destroy(t.Context(), m.ID))
	}
	h.requireTemplates(t, 0)
}

func TestForkCannotFloodItsChannel(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, misbehaving("floods"))
	h.requireForked(t, m.ID)
	before := h.resident(t, m.ID)
	require.NoError(t, h.driver.Stop(t.Context(), m.ID, 10), "the guest still answers its power button")
	assert.Less(t, before, 256)
}

// resident is how many MB of the host's memory a machine's process has.
func (h *host) resident(t *testing.T, id string) (mb int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.driver.PID(id)))
	require.NoError(t, err)
	return field(t, string(text), "VmRSS:") >> 10
}

// field is a number that a file of /proc gives a name.
func field(tb testing.TB, text, name string) (number int) {
	tb.Helper()
	_, value, ok := strings.Cut(text, name)
	require.True(tb, ok, "%s in %s", name, text)
	_, err := fmt.Sscan(value, &number)
	require.NoError(tb, err)
	return number
}

// TestHostOutOfMemoryBoots has QEMU find too little memory for a fork, or be
// killed when it takes it.
func TestHostOutOfMemoryBoots(t *testing.T) {
	for name, c := range map[string]struct{ starved, reason string }{
		"no memory to map": {"ulimit -v 300000", "Cannot allocate memory"},
		"killed":           {"kill -9 $$", "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			require.NoError(t, h.driver.Close())
			h.system = script(t, `
case "$*" in
*-incoming*) [ -e `+h.image+`.rich ] || `+c.starved+`;;
esac
exec /usr/bin/qemu-system-x86_64 "$@"`)
			h.open(t)
			first := h.spawn(t, forkable)
			h.requireBooted(t, first.ID)
			assert.Equal(t, 1, h.log.count("forking failed, booting"), h.log.String())
			require.NoError(t, os.WriteFile(h.image+".rich", nil, 0o600))
			second := h.spawn(t, forkable)
			h.requireForked(t, second.ID)
			h.requireTemplates(t, 1)
			assert.Zero(t, h.log.count("template condemned"), "it is not the template's fault")
		})
	}
}

func TestTemplateBeingBuiltEndsWithTheDriver(t *testing.T) {
	h := newHost(t)
	m := h.machine(t)
	misbehaving("silent")(&m)
	require.NotNil(t, h.driver.Prepare(t.Context(), m))
	require.Eventually(t, func() bool { return len(qemusIn(t, h.dir)) == 1 }, timeout, time.Millisecond)
	require.NoError(t, h.driver.Close())
	assert.Empty(t, qemusIn(t, h.dir))
	h.requireTemplates(t, 0)
	h.open(t)
}

// TestTemplateCutOffHalfWrittenIsSwept makes a driver find what one that was
// killed while it built a template leaves: a QEMU at work, and no record.
func TestTemplateCutOffHalfWrittenIsSwept(t *testing.T) {
	h := newHost(t)
	m := h.spawn(t, func(m *compute.Machine) { m.ID = uuid.NewString() })
	pid := h.driver.PID(m.ID)
	require.NoError(t, h.driver.Close())
	templates := filepath.Join(h.dir, "templates")
	require.NoError(t, os.Rename(filepath.Join(h.dir, m.ID), filepath.Join(templates, m.ID)))
	require.NoError(t, os.Remove(filepath.Join(templates, m.ID, "machine.json")))
	h.open(t)
	assert.False(t, alive(pid))
	h.requireTemplates(t, 0)
}
