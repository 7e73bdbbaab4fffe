package gate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate"
	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

const jobs = `
- job: {name: lint, run: lint}
- job:
    name: unit
    timeout: 10m
    pre-run: prepare
    run: [test]
    post-run: collect
    artifacts: report.xml
- project:
    check: {jobs: [lint, unit]}
    gate: {jobs: [lint, unit]}
`

// house is a gate with everything around it.
type house struct {
	t      *testing.T
	review *review
	nodes  *machines
	dir    string
	config func(*gate.Config)
	gate   *gate.Gate
	stop   context.CancelFunc
	ended  chan error
}

// works is a machine on which every step takes ten seconds and succeeds,
// unless the tree holds a revision that begins with bad.
func works(bad ...string) func(context.Context, *machine, node.Step, io.Writer) (int, error) {
	return func(ctx context.Context, m *machine, s node.Step, out io.Writer) (int, error) {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Second):
		}
		fmt.Fprintf(out, "output of %s\n", s.Script)
		for _, b := range bad {
			if s.Script == "test" && strings.Contains(m.tree, b) {
				fmt.Fprintln(out, "--- FAIL: TestTrunk (0.00s)")
				return 1, nil
			}
		}
		return 0, nil
	}
}

func newHouse(t *testing.T, r *review, n *machines) *house {
	t.Helper()
	h := &house{t: t, review: r, nodes: n, dir: t.TempDir()}
	h.start()
	return h
}

func (h *house) start() {
	h.t.Helper()
	c := gate.Config{
		Dir: h.dir, Log: slog.New(slog.DiscardHandler), Source: h.review, States: h.review, Nodes: h.nodes, MaxNodes: 8, Verify: func(_ context.Context, user, password string) (bool, error) {
			return user == "admin", wrong(password)
		},
		PublicURL: func() string { return "http://gate" }, Metrics: prometheus.NewRegistry(),
	}
	if h.config != nil {
		h.config(&c)
	}
	g, err := gate.New(h.t.Context(), c)
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(h.t.Context())
	h.gate, h.stop, h.ended = g, cancel, make(chan error, 1)
	go func() { h.ended <- g.Run(ctx) }()
	h.t.Cleanup(func() { // after a failed test; else it has ended
		cancel()
		_ = g.Close()
	})
	synctest.Wait()
}

// end stops the gate and makes sure that nothing of it is left.
func (h *house) end() {
	h.t.Helper()
	h.stop()
	require.ErrorIs(h.t, <-h.ended, context.Canceled)
	require.NoError(h.t, h.gate.Close())
	assert.Zero(h.t, h.nodes.used(), "machines are left")
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) // on the bubble's clock: it returns at once
	synctest.Wait()
}

func inHouse(t *testing.T, r *review, n *machines, f func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, r, n)
		f(h)
		h.end()
	})
}

func TestCheckTestsAPatchSetAndVotes(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(time.Minute)
		require.Len(t, r.own(1), 1)
		assert.Equal(t, 1, r.verified(1))
		assert.Regexp(t, `(?s)Build succeeded \(check pipeline\)\.\nhttp://gate/buildset/[0-9a-f-]{36}\n\n`+
			`- lint http://gate/build/[0-9a-f-]{36} : SUCCESS in 13s\n- unit http://gate/build/[0-9a-f-]{36} : SUCCESS in 33s\n`, r.own(1)[0])
		assert.Equal(t, source.New, r.status(1))
	})
}

func TestCheckNamesTheFailingTest(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works("r1.1")), func(h *house) {
		t := h.t
		r.push(1)
		pass(time.Minute)
		assert.Equal(t, -1, r.verified(1))
		assert.Contains(t, r.own(1)[0], "Build failed (check pipeline).  For information on how to proceed")
		assert.Regexp(t, `- unit http://gate/build/\S+ : FAILURE in 33s \(failing: TestTrunk\)`, r.own(1)[0])

		r.push(1)
		pass(time.Minute)
		assert.Equal(t, 1, r.verified(1))
		assert.Len(t, r.own(1), 2)
	})
}

