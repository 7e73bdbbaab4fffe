package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/config"
)

// A7.2: files runs a job if any file matches, irrelevant-files unless all do;
// without a list of files every job runs.
func TestA7_2FileMatchersChooseJobs(t *testing.T) {
	const in = `
- job: {name: all, run: x}
- job: {name: go, run: x, files: ['.*\.go$', go\.mod]}
- job: {name: code, run: x, irrelevant-files: [docs/, README]}
- job: {name: stable, run: x, branches: stable/.*}
- project: {check: {jobs: [all, go, code, stable]}}
`
	c, err := config.Parse([]byte(in))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		change config.Change
		want   []string
	}{
		"a Go file":               {config.Change{Branch: "main", Files: []string{"a/b.go"}}, []string{"all", "go", "code"}},
		"documentation only":      {config.Change{Branch: "main", Files: []string{"docs/a.md", "README.md"}}, []string{"all"}},
		"documentation and more":  {config.Change{Branch: "main", Files: []string{"docs/a.md", "Makefile"}}, []string{"all", "code"}},
		"match from the start":    {config.Change{Branch: "main", Files: []string{"x/docs/a.md", "x/go.mod"}}, []string{"all", "code"}},
		"no file list":            {config.Change{Branch: "main"}, []string{"all", "go", "code"}},
		"another branch":          {config.Change{Branch: "stable/1", Files: []string{"docs/a"}}, []string{"all", "stable"}},
		"a branch matches wholly": {config.Change{Branch: "unstable/1", Files: []string{"docs/a"}}, []string{"all"}},
	} {
		t.Run(name, func(t *testing.T) {
			jobs, err := c.Freeze(config.Check, tt.change)
			require.NoError(t, err)
			var names []string
			for _, j := range jobs {
				names = append(names, j.Name)
			}
			assert.Equal(t, tt.want, names)
		})
	}
}

// A7.4: a hard dependency on a job that does not run is an error, a soft one
// is ignored.
func TestA7_4DependencyOnAJobThatDoesNotRun(t *testing.T) {
	const in = `
- job: {name: build, run: x, files: src/}
- job: {name: hard, run: x, files: tests/, dependencies: build}
- job: {name: soft, run: x, dependencies: [{name: build, soft: true}]}
- project: {check: {jobs: [build, hard, soft]}}
`
	c, err := config.Parse([]byte(in))
	require.NoError(t, err)

	_, err = c.Freeze(config.Check, config.Change{Branch: "main", Files: []string{"tests/a"}})
	require.ErrorContains(t, err, `.gate.yaml:3:1: job "hard" depends on "build", which does not run for this change`)

	jobs, err := c.Freeze(config.Check, config.Change{Branch: "main", Files: []string{"docs/a"}})
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	assert.Empty(t, jobs[0].Dependencies)
}
