package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The directory behaves as the cgroup file system does in what is used here.
func TestEachSessionHasACgroupOfItsOwn(t *testing.T) {
	s := &sessionGroup{path: t.TempDir(), spare: make(chan *group, 1)}
	entries := func() int {
		found, err := os.ReadDir(s.path)
		require.NoError(t, err)
		return len(found)
	}
	require.NoError(t, s.restock())
	require.NoError(t, s.restock(), "there is one already")
	assert.Equal(t, 1, entries())
	var groups []*group
	seen := make(map[string]bool)
	for range 3 {
		g, err := s.add()
		require.NoError(t, err)
		assert.DirExists(t, g.dir.Name())
		seen[g.dir.Name()] = true
		groups = append(groups, g)
	}
	assert.Len(t, seen, 3)
	require.NoError(t, os.WriteFile(filepath.Join(groups[0].dir.Name(), "daemon"), nil, 0o600))
	for _, g := range groups {
		g.remove()
	}
	assert.Equal(t, 1, entries(), "a cgroup that is in use stays")
	require.NoError(t, os.RemoveAll(s.path))
	require.Error(t, s.restock())

	var none *sessionGroup
	require.NoError(t, none.restock())
	g, err := none.add()
	require.NoError(t, err)
	g.kill()
	g.remove()
}
