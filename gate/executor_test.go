package gate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

func TestMachineTroubleIsNotTheChangesFault(t *testing.T) {
	r := newReview(jobs)
	lost := 2
	n := newMachines(func(_ context.Context, _ *machine, s node.Step, _ io.Writer) (int, error) {
		if s.Script == "test" && lost > 0 {
			lost--
			return 0, errors.New("connection lost")
		}
		return 0, nil
	})
	inHouse(t, r, n, func(h *house) {
		t := h.t
		r.push(1)
		pass(10 * time.Minute)
		assert.Equal(t, 1, r.verified(1))
		assert.Len(t, r.own(1), 1)
	})
}

func TestCloudThatRestartsCostsNoVote(t *testing.T) {
	r := newReview(jobs)
	n := newMachines(works())
	var first sync.Once
	var began time.Time
	n.launch = func(node.Request) error {
		first.Do(func() { began = time.Now() })
		if time.Since(began) < 8*time.Minute {
			return errors.New("503 Service Unavailable")
		}
		return nil
	}
	inHouse(t, r, n, func(h *house) {
		r.push(1)
		pass(5 * time.Second)
		assert.Contains(h.t, h.gate.Status().Pipelines[0].ChangeQueues[0].Heads[0][0].Jobs[0].Phase, "waiting for the cloud: 503")
		pass(15 * time.Minute)
		assert.Equal(h.t, 1, r.verified(1))
		assert.Len(h.t, r.own(1), 1)
	})
}

func TestResultsOfBuilds(t *testing.T) {
	exit := func(script string, code int, output string) func(context.Context, *machine, node.Step, io.Writer) (int, error) {
		return func(_ context.Context, _ *machine, s node.Step, out io.Writer) (int, error) {
			if s.Script == script {
				_, _ = io.WriteString(out, output)
				return code, nil
			}
			return 0, nil
		}
	}
	for name, tt := range map[string]struct {
		run    func(context.Context, *machine, node.Step, io.Writer) (int, error)
		launch error
		want   string
	}{
		"A6.2 pre-run fails thrice": {exit("prepare", 1, ""), nil, "RETRY_LIMIT"},
		"A6.6 no such machine":      {exit("", 0, ""), node.ErrUnknownLabel, "NODE_FAILURE"},
		"A6.6 machines do not come": {exit("", 0, ""), errors.New("no valid host"), "NODE_FAILURE"},
		"run fails":                 {exit("test", 2, ""), nil, "FAILURE"},
		"post-run fails":            {exit("collect", 1, ""), nil, "POST_FAILURE"},
		"disk is full":              {exit("test", 1, "write /tmp/x: no space left on device\n"), nil, "DISK_FULL"},
		"A6.4 foretold":             {exit("test", 0, "--- FAIL: TestA (0.00s)\n"), nil, "FAILURE"},
		"timeout": {func(ctx context.Context, _ *machine, s node.Step, _ io.Writer) (int, error) {
			if s.Script != "test" {
				return 0, nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}, nil, "TIMED_OUT"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReview(jobs)
			n := newMachines(tt.run)
			n.launch = func(node.Request) error { return tt.launch }
			inHouse(t, r, n, func(h *house) {
				t := h.t
				r.push(1)
				pass(time.Hour)
				require.Len(t, r.own(1), 1)
				assert.Regexp(t, `- unit \S+ : `+tt.want+`\b`, r.own(1)[0])
				assert.Equal(t, -1, r.verified(1))
			})
		})
	}
}

// log is what the last build of job unit says.
func (h *house) log() string {
	h.t.Helper()
	list := h.json("/api/tenant/gatehouse/builds?job_name=unit").([]any)
	require.NotEmpty(h.t, list)
	url := list[0].(map[string]any)["log_url"].(string)
	return h.get(strings.TrimPrefix(url, "http://gate") + "job-output.txt")
}

func TestLogSaysWhyABuildEnded(t *testing.T) {
	hang := func(ctx context.Context, _ *machine, s node.Step, _ io.Writer) (int, error) {
		if s.Script != "test" {
			return 0, nil
		}
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	for name, tt := range map[string]struct {
		run      func(context.Context, *machine, node.Step, io.Writer) (int, error)
		then     func(r *review)
		says     []string
		saysNone string
	}{
		"timeout": {
			hang, func(*review) {},
			[]string{"run step 1 of 1 was ended: the job's timeout of 10m 00s is over (after 600.0s)", "TIMED_OUT: the job took longer than its timeout of 10m 00s"}, "lost",
		},
		"cancel": {
			hang, func(r *review) { r.set(func() { r.changes[1].Status = source.Abandoned }); r.tell(1) },
			[]string{"run step 1 of 1 was ended: the build was canceled", ": CANCELED"}, "lost",
		},
		"last try": {
			func(context.Context, *machine, node.Step, io.Writer) (int, error) { return 0, errors.New("EOF") }, func(*review) {},
			[]string{"pre-run step 1 of 1: the machine was lost: EOF", ": RETRY_LIMIT: ", "this was try 3, and the job has 3 attempts"}, ": RETRY:",
		},
		"foretold, then a good end": {
			func(_ context.Context, _ *machine, s node.Step, out io.Writer) (int, error) {
				if s.Script == "test" {
					_, _ = io.WriteString(out, "--- FAIL: TestA (0.00s)\n")
				}
				return 0, nil
			}, func(*review) {},
			[]string{": FAILURE: a test failed"}, "SUCCESS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReview(jobs)
			inHouse(t, r, newMachines(tt.run), func(h *house) {
				r.push(1)
				pass(time.Minute)
				tt.then(r)
				pass(time.Hour)
				log := h.log()
				for _, s := range tt.says {
					assert.Contains(h.t, log, s)
				}
				assert.NotContains(h.t, log, tt.saysNone)
			})
		})
	}
}

