package queue

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/gate/config"
)

// Verdict is what preparing a build set found.
type Verdict string

// The verdicts; the empty one means that preparation is under way.
const (
	Ready       Verdict = "READY"        // the state is merged, jobs may start
	Conflict    Verdict = "CONFLICT"     // the change does not merge onto those ahead
	ConfigError Verdict = "CONFIG_ERROR" // the job file is wrong
	NoJobs      Verdict = "NO_JOBS"      // no job file, or no job applies
)

// Buildset is all builds of an item for one speculative state.
type Buildset struct {
	ID string `json:"id"`
	// Base are the changes of items ahead that are in the state, in order.
	// Changes that merged since are no longer in it: they are in the branch.
	Base    []Key   `json:"base,omitempty"`
	Verdict Verdict `json:"verdict,omitempty"`
	// Message says more about the verdict, for the report.
	Message string `json:"message,omitempty"`
	// Errors are what is wrong in the job file, for the report.
	Errors config.Errors `json:"errors,omitempty"`
	// Commit is the merged state, Tree its tree: what is tested and what the
	// branch must have after the merge (C2).
	Commit string  `json:"commit,omitempty"`
	Tree   string  `json:"tree,omitempty"`
	Jobs   []Job   `json:"jobs,omitempty"`
	Builds []Build `json:"builds,omitempty"`
	// FailFast cancels the other builds once a voting one failed (A6.5).
	FailFast bool `json:"fail_fast,omitempty"`
}

// Job is what the queue needs to know of a frozen job.
type Job struct {
	Name         string   `json:"name"`
	Voting       bool     `json:"voting"`
	Attempts     int      `json:"attempts"`
	RetryFailed  bool     `json:"retry_failed,omitempty"`
	Dependencies []string `json:"dependencies,omitempty"`
}

// Result is the result of a build, in Zuul's words.
type Result string

// The results (A6). The empty result means that the build has not ended.
const (
	Success     Result = "SUCCESS"
	Failure     Result = "FAILURE"
	TimedOut    Result = "TIMED_OUT"
	PostFailure Result = "POST_FAILURE"
	DiskFull    Result = "DISK_FULL"
	NodeFailure Result = "NODE_FAILURE"
	Error       Result = "ERROR"
	Retry       Result = "RETRY"       // preparation failed or the machine was lost
	RetryLimit  Result = "RETRY_LIMIT" // the same, for the last allowed time
	Skipped     Result = "SKIPPED"
	Canceled    Result = "CANCELED"
	Aborted     Result = "ABORTED" // the executor itself went away
)

// Build is one try of one job.
type Build struct {
	ID     string `json:"id"`
	Job    string `json:"job"`
	Try    int    `json:"try"` // from 1
	Result Result `json:"result,omitempty"`
	// Failing says that the output foretells a failure (A6.4).
	Failing bool `json:"failing,omitempty"`
	// Superseded says that another try takes this one's place.
	Superseded bool `json:"superseded,omitempty"`
}

// Last returns the last try of a job, or nil.
func (b *Buildset) Last(job string) *Build {
	for i := len(b.Builds) - 1; i >= 0; i-- {
		if b.Builds[i].Job == job {
			return &b.Builds[i]
		}
	}
	return nil
}

// Final returns the job's result if it will not change any more.
func (b *Buildset) Final(job string) (Result, bool) {
	last := b.Last(job)
	if last == nil || last.Result == "" || last.Superseded {
		return "", false
	}
	return last.Result, true
}

// Passed reports whether a final result lets dependents and the item go on.
func (r Result) Passed() bool { return r == Success }

// fails reports whether the result, final for a voting job, fails its item.
func (r Result) fails() bool {
	switch r {
	case Success, Skipped, Canceled, "":
		return false
	default:
		return true
	}
}

// finished reports whether nothing of the build set is left to do.
func (b *Buildset) finished() bool {
	switch b.Verdict {
	case "":
		return false
	case Ready:
		return !slices.ContainsFunc(b.Jobs, func(j Job) bool {
			_, final := b.Final(j.Name)
			return !final
		})
	default:
		return true
	}
}

// failing reports whether the build set cannot become a success (A2 step 6).
func (b *Buildset) failing() bool {
	switch b.Verdict {
	case "":
		return false
	case Ready:
		return slices.ContainsFunc(b.Jobs, b.jobFails)
	default:
		return true
	}
}

func (b *Buildset) jobFails(j Job) bool {
	last := b.Last(j.Name)
	if !j.Voting || last == nil || last.Superseded {
		return false
	}
	// A failure foretold decides at once, unless the job will be given
	// another try (C3): then only that one decides.
	return last.Result.fails() || last.Failing && !b.retriesFailed(j)
}

// retriesFailed reports whether a failure of the job now would be retried.
func (b *Buildset) retriesFailed(j Job) bool {
	return j.RetryFailed && !slices.ContainsFunc(b.Builds, func(x Build) bool {
		return x.Job == j.Name && x.Superseded && x.Result == Failure
	})
}

// Flakes returns the jobs that failed and then passed on the same state (C3).
func (b *Buildset) Flakes() []string {
	var jobs []string
	for _, x := range b.Builds {
		if x.Superseded && x.Result == Failure {
			if r, final := b.Final(x.Job); final && r == Success {
				jobs = append(jobs, x.Job)
			}
		}
	}
	return jobs
}

// outcome is the item's result once the build set is finished.
func (b *Buildset) outcome() Outcome {
	switch b.Verdict {
	case Conflict:
		return Outcome{Result: ItemMergeConflict, Reason: b.Message}
	case ConfigError:
		return Outcome{Result: ItemConfigError, Reason: b.Message}
	case NoJobs:
		return Outcome{Result: ItemNoJobs, Reason: b.Message}
	default:
	}
	if b.failing() {
		return Outcome{Result: ItemFailure}
	}
	voting, passed := 0, 0
	for _, j := range b.Jobs {
		if !j.Voting {
			continue
		}
		voting++
		if r, _ := b.Final(j.Name); r == Success {
			passed++
		}
	}
	if voting > 0 && passed == 0 {
		return Outcome{Result: ItemFailure, Reason: "no voting job was run"}
	}
	return Outcome{Result: ItemSuccess}
}
