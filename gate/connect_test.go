package gate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate"
	"github.com/gatehouse-dev/gatehouse/testenv/network"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// networked is a gate that offers networks and a change whose jobs ask for some.
func networked(t *testing.T, file string, c network.Config, n *machines, check func(h *house, r *review)) {
	t.Helper()
	offers, err := network.New(c)
	require.NoError(t, err)
	r := newReview(file)
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, review: r, nodes: n, dir: t.TempDir(), config: func(c *gate.Config) { c.Networks = offers }}
		h.start()
		r.push(1)
		pass(time.Hour)
		check(h, r)
		h.end()
	})
}

const askingForGo = "- job: {name: unit, network: go, run: test, post-run: collect}\n- project: {check: {jobs: [unit]}}"

func TestStepsFindTheNetworkThatTheirJobDeclares(t *testing.T) {
	seen := map[string]string{}
	n := newMachines(func(_ context.Context, _ *machine, s node.Step, _ io.Writer) (int, error) {
		seen[s.Script] = s.Env["GOPROXY"] + " " + s.Env["GATE_JOB"]
		return 0, nil
	})
	networked(t, askingForGo, network.Config{Go: &network.GoProxy{}}, n, func(h *house, r *review) {
		assert.Equal(h.t, 1, r.verified(1))
		assert.Equal(h.t, map[string]string{"test": "http://127.0.0.1:4000 unit", "collect": "http://127.0.0.1:4000 unit"}, seen)
		assert.Contains(h.t, h.log(), "==> network: go\n")
	})
}

func TestAJobThatDeclaresNoNetworkGetsNone(t *testing.T) {
	n := newMachines(func(_ context.Context, _ *machine, s node.Step, _ io.Writer) (int, error) {
		if _, given := s.Env["GOPROXY"]; given {
			return 1, nil
		}
		return 0, nil
	})
	n.connect = errors.New("nothing was to be connected")
	networked(t, jobs, network.Config{Go: &network.GoProxy{}, Full: true}, n, func(h *house, r *review) {
		assert.Equal(h.t, 1, r.verified(1))
		assert.Contains(h.t, h.log(), "==> network: none\n")
	})
}

func TestANetworkThatIsNotOfferedIsAnErrorAtItsLine(t *testing.T) {
	const file = "- job:\n    name: unit\n    run: x\n    network: %s\n- project: {check: {jobs: [unit]}}"
	proxies := map[string]network.Proxy{"pypi": {Hosts: []string{"pypi.org"}}}
	for name, tt := range map[string]struct {
		asks string
		c    network.Config
		want string
	}{
		"unknown":           {"npm", network.Config{Go: &network.GoProxy{}, Proxies: proxies}, `job "unit" asks for network "npm", which this gate does not offer; it offers "go", "pypi"`},
		"unknown with full": {"npm", network.Config{Full: true}, `which this gate does not offer; it offers full`},
		"nothing offered":   {"go", network.Config{}, `job "unit" asks for network "go", which this gate does not offer; it offers none`},
		"full":              {"full", network.Config{Proxies: proxies}, "which this gate does not allow: its operator can, by the setting `network: {full: true}` of gatehouse.yaml; it offers \"pypi\""},
	} {
		t.Run(name, func(t *testing.T) {
			networked(t, fmt.Sprintf(file, tt.asks), tt.c, newMachines(works()), func(h *house, r *review) {
				require.Len(h.t, r.own(1), 1)
				assert.Contains(h.t, r.own(1)[0], tt.want)
				assert.Contains(h.t, r.own(1)[0], "[.gate.yaml:4 ", "the remark is not at the line")
			})
		})
	}
}

func TestAMachineWithoutItsNetworkRunsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"refused": {fmt.Errorf("%w to forward ports", node.ErrRefused), "NODE_FAILURE"},
		"lost":    {errors.New("EOF"), "RETRY_LIMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newMachines(func(context.Context, *machine, node.Step, io.Writer) (int, error) {
				t.Error("a step runs")
				return 0, nil
			})
			n.connect = tt.err
			networked(t, askingForGo, network.Config{Go: &network.GoProxy{}}, n, func(h *house, r *review) {
				require.Len(h.t, r.own(1), 1)
				assert.Contains(h.t, r.own(1)[0], tt.want)
				assert.Equal(h.t, 0, n.used())
			})
		})
	}
}
