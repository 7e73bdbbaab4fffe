package queue_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// three puts changes 1, 2 and 3 into the gate and starts their builds.
func three(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.enqueue("gate", change(1), change(2), change(3))
	w.prepare()
	require.Equal(t, []string{"1/lint", "1/unit", "2/lint", "2/unit", "3/lint", "3/unit"}, w.running())
	return w
}

func TestA2EachItemIsTestedOnThoseAhead(t *testing.T) {
	w := three(t)
	assert.Equal(t, []int{}, w.base(1))
	assert.Equal(t, []int{1}, w.base(2))
	assert.Equal(t, []int{1, 2}, w.base(3))
}

func TestA2ItemsBehindAMergedOneKeepTheirBuilds(t *testing.T) {
	w := three(t)
	w.pass(1)
	assert.Equal(t, []string{"1 SUCCESS submit"}, w.log)
	assert.Equal(t, []int{1, 2, 3}, w.order("gate"), "a change stays until the server confirms the merge")
	w.answer()
	assert.Equal(t, []int{2, 3}, w.order("gate"))
	assert.Equal(t, []int{}, w.base(2))
	assert.Equal(t, []int{2}, w.base(3))
	assert.Empty(t, w.canceled)
	assert.Equal(t, []string{"2/lint", "2/unit", "3/lint", "3/unit"}, w.running())
}

func TestA2PassingItemNotAtTheHeadWaits(t *testing.T) {
	w := three(t)
	w.pass(3, 2)
	assert.Empty(t, w.log)
	w.pass(1)
	for range 3 {
		w.answer()
	}
	assert.Equal(t, []string{"1 SUCCESS submit", "2 SUCCESS submit", "3 SUCCESS submit"}, w.log)
	assert.Empty(t, w.order("gate"))
}

func TestA2HeadFailsItemsBehindRestartAtOnce(t *testing.T) {
	w := three(t)
	w.done("1/unit", queue.Failure)
	assert.Equal(t, []string{"2/lint", "2/unit", "3/lint", "3/unit"}, w.canceled)
	assert.Empty(t, w.log, "the head is reported only when its last job ended")
	w.prepare()
	assert.Equal(t, []int{}, w.base(2))
	assert.Equal(t, []int{2}, w.base(3))
	w.done("1/lint", queue.Success)
	assert.Equal(t, []string{"1 FAILURE"}, w.log)
	assert.Equal(t, []int{2, 3}, w.order("gate"))
	assert.Len(t, w.running(), 4, "leaving does not reset those that were re-parented")
}

func TestA2FailureInTheMiddleResetsOnlyThoseBehind(t *testing.T) {
	w := three(t)
	w.done("2/lint", queue.Failure)
	w.done("2/unit", queue.Success)
	assert.Equal(t, []string{"3/lint", "3/unit"}, w.canceled)
	w.prepare()
	assert.Equal(t, []int{1}, w.base(3))
	assert.Empty(t, w.log, "the failed item waits until all ahead have left")
	w.pass(1)
	w.answer()
	assert.Equal(t, []string{"1 SUCCESS submit", "2 FAILURE"}, w.log)
	assert.Equal(t, []int{3}, w.order("gate"))
	assert.Equal(t, []int{}, w.base(3))
	assert.Equal(t, []string{"3/lint", "3/unit"}, w.running())
}

func TestA2RedItemBehindAnotherRedOneIsTestedAgain(t *testing.T) {
	w := three(t)
	w.done("2/lint", queue.Failure)
	w.done("2/unit", queue.Failure)
	w.done("1/lint", queue.Failure)
	w.prepare()
	assert.Equal(t, []int{}, w.base(2), "its failure was found on a state that is thrown away")
	w.done("1/unit", queue.Success)
	w.pass(2, 3)
	w.answer()
	w.answer()
	w.answer()
	assert.Equal(t, []string{"1 FAILURE", "2 SUCCESS submit", "3 SUCCESS submit"}, w.log)
}

