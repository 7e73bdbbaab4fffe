package queue_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// world plays what is outside of the state: it remembers what the commands
// asked for and answers when a test says so.
type world struct {
	t        *testing.T
	state    *queue.State
	jobs     []queue.Job
	prepares map[int]queue.Prepare // by change: asked for, not answered
	builds   map[string]queue.Run  // running, by "change/job"
	reports  []queue.Report        // asked for, not answered
	log      []string              // every report ever, "12 SUCCESS submit"
	starts   []int
	canceled []string // "change/job"
	refused  []queue.Refuse
	runs     []string // every build ever asked for, "change/job"
}

var (
	checkPipeline = queue.Pipeline{Name: "check", Manager: queue.Independent, Precedence: queue.Low}
	gatePipeline  = queue.Pipeline{Name: "gate", Manager: queue.Dependent, Precedence: queue.High, Supercedes: []string{"check"}}
)

func newWorld(t *testing.T, pipelines ...queue.Pipeline) *world {
	t.Helper()
	if len(pipelines) == 0 {
		pipelines = []queue.Pipeline{checkPipeline, gatePipeline}
	}
	return &world{
		t: t, state: queue.New("test", pipelines...),
		jobs:     []queue.Job{{Name: "lint", Voting: true, Attempts: 3}, {Name: "unit", Voting: true, Attempts: 3}},
		prepares: map[int]queue.Prepare{}, builds: map[string]queue.Run{},
	}
}

func change(n int, needs ...int) queue.Change {
	return queue.Change{Key: queue.Key{Number: n, PatchSet: 1}, Project: "p", Branch: "main", Needs: needs}
}

func (w *world) apply(e queue.Event) {
	w.t.Helper()
	for _, c := range w.state.Apply(e) {
		switch c := c.(type) {
		case queue.Prepare:
			w.prepares[c.Change.Number] = c
		case queue.Drop:
			for n, p := range w.prepares {
				if p.Buildset == c.Buildset {
					delete(w.prepares, n)
				}
			}
		case queue.Run:
			name := fmt.Sprintf("%d/%s", c.Change.Number, c.Job)
			require.NotContains(w.t, w.builds, name, "two builds of one job at once")
			w.builds[name] = c
			w.runs = append(w.runs, name)
		case queue.Cancel:
			for name, b := range w.builds {
				if slices.Contains(c.Builds, b.Build) {
					delete(w.builds, name)
					w.canceled = append(w.canceled, name)
				}
			}
		case queue.ReportStart:
			w.starts = append(w.starts, c.Change.Number)
		case queue.Report:
			w.reports = append(w.reports, c)
			line := fmt.Sprintf("%d %s", c.Change.Number, c.Outcome.Result)
			if c.Submit {
				line += " submit"
			}
			w.log = append(w.log, line)
		case queue.Refuse:
			w.refused = append(w.refused, c)
		}
	}
	slices.Sort(w.canceled)
}

func (w *world) enqueue(pipeline string, changes ...queue.Change) {
	w.t.Helper()
	for _, c := range changes {
		w.apply(queue.Enqueue{Pipeline: pipeline, Queue: "q", Change: c})
	}
}

// prepare answers every preparation with the jobs of the world.
func (w *world) prepare() {
	w.t.Helper()
	for len(w.prepares) > 0 {
		for n, p := range w.prepares {
			delete(w.prepares, n)
			w.apply(queue.Prepared{Buildset: p.Buildset, Verdict: queue.Ready, Jobs: w.jobs, Commit: "c", Tree: "t"})
		}
	}
}

func (w *world) prepareAs(n int, v queue.Verdict) {
	w.t.Helper()
	p, ok := w.prepares[n]
	require.True(w.t, ok, "no preparation of change %d was asked for", n)
	delete(w.prepares, n)
	w.apply(queue.Prepared{Buildset: p.Buildset, Verdict: v, Message: "why"})
}

// done ends a running build, "12/unit".
func (w *world) done(name string, r queue.Result) {
	w.t.Helper()
	b, ok := w.builds[name]
	require.True(w.t, ok, "%s does not run", name)
	delete(w.builds, name)
	w.apply(queue.BuildDone{Build: b.Build, Result: r})
}

func (w *world) pass(numbers ...int) {
	w.t.Helper()
	for _, n := range numbers {
		for _, j := range w.jobs {
			w.done(fmt.Sprintf("%d/%s", n, j.Name), queue.Success)
		}
	}
}

// answer confirms the oldest report; submitted ones as merged.
func (w *world) answer() {
	w.t.Helper()
	require.NotEmpty(w.t, w.reports, "no report was asked for")
	r := w.reports[0]
	w.reports = w.reports[1:]
	w.apply(queue.Reported{Item: r.Item, Merged: r.Submit})
}

// running are the builds that run, sorted.
func (w *world) running() []string {
	names := make([]string, 0, len(w.builds))
	for name := range w.builds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// order are the changes of a pipeline, in order.
func (w *world) order(pipeline string) []int {
	numbers := []int{}
	for _, i := range w.state.Pipelines[pipeline].Items() {
		numbers = append(numbers, i.Change.Number)
	}
	return numbers
}

// base are the changes that the present build set of a change is built on.
func (w *world) base(n int) []int {
	w.t.Helper()
	for _, i := range w.state.Pipelines["gate"].Items() {
		if i.Change.Number == n && i.Buildset != nil {
			numbers := []int{}
			for _, k := range i.Buildset.Base {
				numbers = append(numbers, k.Number)
			}
			return numbers
		}
	}
	w.t.Fatalf("change %d has no build set", n)
	return nil
}
