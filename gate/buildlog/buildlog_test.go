package buildlog_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/buildlog"
)

const stamp = "2000-01-01 00:00:00.000000 | "

func read(t *testing.T, d *buildlog.Dir, build string) string {
	t.Helper()
	path, err := d.File(build, buildlog.Name)
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func TestLinesAreStampedHoweverTheyArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := buildlog.Open(t.TempDir())
		w, err := d.Create("b", 1<<20)
		require.NoError(t, err)
		var lines []string
		w.OnLine = func(line []byte) { lines = append(lines, string(line)) }
		for _, part := range []string{"one\ntw", "o\r\n", "\n", "no end"} {
			_, err := w.Write([]byte(part))
			require.NoError(t, err)
		}
		w.Say("step\nwith two lines")
		require.NoError(t, w.Close())
		assert.Equal(t, []string{"one", "two", "", "no end"}, lines)
		assert.Equal(t, stamp+"one\n"+stamp+"two\n"+stamp+"\n"+stamp+"no end\n"+stamp+"==> step\n"+stamp+"==> with two lines\n", read(t, d, "b"))
	})
}

func TestLineWithoutEndIsCut(t *testing.T) {
	d := buildlog.Open(t.TempDir())
	w, err := d.Create("b", 1<<30)
	require.NoError(t, err)
	longest, total := 0, 0
	w.OnLine = func(line []byte) { longest, total = max(longest, len(line)), total+len(line) }
	for range 100 {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10_000))
	}
	require.NoError(t, w.Close())
	assert.LessOrEqual(t, longest, 16<<10)
	assert.Equal(t, 1_000_000, total)
}

func TestEndlessOutputIsBoundedAndItsEndIsShown(t *testing.T) {
	d := buildlog.Open(t.TempDir())
	w, err := d.Create("b", 1<<20)
	require.NoError(t, err)
	seen := 0
	w.OnLine = func([]byte) { seen++ }
	line := []byte(strings.Repeat("y", 1000) + "\n")
	for range 20_000 {
		_, _ = w.Write(line)
	}
	_, _ = w.Write([]byte("--- FAIL: TestLast\n"))
	require.NoError(t, w.Close())
	log := read(t, d, "b")
	assert.Less(t, len(log), 1<<20+200<<10)
	assert.Equal(t, 20_001, seen, "what is left out is looked at all the same")
	assert.Contains(t, log, "==> the log is longer than 1 MiB")
	assert.True(t, strings.HasSuffix(log, "--- FAIL: TestLast\n"))
}

func TestFollowShowsTheLogAsItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := buildlog.Open(t.TempDir())
		w, err := d.Create("b", 1<<20)
		require.NoError(t, err)
		var seen bytes.Buffer
		ended := make(chan error, 1)
		_, _ = w.Write([]byte("before\n"))
		go func() {
			ended <- d.Follow(t.Context(), "b", 0, func(p []byte) error { seen.Write(p); return nil })
		}()
		synctest.Wait()
		assert.Equal(t, stamp+"before\n", seen.String())
		_, _ = w.Write([]byte("after\n"))
		synctest.Wait()
		assert.Equal(t, stamp+"before\n"+stamp+"after\n", seen.String())
		require.NoError(t, w.Close())
		require.NoError(t, <-ended)
		assert.Equal(t, read(t, d, "b"), seen.String())

		var again bytes.Buffer
		require.NoError(t, d.Follow(t.Context(), "b", int64(len(stamp+"before\n")), func(p []byte) error { again.Write(p); return nil }))
		assert.Equal(t, stamp+"after\n", again.String(), "a complete log is read to its end")
	})
}

func TestFollowEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := buildlog.Open(t.TempDir())
		w, err := d.Create("b", 1<<20)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Follow(ctx, "b", 0, func([]byte) error { return nil }) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, w.Close())
	})
}

func TestNamesDoNotLeaveTheFolder(t *testing.T) {
	d := buildlog.Open(t.TempDir())
	for _, name := range []string{"..", "../x", "a/b", "", ".hidden", "a\x00"} {
		_, err := d.File(name, buildlog.Name)
		require.ErrorIs(t, err, buildlog.ErrName, name)
		_, err = d.File("b", name)
		require.ErrorIs(t, err, buildlog.ErrName, name)
	}
	require.ErrorIs(t, d.Follow(t.Context(), "none", 0, nil), fs.ErrNotExist)
}

func TestPruneRemovesWhatIsOldAndComplete(t *testing.T) {
	dir := t.TempDir()
	d := buildlog.Open(dir)
	pruned, err := buildlog.Open(filepath.Join(dir, "none")).Prune(time.Now())
	require.NoError(t, err)
	assert.Zero(t, pruned)
	limit := time.Now().Add(-time.Hour)
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "new": time.Minute, "silent": 2 * time.Hour} {
		w, err := d.Create(name, 1<<20)
		require.NoError(t, err)
		if name == "silent" { // it runs and writes nothing
			defer w.Close()
		} else {
			require.NoError(t, w.Close())
		}
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(dir, name, buildlog.Name), at, at))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	pruned, err = d.Prune(limit)
	require.NoError(t, err)
	assert.Equal(t, 1, pruned)
	assert.NoDirExists(t, filepath.Join(dir, "old"))
	assert.DirExists(t, filepath.Join(dir, "new"))
	assert.DirExists(t, filepath.Join(dir, "silent"))
	assert.DirExists(t, filepath.Join(dir, "lost+found"))
}

func TestFilesListsTheLogAndTheArtifacts(t *testing.T) {
	d := buildlog.Open(t.TempDir())
	files, err := d.Files("b")
	require.NoError(t, err)
	assert.Empty(t, files)
	f, err := d.CreateFile("b", "report.xml")
	require.NoError(t, err)
	_, err = f.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	files, err = d.Files("b")
	require.NoError(t, err)
	require.Len(t, files, 1)
	assert.Equal(t, "report.xml", files[0].Name())
}
