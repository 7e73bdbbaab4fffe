package review_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

// vote gives one vote on the current patch set.
func vote(t *testing.T, site *reviewtest.Site, user string, change int64, label string, value int) error {
	t.Helper()
	_, err := site.Review(t.Context(), site.Account(t, user), change, 0, review.ReviewInput{Labels: map[string]int{label: value}})
	return err
}

// votes are those on the current patch set of change 1, "ann Code-Review 1".
func votes(t *testing.T, site *reviewtest.Site) []string {
	t.Helper()
	c, err := site.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	d, err := site.Detail(t.Context(), c, review.WantVotes)
	require.NoError(t, err)
	all := []string{}
	for _, v := range d.CurrentVotes("") {
		all = append(all, fmt.Sprintf("%s %s %d", v.Account.Username, v.Label, v.Value))
	}
	return all
}

func TestWhoMayVoteWhat(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	tests := []struct {
		user, label string
		value       int
		allowed     bool
	}{
		{"ann", "Code-Review", 1, true},
		{"ann", "Code-Review", -1, true},
		{"ann", "Code-Review", 2, false},
		{"ann", "Code-Review", -2, false},
		{"bob", "Verified", 1, false},
		{"bob", "Workflow", 1, false},
		{"bob", "Workflow", -1, true},
		{"admin", "Code-Review", 2, true},
		{"admin", "Verified", -2, true},
		{"admin", "Workflow", 1, true},
		{"gate", "Verified", 2, true},
		{"gate", "Code-Review", 2, false},
	}
	for _, test := range tests {
		err := vote(t, site, test.user, 1, test.label, test.value)
		if test.allowed {
			assert.NoError(t, err, "%v", test)
		} else {
			assert.True(t, fault.Is(err, fault.Forbidden), "%v: %v", test, err)
		}
	}
	_, err := site.Review(t.Context(), nil, 1, 0, review.ReviewInput{Message: "anonymous"})
	assert.True(t, fault.Is(err, fault.Unauthorized))
	err = vote(t, site, "admin", 1, "Code-Review", 7)
	assert.NoError(t, err, "a value that does not exist is dropped")
}

func TestVotesFollowToTheNextPatchSetByItsKind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		next func(c *reviewtest.Clone)
		kind review.Kind
		kept []string
	}{
		{"rework", func(c *reviewtest.Clone) { c.Amend("f.txt", "other\n") }, review.Rework, []string{"admin Code-Review -2"}},
		{"message", func(c *reviewtest.Clone) { amendMessage(c, "Other subject") }, review.NoCodeChange, []string{"admin Code-Review -2"}},
		{"nothing", func(c *reviewtest.Clone) {
			c.Git("commit", "-q", "--amend", "--no-edit", "--date=2001-01-01T00:00:00Z")
		},
			review.NoChange, []string{"admin Code-Review -2", "bob Code-Review 1", "gate Verified 1"}},
		{"rebase", func(c *reviewtest.Clone) { c.Git("rebase", "-q", "elsewhere") },
			review.TrivialRebase, []string{"admin Code-Review -2", "bob Code-Review 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			site := reviewtest.Start(t)
			site.Project(t, "p")
			c := site.Clone(t, "admin", "p")
			c.Git("checkout", "-q", "-b", "elsewhere")
			c.Commit("g.txt", "g\n", "Unrelated")
			c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
			c.Git("checkout", "-q", "-b", "work", "HEAD^")
			proper(c)
			c.Git("push", "-q", "origin", "HEAD:refs/for/main")
			require.NoError(t, vote(t, site, "bob", 1, "Code-Review", 1))
			require.NoError(t, vote(t, site, "admin", 1, "Code-Review", -2))
			require.NoError(t, vote(t, site, "gate", 1, "Verified", 1))
			test.next(c)
			c.Git("push", "origin", "HEAD:refs/for/main")
			p, err := site.PatchSet(t.Context(), nil, 1, "current")
			require.NoError(t, err)
			assert.Equal(t, 2, p.Number)
			assert.Equal(t, test.kind, p.Kind)
			assert.ElementsMatch(t, test.kept, votes(t, site))
		})
	}
}

