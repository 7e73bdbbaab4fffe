package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The demo's patch sets must do to the pinned module what they say, whatever
// version that becomes: here without machines, and so without the linter.
func TestThePatchSetsOfTheStoryDoWhatTheySay(t *testing.T) {
	source, version, err := moduleSource(t.Context())
	require.NoError(t, err)
	t.Log(version)
	dir := t.TempDir()
	require.NoError(t, copyTree(dir, source))
	test := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "test", "./...")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for i, set := range patchSets {
		for _, e := range set.edits {
			require.NoError(t, e.apply(dir))
		}
		out, err := test()
		if i == 0 {
			require.Error(t, err)
			assert.Contains(t, out, "--- FAIL: "+set.report)
			continue
		}
		require.NoError(t, err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "time.go"))
	require.NoError(t, err)
	assert.NotContains(t, string(text), "timeLow")
}