func TestA2MergeConflictIsTriedAgainWhenItsBaseChanges(t *testing.T) {
	w := newWorld(t)
	w.enqueue("gate", change(1), change(2))
	w.prepareAs(2, queue.Conflict)
	assert.Empty(t, w.log, "reported only at the head")
	w.prepare()
	w.done("1/lint", queue.Failure)
	assert.Contains(t, w.prepares, 2)
	w.prepareAs(2, queue.Conflict)
	w.done("1/unit", queue.Success)
	assert.Equal(t, []string{"1 FAILURE", "2 MERGE_CONFLICT"}, w.log)
}

func TestA2RefusedSubmitResetsThoseBehind(t *testing.T) {
	w := three(t)
	w.pass(1)
	w.apply(queue.Reported{Item: w.reports[0].Item})
	assert.Equal(t, []int{2, 3}, w.order("gate"))
	assert.Equal(t, []string{"2/lint", "2/unit", "3/lint", "3/unit"}, w.canceled)
	w.prepare()
	assert.Equal(t, []int{}, w.base(2))
}

func TestA2LostRequirementsRemoveTheItemAndReportIt(t *testing.T) {
	w := three(t)
	w.apply(queue.Update{Number: 2, Current: 1, Unmet: map[string]string{"gate": "Workflow +1 is missing"}})
	assert.Equal(t, []int{1, 3}, w.order("gate"))
	assert.Equal(t, []string{"2 FAILURE"}, w.log)
	assert.Contains(t, w.reports[0].Outcome.Reason, "Workflow +1 is missing")
	assert.Equal(t, []string{"2/lint", "2/unit", "3/lint", "3/unit"}, w.canceled)
	assert.Equal(t, []string{"1/lint", "1/unit"}, w.running())
}

func TestA2NeededChangeFailing(t *testing.T) {
	w := newWorld(t)
	w.enqueue("gate", change(1), change(2, 1), change(3))
	w.prepare()
	w.done("1/lint", queue.Failure)
	w.prepare()
	assert.Equal(t, []string{"1/unit", "3/lint", "3/unit"}, w.running(), "an item whose needed change fails is not tested")
	assert.Equal(t, []int{}, w.base(3))
	w.done("1/unit", queue.Success)
	assert.Equal(t, []string{"1 FAILURE", "2 FAILURE"}, w.log)
	assert.Contains(t, w.reports[1].Outcome.Reason, "needs change 1")
	assert.Equal(t, []string{"3/lint", "3/unit"}, w.running())
}

func TestA2NeededChangeMerged(t *testing.T) {
	w := newWorld(t)
	w.enqueue("gate", change(1), change(2, 1))
	w.prepare()
	w.pass(1)
	w.answer()
	w.pass(2)
	w.answer()
	assert.Equal(t, []string{"1 SUCCESS submit", "2 SUCCESS submit"}, w.log)
}

func TestA1_2PatchSetIsEnteredOnce(t *testing.T) {
	w := newWorld(t)
	w.enqueue("gate", change(1), change(1))
	assert.Equal(t, []int{1}, w.order("gate"))
	w.prepare()
	w.pass(1)
	w.enqueue("gate", change(1))
	assert.Equal(t, []int{1}, w.order("gate"), "while it is submitted neither")
}

func TestA1_3NeededChangesEnterFirst(t *testing.T) {
	w := newWorld(t)
	w.apply(queue.Enqueue{Pipeline: "gate", Queue: "q", Change: change(3, 1, 2), Needed: []queue.Needed{
		{Change: change(1), Queue: "q"}, {Change: change(2, 1), Queue: "q"},
	}})
	assert.Equal(t, []int{1, 2, 3}, w.order("gate"))
}

