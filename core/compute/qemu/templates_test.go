package qemu_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

const megabyte = 1 << 20

// builder makes templates of files that hold nothing of use.
type builder struct {
	image  string
	builds int
	fail   error
	took   time.Duration
	size   int // of the memory, in MB
}

func (b *builder) build(ctx context.Context, dir string) error {
	b.builds++
	select {
	case <-time.After(b.took):
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.fail != nil {
		return b.fail
	}
	return makeTemplate(dir, b.image, b.size)
}

func makeTemplate(dir, image string, sizeMB int) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, size := range map[string]int{"root.qcow2": 1, "empty.qcow2": 1, "memory": sizeMB * megabyte, "state": 100} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			return err
		}
	}
	return qemu.SealTemplate(dir, compute.BaseImage{File: image, Format: "raw"})
}

// newTemplates makes an empty set of templates with a budget.
func newTemplates(t *testing.T, b *builder, diskMB, memoryMB int) *qemu.Templates {
	t.Helper()
	b.image = filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(b.image, nil, 0o600))
	s, err := qemu.NewTemplates(t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil)), diskMB, memoryMB, b.build)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func TestTemplateIsBuiltOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &builder{took: time.Minute, size: 1}
		s := newTemplates(t, b, 100, 100)
		id := uuid.NewString()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, s.Acquire(impatient, id), context.DeadlineExceeded, "the build is not bound to who began it")
		over := s.Prepare(id)
		require.NotNil(t, over)
		errs := make(chan error)
		for range 8 {
			go func() { errs <- s.Acquire(t.Context(), id) }()
		}
		for range 8 {
			require.NoError(t, <-errs)
		}
		<-over
		assert.Equal(t, time.Minute, time.Since(began))
		assert.Equal(t, 1, b.builds)
		assert.Nil(t, s.Prepare(id), "there is nothing to wait for")
	})
}

func TestTemplateThatFailedIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &builder{fail: errors.New("no module"), size: 1}
		s := newTemplates(t, b, 100, 100)
		id := uuid.NewString()
		for range 3 {
			require.ErrorContains(t, s.Acquire(t.Context(), id), "no module")
			assert.Nil(t, s.Prepare(id))
		}
		assert.Equal(t, 1, b.builds)
		assert.NoDirExists(t, s.Dir(id))

		b.fail = nil
		time.Sleep(10 * time.Minute)
		require.NoError(t, s.Acquire(t.Context(), id))
		assert.Equal(t, 2, b.builds)
	})
}

func TestTemplateThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTemplates(t, &builder{took: time.Hour}, 100, 100)
		began := time.Now()
		require.ErrorContains(t, s.Acquire(t.Context(), uuid.NewString()), "not built within 15m0s")
		assert.Equal(t, 15*time.Minute, time.Since(began))
	})
}

func TestClosedDriverBuildsNoTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTemplates(t, &builder{took: time.Minute}, 100, 100)
		id := uuid.NewString()
		require.NotNil(t, s.Prepare(id))
		began := time.Now()
		s.Stop()
		assert.Zero(t, time.Since(began))
		require.ErrorContains(t, s.Acquire(t.Context(), id), "closed")
		assert.NoDirExists(t, s.Dir(id))
	})
}

func TestLeastRecentlyUsedTemplateMakesRoom(t *testing.T) {
	for name, budget := range map[string]struct{ disk, memory int }{"disk": {9, 100}, "memory": {100, 8}} {
		t.Run(name, func(t *testing.T) {
			s := newTemplates(t, &builder{size: 4}, budget.disk, budget.memory)
			first, second, third := uuid.NewString(), uuid.NewString(), uuid.NewString()
			for _, id := range []string{first, second, first} { // the second is the least recently used
				require.NoError(t, s.Acquire(t.Context(), id))
				s.Release(id)
			}
			require.NoError(t, s.Acquire(t.Context(), third))
			assert.DirExists(t, s.Dir(first))
			assert.NoDirExists(t, s.Dir(second))
			assert.DirExists(t, s.Dir(third))
		})
	}
}

