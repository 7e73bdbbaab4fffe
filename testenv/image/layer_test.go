package image

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALayerThatFailsLeavesNothingAndOneThatIsThereIsTaken(t *testing.T) {
	b := newBuild(t)
	file := filepath.Join(b.config.Dir, "base-1.tar")
	fail := func(_ context.Context, to string) error {
		require.NoError(t, os.WriteFile(to, []byte("half"), 0o600))
		return os.ErrClosed
	}
	require.ErrorIs(t, b.make(t.Context(), layer{"base", file, fail}), os.ErrClosed)
	left, err := filepath.Glob(file + "*")
	require.NoError(t, err)
	assert.Empty(t, left)
	work := func(_ context.Context, to string) error { return os.WriteFile(to, []byte("whole"), 0o600) }
	require.NoError(t, b.make(t.Context(), layer{"base", file, work}))
	require.NoError(t, b.make(t.Context(), layer{"base", file, fail}), "it is there")
}

func TestOnlyTheLastBuildIsKept(t *testing.T) {
	b := newBuild(t)
	a := b.artefacts()
	old := filepath.Join(b.dir, "root-0123.qcow2")
	for _, file := range []string{old, old + ".new", b.baseTar, notesOf(b.baseTar), a.Kernel, a.Ramdisk, a.Root} {
		require.NoError(t, os.WriteFile(file, nil, 0o600))
	}
	check := filepath.Join(b.dir, "check-123")
	require.NoError(t, os.Mkdir(check, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(check, "config.iso"), nil, 0o600))
	assert.False(t, b.checked(a))
	require.NoError(t, b.keep(a))
	assert.True(t, b.checked(a))
	assert.NoFileExists(t, old)
	assert.NoDirExists(t, check, "a killed build's")
	assert.NoFileExists(t, old+".new")
	assert.FileExists(t, a.Root)
	assert.FileExists(t, b.config.Agent)
}

func TestOneBuildAtATimeWorksInADirectory(t *testing.T) {
	b := newBuild(t)
	waiting := make(chan string, 1)
	unlock, err := b.lock(t.Context(), b.dir)
	require.NoError(t, err)
	b.config.Progress = func(e Event) { waiting <- e.Text }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := b.lock(ctx, b.dir)
		ended <- err
	}()
	assert.Contains(t, <-waiting, "waiting for another build")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	unlock()
	unlock, err = b.lock(t.Context(), b.dir)
	require.NoError(t, err)
	unlock()
}

func TestWhatWasFetchedIsFetchedAgainOnlyToRefresh(t *testing.T) {
	b := newBuild(t)
	content := "one"
	get := func(_ context.Context, w io.Writer) (fetched, error) {
		_, err := io.WriteString(w, content)
		return fetched{Origin: "here", Environment: []string{"A=1"}}, err
	}
	first, err := b.fetchOnce(t.Context(), "base", b.baseTar, get)
	require.NoError(t, err)
	assert.Equal(t, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", first.Digest)
	content = "two"
	again, err := b.fetchOnce(t.Context(), "base", b.baseTar, get)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	b.config.Refresh = true
	refreshed, err := b.fetchOnce(t.Context(), "base", b.baseTar, get)
	require.NoError(t, err)
	assert.NotEqual(t, first.Digest, refreshed.Digest)

	_, err = b.fetchOnce(t.Context(), "base", b.baseTar, func(context.Context, io.Writer) (fetched, error) {
		return fetched{}, os.ErrClosed
	})
	require.ErrorIs(t, err, os.ErrClosed)
	b.config.Refresh = false
	kept, err := b.fetchOnce(t.Context(), "base", b.baseTar, get)
	require.NoError(t, err)
	assert.Equal(t, refreshed, kept, "a refresh that fails leaves what was there")
}
