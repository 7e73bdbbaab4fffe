//go:build e2e

package e2e_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGitReviewWorksUnchangedOverSSH(t *testing.T) {
	t.Parallel()
	r := shared.project(t, "git-review-ssh", map[string]string{"README": "text\n"})
	host, port, err := net.SplitHostPort(shared.SSH)
	require.NoError(t, err)
	key := filepath.Join(r.dir, ".git", "key")
	out, err := run(t, time.Minute, r.dir, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	require.NoError(t, err, out)
	public, err := os.ReadFile(key + ".pub")
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, shared.addSSHKey(t, string(public)))
	ssh := "ssh -i " + key + " -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	// git-review starts scp by itself, which reads no GIT_SSH_COMMAND.
	require.NoError(t, os.MkdirAll(filepath.Join(r.dir, ".git", "bin"), 0o700))
	scp := "#!/bin/sh\nexec /usr/bin/scp " + strings.TrimPrefix(ssh, "ssh ") + " \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, ".git", "bin", "scp"), []byte(scp), 0o700))
	plain := "#!/bin/sh\nexec /usr/bin/" + ssh + " \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, ".git", "bin", "ssh"), []byte(plain), 0o700))
	r.git(t, "remote", "remove", "origin")
	r.git(t, "remote", "add", "gerrit", "ssh://admin@"+net.JoinHostPort(host, port)+"/"+r.name)
	gitReviewStory(t, r, filepath.Join(r.dir, ".git", "bin"))
}

func TestGitReviewWorksUnchangedOverHTTP(t *testing.T) {
	t.Parallel()
	r := shared.project(t, "git-review-http", map[string]string{"README": "text\n"})
	r.git(t, "remote", "rename", "origin", "gerrit")
	gitReviewStory(t, r, "")
}

// gitReviewStory does what a developer does with git-review.
func gitReviewStory(t *testing.T, r *repository, bin string) {
	t.Helper()
	review := func(args ...string) string {
		t.Helper()
		env := append(gitEnv(r.dir), "PATH="+bin+":/usr/bin:/bin")
		out, err := run(t, 2*time.Minute, r.dir, env, "/usr/bin/git-review", args...)
		require.NoError(t, err, "git review %s\n%s", strings.Join(args, " "), out)
		return out
	}
	require.NoError(t, os.Remove(filepath.Join(r.dir, ".git/hooks/commit-msg")))
	r.git(t, "config", "gitreview.branch", "main")
	review("-s")
	require.FileExists(t, filepath.Join(r.dir, ".git/hooks/commit-msg"))
	r.git(t, "checkout", "--quiet", "-b", "topic")
	r.commit(t, "Say more", map[string]string{"README": "more text\n"})
	out := review("main")
	match := changeURL.FindStringSubmatch(out)
	require.NotNil(t, match, out)
	assert.Contains(t, review("-l"), "Say more")

	r.git(t, "checkout", "--quiet", "main")
	review("-d", match[1])
	assert.Equal(t, "Say more\n", r.git(t, "log", "-1", "--format=%s"))
	number, err := strconv.Atoi(match[1])
	require.NoError(t, err)
	assert.Equal(t, "NEW", shared.detail(t, number).Status)
}

// addSSHKey registers a key of the administrator and returns the status.
func (g *gatehouse) addSSHKey(t *testing.T, public string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.Review+"/a/accounts/self/sshkeys", strings.NewReader(public))
	require.NoError(t, err)
	request.SetBasicAuth("admin", g.password)
	request.Header.Set("Content-Type", "text/plain")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	return response.StatusCode
}