func TestApprovedChangeIsTestedOnTheTipAndMerged(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(time.Minute)
		r.approve(1)
		pass(time.Minute)
		assert.Equal(t, source.Merged, r.status(1))
		assert.Equal(t, 2, r.verified(1))
		assert.Equal(t, []int{1}, r.submits)
		assert.Contains(t, r.own(1)[1], "Build succeeded (gate pipeline).")
		pass(time.Hour)
		assert.Len(t, r.own(1), 2, "and that was all")
	})
}

func TestTrunkIsNeverBroken(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works("r2.1")), func(h *house) {
		t := h.t
		for n := 1; n <= 4; n++ {
			r.push(n)
			r.approve(n)
			pass(time.Second)
		}
		pass(10 * time.Minute)
		assert.Equal(t, []int{1, 3, 4}, r.submits)
		assert.Equal(t, -2, r.verified(2))
		assert.Contains(t, r.own(2)[0], "failing: TestTrunk")
	})
}

// A1.2: what was approved and failed is not tried again until somebody asks.
func TestFailedChangeWaitsForAPerson(t *testing.T) {
	r := newReview(jobs)
	broken := true
	run := func(ctx context.Context, m *machine, s node.Step, out io.Writer) (int, error) {
		if broken && s.Script == "lint" {
			return 1, nil
		}
		return 0, nil
	}
	inHouse(t, r, newMachines(run), func(h *house) {
		t := h.t
		r.push(1)
		r.approve(1)
		pass(10 * time.Minute)
		require.Len(t, r.own(1), 1)
		assert.Equal(t, -2, r.verified(1))
		broken = false
		r.say(1, "recheck")
		pass(10 * time.Minute)
		assert.Equal(t, source.Merged, r.status(1), "check passed again, and the approvals still stand")
		assert.Len(t, r.own(1), 3)
	})
}

func TestC8NothingIsLostWhileTheGateIsDown(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(time.Minute)
		h.end()
		r.push(2)
		r.approve(1)
		r.push(3)
		h.start()
		pass(time.Minute)
		assert.Equal(t, source.Merged, r.status(1))
		assert.Equal(t, 1, r.verified(2))
		assert.Equal(t, 1, r.verified(3))
		for n := 1; n <= 3; n++ {
			assert.Len(t, r.own(n), map[int]int{1: 2, 2: 1, 3: 1}[n])
		}
	})
}

func TestA9_6StoppedInMidBuildTheBuildIsRunAgain(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		r.push(2)
		r.approve(2)
		pass(15 * time.Second)
		require.NotZero(t, h.nodes.used())
		h.end()
		h.start()
		pass(time.Minute)
		assert.Len(t, r.own(1), 1)
		assert.Equal(t, 1, r.verified(1))
		assert.Equal(t, source.Merged, r.status(2))
		assert.Len(t, r.own(2), 1)
	})
}

func TestMachinesLeftBehindAreSwept(t *testing.T) {
	r := newReview(jobs)
	n := newMachines(works())
	n.open["a build of a gate that was killed"] = true
	inHouse(t, r, n, func(h *house) {
		t := h.t
		pass(time.Second)
		assert.Equal(t, []string{"a build of a gate that was killed"}, n.swept)
	})
}

func TestReviewServerGoneForAWhile(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(5 * time.Second)
		r.set(func() { r.down = true })
		pass(20 * time.Minute)
		assert.Empty(t, r.own(1))
		r.push(2)
		pass(time.Minute)
		r.set(func() { r.down = false })
		pass(2 * time.Minute)
		for n := 1; n <= 2; n++ {
			assert.Len(t, r.own(n), 1)
			assert.Equal(t, 1, r.verified(n))
		}
	})
}

func TestNewPatchSetEndsTheOldOnesBuilds(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(10 * time.Second)
		r.push(1)
		pass(time.Second)
		assert.Zero(t, h.nodes.used())
		pass(time.Minute)
		require.Len(t, r.own(1), 1)
		assert.Contains(t, r.own(1)[0], "Patch Set 2:")
	})
}

