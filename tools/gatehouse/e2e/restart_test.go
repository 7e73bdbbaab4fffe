//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKilledInMidBuildNothingIsLostOrLeftOver(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	g, err := up(data)
	require.NoError(t, err)
	require.NoError(t, g.buildImage())
	r := g.project(t, "survivor", map[string]string{"README": "text\n"})
	r.commit(t, "Add a job", map[string]string{".gate.yaml": `
- job: {name: slow, timeout: 5m, run: [echo started, sleep 15, echo finished]}
- project:
    check: {jobs: [slow]}
    gate: {jobs: [slow]}
`})
	change := r.review(t)
	eventually(t, 2*time.Minute, "the build to run", func() bool {
		return strings.Contains(g.buildLogs(t), "started")
	})
	before := g.detail(t, change)
	g.kill(t)
	require.NotEmpty(t, running(t, data), "the machine outlives gatehouse: else this test shows nothing")

	g, err = up(data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.stop()) })
	assert.Equal(t, before.CurrentRevision, g.detail(t, change).CurrentRevision)
	vote, report := g.awaitVerified(t, change, 5*time.Minute)
	assert.Equal(t, 1, vote, report)
	assert.Len(t, g.detail(t, change).reports(), 1, "reported once")
	eventually(t, time.Minute, "all machines gone", func() bool { return len(running(t, data)) == 0 })
	eventually(t, time.Minute, "their disks gone", func() bool {
		left, err := filepath.Glob(filepath.Join(data, "compute", "machines", "*-*-*-*-*"))
		require.NoError(t, err)
		return len(left) == 0
	})
}

// running are the machines on a data directory.
func running(t *testing.T, data string) []int {
	t.Helper()
	pids, err := machines(data)
	require.NoError(t, err)
	return pids
}

// buildLogs is the text of all logs that the gate keeps.
func (g *gatehouse) buildLogs(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(g.data, "gate", "logs", "*", "job-output.txt"))
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}