// amendMessage changes the subject and keeps the Change-Id.
func amendMessage(c *reviewtest.Clone, subject string) {
	_, footer, _ := strings.Cut(c.Git("log", "-1", "--format=%B"), "\n")
	c.Git("commit", "-q", "--amend", "-m", subject+"\n"+footer)
}

func TestSubmitNeedsTheRequirements(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	admin := site.Account(t, "admin")

	_, err := site.Submit(t.Context(), site.Account(t, "ann"), 1)
	assert.True(t, fault.Is(err, fault.Forbidden))
	_, err = site.Submit(t.Context(), admin, 1)
	require.EqualError(t, err, "Failed to submit 1 change due to the following problems:\nChange 1: submit requirement 'Code-Review' is unsatisfied.")
	assert.True(t, fault.Is(err, fault.Conflict))

	require.NoError(t, vote(t, site, "admin", 1, "Code-Review", 2))
	_, err = site.SetWIP(t.Context(), admin, 1, true, "")
	require.NoError(t, err)
	_, err = site.Submit(t.Context(), admin, 1)
	require.ErrorContains(t, err, "Change 1 is work in progress")
	_, err = site.SetWIP(t.Context(), admin, 1, false, "")
	require.NoError(t, err)

	merged, err := site.Submit(t.Context(), admin, 1)
	require.NoError(t, err)
	assert.Equal(t, review.StatusMerged, merged.Status)
	assert.Equal(t, c.Git("rev-parse", "HEAD"), merged.MergedAs, "the branch went forward to the commit")
	c.Git("fetch", "-q")
	assert.Equal(t, merged.MergedAs, c.Git("rev-parse", "origin/main"))
	_, err = site.Submit(t.Context(), admin, 1)
	require.EqualError(t, err, "change is merged")
}

func TestAGatedBranchNeedsVerifiedAndWorkflow(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	admin := site.Account(t, "admin")
	c := site.Clone(t, "admin", "p")
	c.Commit(".gate.yaml", "[]\n", "Gate")
	c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	require.NoError(t, vote(t, site, "admin", 1, "Code-Review", 2))
	_, err := site.Submit(t.Context(), admin, 1)
	require.ErrorContains(t, err, "Change 1: submit requirement 'Verified' is unsatisfied. submit requirement 'Workflow' is unsatisfied.")
	require.NoError(t, vote(t, site, "gate", 1, "Verified", 2))
	require.NoError(t, vote(t, site, "admin", 1, "Workflow", 1))
	_, err = site.Submit(t.Context(), site.Account(t, "gate"), 1)
	require.NoError(t, err)
}

func TestSubmitMergesTheAncestorsToo(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	admin := site.Account(t, "admin")
	c := site.Clone(t, "ann", "p")
	c.Commit("a.txt", "a\n", "A")
	c.Commit("b.txt", "b\n", "B")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	other := site.Clone(t, "admin", "p")
	other.Commit("c.txt", "c\n", "Meanwhile")
	other.Git("push", "-q", "origin", "HEAD:refs/heads/main")

	require.NoError(t, vote(t, site, "admin", 2, "Code-Review", 2))
	_, err := site.Submit(t.Context(), admin, 2)
	require.EqualError(t, err, "Failed to submit 2 changes due to the following problems:\nChange 1: submit requirement 'Code-Review' is unsatisfied.")
	require.NoError(t, vote(t, site, "admin", 1, "Code-Review", 2))
	_, err = site.Submit(t.Context(), admin, 2)
	require.NoError(t, err)
	first, err := site.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	assert.Equal(t, review.StatusMerged, first.Status)
	c.Git("pull", "-q", "--ff-only")
	assert.Equal(t, "a.txt\nb.txt\nc.txt", c.Git("ls-files"))
	assert.Len(t, strings.Fields(c.Git("log", "-1", "--format=%P")), 2, "a merge commit")
}

