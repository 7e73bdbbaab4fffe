//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image/oci/ocitest"
)

// A container image becomes a label of the gate by a recipe of some lines: it
// is built, registered, and a job runs in a machine of it.
func TestAJobRunsInAMachineMadeFromAContainerImage(t *testing.T) {
	t.Parallel()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	recipe := filepath.Join(t.TempDir(), "container.yaml")
	require.NoError(t, os.WriteFile(recipe, []byte("name: e2e-job\noci: {archive: "+
		ocitest.Archive(t, filepath.Join(cache, "gatehouse", "e2e-image"))+"}\ndisk-mb: 1024\n"), 0o600))
	data := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(data, "gatehouse.yaml"), []byte("labels:\n  container: {image: e2e-job, flavor: gate.small}\n"), 0o600))
	g, err := up(data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.stop()) })
	out, err := run(t, 5*time.Minute, "", nil, binary, "image", "build", "--data", data, recipe)
	require.NoError(t, err, out)

	r := g.project(t, "contained", map[string]string{"README": "text\n"})
	r.commit(t, "Add a job", map[string]string{".gate.yaml": `
- job:
    name: contained
    label: container
    run: [test "$CONTAINER" = yes, grep bookworm /etc/os-release, test -f README]
- project:
    check: {jobs: [contained]}
    gate: {jobs: [contained]}
`})
	vote, report := g.awaitVerified(t, r.review(t), 3*time.Minute)
	assert.Equal(t, 1, vote, "%s\n%s", report, g.buildLogs(t))
}
