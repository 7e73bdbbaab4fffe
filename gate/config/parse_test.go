package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/config"
)

// sample is DESIGN.md's example, to the letter.
const sample = `- job:
    name: unit
    label: go                 # image and flavor of the machine; default: the tenant's
    timeout: 10m
    pre-run: [go mod download]
    run: [go vet ./..., go test ./...]
- job:
    name: lint
    label: go
    run: golangci-lint run ./...
- project:
    queue: integrated
    check: {jobs: [lint, unit]}
    gate: {jobs: [lint, unit]}
`

func TestParseReadsTheExampleOfTheDesign(t *testing.T) {
	c, err := config.Parse([]byte(sample))
	require.NoError(t, err)
	require.Len(t, c.Jobs, 2)
	unit := c.Jobs[0]
	assert.Equal(t, "unit", unit.Name)
	assert.Equal(t, "go", unit.Label)
	assert.Equal(t, 10*time.Minute, unit.Timeout)
	assert.Equal(t, []string{"go mod download"}, unit.PreRun)
	assert.Equal(t, []string{"go vet ./...", "go test ./..."}, unit.Run)
	assert.True(t, unit.Voting)
	assert.Equal(t, config.DefaultAttempts, unit.Attempts)
	assert.Equal(t, []string{"golangci-lint run ./..."}, c.Jobs[1].Run)
	assert.Equal(t, config.DefaultTimeout, c.Jobs[1].Timeout)
	assert.Equal(t, "integrated", c.Queue)
	for _, pipeline := range []string{config.Check, config.Gate} {
		require.Len(t, c.Pipelines[pipeline].Jobs, 2)
		assert.Equal(t, "lint", c.Pipelines[pipeline].Jobs[0].Name)
	}
}

func TestParseReadsEverySetting(t *testing.T) {
	c, err := config.Parse([]byte(`
- project:
    check:
      fail-fast: true
      jobs:
        - build
        - docs: {voting: false, timeout: 5}
- job:
    name: build
    description: compiles
    attempts: 2
    post-timeout: 1m30s
    retry-failed: true
    branches: [main, stable/.*]
    run:
      - |
        if true; then
          make
        fi
      - true
    post-run: make clean
    failure-output: ["^boom"]
    artifacts:
      - out/report.xml
      - {name: binary, path: bin/prog}
- job:
    name: docs
    irrelevant-files: ['.*\.go$']
    dependencies:
      - build
      - {name: other, soft: true}
    run: make docs
`))
	require.NoError(t, err)
	build := c.Jobs[0]
	assert.Equal(t, []string{"if true; then\n  make\nfi\n", "true"}, build.Run)
	assert.Equal(t, []string{"make clean"}, build.PostRun)
	assert.Equal(t, 90*time.Second, build.PostTimeout)
	assert.True(t, *build.RetryFailed)
	assert.Equal(t, []config.Artifact{{Name: "report.xml", Path: "out/report.xml"}, {Name: "binary", Path: "bin/prog"}}, build.Artifacts)
	check := c.Pipelines[config.Check]
	assert.True(t, check.FailFast)
	docs := check.Jobs[1]
	assert.False(t, docs.Voting)
	assert.Equal(t, 5*time.Second, docs.Timeout)
	assert.Equal(t, []config.Dependency{{Name: "build"}, {Name: "other", Soft: true}}, docs.Dependencies)
	assert.True(t, c.Jobs[1].Voting, "a pipeline's setting must not change the definition")
}