func TestTemplateThatIsForkedFromIsNotEvicted(t *testing.T) {
	s := newTemplates(t, &builder{size: 4}, 100, 5)
	inUse, other, last := uuid.NewString(), uuid.NewString(), uuid.NewString()
	require.NoError(t, s.Acquire(t.Context(), inUse))
	require.NoError(t, s.Acquire(t.Context(), other))
	assert.DirExists(t, s.Dir(inUse))
	s.Release(inUse)
	require.NoError(t, s.Acquire(t.Context(), last))
	assert.NoDirExists(t, s.Dir(inUse))
}

func TestTemplateLargerThanTheBudgetIsNone(t *testing.T) {
	b := &builder{size: 4}
	s := newTemplates(t, b, 100, 3)
	id := uuid.NewString()
	require.ErrorContains(t, s.Acquire(t.Context(), id), "it takes 4 MB of disk and 4 MB of memory, more than all templates may")
	require.Error(t, s.Acquire(t.Context(), id))
	assert.Equal(t, 1, b.builds)
	assert.NoDirExists(t, s.Dir(id))
}

func TestCondemnedTemplateIsRemovedAfterItsLastUse(t *testing.T) {
	s := newTemplates(t, &builder{size: 1}, 100, 100)
	id := uuid.NewString()
	require.NoError(t, s.Acquire(t.Context(), id))
	require.NoError(t, s.Acquire(t.Context(), id))
	s.Condemn(id, errors.New("no fork of it works"))
	require.ErrorContains(t, s.Acquire(t.Context(), id), "no fork of it works")
	s.Release(id)
	assert.DirExists(t, s.Dir(id))
	s.Release(id)
	assert.NoDirExists(t, s.Dir(id))
}

func TestOnlyWholeTemplatesOutliveTheDriver(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, dir, image string)
		kept bool
	}{
		"whole":               {func(*testing.T, string, string) {}, true},
		"no record":           {func(t *testing.T, dir, _ string) { t.Helper(); remove(t, dir, "template.json") }, false},
		"cut record":          {func(t *testing.T, dir, _ string) { t.Helper(); cut(t, dir, "template.json", 20) }, false},
		"no memory":           {func(t *testing.T, dir, _ string) { t.Helper(); remove(t, dir, "memory") }, false},
		"cut memory":          {func(t *testing.T, dir, _ string) { t.Helper(); cut(t, dir, "memory", 4096) }, false},
		"cut disk":            {func(t *testing.T, dir, _ string) { t.Helper(); cut(t, dir, "root.qcow2", 0) }, false},
		"state of other size": {func(t *testing.T, dir, _ string) { t.Helper(); cut(t, dir, "state", 99) }, false},
		"other state": {func(t *testing.T, dir, _ string) {
			t.Helper()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "state"), make([]byte, 99), 0o600))
			f, err := os.OpenFile(filepath.Join(dir, "state"), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("x")
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}, false},
		"no image": {func(t *testing.T, _, image string) { t.Helper(); require.NoError(t, os.Remove(image)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			first, dir := open(t, "/bin/true")
			require.NoError(t, first.Close())
			image := filepath.Join(t.TempDir(), "image")
			require.NoError(t, os.WriteFile(image, nil, 0o600))
			template := filepath.Join(dir, "templates", uuid.NewString())
			require.NoError(t, makeTemplate(template, image, 1))
			c.harm(t, template, image)

			second, err := qemu.New(qemu.Config{
				Dir: dir, Accel: "tcg", System: "/bin/true", Image: "/bin/true", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			require.NoError(t, err)
			require.NoError(t, second.Close())
			if c.kept {
				assert.DirExists(t, template)
			} else {
				assert.NoDirExists(t, template)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	require.NoError(t, os.Remove(filepath.Join(dir, name)))
}

func cut(t *testing.T, dir, name string, size int64) {
	t.Helper()
	require.NoError(t, os.Truncate(filepath.Join(dir, name), size))
}
