package queue_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// model is a review server and a set of machines in a few lines: it knows
// what every state contains and which changes break it.
type model struct {
	t       *testing.T
	rnd     *rand.Rand
	state   *queue.State
	next    int
	bad     map[int]bool           // changes that break whatever contains them
	merged  []int                  // the branch
	tested  map[string][]int       // by build set: what its state contains
	pending []any                  // commands that were not answered yet
	ends    map[int64]int          // by item: how often its end was reported
	builds  map[string]queue.Run   // asked for and not ended or canceled
	items   map[int64]queue.Change // every item ever reported or prepared
}

// TestModelHoldsItsInvariants throws random events at the state: arrivals,
// failures, flakes, lost machines, new patch sets, lost approvals, refused
// submits, branches that move, restarts. Whatever happens: nothing merges
// that was not tested as exactly that state, every item is reported at most
// once, none waits for ever, and at rest nothing runs.
func TestModelHoldsItsInvariants(t *testing.T) {
	for seed := range uint64(3000) {
		m := &model{
			t: t, rnd: rand.New(rand.NewPCG(seed, 1)), bad: map[int]bool{}, tested: map[string][]int{},
			ends: map[int64]int{}, builds: map[string]queue.Run{}, items: map[int64]queue.Change{},
		}
		gate := gatePipeline
		gate.Window = queue.Window{Start: 1 + m.rnd.IntN(6), Floor: 1}
		m.state = queue.New("model", checkPipeline, gate)
		for range 60 {
			m.step()
		}
		m.drain(seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (m *model) apply(e queue.Event) {
	for _, c := range m.state.Apply(e) {
		switch c := c.(type) {
		case queue.Prepare:
			content := slices.Clone(m.merged)
			for _, a := range c.Ahead {
				content = append(content, a.Number)
			}
			m.tested[c.Buildset] = append(content, c.Change.Number)
			m.pending = append(m.pending, c)
		case queue.Run:
			m.builds[c.Build] = c
			m.pending = append(m.pending, c)
		case queue.Cancel:
			for _, id := range c.Builds {
				delete(m.builds, id)
			}
		case queue.Report:
			m.pending = append(m.pending, c)
		default:
		}
	}
}

func (m *model) step() {
	switch n := m.rnd.IntN(20); {
	case n < 4:
		m.arrive()
	case n == 4 && m.next > 0:
		m.apply(queue.Update{Number: 1 + m.rnd.IntN(m.next), Unmet: map[string]string{"gate": "an approval is missing"}})
	case n == 5 && m.next > 0:
		m.apply(queue.Update{Number: 1 + m.rnd.IntN(m.next), Current: 2})
	case n == 6 && m.next > 0:
		m.apply(queue.Dequeue{Pipeline: "gate", Number: 1 + m.rnd.IntN(m.next)})
	case n == 7:
		m.crash()
	case n == 8:
		m.apply(queue.Resume{Pipeline: "gate", Queue: "q"})
	case len(m.pending) > 0:
		m.answer()
	}
}

func (m *model) arrive() {
	m.next++
	c := change(m.next)
	m.bad[m.next] = m.rnd.IntN(4) == 0
	if inGate := m.state.Pipelines["gate"].Items(); len(inGate) > 0 && m.rnd.IntN(3) == 0 {
		c.Needs = []int{inGate[m.rnd.IntN(len(inGate))].Change.Number}
	}
	m.apply(queue.Enqueue{Pipeline: "gate", Queue: "q", Change: c})
}

// crash forgets what is not in the stored state.
func (m *model) crash() {
	m.state = stored(m.t, m.state)
	m.pending, m.builds = nil, map[string]queue.Run{}
	m.apply(queue.Restart{})
}

// answer carries out one command at random.
func (m *model) answer() {
	i := m.rnd.IntN(len(m.pending))
	c := m.pending[i]
	m.pending = slices.Delete(m.pending, i, i+1)
	switch c := c.(type) {
	case queue.Prepare:
		v := queue.Ready
		if m.rnd.IntN(15) == 0 {
			v = queue.Conflict
		}
		m.apply(queue.Prepared{Buildset: c.Buildset, Verdict: v, Jobs: []queue.Job{
			{Name: "a", Voting: true, Attempts: 2, RetryFailed: true}, {Name: "b", Voting: true, Attempts: 2, Dependencies: []string{"a"}},
		}})
	case queue.Run:
		delete(m.builds, c.Build)
		r := queue.Success
		if slices.ContainsFunc(m.tested[c.Buildset], func(n int) bool { return m.bad[n] && !slices.Contains(m.merged, n) }) || m.rnd.IntN(12) == 0 {
			r = []queue.Result{queue.Failure, queue.TimedOut, queue.Retry, queue.Aborted}[m.rnd.IntN(4)]
			if m.rnd.IntN(2) == 0 {
				m.apply(queue.BuildFailing{Build: c.Build})
			}
		}
		m.apply(queue.BuildDone{Build: c.Build, Result: r})
	case queue.Report:
		m.report(c)
	}
}

func (m *model) report(c queue.Report) {
	e := queue.Reported{Item: c.Item}
	if c.Submit {
		want := append(slices.Clone(m.merged), c.Change.Number)
		switch m.rnd.IntN(12) {
		case 0:
			e.Stale = true
		case 1: // refused
		default:
			require.Equal(m.t, want, m.tested[c.Buildset.ID], "change %d merges a state that was not tested", c.Change.Number)
			require.False(m.t, m.bad[c.Change.Number], "change %d breaks the branch", c.Change.Number)
			m.merged, e.Merged = want, true
			if m.rnd.IntN(20) == 0 {
				e.Mismatch = "another tree"
			}
		}
	}
	if !e.Stale {
		m.ends[c.Item]++
		require.Equal(m.t, 1, m.ends[c.Item], "item %d was reported twice", c.Item)
	}
	m.apply(e)
}

// drain lets everything end and looks for what is left.
func (m *model) drain(seed uint64) {
	for range 20_000 {
		if len(m.pending) > 0 {
			m.answer()
			continue
		}
		if !slices.ContainsFunc(m.state.Pipelines["gate"].Queues, func(q *queue.Queue) bool { return q.Stopped != "" }) {
			break
		}
		m.apply(queue.Resume{Pipeline: "gate", Queue: "q"})
	}
	require.Empty(m.t, m.state.Pipelines["gate"].Items(), "seed %d: items wait for ever", seed)
	require.Empty(m.t, m.state.Pipelines["gate"].Leaving, "seed %d", seed)
	require.Empty(m.t, m.builds, "seed %d: builds run at rest", seed)
}
