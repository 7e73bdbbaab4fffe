//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// What test machines must do on two processors without KVM. The benchmarks
// report how they did and, as "…/bar", how that compares: 1 is just enough.
// Each is one long run (-benchtime 1x).
const (
	barMedian = 500 * time.Millisecond // from create to a first command's output
	barSlow   = time.Second            // the same, of 95 in 100
	barDelete = 200 * time.Millisecond // from delete to nothing being left
	barMemory = 4 << 30                // of ten forks of a template of 2 GB, in bytes
	barWarm   = 2                      // a job in a fork, in times of one in a machine that has been running

	inAll = 20 // machines that are measured, one after the other or some at once
	some  = 3  // of what takes long
)

// provider takes machines from g as the gate does.
func (g *gatehouse) provider(tb testing.TB) *node.Provider {
	tb.Helper()
	p, err := node.New(node.Config{
		CloudsFile: g.clouds(), Cloud: "gatehouse", Instance: uuid.NewString()[:8],
		Labels: map[string]node.Label{"": {Image: "gatehouse-go", Flavor: "gate.small"}},
		Log:    slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(tb, p.Close(ctx))
	})
	return p
}

// answered is a machine of which a command's output has been seen.
type answered struct {
	*node.Node
	took time.Duration
}

// launch makes a machine and has it say something.
func launch(ctx context.Context, p *node.Provider) (answered, error) {
	began := time.Now()
	n, err := p.Launch(ctx, node.Request{Build: uuid.NewString()})
	if err != nil {
		return answered{}, err
	}
	var said bytes.Buffer
	exit, err := n.Run(ctx, node.Step{Script: "echo here"}, &said)
	a := answered{n, time.Since(began)}
	if err == nil && (exit != 0 || said.String() != "here\n") {
		err = fmt.Errorf("the machine ended with %d and said %q", exit, &said)
	}
	return a, err
}

// launchAtOnce makes machines side by side.
func launchAtOnce(tb testing.TB, p *node.Provider, number int) []answered {
	tb.Helper()
	machines, errs := make([]answered, number), make([]error, number)
	var launches sync.WaitGroup
	for i := range number {
		launches.Go(func() { machines[i], errs[i] = launch(tb.Context(), p) })
	}
	launches.Wait()
	require.NoError(tb, errors.Join(errs...), "gatehouse said:\n%s", shared.out)
	return machines
}

// samples are how long something took, each time.
type samples []time.Duration

// percentile is the time that so many in a hundred kept within.
func (s samples) percentile(p int) time.Duration {
	slices.Sort(s)
	return s[(len(s)*p+99)/100-1]
}

func (s samples) report(b *testing.B, name string, p int, bar time.Duration) {
	b.Helper()
	took := s.percentile(p)
	b.ReportMetric(took.Seconds(), fmt.Sprintf("%s-p%d-s", name, p))
	b.ReportMetric(took.Seconds()/bar.Seconds(), fmt.Sprintf("%s-p%d/bar", name, p))
}

// BenchmarkMachine measures a machine's life by the API, from create to a
// first command's output over ssh, and its end: one after the other, and four
// at once.
func BenchmarkMachine(b *testing.B) {
	for _, atOnce := range []int{1, 4} {
		b.Run(fmt.Sprintf("at-once=%d", atOnce), func(b *testing.B) {
			p := shared.provider(b)
			warmUp(b, p)
			var created, deleted samples
			for b.Loop() {
				for range inAll / atOnce {
					c, d := lives(b, p, atOnce)
					created, deleted = append(created, c...), append(deleted, d...)
				}
			}
			created.report(b, "create", 50, barMedian)
			created.report(b, "create", 95, barSlow)
			deleted.report(b, "delete", 95, barDelete)
			shared.requireNothingLeft(b)
		})
	}
}

// warmUp has the cloud make the template, if it has none yet.
func warmUp(b *testing.B, p *node.Provider) {
	b.Helper()
	n, err := launch(b.Context(), p)
	require.NoError(b, err)
	require.NoError(b, n.Close(b.Context()))
}

// lives makes machines side by side and ends them one after the other.
func lives(b *testing.B, p *node.Provider, atOnce int) (created, deleted samples) {
	b.Helper()
	for _, m := range launchAtOnce(b, p, atOnce) {
		created = append(created, m.took)
		began := time.Now()
		require.NoError(b, m.Close(b.Context()), "gatehouse said:\n%s", shared.out)
		deleted = append(deleted, time.Since(began))
	}
	return created, deleted
}

// requireNothingLeft looks for what deleted servers may have left behind.
func (g *gatehouse) requireNothingLeft(tb testing.TB) {
	tb.Helper()
	pids, err := machines(g.data)
	require.NoError(tb, err)
	require.Empty(tb, pids, "QEMU processes")
	dirs, err := filepath.Glob(filepath.Join(g.data, "compute", "machines", "*-*-*-*-*"))
	require.NoError(tb, err)
	require.Empty(tb, dirs)
}