// A machine may give a file that has no end, or never comes.
func TestArtifactsAreBoundedInSizeAndTime(t *testing.T) {
	for name, tt := range map[string]struct {
		fetch func(context.Context, io.Writer) error
		says  string
	}{
		"never comes": {func(ctx context.Context, _ io.Writer) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, "artifact report.xml: collecting took longer than the timeout of post-run, 10m 00s"},
		"has no end": {func(_ context.Context, w io.Writer) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		}, "artifact report.xml: it is larger than 256 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReview("- job: {name: unit, run: test, artifacts: report.xml}\n- project: {check: {jobs: [unit]}}")
			n := newMachines(works())
			n.fetch = tt.fetch
			inHouse(t, r, n, func(h *house) {
				r.push(1)
				pass(30 * time.Minute)
				assert.Equal(h.t, 1, r.verified(1))
				assert.Contains(h.t, h.log(), tt.says)
				build := h.json("/api/tenant/gatehouse/builds?job_name=unit").([]any)[0].(map[string]any)["uuid"].(string)
				assert.NoFileExists(h.t, filepath.Join(h.dir, "logs", build, "report.xml"))
			})
		})
	}
}

func TestMissingImageIsWaitedForAndNamed(t *testing.T) {
	r := newReview(jobs)
	n := newMachines(works())
	var missing atomic.Bool
	missing.Store(true)
	n.launch = func(node.Request) error {
		if missing.Load() {
			return fmt.Errorf("launch node: %w", &node.MissingError{What: "active image \"gatehouse-go\": make it"})
		}
		return nil
	}
	inHouse(t, r, n, func(h *house) {
		r.push(1)
		pass(25 * time.Minute)
		assert.Equal(h.t, "waiting for the cloud: no active image \"gatehouse-go\": make it",
			h.gate.Status().Pipelines[0].ChangeQueues[0].Heads[0][0].Jobs[0].Phase)
		missing.Store(false)
		pass(5 * time.Minute)
		assert.Equal(h.t, 1, r.verified(1))

		missing.Store(true)
		r.push(1)
		pass(time.Hour)
		assert.Contains(h.t, r.own(1)[1], "NODE_FAILURE")
		assert.Contains(h.t, r.own(1)[1], "gatehouse-go")
	})
}

func TestUnknownLabelIsAnErrorThatNamesTheKnownOnes(t *testing.T) {
	r := newReview("- job: {name: a, label: windows, run: x}\n- project: {check: {jobs: [a]}}")
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, review: r, nodes: newMachines(works()), dir: t.TempDir(), config: func(c *gate.Config) { c.Labels = []string{"go", "", "big"} }}
		h.start()
		r.push(1)
		pass(time.Minute)
		require.Len(t, r.own(1), 1)
		assert.Contains(t, r.own(1)[0], `label "windows", which this gate does not have; it has "big", "go"`)
		h.end()
	})
}

func TestMachinesInUseAreBounded(t *testing.T) {
	r := newReview(jobs)
	n := newMachines(works())
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, review: r, nodes: n, dir: t.TempDir(), config: func(c *gate.Config) { c.MaxNodes = 3 }}
		h.start()
		for i := 1; i <= 6; i++ {
			r.push(i)
		}
		pass(10 * time.Minute)
		for i := 1; i <= 6; i++ {
			assert.Equal(t, 1, r.verified(i))
		}
		assert.Equal(t, 3, n.most)
		h.end()
	})
}

func TestWaitingJobSaysWhatItWaitsFor(t *testing.T) {
	r := newReview("- job: {name: a, run: x}\n- job: {name: b, run: y, dependencies: a}\n- project: {check: {jobs: [a, b]}}")
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(5 * time.Second)
		s := h.gate.Status()
		item := s.Pipelines[0].ChangeQueues[0].Heads[0][0]
		assert.Equal(t, queue.Key{Number: 1, PatchSet: 1}.String(), item.Refs[0].ID)
		assert.Equal(t, "run step 1 of 1", item.Jobs[0].Phase)
		require.NotNil(t, item.Jobs[1].WaitingStatus)
		assert.Equal(t, "waiting for [a]", *item.Jobs[1].WaitingStatus)
	})
}

func TestOldLogsAreRemovedAndTheirBuildsRemembered(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(5 * time.Minute)
		build := h.json("/api/tenant/gatehouse/builds?job_name=unit").([]any)[0].(map[string]any)["uuid"].(string)
		file := filepath.Join(h.dir, "logs", build, "job-output.txt")
		at := time.Now() // the files have the real clock's times
		require.NoError(t, os.Chtimes(file, at, at))
		pass(29 * 24 * time.Hour)
		assert.FileExists(t, file)
		pass(25 * time.Hour)
		assert.NoFileExists(t, file)
		assert.Contains(t, h.get("/build/"+build), "SUCCESS")
		assert.Contains(t, h.get("/logs/"+build+"/"), "no files")
	})
}
