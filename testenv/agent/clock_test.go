package agent

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAClockAtTheWrongPaceIsFoundOut(t *testing.T) {
	t.Parallel()
	start := time.Now()
	from := instant{1000, start}
	for own, right := range map[time.Duration]bool{
		3 * time.Second: true, 2900 * time.Millisecond: true, 3200 * time.Millisecond: true,
		7200 * time.Millisecond: false, 1500 * time.Millisecond: false, 0: false,
	} {
		err := checkPace(from, instant{1003, start.Add(own)})
		assert.Equal(t, right, err == nil, "%v in 3 s: %v", own, err)
	}
}

func TestTheNextSecondOfAClockIsAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "since_epoch")
		require.NoError(t, os.WriteFile(file, []byte("1700000000\n"), 0o600))
		began := time.Now()
		time.AfterFunc(700*time.Millisecond, func() {
			assert.NoError(t, os.WriteFile(file, []byte("1700000001\n"), 0o600))
		})
		at, err := nextSecond(file)
		require.NoError(t, err)
		assert.Equal(t, int64(1700000001), at.real)
		assert.InDelta(t, 0.7, at.own.Sub(began).Seconds(), 0.02)
		_, err = nextSecond(file)
		require.ErrorContains(t, err, "stands still")
		_, err = nextSecond(filepath.Join(t.TempDir(), "none"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}
