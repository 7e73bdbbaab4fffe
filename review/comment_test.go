package review_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

// changed is a site with a change by ann, number 1.
func changed(t *testing.T) *reviewtest.Site {
	t.Helper()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	return site
}

func TestDraftsAreTheAuthorsUntilPublished(t *testing.T) {
	t.Parallel()
	site := changed(t)
	ann, bob := site.Account(t, "ann"), site.Account(t, "bob")
	draft, err := site.SaveDraft(t.Context(), bob, review.Comment{Change: 1, PatchSet: 1, Path: "f.txt", Line: 1, Message: "why?", Unresolved: true})
	require.NoError(t, err)
	draft.Message = "why not?"
	draft, err = site.SaveDraft(t.Context(), bob, draft)
	require.NoError(t, err)
	others, err := site.Drafts(t.Context(), ann, 1, 0)
	require.NoError(t, err)
	assert.Empty(t, others)
	published, err := site.Comments(t.Context(), ann, 1, 0)
	require.NoError(t, err)
	assert.Empty(t, published)
	assert.True(t, fault.Is(site.DeleteDraft(t.Context(), ann, 1, draft.ID), fault.NotFound))

	_, err = site.Review(t.Context(), bob, 1, 1, review.ReviewInput{Drafts: review.PublishDraftsOfWhole})
	require.NoError(t, err)
	published, err = site.Comments(t.Context(), ann, 1, 1)
	require.NoError(t, err)
	require.Len(t, published, 1)
	assert.Equal(t, "why not?", published[0].Message)
	assert.Equal(t, "bob", published[0].Author.Username)

	answer := review.Comment{Path: "f.txt", Line: 1, Message: "because", InReplyTo: published[0].ID}
	_, err = site.Review(t.Context(), ann, 1, 1, review.ReviewInput{Comments: []review.Comment{answer}})
	require.NoError(t, err)
	answer.InReplyTo = "nonsense"
	_, err = site.Review(t.Context(), ann, 1, 1, review.ReviewInput{Comments: []review.Comment{answer}})
	assert.True(t, fault.Is(err, fault.BadRequest))
	published, err = site.Comments(t.Context(), nil, 1, 0)
	require.NoError(t, err)
	assert.Len(t, published, 2, "a review is published whole or not at all")
}

func TestCommentsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	site := changed(t)
	ann := site.Account(t, "ann")
	for name, c := range map[string]review.Comment{
		"no path":         {Message: "x"},
		"no message":      {Path: "f", Message: " \n"},
		"negative line":   {Path: "f", Message: "x", Line: -1},
		"backward range":  {Path: "f", Message: "x", Range: review.Range{StartLine: 2, EndLine: 1}},
		"unknown side":    {Path: "f", Message: "x", Side: "LEFT"},
		"path with a NUL": {Path: "f\x00", Message: "x"},
		"endless message": {Path: "f", Message: string(make([]byte, 17<<10)) + "x"},
	} {
		_, err := site.Review(t.Context(), ann, 1, 1, review.ReviewInput{Comments: []review.Comment{c}})
		assert.True(t, fault.Is(err, fault.BadRequest), "%s: %v", name, err)
	}
	_, err := site.Review(t.Context(), ann, 1, 2, review.ReviewInput{Message: "x"})
	assert.True(t, fault.Is(err, fault.NotFound), "no such patch set")
}

func TestReviewersComeAndGoWithTheirVotes(t *testing.T) {
	t.Parallel()
	site := changed(t)
	ann, bob := site.Account(t, "ann"), site.Account(t, "bob")
	require.NoError(t, vote(t, site, "bob", 1, "Code-Review", -1))
	assert.Equal(t, []string{"bob Code-Review -1"}, votes(t, site))
	assert.True(t, fault.Is(site.DeleteVote(t.Context(), ann, 1, bob.ID, "Code-Review"), fault.Forbidden))
	require.NoError(t, site.DeleteVote(t.Context(), bob, 1, bob.ID, "Code-Review"))
	assert.Empty(t, votes(t, site))
	require.NoError(t, vote(t, site, "bob", 1, "Code-Review", -1))
	require.NoError(t, site.RemoveReviewer(t.Context(), ann, 1, bob.ID))
	assert.Empty(t, votes(t, site))
	assert.True(t, fault.Is(site.RemoveReviewer(t.Context(), ann, 1, bob.ID), fault.NotFound))
}

func TestOwnersAndAdministratorsEditAChange(t *testing.T) {
	t.Parallel()
	site := changed(t)
	ann, bob, admin := site.Account(t, "ann"), site.Account(t, "bob"), site.Account(t, "admin")
	ctx := t.Context()
	acts := map[string]func(by *review.Account) error{
		"topic": func(by *review.Account) error { _, err := site.SetTopic(ctx, by, 1, by.Username); return err },
		"hashtag": func(by *review.Account) error {
			_, err := site.SetHashtags(ctx, by, 1, []string{by.Username}, nil)
			return err
		},
		"private": func(by *review.Account) error { _, err := site.SetPrivate(ctx, by, 1, false, ""); return err },
		"abandon": func(by *review.Account) error {
			_, err := site.Abandon(ctx, by, 1, "")
			if err == nil {
				_, err = site.Restore(ctx, by, 1, "")
			}
			return err
		},
		"wip": func(by *review.Account) error {
			_, err := site.SetWIP(ctx, by, 1, true, "")
			if err == nil {
				_, err = site.SetWIP(ctx, by, 1, false, "")
			}
			return err
		},
	}
	for name, act := range acts {
		assert.True(t, fault.Is(act(bob), fault.Forbidden), name)
		assert.NoError(t, act(ann), name)
		assert.NoError(t, act(admin), name)
	}
	actions, err := site.Actions(ctx, bob, mustChange(t, site, 1))
	require.NoError(t, err)
	assert.Equal(t, review.Action{Reason: "abandon not permitted"}, actions.Abandon)
	assert.Equal(t, review.Action{Enabled: true}, actions.Vote)
}

func mustChange(t *testing.T, site *reviewtest.Site, number int64) *review.Change {
	t.Helper()
	c, err := site.Change(t.Context(), nil, number)
	require.NoError(t, err)
	return c
}

func TestRelationChainsListChildrenFirst(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	for _, name := range []string{"a", "b", "c"} {
		c.Commit(name, name, "Add "+name)
	}
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	related, err := site.Related(t.Context(), nil, mustChange(t, site, 2), mustPatchSet(t, site, 2))
	require.NoError(t, err)
	var numbers []int64
	for _, r := range related {
		numbers = append(numbers, r.Change.Number)
	}
	assert.Equal(t, []int64{3, 2, 1}, numbers)
	together, err := site.SubmittedTogether(t.Context(), nil, mustChange(t, site, 2))
	require.NoError(t, err)
	assert.Len(t, together, 2)
	one, err := site.SubmittedTogether(t.Context(), nil, mustChange(t, site, 1))
	require.NoError(t, err)
	assert.Empty(t, one)
}
