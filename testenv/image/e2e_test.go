//go:build e2e

package image_test

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
	"github.com/gatehouse-dev/gatehouse/testenv/image/oci/ocitest"
)

// cacheDir keeps what each run would fetch again: a base image's content and
// the kernel.
func cacheDir(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "gatehouse", "e2e-image")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return dir
}

// buildAgent builds the program inside machines.
func buildAgent(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gatehouse-agent")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "../../tools/gatehouse-agent")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// A container image has no kernel, no users but root, no sudo and no ssh
// server. Build only returns an image that was booted and logged in to.
func TestAContainerImageBecomesAMachine(t *testing.T) {
	cache := cacheDir(t)
	c := image.Config{
		Dir: cache, Agent: buildAgent(t), Environment: exec.CommandContext(t.Context(), "go").Environ(),
		Progress: func(e image.Event) { t.Logf("%5.1f %s", e.Elapsed.Seconds(), e.Text) },
	}
	r, err := image.Parse([]byte(`
name: e2e-container
oci: {archive: ` + ocitest.Archive(t, cache) + `}
files: [{path: /etc/motd, content: "hello\n"}]
scripts: ['test "$(id -u)" = 0 && dpkg-query -W base-files >/etc/made-by-script']
warm:
  commands: ['test "$CONTAINER" = yes && id -un >"$HOME/warmed"']
disk-mb: 1024
`))
	require.NoError(t, err)
	built := func() (image.Artefacts, [sha256.Size]byte) {
		require.NoError(t, os.RemoveAll(filepath.Join(cache, r.Name)))
		a, err := image.Build(t.Context(), c, r)
		require.NoError(t, err)
		content, err := os.ReadFile(a.Root)
		require.NoError(t, err)
		return a, sha256.Sum256(content)
	}
	a, first := built()
	assert.True(t, a.Forks)
	again, second := built()
	assert.Equal(t, a, again)
	assert.Equal(t, first, second, "the same inputs give the same disk")
}
