package db_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

func scanKey(row db.Row) (id string, err error) {
	err = row.Scan(&id)
	return id, err
}

func TestCollectReadsAllRowsAndFreesTheConnection(t *testing.T) {
	handle := open(t, "") // with one connection
	_, err := handle.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 1), ('b', 2), ('c', 3)")
	require.NoError(t, err)
	keys, err := db.Collect(t.Context(), handle, scanKey, "SELECT id FROM things WHERE id <> $1 AND n IN "+db.Parameters(2, 2), "b", 2, 3)
	require.NoError(t, err)
	assert.Equal(t, []string{"c"}, keys)

	wrong := errors.New("wrong")
	_, err = db.Collect(t.Context(), handle, func(db.Row) (int, error) { return 0, wrong }, "SELECT id FROM things")
	require.ErrorIs(t, err, wrong)
	_, err = db.Collect(t.Context(), handle, scanKey, "SELECT nothing FROM things")
	require.Error(t, err)

	keys, err = db.Collect(t.Context(), handle, scanKey, "SELECT id FROM things ORDER BY id")
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c"}, keys)
}

func TestChangedTellsWhetherThereWasSuchARow(t *testing.T) {
	handle := open(t, "")
	_, err := handle.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 1)")
	require.NoError(t, err)
	for _, want := range []bool{true, false} {
		changed, err := db.Changed(handle.ExecContext(t.Context(), "DELETE FROM things WHERE id = 'a'"))
		require.NoError(t, err)
		assert.Equal(t, want, changed)
	}
	_, err = db.Changed(handle.ExecContext(t.Context(), "DELETE FROM nowhere"))
	require.Error(t, err)
}