func TestSubmitOfAConflictChangesNothing(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "admin", "p")
	c.Commit("f.txt", "mine\n", "Mine")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	c.Git("reset", "-q", "--hard", "origin/main")
	c.Commit("f.txt", "theirs\n", "Theirs")
	c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
	require.NoError(t, vote(t, site, "admin", 1, "Code-Review", 2))
	_, err := site.Submit(t.Context(), site.Account(t, "admin"), 1)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	assert.Contains(t, err.Error(), "Change 1: Change could not be merged due to a path conflict in f.txt.")
	change, err := site.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	assert.True(t, change.Open())
	mergeable, err := site.Mergeable(t.Context(), change, mustPatchSet(t, site, 1))
	require.NoError(t, err)
	assert.False(t, mergeable)
	_, err = site.Rebase(t.Context(), site.Account(t, "admin"), 1, "")
	require.ErrorContains(t, err, "merge conflict(s):\nf.txt")
}

func mustPatchSet(t *testing.T, site *reviewtest.Site, number int64) *review.PatchSet {
	t.Helper()
	p, err := site.PatchSet(t.Context(), nil, number, "current")
	require.NoError(t, err)
	return p
}

func TestRebaseFollowsTheBranchAndTheChangeBelow(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	admin := site.Account(t, "admin")
	c := site.Clone(t, "admin", "p")
	c.Commit("a.txt", "a\n", "A")
	c.Commit("b.txt", "b\n", "B")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	_, err := site.Rebase(t.Context(), admin, 1, "")
	require.EqualError(t, err, "Change is already up to date.")

	c.Git("checkout", "-q", "-b", "elsewhere", "origin/main")
	c.Commit("c.txt", "c\n", "C")
	c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
	rebased, err := site.Rebase(t.Context(), admin, 1, "")
	require.NoError(t, err)
	assert.Equal(t, 2, rebased.PatchSet)
	p := mustPatchSet(t, site, 1)
	assert.Equal(t, []string{c.Git("rev-parse", "HEAD")}, p.Parents)
	assert.Equal(t, review.TrivialRebase, p.Kind)

	_, err = site.Rebase(t.Context(), admin, 2, "")
	require.NoError(t, err)
	assert.Equal(t, []string{p.Revision}, mustPatchSet(t, site, 2).Parents)
	_, err = site.Rebase(t.Context(), admin, 1, "2")
	require.ErrorContains(t, err, "recursion not allowed")
}

func TestDirectPushClosesTheChangesItBrings(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "admin", "p")
	c.Commit("a.txt", "a\n", "A")
	c.Commit("b.txt", "b\n", "B")
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	c.Amend("b.txt", "B\n")
	c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
	for number, patchSet := range map[int64]int{1: 1, 2: 2} {
		change, err := site.Change(t.Context(), nil, number)
		require.NoError(t, err)
		assert.Equal(t, review.StatusMerged, change.Status)
		assert.Equal(t, patchSet, change.PatchSet, "the commit that landed is the last patch set")
	}
	c.Git("fetch", "-q", "origin", "refs/changes/02/2/2")
	assert.Equal(t, c.Git("rev-parse", "HEAD"), c.Git("rev-parse", "FETCH_HEAD"))
}

func TestAPrivateChangeIsSeenByOwnerAndReviewersOnly(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	out := c.Git("push", "origin", "HEAD:refs/for/main%private")
	assert.Contains(t, clean(out), "Subject [PRIVATE] [NEW]\n")
	_, err := site.Change(t.Context(), site.Account(t, "bob"), 1)
	assert.True(t, fault.Is(err, fault.NotFound))
	_, err = site.Change(t.Context(), site.Account(t, "ann"), 1)
	require.NoError(t, err)
	bob := site.Clone(t, "bob", "p")
	assert.NotContains(t, bob.Git("ls-remote", "origin"), "refs/changes/")
	_, err = bob.Try("fetch", "origin", "refs/changes/01/1/1")
	require.Error(t, err)
	events, _, err := site.Events(t.Context(), site.Account(t, "bob"), 0, 100)
	require.NoError(t, err)
	for _, e := range events {
		assert.Zero(t, e.Change, "%s", e.JSON)
	}
	_, err = site.AddReviewers(t.Context(), site.Account(t, "ann"), 1, review.ReviewerInput{Account: "bob"})
	require.NoError(t, err)
	_, err = site.Change(t.Context(), site.Account(t, "bob"), 1)
	require.NoError(t, err)
}