func TestParseReportsWhatIsWrongWithItsLine(t *testing.T) {
	const project = "\n- project: {check: {jobs: [a]}}\n"
	for name, tt := range map[string]struct{ in, want string }{
		"empty file":          {"", ".gate.yaml:1:1: there is no `- project:` that says which jobs run in check and gate"},
		"not a list":          {"job: {name: a}", ".gate.yaml:1:1: the file must be a list: entries that begin with `- job:` or `- project:`"},
		"unknown entry":       {"- jop: {name: a}", `.gate.yaml:1:3: unknown entry "jop"; there are job and project`},
		"unknown key":         {"- job:\n    name: a\n    runs: x\n    run: y" + project, `.gate.yaml:3:5: unknown key "runs" in a job`},
		"no run":              {"- job:\n    name: a" + project, `.gate.yaml:1:3: job "a" has no run: nothing would be tested`},
		"bad time":            {"- job: {name: a, run: x, timeout: soon}" + project, ".gate.yaml:1:35: timeout must be a time such as 90s or 1h30m, at most 24h0m0s"},
		"negative time":       {"- job: {name: a, run: x, timeout: -5}" + project, ".gate.yaml:1:35: timeout must be a time such as 90s or 1h30m, at most 24h0m0s"},
		"overflowing time":    {"- job: {name: a, run: x, timeout: 9223372036854775807}" + project, ".gate.yaml:1:35: timeout must be a time such as 90s or 1h30m, at most 24h0m0s"},
		"bad pattern":         {"- job: {name: a, run: x, files: ['(']}" + project, ".gate.yaml:1:34: files: error parsing regexp: missing closing ): `(`"},
		"broken out of group": {"- job: {name: a, run: x, files: [')|(']}" + project, ".gate.yaml:1:34: files: error parsing regexp: unexpected ): `)|(`"},
		"bad voting":          {"- job: {name: a, run: x, voting: perhaps}" + project, ".gate.yaml:1:34: voting must be true or false"},
		"undefined job":       {"- job: {name: b, run: x}" + project, `.gate.yaml:2:28: job "a" is not defined; there are b`},
		"defined twice":       {"- job: {name: a, run: x}\n- job: {name: a, run: x}" + project, `.gate.yaml:2:3: job "a" is defined twice; first in line 1`},
		"key twice":           {"- job: {name: a, run: x, run: y}" + project, `.gate.yaml:1:26: mapping key "run" already defined at [1:18]`},
		"bad name":            {"- job: {name: a/b, run: x}\n- project: {check: {jobs: []}}", `.gate.yaml:1:15: a job's name is made of letters, digits, '.', '_' and '-': "a/b"`},
		"dependency missing":  {"- job: {name: a, run: x, dependencies: b}" + project, `.gate.yaml:2:13: job "a" depends on "b", which pipeline check does not run`},
		"dependency circle":   {"- job: {name: a, run: x, dependencies: a}" + project, ".gate.yaml:2:13: jobs depend on each other in a circle: a → a"},
		"artifact outside":    {"- job: {name: a, run: x, artifacts: ../../etc/shadow}" + project, `.gate.yaml:1:37: an artifact's path leads from the checked-out tree down to a file: "../../etc/shadow"`},
		"artifact over log":   {"- job: {name: a, run: x, artifacts: x/job-output.txt}" + project, `.gate.yaml:1:37: an artifact's name is made of letters, digits, '.', '_' and '-': "job-output.txt"`},
		"network not a name":  {"- job: {name: a, run: x, network: 'a b'}" + project, `.gate.yaml:1:35: network is none, full, or a list of proxies by name: "a b"`},
		"network in two ways": {"- job:\n    name: a\n    run: x\n    network: [go, full]" + project, ".gate.yaml:4:14: network: full stands alone, not in a list with others"},
		"network with none":   {"- job: {name: a, run: x, network: [none, go]}" + project, ".gate.yaml:1:35: network: none stands alone, not in a list with others"},
		"network twice":       {"- job: {name: a, run: x, network: [go, go]}" + project, ".gate.yaml:1:35: network names go twice"},
		"network a mapping":   {"- job: {name: a, run: x, network: {go: true}}" + project, ".gate.yaml:1:35: network must be text, or a list of texts"},
		"not YAML":            {"- job: {name: a", ".gate.yaml:1:8: could not find flow mapping end token '}'"},
		"unknown alias":       {"- job: *nothing", ".gate.yaml:1:8: unknown alias *nothing\n.gate.yaml:1:8: job must be a mapping (key: value)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte(tt.in))
			require.Error(t, err)
			assert.Equal(t, tt.want, err.Error())
		})
	}
}

func TestParseReportsEverythingWrongAtOnce(t *testing.T) {
	_, err := config.Parse([]byte("- job:\n    nme: a\n    timeout: x\n    run: y\n- project:\n    check: {jobs: [z]}\n    push: {}\n"))
	require.ErrorAs(t, err, &config.Errors{})
	var lines []int
	for _, e := range err.(config.Errors) { //nolint:errorlint // Parse promises this very type
		lines = append(lines, e.Line)
	}
	assert.Equal(t, []int{1, 2, 3, 6, 7}, lines)
}

func TestAJobDeclaresItsNetwork(t *testing.T) {
	c, err := config.Parse([]byte(`
- job: {name: plain, run: x}
- job: {name: nothing, run: x, network: none}
- job: {name: one, run: x, network: go}
- job: {name: two, run: x, network: [go, pypi]}
- job: {name: all, run: x, network: full}
- project:
    check:
      jobs:
        - one: {network: none}
        - plain: {network: go}
    gate: {jobs: [one]}
`))
	require.NoError(t, err)
	var networks []string
	for _, j := range c.Jobs {
		networks = append(networks, j.Network.String())
	}
	assert.Equal(t, []string{"none", "none", "go", "go, pypi", "full"}, networks)
	check := c.Pipelines[config.Check].Jobs
	assert.Empty(t, check[0].Network.Names)
	assert.Equal(t, config.Network{Names: []string{"go"}, Line: 11, Column: 28}, check[1].Network)
	assert.Equal(t, []string{"go"}, c.Pipelines[config.Gate].Jobs[0].Network.Names)
}

func TestAnchorsServeSteps(t *testing.T) {
	c, err := config.Parse([]byte("- job: {name: a, run: &steps [one, two]}\n- job: {name: b, run: *steps}\n- project: {gate: {jobs: [a, b]}}\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{"one", "two"}, c.Jobs[1].Run)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("- job: &a\n    <<: *a\n"))
	f.Add([]byte("- project: {check: {jobs: [[], {}, a: {b: c}]}}"))
	f.Add([]byte("{{{{: !!x &a *a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data)
		if err != nil {
			require.ErrorAs(t, err, &config.Errors{})
			return
		}
		require.NotNil(t, c)
		for pipeline := range c.Pipelines {
			_, _ = c.Freeze(pipeline, config.Change{Branch: "main", Files: []string{"a.go"}})
		}
	})
}