func TestItemsThatCannotBeTested(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		set  func(r *review)
		vote int
		want []string
	}{
		"no job file":    {"", func(*review) {}, 0, []string{"Nothing to test (check pipeline).", "no .gate.yaml"}},
		"no job applies": {"- job: {name: a, run: x, files: docs/}\n- project: {check: {jobs: [a]}}", func(*review) {}, 0, []string{"No job of .gate.yaml applies"}},
		"job file is wrong": {"- job: {name: a, run: x, oops: 1}\n- project: {check: {jobs: [a]}}", func(*review) {}, -1,
			[]string{"Configuration error (check pipeline).", `- .gate.yaml:1:26: unknown key "oops" in a job`, `[.gate.yaml:1 unknown key "oops" in a job]`}},
		"merge conflict": {jobs, func(r *review) { r.clash["r1.1"] = true }, -1, []string{"Merge conflict (check pipeline).", "- a.go"}},
		"C2: a submit type that cannot be foreseen": {jobs, func(r *review) { r.mode = source.CherryPick }, -1, []string{"The project merges by CHERRY_PICK"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReview(tt.file)
			tt.set(r)
			inHouse(t, r, newMachines(works()), func(h *house) {
				t := h.t
				r.push(1)
				pass(time.Hour)
				require.Len(t, r.own(1), 1)
				for _, want := range tt.want {
					assert.Contains(t, r.own(1)[0], want)
				}
				assert.Equal(t, tt.vote, r.verified(1))
			})
		})
	}
}

func TestC2MismatchStopsTheQueue(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		for n := 1; n <= 2; n++ {
			r.push(n)
			r.approve(n)
			pass(time.Second)
		}
		r.set(func() { r.spoil = true })
		pass(10 * time.Minute)
		assert.Equal(t, []int{1}, r.submits)
		s := h.gate.Status().Pipelines[1].ChangeQueues[0]
		assert.Contains(t, s.Stopped, "tested was tree r1.1")
		r.set(func() { r.spoil = false })
		h.end()
		h.start()
		pass(10 * time.Minute)
		assert.Equal(t, []int{1}, r.submits, "a restart is no person")
		h.resume()
		pass(10 * time.Minute)
		assert.Equal(t, []int{1, 2}, r.submits)
	})
}

func TestBranchThatMovedIsTestedAgainBeforeTheMerge(t *testing.T) {
	r := newReview(jobs)
	builds := 0
	run := works()
	n := newMachines(func(ctx context.Context, m *machine, s node.Step, out io.Writer) (int, error) {
		if s.Script == "lint" {
			builds++
		}
		return run(ctx, m, s, out)
	})
	inHouse(t, r, n, func(h *house) {
		t := h.t
		r.push(1)
		r.approve(1)
		pass(20 * time.Second)
		r.set(func() { r.branch = append(r.branch, "direct") })
		pass(10 * time.Minute)
		assert.Equal(t, source.Merged, r.status(1))
		assert.Equal(t, []string{"direct", "r1.1"}, r.branch)
		assert.Equal(t, 2, builds)
		assert.Len(t, r.own(1), 1)
	})
}

func TestA5RefusedSubmitIsToldAndTheNextGoesOn(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.set(func() { r.refuse = fmt.Errorf("%w: 409 needs Release-Approval", source.ErrRefused) })
		r.push(1)
		r.approve(1)
		pass(10 * time.Minute)
		require.Len(t, r.own(1), 2)
		assert.Contains(t, r.own(1)[1], "Merge failed (gate pipeline).")
		assert.Contains(t, r.own(1)[1], "needs Release-Approval")
		assert.Equal(t, source.New, r.status(1))
		r.set(func() { r.refuse = nil })
		r.push(2)
		r.approve(2)
		pass(10 * time.Minute)
		assert.Equal(t, source.Merged, r.status(2))
	})
}

func TestA1_3StackIsGatedInOrder(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.set(func() { r.needs[2] = []int{1} })
		r.push(1)
		r.push(2)
		r.approve(2)
		pass(10 * time.Minute)
		assert.Contains(t, strings.Join(r.own(2), "\n"), "it needs change 1,1 (change 1), which cannot be gated: Code-Review +2 is missing")
		r.approve(1)
		pass(10 * time.Minute)
		assert.Equal(t, []int{1, 2}, r.submits, "A1.4: the approved change that needs it follows")
	})
}

// wrong is the error of a password other than everybody's.
func wrong(password string) error {
	if password != "secret" {
		return errors.New("wrong password")
	}
	return nil
}
