package review_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

var serveSite = flag.String("serve-site", "", "run a site on this directory until killed, in place of the tests")

// TestMain lets the test binary also be the server that a test kills.
func TestMain(m *testing.M) {
	flag.Parse()
	if *serveSite == "" {
		os.Exit(m.Run())
	}
	site, _, err := reviewtest.Open(context.Background(), *serveSite, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(site.URL)
	select {}
}

// serve starts a site in a process of its own.
func serve(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-serve-site", dir)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	url, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return cmd, strings.TrimSpace(url)
}

// TestKilledServerLosesNothingItAcknowledged kills the server again and again
// while several push, and looks at what is left each time.
func TestKilledServerLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	site, end, err := reviewtest.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	site.Project(t, "p")
	require.NoError(t, end())
	acknowledged := map[string]bool{} // commits
	for round := range 6 {
		server, url := serve(t, dir)
		clones := make([]*reviewtest.Clone, 4)
		for i := range clones {
			clones[i] = reviewtest.CloneFrom(t, strings.Replace(url, "//", "//admin:"+reviewtest.Password+"@", 1)+"/p", "admin")
		}
		var mu sync.Mutex
		var pushers sync.WaitGroup
		first := make(chan struct{}, len(clones))
		for i, c := range clones {
			pushers.Go(func() {
				for n := 0; ; n++ {
					c.Commit(fmt.Sprintf("f-%d-%d-%d", round, i, n), "x", "Change")
					commit := c.Git("rev-parse", "HEAD")
					if _, err := c.Try("push", "-q", "origin", "HEAD:refs/for/main"); err != nil {
						return // it is dead
					}
					mu.Lock()
					acknowledged[commit] = true
					mu.Unlock()
					if n == 0 {
						first <- struct{}{}
					}
				}
			})
		}
		<-first
		kill := time.NewTimer(time.Duration(round) * 37 * time.Millisecond) // at another moment each time
		<-kill.C
		require.NoError(t, server.Process.Kill())
		require.Error(t, server.Wait())
		pushers.Wait()
		checkWhole(t, dir, acknowledged)
	}
}

// checkWhole opens the site's state and compares the database with git.
func checkWhole(t *testing.T, dir string, acknowledged map[string]bool) {
	t.Helper()
	site, end, err := reviewtest.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, end()) }()
	inDatabase := map[string]string{} // refs to commits
	commits := map[string]bool{}
	for start, more := 0, true; more; start += review.MaxLimit {
		var changes []review.Change
		changes, more, err = site.Search(t.Context(), site.Account(t, "admin"), review.Query{Start: start})
		require.NoError(t, err)
		details, err := site.Details(t.Context(), changes, review.WantPatchSets)
		require.NoError(t, err)
		for _, d := range details {
			require.Len(t, d.PatchSets, d.PatchSet)
			for _, p := range d.PatchSets {
				inDatabase[p.Ref()] = p.Revision
				commits[p.Revision] = true
			}
		}
	}
	for commit := range acknowledged {
		assert.True(t, commits[commit], "acknowledged and lost: %s", commit)
	}
	repo := filepath.Join(dir, "git", "p.git")
	inGit := map[string]string{}
	for line := range strings.Lines(gitIn(t, repo, "for-each-ref", "--format=%(refname) %(objectname)", "refs/changes")) {
		ref, commit, _ := strings.Cut(strings.TrimSpace(line), " ")
		inGit[ref] = commit
	}
	assert.Equal(t, inDatabase, inGit)
	gitIn(t, repo, "fsck", "--strict", "--no-dangling")
	left, err := filepath.Glob(filepath.Join(repo, "objects", "incoming-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return string(out)
}
