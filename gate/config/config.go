// Package config reads .gate.yaml, the job file that lies in a tested
// repository. It has the shape and the words of Zuul's configuration
// (https://zuul-ci.org/docs/zuul/latest/config/), but steps of shell where
// Zuul names playbooks.
//
// The file comes from the change under test: it is untrusted. Parse never
// panics, bounds what it reads, and reports everything it finds wrong at once,
// each with its line, so that a change's author sees all of it in one go.
package config

import (
	"regexp"
	"strings"
	"time"
)

// File is the name of the job file in the root of a repository.
const File = ".gate.yaml"

// Defaults and bounds of a job.
const (
	DefaultTimeout     = 30 * time.Minute
	DefaultPostTimeout = 10 * time.Minute
	MaxTimeout         = 24 * time.Hour
	DefaultAttempts    = 3
	MaxAttempts        = 10
)

// The pipelines that exist without configuration.
const (
	Check = "check"
	Gate  = "gate"
)

// Config is a job file that was read and found correct.
type Config struct {
	// Jobs are the definitions, in the order of the file.
	Jobs []Job
	// Queue names the change queue of the gate pipeline that the project
	// shares with others; empty: it has its own.
	Queue string
	// Pipelines are the project's jobs by pipeline: check, gate. A pipeline
	// that is not named is not here.
	Pipelines map[string]Pipeline
}

// Pipeline is what a project runs in one pipeline.
type Pipeline struct {
	// Jobs are the definitions with the pipeline's own settings applied.
	Jobs []Job
	// FailFast cancels an item's other builds as soon as a voting one failed.
	FailFast bool
}

// Job is one job. Its zero value is not useful: Parse fills in the defaults.
type Job struct {
	Name        string
	Description string
	// Label names image and flavor of the machine; empty: the gate's default.
	Label string
	// Network is what the machine may reach.
	Network Network
	// Timeout bounds pre-run and run together, PostTimeout all of post-run.
	Timeout, PostTimeout time.Duration
	// Attempts is how often a job whose preparation fails, or whose machine
	// is lost, is tried in all.
	Attempts int
	// Voting is false for a job that is reported but never decides.
	Voting bool
	// RetryFailed runs a failed job once more on a fresh machine before it
	// counts (GATE.md C3); nil: in the gate pipeline only.
	RetryFailed *bool
	// Dependencies are the jobs that must pass before this one starts.
	Dependencies []Dependency
	// Branches, Files and IrrelevantFiles decide whether the job runs for a
	// change. Empty: no bound.
	Branches, Files, IrrelevantFiles []*regexp.Regexp
	// FailureOutput are patterns of output lines that say that the job will
	// fail, before it ends.
	FailureOutput []*regexp.Regexp
	// PreRun prepares (failing, it is tried again), Run decides, PostRun
	// collects and cleans up. Each step is a script for /bin/sh -e.
	PreRun, Run, PostRun []string
	// Artifacts are files to keep of every build, whatever its result.
	Artifacts []Artifact
	// Line is where the definition begins in the file, from 1.
	Line int
}

// Network is what a job's machine may reach. The zero value is nothing.
type Network struct {
	// Names are proxies that the gate offers, or Full alone.
	Names []string
	// Line and Column are where the names stand in the file, from 1.
	Line, Column int
}

// The words of a job's network that are not names of proxies.
const (
	NoNetwork   = "none"
	FullNetwork = "full"
)

func (n Network) String() string {
	if len(n.Names) == 0 {
		return NoNetwork
	}
	return strings.Join(n.Names, ", ")
}

// Dependency is another job of the same pipeline that must pass first.
type Dependency struct {
	Name string
	// Soft dependencies count only if that job runs for the change at all.
	Soft bool
}

// Artifact is a file of the machine that is kept with the build.
type Artifact struct {
	// Name is what the build page calls it, and its file name there.
	Name string
	// Path is the file's path, relative to the checked-out tree.
	Path string
}