// BenchmarkBoot measures a machine that is booted, not forked, for comparison.
func BenchmarkBoot(b *testing.B) {
	property := func(value string) {
		cmd := exec.CommandContext(b.Context(), "/usr/bin/openstack", "--os-cloud", "gatehouse",
			"image", "set", "--property", "gatehouse_fork="+value, "gatehouse-go")
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + b.TempDir(), "LC_ALL=C.UTF-8", "OS_CLIENT_CONFIG_FILE=" + shared.clouds()}
		out, err := cmd.CombinedOutput()
		require.NoError(b, err, "%s", out)
	}
	property("false")
	defer property("true")
	p := shared.provider(b)
	var created samples
	for b.Loop() {
		for range some {
			c, _ := lives(b, p, 1)
			created = append(created, c...)
		}
	}
	created.report(b, "create", 50, barMedian)
}

// BenchmarkTenForks measures the memory of ten machines of 2 GB that live at
// once: what each has for itself, and what they share, once.
func BenchmarkTenForks(b *testing.B) {
	data := b.TempDir()
	// More than the host's processors, as all ten wait.
	require.NoError(b, os.WriteFile(filepath.Join(data, "gatehouse.yaml"), []byte("cpu_allocation_ratio: 16\nram_allocation_ratio: 1\n"), 0o600))
	g, err := up(data)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, g.stop()) })
	require.NoError(b, g.buildImage())
	p := g.provider(b)
	var bytesUsed int64
	for b.Loop() {
		var forks []answered
		for range 10 {
			n, err := launch(b.Context(), p)
			require.NoError(b, err)
			forks = append(forks, n)
		}
		bytesUsed = max(bytesUsed, g.memory(b))
		for _, n := range forks {
			require.NoError(b, n.Close(b.Context()))
		}
	}
	b.ReportMetric(float64(bytesUsed)/(1<<20), "MiB")
	b.ReportMetric(float64(bytesUsed)/barMemory, "memory/bar")
}

// memory is what the machines of g hold of the host's memory, in bytes: by
// proc(5), Pss counts a page that several share once in all.
func (g *gatehouse) memory(tb testing.TB) int64 {
	tb.Helper()
	pids, err := machines(g.data)
	require.NoError(tb, err)
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		require.NoError(tb, err)
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); fields[0] == "Pss:" {
				kB, err := strconv.ParseInt(fields[1], 10, 64)
				require.NoError(tb, err)
				sum += kB << 10
			}
		}
	}
	return sum
}

// BenchmarkJob measures the demo module's test and lint in a fresh fork, in
// times of what they take in the same machine once it has run them.
func BenchmarkJob(b *testing.B) {
	p := shared.provider(b)
	warmUp(b, p)
	for name, script := range map[string]string{
		"test": "go test -count=1 -run Test[^V] ./...", // not the one that fails now and then
		"lint": "golangci-lint run --issues-exit-code=0 ./...",
	} {
		b.Run(name, func(b *testing.B) {
			var fresh, running samples
			for b.Loop() {
				for range some {
					n, err := launch(b.Context(), p)
					require.NoError(b, err)
					copyModule(b, n.Node)
					fresh = append(fresh, runJob(b, n.Node, script))
					running = append(running, runJob(b, n.Node, script), runJob(b, n.Node, script))
					require.NoError(b, n.Close(b.Context()))
				}
			}
			b.ReportMetric(fresh.percentile(50).Seconds(), "fork-s")
			b.ReportMetric(running.percentile(50).Seconds(), "running-s")
			b.ReportMetric(fresh.percentile(50).Seconds()/running.percentile(50).Seconds()/barWarm, "fork/bar")
		})
	}
}

// copyModule puts the demo's module where a job has its tree.
func copyModule(b *testing.B, n *node.Node) {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/uuid").Output()
	require.NoError(b, err)
	archive := exec.CommandContext(b.Context(), "tar", "-C", strings.TrimSpace(string(out)), "--mode=u+w", "-c", ".")
	stream, err := archive.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, archive.Start())
	require.NoError(b, n.CopyTree(b.Context(), stream, n.Home()+"/src/uuid"))
	require.NoError(b, archive.Wait())
}

func runJob(b *testing.B, n *node.Node, script string) time.Duration {
	b.Helper()
	began := time.Now()
	var said bytes.Buffer
	exit, err := n.Run(b.Context(), node.Step{Script: script, Dir: n.Home() + "/src/uuid"}, io.Writer(&said))
	require.NoError(b, err)
	require.Zero(b, exit, &said)
	return time.Since(began)
}
