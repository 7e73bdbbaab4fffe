package config

import (
	"fmt"
	"regexp"
	"slices"
)

// Change is what decides which jobs run.
type Change struct {
	// Branch is the target branch, without refs/heads/.
	Branch string
	// Files are the changed files. None: every file matcher matches (A7.2).
	Files []string
}

// Freeze returns the jobs that run for a change in a pipeline, in the order
// of the file (GATE.md A7.2). A job that depends on one that does not run is
// an error (A7.4); soft dependencies of that kind are dropped.
func (c *Config) Freeze(pipeline string, change Change) ([]Job, error) {
	var jobs []Job
	for _, job := range c.Pipelines[pipeline].Jobs {
		if job.runsFor(change) {
			jobs = append(jobs, job)
		}
	}
	runs := func(name string) bool {
		return slices.ContainsFunc(jobs, func(j Job) bool { return j.Name == name })
	}
	for i := range jobs {
		kept := make([]Dependency, 0, len(jobs[i].Dependencies))
		for _, d := range jobs[i].Dependencies {
			switch {
			case runs(d.Name):
				kept = append(kept, d)
			case !d.Soft:
				return nil, Errors{{Line: jobs[i].Line, Column: 1, Message: fmt.Sprintf(
					"job %q depends on %q, which does not run for this change (a soft dependency would be ignored)", jobs[i].Name, d.Name)}}
			}
		}
		jobs[i].Dependencies = kept
	}
	return jobs, nil
}

func (j Job) runsFor(change Change) bool {
	if len(j.Branches) > 0 && !matches(j.Branches, change.Branch) {
		return false
	}
	if len(change.Files) == 0 {
		return true
	}
	if len(j.Files) > 0 && !slices.ContainsFunc(change.Files, func(f string) bool { return matches(j.Files, f) }) {
		return false
	}
	if len(j.IrrelevantFiles) > 0 {
		return slices.ContainsFunc(change.Files, func(f string) bool { return !matches(j.IrrelevantFiles, f) })
	}
	return true
}

func matches(patterns []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(s) })
}