func TestA1_3ChangeIsRefusedForItsNeeds(t *testing.T) {
	for name, tt := range map[string]struct {
		needed queue.Needed
		want   string
	}{
		"not approved":  {queue.Needed{Change: change(1), Queue: "q", Unmet: "Code-Review +2 is missing"}, "Code-Review +2 is missing"},
		"another queue": {queue.Needed{Change: change(1), Queue: "other"}, "another queue"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(queue.Enqueue{Pipeline: "gate", Queue: "q", Change: change(2, 1), Needed: []queue.Needed{tt.needed}})
			assert.Empty(t, w.order("gate"), "nothing is enqueued")
			require.Len(t, w.refused, 1)
			assert.Contains(t, w.refused[0].Reason, tt.want)
		})
	}
}

func TestA1_5EnteringGateLeavesCheck(t *testing.T) {
	w := newWorld(t)
	w.enqueue("check", change(1), change(2))
	w.prepare()
	w.enqueue("gate", change(1))
	assert.Equal(t, []int{2}, w.order("check"))
	assert.Equal(t, []string{"1/lint", "1/unit"}, w.canceled)
	assert.Empty(t, w.log)
	w.enqueue("check", change(1))
	assert.Equal(t, []int{2}, w.order("check"), "nor does it come back meanwhile")
}

func TestA2StartIsReportedOnceForAnItem(t *testing.T) {
	w := three(t)
	w.done("1/lint", queue.Failure)
	w.prepare()
	assert.ElementsMatch(t, []int{1, 2, 3}, w.starts)
}

func TestA4WindowGrowsAndShrinks(t *testing.T) {
	gate := gatePipeline
	gate.Window = queue.Window{Start: 2, Floor: 1, Ceiling: 3}
	w := newWorld(t, gate)
	w.enqueue("gate", change(1), change(2), change(3), change(4), change(5))
	w.prepare()
	assert.Equal(t, []string{"1/lint", "1/unit", "2/lint", "2/unit"}, w.running())
	w.pass(1)
	w.answer()
	w.prepare()
	assert.Equal(t, 3, w.state.Pipelines["gate"].Queues[0].Window)
	assert.Equal(t, []string{"2/lint", "2/unit", "3/lint", "3/unit", "4/lint", "4/unit"}, w.running())
	w.done("2/lint", queue.Failure)
	w.done("2/unit", queue.Failure)
	w.prepare()
	assert.Equal(t, 1, w.state.Pipelines["gate"].Queues[0].Window)
	assert.Equal(t, []string{"3/lint", "3/unit"}, w.running())
}

func TestC1FinishedAndFailingItemsDoNotUseUpTheWindow(t *testing.T) {
	gate := gatePipeline
	gate.Window = queue.Window{Start: 2}
	w := newWorld(t, gate)
	w.enqueue("gate", change(1), change(2), change(3), change(4))
	w.prepare()
	w.pass(2)
	w.prepare()
	assert.Equal(t, []string{"1/lint", "1/unit", "3/lint", "3/unit"}, w.running(), "2 passed and waits")
	w.done("3/lint", queue.Failure)
	w.prepare()
	assert.Equal(t, []string{"1/lint", "1/unit", "3/unit", "4/lint", "4/unit"}, w.running(), "3 fails")
}

func TestA9_2WindowOfOneTestsOneItemAtATime(t *testing.T) {
	gate := gatePipeline
	gate.Window = queue.Window{Start: 1, Floor: 1, Ceiling: 1}
	w := newWorld(t, gate)
	w.enqueue("gate", change(1), change(2))
	w.prepare()
	assert.Equal(t, []string{"1/lint", "1/unit"}, w.running())
	w.pass(1)
	w.answer()
	w.prepare()
	assert.Equal(t, []string{"2/lint", "2/unit"}, w.running())
}

