package queue

import (
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
)

// Event is something that happened outside. The types below are all there are.
type Event interface{ event() }

// Enqueue asks for a change to enter a pipeline. The caller has checked the
// pipeline's requirements. A patch set that is in it already is not entered
// again; another patch set of the change leaves.
type Enqueue struct {
	Pipeline string
	Queue    string
	Change   Change
	// Needed are the open changes that must merge first, furthest ahead
	// first (A1.3).
	Needed []Needed
	At     time.Time
}

// Needed is a change that another one needs.
type Needed struct {
	Change Change
	Queue  string
	// Unmet is why it cannot be enqueued; empty: it can.
	Unmet string
}

// Update tells what is known of a change now.
type Update struct {
	Number int
	// Current is the current patch set; 0: unknown.
	Current int
	// Closed is set once the change is merged or abandoned or gone, Merged if
	// it was merged.
	Closed, Merged bool
	// Unmet is, by pipeline, the requirement that does not hold.
	Unmet map[string]string
}

// Prepared ends a Prepare command.
type Prepared struct {
	Buildset string
	Verdict  Verdict
	Message  string
	Errors   config.Errors
	Commit   string
	Tree     string
	Jobs     []Job
	FailFast bool
}

// BuildFailing says that a running build is going to fail (A6.4).
type BuildFailing struct{ Build string }

// BuildDone ends a Run command.
type BuildDone struct {
	Build  string
	Result Result
}

// Reported ends a Report command.
type Reported struct {
	Item int64
	// Merged: the change was submitted and the server confirms the merge.
	Merged bool
	// Stale: nothing was reported, since the branch has moved and the tested
	// tree is not what a merge would give. The queue is tested again.
	Stale bool
	// Mismatch: the branch after the merge is not the tested tree, and how
	// (C2). The queue stops.
	Mismatch string
}

// Dequeue removes a change from a pipeline; by says who asked.
type Dequeue struct {
	Pipeline string
	Number   int
	By       string
}

// Resume lets a stopped queue go on.
type Resume struct{ Pipeline, Queue string }

// Restart is the first event after the state was read from storage: what was
// under way is asked for again.
type Restart struct{}

func (Enqueue) event()      {}
func (Update) event()       {}
func (Prepared) event()     {}
func (BuildFailing) event() {}
func (BuildDone) event()    {}
func (Reported) event()     {}
func (Dequeue) event()      {}
func (Resume) event()       {}
func (Restart) event()      {}

// Command is something to do outside. The types below are all there are.
type Command interface{ command() }

// Prepare asks for the speculative state of a change: merge Ahead and then
// Change onto the branch, read the job file of the result. Answer: Prepared.
type Prepare struct {
	Pipeline string
	Item     int64
	Buildset string
	Ahead    []Change
	Change   Change
}

// Run asks for a build. Answer: BuildDone, perhaps BuildFailing before.
type Run struct {
	Pipeline string
	Item     int64
	Buildset string
	Build    string
	Job      string
	Try      int
	// Last says that the job has no further try if this one ends with Retry:
	// the result is RetryLimit then.
	Last   bool
	Commit string
	Change Change
	// Priority orders requests for machines: lower comes first (A9.1).
	Priority int
}

// Cancel asks for builds to end; nothing is waited for.
type Cancel struct{ Builds []string }

// Drop says that a build set's preparation, if under way, is of no use.
type Drop struct{ Buildset string }

// ReportStart asks to tell the change that its jobs start. No answer.
type ReportStart struct {
	Pipeline string
	Item     int64
	Change   Change
}

// Report asks to report an item's end and, if Submit is set, to submit the
// change. Answer: Reported. Again is set if it may have been done, partly or
// wholly, before a restart.
type Report struct {
	Pipeline string
	Item     int64
	Change   Change
	Buildset *Buildset
	Outcome  Outcome
	Submit   bool
	Again    bool
}

// Refuse asks to tell a change why it was not enqueued. No answer.
type Refuse struct {
	Pipeline string
	Change   Change
	Reason   string
}

func (Prepare) command()     {}
func (Run) command()         {}
func (Cancel) command()      {}
func (Drop) command()        {}
func (ReportStart) command() {}
func (Report) command()      {}
func (Refuse) command()      {}

// ItemResult is the result of an item (A5).
type ItemResult string

// The results of items.
const (
	ItemSuccess       ItemResult = "SUCCESS"
	ItemFailure       ItemResult = "FAILURE"
	ItemMergeFailure  ItemResult = "MERGE_FAILURE"
	ItemMergeConflict ItemResult = "MERGE_CONFLICT"
	ItemConfigError   ItemResult = "CONFIG_ERROR"
	ItemNoJobs        ItemResult = "NO_JOBS"
	ItemDequeued      ItemResult = "DEQUEUED"
)

// Outcome is how an item ends.
type Outcome struct {
	Result ItemResult `json:"result"`
	Reason string     `json:"reason,omitempty"`
}
