package queue_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// one puts change 1 into check and starts its builds.
func one(t *testing.T, jobs ...queue.Job) *world {
	t.Helper()
	w := newWorld(t)
	if len(jobs) > 0 {
		w.jobs = jobs
	}
	w.enqueue("check", change(1))
	w.prepare()
	return w
}

func TestA5ResultOfTheItem(t *testing.T) {
	for name, tt := range map[string]struct {
		results []queue.Result
		want    string
	}{
		"all pass":             {[]queue.Result{queue.Success, queue.Success}, "1 SUCCESS"},
		"one fails":            {[]queue.Result{queue.Success, queue.Failure}, "1 FAILURE"},
		"timed out":            {[]queue.Result{queue.TimedOut, queue.Success}, "1 FAILURE"},
		"post-run failed":      {[]queue.Result{queue.PostFailure, queue.Success}, "1 FAILURE"},
		"disk full":            {[]queue.Result{queue.DiskFull, queue.Success}, "1 FAILURE"},
		"no machine to be had": {[]queue.Result{queue.NodeFailure, queue.Success}, "1 FAILURE"},
		"could not be set up":  {[]queue.Result{queue.Error, queue.Success}, "1 FAILURE"},
	} {
		t.Run(name, func(t *testing.T) {
			w := one(t)
			w.done("1/lint", tt.results[0])
			assert.Empty(t, w.log)
			w.done("1/unit", tt.results[1])
			assert.Equal(t, []string{tt.want}, w.log)
			w.answer()
			assert.False(t, w.state.Holds("check", change(1).Key))
		})
	}
}

func TestA5ItemsThatCannotBeTested(t *testing.T) {
	for v, want := range map[queue.Verdict]string{
		queue.Conflict: "1 MERGE_CONFLICT", queue.ConfigError: "1 CONFIG_ERROR", queue.NoJobs: "1 NO_JOBS",
	} {
		w := newWorld(t)
		w.enqueue("check", change(1))
		w.prepareAs(1, v)
		assert.Equal(t, []string{want}, w.log)
	}
}

// A5: NO_JOBS gives no vote and no merge.
func TestA5GateDoesNotMergeWithoutJobs(t *testing.T) {
	w := newWorld(t)
	w.enqueue("gate", change(1), change(2))
	w.prepareAs(1, queue.NoJobs)
	assert.Equal(t, []string{"1 NO_JOBS"}, w.log)
	assert.Equal(t, []int{2}, w.order("gate"))
	w.prepare()
	assert.Equal(t, []int{}, w.base(2))
}

func TestA6_2PreparationIsTriedThreeTimes(t *testing.T) {
	w := one(t)
	w.done("1/lint", queue.Retry)
	w.done("1/lint", queue.Retry)
	assert.Contains(t, w.running(), "1/lint")
	w.done("1/lint", queue.Retry)
	assert.Equal(t, []string{"1/unit"}, w.running())
	w.done("1/unit", queue.Success)
	assert.Equal(t, []string{"1 FAILURE"}, w.log)
	assert.Equal(t, queue.RetryLimit, w.reports[0].Buildset.Last("lint").Result)
	assert.Equal(t, 3, w.reports[0].Buildset.Last("lint").Try)
}

func TestA6_2LostExecutorIsRetriedWithoutLimit(t *testing.T) {
	w := one(t)
	for range 10 {
		w.done("1/lint", queue.Aborted)
	}
	w.pass(1)
	assert.Equal(t, []string{"1 SUCCESS"}, w.log)
}

func TestA6_4ForetoldFailureDecidesAtOnce(t *testing.T) {
	w := three(t)
	w.apply(queue.BuildFailing{Build: w.builds["1/unit"].Build})
	assert.Len(t, w.canceled, 4)
	w.done("1/unit", queue.Success)
	w.done("1/lint", queue.Success)
	assert.Equal(t, []string{"1 FAILURE"}, w.log, "even if the run ends 0")
}

func TestA6_5FailFastCancelsTheOthers(t *testing.T) {
	w := newWorld(t)
	w.enqueue("check", change(1))
	p := w.prepares[1]
	jobs := append(slices.Clone(w.jobs), queue.Job{Name: "after", Voting: true, Dependencies: []string{"lint"}})
	w.apply(queue.Prepared{Buildset: p.Buildset, Verdict: queue.Ready, Jobs: jobs, FailFast: true})
	w.done("1/unit", queue.Failure)
	assert.Equal(t, []string{"1/lint"}, w.canceled)
	assert.Equal(t, []string{"1 FAILURE"}, w.log)
}

func TestA7_4DependentsWaitAndAreSkipped(t *testing.T) {
	jobs := []queue.Job{
		{Name: "build", Voting: true, Attempts: 3},
		{Name: "test", Voting: true, Dependencies: []string{"build"}},
		{Name: "publish", Voting: true, Dependencies: []string{"test"}},
	}
	w := one(t, jobs...)
	assert.Equal(t, []string{"1/build"}, w.running())
	w.done("1/build", queue.Success)
	assert.Equal(t, []string{"1/test"}, w.running())
	w.done("1/test", queue.Failure)
	assert.Equal(t, []string{"1 FAILURE"}, w.log)
	assert.Equal(t, queue.Skipped, w.reports[0].Buildset.Last("publish").Result)
}

func TestA7_5NonVotingJobNeverDecides(t *testing.T) {
	w := newWorld(t)
	w.jobs = append(w.jobs, queue.Job{Name: "docs", Attempts: 1})
	w.enqueue("gate", change(1), change(2))
	w.prepare()
	w.apply(queue.BuildFailing{Build: w.builds["1/docs"].Build})
	w.done("1/docs", queue.Failure)
	assert.Empty(t, w.canceled)
	w.done("1/lint", queue.Success)
	w.done("1/unit", queue.Success)
	assert.Equal(t, []string{"1 SUCCESS submit"}, w.log)
}

func TestA9_1GateBeforeCheckHeadBeforeTail(t *testing.T) {
	w := newWorld(t)
	w.enqueue("check", change(9))
	w.enqueue("gate", change(1), change(2))
	w.prepare()
	assert.Less(t, w.builds["1/unit"].Priority, w.builds["2/unit"].Priority)
	assert.Less(t, w.builds["2/unit"].Priority, w.builds["9/unit"].Priority)
}

func flaky(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.jobs[1].RetryFailed = true
	w.enqueue("gate", change(1), change(2))
	w.prepare()
	w.apply(queue.BuildFailing{Build: w.builds["1/unit"].Build})
	w.done("1/unit", queue.Failure)
	assert.Empty(t, w.canceled, "nothing behind restarts yet")
	assert.Contains(t, w.running(), "1/unit")
	return w
}

func TestC3FlakeIsRunOnceMoreAndGoesOn(t *testing.T) {
	w := flaky(t)
	w.pass(1)
	assert.Equal(t, []string{"1 SUCCESS submit"}, w.log)
	assert.Equal(t, []string{"unit"}, w.reports[0].Buildset.Flakes())
}

func TestC3SecondFailureCounts(t *testing.T) {
	w := flaky(t)
	w.apply(queue.BuildFailing{Build: w.builds["1/unit"].Build})
	assert.Equal(t, []string{"2/lint", "2/unit"}, w.canceled, "the second time it is known at once")
	w.done("1/unit", queue.Failure)
	w.done("1/lint", queue.Success)
	assert.Equal(t, []string{"1 FAILURE"}, w.log)
	assert.Empty(t, w.reports[0].Buildset.Flakes())
}
