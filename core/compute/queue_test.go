package compute

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A worker may find the new task of a server, deleting say, before restart ends
// its work: the task must not be lost with the work.
func TestWorkThatIsRestartedComesAgain(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.add("server")
	work, id, done, err := q.take(t.Context())
	require.NoError(t, err)
	require.Equal(t, "server", id)

	q.restart("server")
	require.Error(t, work.Err())
	_, id, _ = q.try(t.Context())
	require.Empty(t, id, "one worker at a time")
	done()
	work, id, _, err = q.take(t.Context())
	require.NoError(t, err)
	require.Equal(t, "server", id)
	require.NoError(t, work.Err())
}
