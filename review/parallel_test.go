package review_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

func TestParallelPushesAllSucceed(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	const pushers = 12
	clones := make([]*reviewtest.Clone, pushers)
	for i := range clones {
		clones[i] = site.Clone(t, "ann", "p")
		clones[i].Commit(fmt.Sprintf("f%d", i), "x\n", fmt.Sprintf("Change %d", i))
	}
	outputs := make([]string, pushers)
	errs := make([]error, pushers)
	var work sync.WaitGroup
	for i, c := range clones {
		work.Go(func() { outputs[i], errs[i] = c.Try("push", "origin", "HEAD:refs/for/main") })
	}
	work.Wait()
	for i, err := range errs {
		assert.NoError(t, err, "%s", outputs[i])
	}
	changes, _, err := site.Search(t.Context(), nil, review.Query{})
	require.NoError(t, err)
	assert.Len(t, changes, pushers)
}

func TestOfTwoSubmissionsAtOnceOneMerges(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	require.NoError(t, vote(t, site, "admin", 1, "Code-Review", 2))
	admin := site.Account(t, "admin")
	after := site.LastEvent()
	var merged, refused atomic.Int32
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			_, err := site.Submit(t.Context(), admin, 1)
			switch {
			case err == nil:
				merged.Add(1)
			case fault.Is(err, fault.Conflict):
				refused.Add(1)
			}
		})
	}
	work.Wait()
	assert.Equal(t, int32(1), merged.Load())
	assert.Equal(t, int32(7), refused.Load())
	events, _, err := site.Events(t.Context(), admin, after, 10)
	require.NoError(t, err)
	assert.Len(t, events, 2, "ref-updated and change-merged, once")
}

func TestTwoPatchSetsAtOnceBothCome(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	other := site.Clone(t, "ann", "p")
	other.Git("fetch", "-q", "origin", "refs/changes/01/1/1")
	other.Git("reset", "-q", "--hard", "FETCH_HEAD")
	c.Amend("f.txt", "one\n")
	other.Amend("f.txt", "two\n")
	var work sync.WaitGroup
	errs := make([]error, 2)
	for i, pusher := range []*reviewtest.Clone{c, other} {
		work.Go(func() { _, errs[i] = pusher.Try("push", "-q", "origin", "HEAD:refs/for/main") })
	}
	work.Wait()
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	change, err := site.Change(t.Context(), nil, 1)
	require.NoError(t, err)
	assert.Equal(t, 3, change.PatchSet)
}
