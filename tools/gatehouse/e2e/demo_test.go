//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The demo checks each step of its story itself; here its end is looked at
// from outside, by another gatehouse on the same data.
func TestTheDemoTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	out, err := run(t, 10*time.Minute, "", nil, binary, "demo", "--data", data)
	require.NoError(t, err, out)
	t.Log(out)
	assert.Regexp(t, `check voted Verified -1:\n(?s:.*)unit \S+ : FAILURE(?s:.*)TestVersion6KeepsItsTime`, out)
	assert.Regexp(t, `check voted Verified -1:\n(?s:.*)lint \S+ : FAILURE(?s:.*)timeLow`, out)
	assert.Contains(t, out, "check voted Verified +1")
	assert.Empty(t, running(t, data))

	g, err := up(data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.stop()) })
	match := regexp.MustCompile(`/c/uuid-1/\+/(\d+)`).FindStringSubmatch(out)
	require.NotNil(t, match, out)
	var change struct {
		detail
		Revisions map[string]struct {
			Number int `json:"_number"`
		} `json:"revisions"`
	}
	g.rest(t, http.MethodGet, "/changes/"+match[1]+"/detail?o=CURRENT_REVISION", nil, &change)
	assert.Equal(t, "MERGED", change.Status)
	assert.Equal(t, 2, change.verified())

	clone := filepath.Join(t.TempDir(), "clone")
	cloned, err := run(t, time.Minute, "", gitEnv(data), "git", "clone", "--quiet", "http://"+g.Review+"/uuid-1", clone)
	require.NoError(t, err, cloned)
	merged, err := exec.CommandContext(t.Context(), "git", "-C", clone, "log", "-1", "--format=%s", "main").Output()
	require.NoError(t, err)
	assert.Equal(t, "NewV6: keep all bits of the time", strings.TrimSpace(string(merged)))
	assert.Equal(t, 3, change.Revisions[change.CurrentRevision].Number, fmt.Sprint(change.Revisions))
}
