package db_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

var schema = fstest.MapFS{"00001_things.sql": {Data: []byte(
	"-- +goose Up\nCREATE TABLE things (id TEXT PRIMARY KEY, n INTEGER NOT NULL);\n",
)}}

func open(t *testing.T, file string) *sql.DB {
	t.Helper()
	handle, err := db.Open(t.Context(), file, schema)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, handle.Close()) })
	return handle
}

func TestADatabaseSurvivesBeingReopened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a dir", "things?.db")
	first := open(t, file)
	_, err := first.ExecContext(t.Context(), "INSERT INTO things VALUES ($1, $2)", "a", 7)
	require.NoError(t, err)

	var n int
	require.NoError(t, open(t, file).QueryRowContext(t.Context(), "SELECT n FROM things WHERE id = $1", "a").Scan(&n))
	assert.Equal(t, 7, n)

	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestASecondRowWithTheSameKeyIsNotUnique(t *testing.T) {
	handle := open(t, "")
	_, err := handle.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 1)")
	require.NoError(t, err)
	_, err = handle.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 2)")
	assert.True(t, db.IsUnique(err))
	assert.False(t, db.IsUnique(errors.New("other")))
}

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	handle := open(t, "")
	wrong := errors.New("wrong")
	err := db.InTx(t.Context(), handle, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 1)")
		require.NoError(t, err)
		return wrong
	})
	require.ErrorIs(t, err, wrong)
	var n int
	require.NoError(t, handle.QueryRowContext(t.Context(), "SELECT count(*) FROM things").Scan(&n))
	assert.Zero(t, n)
}

func TestParallelWritersWaitForEachOther(t *testing.T) {
	handle := open(t, filepath.Join(t.TempDir(), "things.db"))
	_, err := handle.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 0)")
	require.NoError(t, err)

	increment := func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(t.Context(), "SELECT n FROM things").Scan(&n); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "UPDATE things SET n = $1", n+1)
		return err
	}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 20 {
				assert.NoError(t, db.InTx(context.Background(), handle, increment))
			}
		})
	}
	writers.Wait()
	var n int
	require.NoError(t, handle.QueryRowContext(t.Context(), "SELECT n FROM things").Scan(&n))
	assert.Equal(t, 160, n)
}
