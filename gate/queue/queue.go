// Package queue is the logic of the gate's pipelines: which changes are
// tested together, in which order they merge, what a failure does to those
// behind. It implements parts A and C of the gate's rules after Zuul
// (https://zuul-ci.org/docs/zuul/latest/gating.html).
//
// It is a deterministic state machine: State.Apply takes an event and returns
// the commands that follow from it. It has no clock, does no I/O and starts
// no goroutine. The same state and event always give the same state and the
// same commands, so that every rule is a table test and a restart goes on
// from the stored state.
//
// How speculation is kept right: a build set records the changes ahead whose
// effect is in the tested state (Buildset.Base). A pass over a queue computes
// for every item what that list should be now, the items ahead that are not
// failing, and throws away the build sets for which it differs. Re-parenting
// and resets need no other bookkeeping.
package queue

import (
	"fmt"
	"slices"
	"time"
)

// Key names one patch set of a change.
type Key struct {
	Number   int `json:"number"`
	PatchSet int `json:"patchset"`
}

func (k Key) String() string { return fmt.Sprintf("%d,%d", k.Number, k.PatchSet) }

// Change is a patch set under review.
type Change struct {
	Key
	Project  string `json:"project"`
	Branch   string `json:"branch"` // without refs/heads/
	Revision string `json:"revision"`
	Ref      string `json:"ref"` // refs/changes/NN/NUMBER/PATCHSET
	Subject  string `json:"subject"`
	Owner    string `json:"owner"`
	URL      string `json:"url"`
	// Needs are the numbers of open changes that must merge before this one.
	Needs []int `json:"needs,omitempty"`
}

// Manager is the way a pipeline treats its items.
type Manager string

// The managers. Independent items know nothing of each other (check);
// dependent ones share queues and merge in order (gate).
const (
	Independent Manager = "independent"
	Dependent   Manager = "dependent"
)

// Pipeline is the definition of a pipeline. It is configuration, not state.
type Pipeline struct {
	Name    string
	Manager Manager
	// Supercedes are pipelines that a change leaves on entering this one (A1.5).
	Supercedes []string
	// Precedence orders the requests for machines: lower comes first (A9.1).
	Precedence int
	// RetryFailed is the default of the jobs' retry-failed (C3).
	RetryFailed bool
	// Window bounds the speculation of each queue of a dependent pipeline.
	Window Window
}

// Precedences of pipelines (A9.1).
const (
	High   = 100
	Normal = 200
	Low    = 300
)

// Item is an entry of a queue: one change.
type Item struct {
	ID         int64     `json:"id"`
	Change     Change    `json:"change"`
	EnqueuedAt time.Time `json:"enqueued_at"`
	// Buildset is what is tested now; nil: nothing yet, or it was thrown away.
	Buildset *Buildset `json:"buildset,omitempty"`
	// Started says that the start was reported; it is once for each item.
	Started bool `json:"started,omitempty"`
	// Outcome is set once the item's end is being reported.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Blocked says which needed change keeps the item from being tested.
	Blocked string `json:"blocked,omitempty"`
	// Resets are the build sets that were thrown away, oldest first (C5).
	Resets []Reset `json:"resets,omitempty"`
}

// Reset is a build set that was thrown away, and why.
type Reset struct {
	Buildset string `json:"buildset"`
	Base     []Key  `json:"base,omitempty"`
	Cause    string `json:"cause"`
}

// Queue is a change queue: items in the order in which they merge. In an
// independent pipeline the items of a queue have nothing to do with each
// other.
type Queue struct {
	Name  string  `json:"name"`
	Items []*Item `json:"items,omitempty"`
	// Window is how many items may have unfinished work at present.
	Window int `json:"window"`
	// Stopped is why nothing merges until a person resumes the queue (C2).
	Stopped string `json:"stopped,omitempty"`
}

// PipelineState is what is in a pipeline.
type PipelineState struct {
	Queues []*Queue `json:"queues,omitempty"`
	// Leaving are items that left their queue and whose report is under way.
	Leaving []*Item `json:"leaving,omitempty"`
}

// State is the whole state of the gate's pipelines. It is written as JSON.
type State struct {
	// Instance seeds the ids of builds and build sets; it must differ
	// between gates and never change.
	Instance string `json:"instance"`
	// Next is the last id given out.
	Next      int64                     `json:"next"`
	Pipelines map[string]*PipelineState `json:"pipelines"`

	definitions []Pipeline
}

// New returns an empty state for the given pipelines.
func New(instance string, pipelines ...Pipeline) *State {
	s := &State{Instance: instance}
	s.Define(pipelines...)
	return s
}

// Define sets the pipelines of a state that was read from storage.
func (s *State) Define(pipelines ...Pipeline) {
	s.definitions = pipelines
	if s.Pipelines == nil {
		s.Pipelines = make(map[string]*PipelineState)
	}
	for _, p := range pipelines {
		if s.Pipelines[p.Name] == nil {
			s.Pipelines[p.Name] = &PipelineState{}
		}
	}
}

// Definitions returns the pipelines in the order of their definition.
func (s *State) Definitions() []Pipeline { return slices.Clone(s.definitions) }

func (s *State) definition(name string) (Pipeline, bool) {
	i := slices.IndexFunc(s.definitions, func(p Pipeline) bool { return p.Name == name })
	if i < 0 {
		return Pipeline{}, false
	}
	return s.definitions[i], true
}

// queue returns the pipeline's queue of that name, making it where missing.
func (s *State) queue(p Pipeline, name string) *Queue {
	state := s.Pipelines[p.Name]
	for _, q := range state.Queues {
		if q.Name == name {
			return q
		}
	}
	q := &Queue{Name: name, Window: p.Window.start()}
	state.Queues = append(state.Queues, q)
	return q
}

// Holds reports whether the patch set is in the pipeline, or on its way out
// with its report not yet delivered.
func (s *State) Holds(pipeline string, k Key) bool {
	p, ok := s.Pipelines[pipeline]
	if !ok {
		return false
	}
	is := func(i *Item) bool { return i.Change.Key == k }
	return slices.ContainsFunc(p.Leaving, is) ||
		slices.ContainsFunc(p.Queues, func(q *Queue) bool { return slices.ContainsFunc(q.Items, is) })
}

// Items returns every item of the pipeline that has not left its queue.
func (p *PipelineState) Items() []*Item {
	var items []*Item
	for _, q := range p.Queues {
		items = append(items, q.Items...)
	}
	return items
}

// find returns where the item is; q is nil for one that is leaving.
func (s *State) find(id int64) (p Pipeline, q *Queue, item *Item) {
	for _, p := range s.definitions {
		state := s.Pipelines[p.Name]
		for _, q := range state.Queues {
			for _, i := range q.Items {
				if i.ID == id {
					return p, q, i
				}
			}
		}
		for _, i := range state.Leaving {
			if i.ID == id {
				return p, nil, i
			}
		}
	}
	return Pipeline{}, nil, nil
}
