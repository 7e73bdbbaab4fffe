package review_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

// told is what of an event the tests look at.
type told struct {
	Type     string
	Project  string
	RefName  string
	Reason   string
	NewRev   string
	Comment  string
	Change   *review.ChangeAttribute
	PatchSet *review.PatchSetAttribute
	Author   *review.AccountAttribute
	Uploader *review.AccountAttribute

	RefUpdate *review.RefUpdateAttribute
	Approvals []review.ApprovalAttribute
	CreatedOn int64 `json:"eventCreatedOn"`
}

func TestEventsTellTheLifeOfAChange(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	after := site.LastEvent()
	ann, admin := site.Account(t, "ann"), site.Account(t, "admin")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main%r=bob")
	_, err := site.Abandon(t.Context(), ann, 1, "not now")
	require.NoError(t, err)
	_, err = site.Restore(t.Context(), ann, 1, "now")
	require.NoError(t, err)
	_, err = site.SetTopic(t.Context(), ann, 1, "letters")
	require.NoError(t, err)
	_, err = site.Review(t.Context(), admin, 1, 1, review.ReviewInput{Message: "Fine.", Labels: map[string]int{"Code-Review": 2},
		Comments: []review.Comment{{Path: "f.txt", Line: 1, Message: "good"}}})
	require.NoError(t, err)
	_, err = site.Submit(t.Context(), admin, 1)
	require.NoError(t, err)

	events, next, err := site.Events(t.Context(), ann, after, 100)
	require.NoError(t, err)
	assert.Equal(t, site.LastEvent(), next)
	var types []string
	byType := map[string]told{}
	for _, e := range events {
		var body told
		require.NoError(t, json.Unmarshal(e.JSON, &body), "%s", e.JSON)
		assert.NotZero(t, body.CreatedOn)
		types = append(types, body.Type)
		byType[body.Type] = body
	}
	assert.Equal(t, []string{"patchset-created", "reviewer-added", "change-abandoned", "change-restored", "topic-changed",
		"comment-added", "ref-updated", "change-merged"}, types)

	head := c.Git("rev-parse", "HEAD")
	created := byType["patchset-created"]
	assert.Equal(t, "p", created.Project)
	assert.Equal(t, "refs/heads/main", created.RefName)
	assert.Equal(t, "refs/changes/01/1/1", created.PatchSet.Ref)
	assert.Equal(t, head, created.PatchSet.Revision)
	assert.Equal(t, "ann", created.Uploader.Username)
	assert.Equal(t, int64(1), created.Change.Number)
	assert.Equal(t, site.URL+"/c/p/+/1", created.Change.URL)

	assert.Equal(t, "not now", byType["change-abandoned"].Reason)
	comment := byType["comment-added"]
	assert.Equal(t, "Patch Set 1: Code-Review+2\n\n(1 comment)\n\nFine.", comment.Comment)
	assert.Equal(t, review.ApprovalAttribute{Type: "Code-Review", Description: "Code-Review", Value: "2", OldValue: "0"}, comment.Approvals[0])
	assert.Equal(t, review.ApprovalAttribute{Type: "Verified", Description: "Verified", Value: "0"}, comment.Approvals[1])
	assert.Equal(t, head, byType["change-merged"].NewRev)
	assert.Equal(t, "refs/heads/main", byType["ref-updated"].RefUpdate.RefName)
	assert.Equal(t, head, byType["ref-updated"].RefUpdate.NewRev)
}

var errEnough = errors.New("enough")

func TestTailWaitsForNewEventsAndMissesNone(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	admin := site.Account(t, "admin")
	const projects = 120 // more than one batch
	var names []string
	seen := make(chan error, 1)
	go func() {
		seen <- site.Tail(t.Context(), admin, 0, func(e review.Event) error {
			names = append(names, e.Project)
			if len(names) == projects {
				return errEnough
			}
			return nil
		})
	}()
	var want []string
	for i := range projects {
		name := fmt.Sprintf("p%d", i)
		want = append(want, name)
		_, err := site.CreateProject(t.Context(), admin, review.NewProject{Name: name})
		require.NoError(t, err)
	}
	require.ErrorIs(t, <-seen, errEnough)
	assert.Equal(t, want, names)
}

func TestEventIsReadableBeforeItIsAnnounced(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	after := site.LastEvent()
	c := site.Clone(t, "ann", "p")
	c.Git("config", "user.name", "x")
	checked := make(chan error, 1)
	go func() {
		checked <- site.Tail(t.Context(), nil, after, func(e review.Event) error {
			var body told
			if err := json.Unmarshal(e.JSON, &body); err != nil {
				return err
			}
			if _, err := site.Change(t.Context(), nil, body.Change.Number); err != nil {
				return err
			}
			refs, err := c.Try("ls-remote", "origin", body.PatchSet.Ref)
			if err == nil && refs == "" {
				err = errors.New("the patch set's ref is not there")
			}
			if err == nil && body.Change.Number == 5 {
				err = errEnough
			}
			return err
		})
	}()
	pusher := site.Clone(t, "ann", "p")
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		pusher.Commit(name, name, "Add "+name)
		pusher.Git("push", "-q", "origin", "HEAD:refs/for/main")
	}
	require.ErrorIs(t, <-checked, errEnough)
}