func TestC2MismatchStopsTheQueueUntilResumed(t *testing.T) {
	w := three(t)
	w.pass(1)
	w.apply(queue.Reported{Item: w.reports[0].Item, Merged: true, Mismatch: "tree is a, tested b"})
	assert.Equal(t, "tree is a, tested b", w.state.Pipelines["gate"].Queues[0].Stopped)
	assert.Empty(t, w.running())
	w.prepare()
	assert.Empty(t, w.running(), "a stopped queue starts nothing")
	w.apply(queue.Resume{Pipeline: "gate", Queue: "q"})
	w.prepare()
	assert.Equal(t, []string{"2/lint", "2/unit", "3/lint", "3/unit"}, w.running())
	assert.Equal(t, []int{}, w.base(2))
}

func TestC2MovedBranchIsTestedAgainBeforeTheMerge(t *testing.T) {
	w := three(t)
	w.pass(1)
	w.apply(queue.Reported{Item: w.reports[0].Item, Stale: true})
	assert.Equal(t, []int{1, 2, 3}, w.order("gate"))
	w.prepare()
	assert.Len(t, w.running(), 6)
}

func TestNewPatchSetRemovesTheOldItem(t *testing.T) {
	for _, pipeline := range []string{"check", "gate"} {
		w := newWorld(t)
		w.enqueue(pipeline, change(1))
		w.prepare()
		w.apply(queue.Update{Number: 1, Current: 2})
		assert.Empty(t, w.order(pipeline), pipeline)
		assert.Equal(t, []string{"1/lint", "1/unit"}, w.canceled, pipeline)
		assert.Empty(t, w.log, pipeline)
	}
}

func TestA9_3DequeueEndsBuildsAndDependents(t *testing.T) {
	w := newWorld(t)
	w.enqueue("gate", change(1), change(2, 1), change(3))
	w.prepare()
	w.apply(queue.Dequeue{Pipeline: "gate", Number: 1, By: "admin"})
	assert.Equal(t, []string{"1 DEQUEUED", "2 FAILURE"}, w.log)
	assert.Equal(t, []int{3}, w.order("gate"))
}

// stored is the state as it would be read after a crash.
func stored(t *testing.T, s *queue.State) *queue.State {
	t.Helper()
	data, err := json.Marshal(s)
	require.NoError(t, err)
	var read queue.State
	require.NoError(t, json.Unmarshal(data, &read))
	read.Define(s.Definitions()...)
	return &read
}

func TestA9_6RestartRunsLostBuildsAgain(t *testing.T) {
	w := three(t)
	w.done("1/lint", queue.Success)
	w.enqueue("gate", change(4))
	old := w.builds["1/unit"].Build

	after := newWorld(t)
	after.state = stored(t, w.state)
	after.apply(queue.Restart{})
	assert.Equal(t, []int{1, 2, 3, 4}, after.order("gate"))
	assert.Equal(t, []string{"1/unit", "2/lint", "2/unit", "3/lint", "3/unit"}, after.running(), "what passed is not run again")
	assert.NotEqual(t, old, after.builds["1/unit"].Build)
	assert.Contains(t, after.prepares, 4)
	assert.Len(t, after.prepares[4].Ahead, 3)
	assert.Empty(t, after.starts, "the start was reported")
	after.apply(queue.BuildDone{Build: old, Result: queue.Failure})
	after.done("1/unit", queue.Success)
	assert.Equal(t, []string{"1 SUCCESS submit"}, after.log)
}

func TestA9_6RestartAsksForUnconfirmedReportsAgain(t *testing.T) {
	w := three(t)
	w.pass(1)
	w.apply(queue.Dequeue{Pipeline: "gate", Number: 3, By: "admin"})

	after := newWorld(t)
	after.state = stored(t, w.state)
	after.apply(queue.Restart{})
	assert.Equal(t, []string{"1 SUCCESS submit", "3 DEQUEUED"}, after.log)
	for _, r := range after.reports {
		assert.True(t, r.Again)
	}
	after.answer()
	after.answer()
	assert.Equal(t, []int{2}, after.order("gate"))
	assert.Empty(t, after.state.Pipelines["gate"].Leaving)
}
