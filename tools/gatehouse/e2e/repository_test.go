//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// repository is a developer's clone of a project under review.
type repository struct {
	g    *gatehouse
	name string
	dir  string
}

// project makes a project whose branch main holds files, and a clone of it
// with the server's commit-msg hook.
func (g *gatehouse) project(t *testing.T, name string, files map[string]string) *repository {
	t.Helper()
	require.Equal(t, http.StatusCreated, g.rest(t, http.MethodPut, "/projects/"+url.PathEscape(name), map[string]any{"branches": []string{"main"}}, nil))
	r := &repository{g: g, name: name, dir: t.TempDir()}
	r.git(t, "init", "--quiet", "--initial-branch=main")
	r.git(t, "config", "user.name", "Developer")
	r.git(t, "config", "user.email", "developer@example.org")
	r.git(t, "remote", "add", "origin", "http://admin:"+g.password+"@"+g.Review+"/"+name)
	response, err := http.Get("http://" + g.Review + "/tools/hooks/commit-msg")
	require.NoError(t, err)
	defer response.Body.Close()
	hook, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, ".git/hooks/commit-msg"), hook, 0o700))
	r.commit(t, "Start", files)
	r.git(t, "push", "origin", "HEAD:refs/heads/main")
	return r
}

// git runs git in the clone and returns what it printed.
func (r *repository) git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.tryGit(t, args...)
	require.NoError(t, err, "git %s\n%s", strings.Join(args, " "), out)
	return out
}

func (r *repository) tryGit(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, 2*time.Minute, r.dir, gitEnv(r.dir), "git", args...)
}

// gitEnv keeps the configuration of whoever runs the tests out of them.
func gitEnv(home string) []string {
	return []string{"HOME=" + home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"}
}

func (r *repository) commit(t *testing.T, message string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(r.dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
	}
	r.git(t, "add", ".")
	r.git(t, "commit", "--quiet", "--message", message)
}

var changeURL = regexp.MustCompile(`/\+/(\d+)`)

// review pushes HEAD for review and returns the number of its change.
func (r *repository) review(t *testing.T) int {
	t.Helper()
	out := r.git(t, "push", "origin", "HEAD:refs/for/main")
	match := changeURL.FindStringSubmatch(out)
	require.NotNil(t, match, out)
	number, err := strconv.Atoi(match[1])
	require.NoError(t, err)
	return number
}

// detail is what the tests read of Gerrit's ChangeInfo.
type detail struct {
	Status          string `json:"status"`
	CurrentRevision string `json:"current_revision"`
	Labels          map[string]struct {
		All []struct {
			Username string `json:"username"`
			Value    int    `json:"value"`
		} `json:"all"`
	} `json:"labels"`
	Messages []struct {
		Message string `json:"message"`
	} `json:"messages"`
}

func (g *gatehouse) detail(t *testing.T, change int) detail {
	t.Helper()
	var d detail
	g.rest(t, http.MethodGet, fmt.Sprintf("/changes/%d/detail?o=CURRENT_REVISION", change), nil, &d)
	return d
}

// verified is the gate's vote on the current patch set, 0 if none.
func (d detail) verified() int {
	for _, v := range d.Labels["Verified"].All {
		if v.Value != 0 {
			return v.Value
		}
	}
	return 0
}

// reports are the messages in which the gate reports a result.
func (d detail) reports() []string {
	var found []string
	for _, m := range d.Messages {
		if strings.Contains(m.Message, "Verified") && strings.Contains(m.Message, "pipeline") {
			found = append(found, m.Message)
		}
	}
	return found
}

// awaitVerified waits for the gate's vote on the current patch set and returns
// it with the gate's last report.
func (g *gatehouse) awaitVerified(t *testing.T, change int, timeout time.Duration) (int, string) {
	t.Helper()
	var d detail
	eventually(t, timeout, fmt.Sprintf("Verified vote on change %d; gatehouse said:\n%s", change, g.out.String()), func() bool {
		d = g.detail(t, change)
		return d.verified() != 0 && len(d.reports()) > 0
	})
	reports := d.reports()
	return d.verified(), reports[len(reports)-1]
}
