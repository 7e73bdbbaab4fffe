package sshd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAStalledReaderHoldsUpNobody has one client that never reads its stream,
// until the buffers between are full, and another that does.
func TestAStalledReaderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.Project(t, "p")
	c := d.Clone(t, "ann", "p")
	c.Commit("f", "f", "Subject")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	key := d.key("gate", "ed25519")
	after := fmt.Sprint(d.LastEvent())

	stalled := d.command("gate", key, "gerrit", "stream-events", "--after", after)
	_, err := stalled.StdoutPipe() // nobody reads it
	require.NoError(t, err)
	require.NoError(t, stalled.Start())
	reader := d.command("gate", key, "gerrit", "stream-events", "--after", after)
	stdout, err := reader.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, reader.Start())
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)

	// 3 MB: more than the window of a channel (2 MB) and a pipe hold.
	ann := d.Account(t, "ann")
	topic := strings.Repeat("x", 1500)
	const events = 800 // each tells the new and the old topic
	for i := range events {
		_, err := d.SetTopic(t.Context(), ann, 1, fmt.Sprintf("%s%d", topic, i))
		require.NoError(t, err)
	}
	for i := range events {
		require.True(t, lines.Scan())
		var event struct{ Change struct{ Topic string } }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event))
		assert.Equal(t, fmt.Sprintf("%s%d", topic, i), event.Change.Topic)
	}
	require.NoError(t, stalled.Process.Kill())
	require.Error(t, stalled.Wait())
	require.NoError(t, reader.Process.Kill())
	require.Error(t, reader.Wait())
}
