package review_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

func TestPushOptionsAreCarriedOut(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	out := c.Git("push", "-o", "topic=letters", "-o", "hashtag=#Two", "origin",
		"HEAD:refs/for/refs/heads/main%wip,cc=bob,r=admin@example.com,m=This_is_a%2C_rework,l=Code-Review+1,notify=NONE")
	assert.Contains(t, clean(out), " Subject [WIP] [NEW]\n")
	change, err := site.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	d, err := site.Detail(t.Context(), change, review.WantCurrent|review.WantReviewers|review.WantMessages|review.WantVotes)
	require.NoError(t, err)
	assert.Equal(t, "letters", d.Topic)
	assert.Equal(t, []string{"two"}, d.Hashtags)
	assert.True(t, d.WIP)
	assert.Equal(t, "This is a, rework", d.Current().Description)
	assert.Equal(t, "Uploaded patch set 1.\n\nThis is a, rework", d.Messages[0].Text)
	states := map[string]review.ReviewerState{}
	for _, r := range d.Reviewers {
		states[r.Account.Username] = r.State
	}
	assert.Equal(t, map[string]review.ReviewerState{"bob": review.CC, "admin": review.Reviewer, "ann": review.Reviewer}, states)
	assert.Equal(t, []string{"ann Code-Review 1"}, votes(t, site))

	c.Amend("f.txt", "again\n")
	out = c.Git("push", "origin", "HEAD:refs/for/main%ready,private")
	assert.Contains(t, clean(out), " Subject [PRIVATE]\n")
	c.Amend("f.txt", "and again\n")
	c.Git("push", "origin", "HEAD:refs/for/main%remove-private")
	change, err = site.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	assert.False(t, change.WIP)
	assert.False(t, change.Private)
	assert.Equal(t, "letters", change.Topic, "it stays without the option")
}

func TestLongSubjectsAreCutAtASpace(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	c.Commit("f", "f", "A subject of words that goes on and on until it is longer than eighty characters are")
	out := c.Git("push", "origin", "HEAD:refs/for/main")
	assert.Contains(t, clean(out), "/c/p/+/1 A subject of words that goes on and on until it is longer than eighty... [NEW]\n")
	assert.Contains(t, out, "commit "+c.Git("rev-parse", "HEAD")[:7]+": warning: subject >50 characters; use shorter first paragraph")
}

func TestShallowAndPartialClonesWork(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "admin", "p")
	for _, name := range []string{"one", "two", "three"} {
		c.Commit(name, name, "Add "+name)
	}
	c.Git("push", "-q", "origin", "HEAD:refs/heads/main")
	for digit, how := range map[string]string{"a": "--depth=1", "b": "--filter=blob:none"} {
		dir := t.TempDir()
		c.Git("clone", "-q", how, c.Git("remote", "get-url", "origin"), dir)
		c.Git("-C", dir, "commit", "-q", "--allow-empty", "-m", "From "+how+"\n\nChange-Id: "+someID[:40]+digit)
		assert.Contains(t, c.Git("-C", dir, "push", "origin", "HEAD:refs/for/main"), "SUCCESS", "%s", how)
	}
}
