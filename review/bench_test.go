package review_test

import (
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

// BenchmarkPush pushes one commit with git, for review to us and to a branch
// of git's own http-backend: the aim is at most 1.3 times the latter.
func BenchmarkPush(b *testing.B) {
	b.Run("gatehouse", func(b *testing.B) {
		site := reviewtest.Start(b)
		site.Project(b, "p")
		push(b, site.Clone(b, "ann", "p"), "HEAD:refs/for/main")
	})
	b.Run("http-backend", func(b *testing.B) {
		push(b, reviewtest.CloneFrom(b, httpBackend(b), "ann"), "HEAD:refs/heads/topic")
	})
}

// push pushes b.N commits, each on the first one.
func push(b *testing.B, c *reviewtest.Clone, refspec string) {
	b.Helper()
	c.Git("commit", "-q", "--allow-empty", "-m", "Base")
	base := c.Git("rev-parse", "HEAD^")
	i := 0
	for b.Loop() {
		b.StopTimer()
		c.Git("reset", "-q", "--hard", base)
		i++
		c.Commit("f-"+strconv.Itoa(i), strings.Repeat("x\n", i), "Change "+strconv.Itoa(i))
		b.StartTimer()
		c.Git("push", "-q", "origin", "+"+refspec)
	}
}

// httpBackend serves a repository by git http-backend, as the address says.
func httpBackend(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	repo := filepath.Join(dir, "p.git")
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", repo},
		{"-C", repo, "config", "http.receivepack", "true"},
	} {
		require.NoError(b, exec.CommandContext(b.Context(), "git", args...).Run())
	}
	tree := strings.TrimSpace(gitOut(b, repo, "hash-object", "-w", "-t", "tree", "/dev/null"))
	commit := gitOut(b, repo, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit-tree", "-m", "Initial", tree)
	gitOut(b, repo, "update-ref", "refs/heads/main", strings.TrimSpace(commit))
	core, err := exec.CommandContext(b.Context(), "git", "--exec-path").Output()
	require.NoError(b, err)
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	b.Cleanup(server.Close)
	return server.URL + "/p.git"
}

func gitOut(b *testing.B, dir string, args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	require.NoError(b, err)
	return string(out)
}
