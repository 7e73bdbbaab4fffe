package config

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// jobName is what may stand in a URL, a file name and a log line unquoted.
var jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (r *reader) job(e entry) Job {
	line, _ := position(e.at)
	job := Job{
		Line: line, Voting: true, Attempts: DefaultAttempts,
		Timeout: DefaultTimeout, PostTimeout: DefaultPostTimeout,
	}
	r.settings(&job, e, false)
	return job
}

// settings reads the keys below e into job. A variant is a job as one
// pipeline uses it: it has its name already.
func (r *reader) settings(job *Job, e entry, variant bool) {
	entries, ok := r.mapping(e.value, "job")
	if !ok {
		return
	}
	for _, k := range entries {
		switch {
		case k.key == "name" && !variant:
			job.Name = r.text(k)
			if !jobName.MatchString(job.Name) {
				r.fail(valueOr(k), "a job's name is made of letters, digits, '.', '_' and '-': %q", job.Name)
			}
		case r.steps(job, k), r.conditions(job, k), r.limits(job, k):
		default:
			r.fail(k.at, "unknown key %q in a job", k.key)
		}
	}
	if job.Name == "" && !variant {
		r.fail(e.at, "the job has no name")
	}
	if len(job.Run) == 0 && !variant {
		r.fail(e.at, "job %q has no run: nothing would be tested", job.Name)
	}
}

// steps reads what the job does. It reports whether the key was one of these.
func (r *reader) steps(job *Job, k entry) bool {
	switch k.key {
	case "description":
		job.Description = r.text(k)
	case "pre-run":
		job.PreRun = r.texts(k)
	case "run":
		job.Run = r.texts(k)
	case "post-run":
		job.PostRun = r.texts(k)
	case "artifacts":
		job.Artifacts = r.artifacts(k)
	case "failure-output":
		job.FailureOutput = r.patterns(k, func(s string) string { return s })
	default:
		return false
	}
	return true
}

// conditions reads when the job runs and what it decides.
func (r *reader) conditions(job *Job, k entry) bool {
	switch k.key {
	case "voting":
		job.Voting = r.boolean(k)
	case "retry-failed":
		v := r.boolean(k)
		job.RetryFailed = &v
	case "dependencies":
		job.Dependencies = r.dependencies(k)
	case "branches":
		job.Branches = r.patterns(k, wholly)
	case "files":
		job.Files = r.patterns(k, fromStart)
	case "irrelevant-files":
		job.IrrelevantFiles = r.patterns(k, fromStart)
	default:
		return false
	}
	return true
}

// limits reads where the job runs, how long and how often.
func (r *reader) limits(job *Job, k entry) bool {
	switch k.key {
	case "label":
		job.Label = r.text(k)
	case "network":
		job.Network = r.network(k)
	case "timeout":
		job.Timeout = r.duration(k, MaxTimeout)
	case "post-timeout":
		job.PostTimeout = r.duration(k, MaxTimeout)
	case "attempts":
		job.Attempts = r.integer(k, 1, MaxAttempts)
	default:
		return false
	}
	return true
}

// network reads one name or a list of them; none and full stand alone. Which
// proxies there are, the gate knows.
func (r *reader) network(k entry) Network {
	n := Network{Names: r.texts(k)}
	n.Line, n.Column = position(valueOr(k))
	for i, name := range n.Names {
		switch {
		case !jobName.MatchString(name):
			r.fail(valueOr(k), "network is none, full, or a list of proxies by name: %q", name)
		case slices.Contains(n.Names[:i], name):
			r.fail(valueOr(k), "network names %s twice", name)
		case (name == NoNetwork || name == FullNetwork) && len(n.Names) > 1:
			r.fail(valueOr(k), "network: %s stands alone, not in a list with others", name)
		}
	}
	if slices.Equal(n.Names, []string{NoNetwork}) {
		n.Names = nil
	}
	return n
}

// wholly and fromStart make Zuul's meaning of a matcher: a branch matches as
// a whole, a file from its start.
func wholly(s string) string    { return "^(?:" + s + ")$" }
func fromStart(s string) string { return "^(?:" + s + ")" }

func (r *reader) dependencies(k entry) []Dependency {
	var list []Dependency
	for _, n := range r.items(k.value) {
		if name, ok := scalar(r.resolve(n)); ok {
			list = append(list, Dependency{Name: name})
			continue
		}
		if d, ok := r.dependency(n); ok {
			list = append(list, d)
		}
	}
	return list
}

func (r *reader) dependency(n ast.Node) (d Dependency, ok bool) {
	entries, ok := r.mapping(n, "a dependency")
	if !ok {
		return d, false
	}
	for _, e := range entries {
		switch e.key {
		case "name":
			d.Name = r.text(e)
		case "soft":
			d.Soft = r.boolean(e)
		default:
			r.fail(e.at, "unknown key %q in a dependency; there are name and soft", e.key)
		}
	}
	if d.Name == "" {
		r.fail(n, "the dependency has no name")
	}
	return d, d.Name != ""
}

// artifacts reads a list of paths, or of mappings with name and path.
func (r *reader) artifacts(k entry) []Artifact {
	var list []Artifact
	seen := map[string]bool{}
	for _, n := range r.items(k.value) {
		a, ok := r.artifact(n)
		if !ok {
			continue
		}
		if seen[a.Name] {
			r.fail(n, "there are two artifacts named %q", a.Name)
			continue
		}
		seen[a.Name] = true
		list = append(list, a)
	}
	return list
}

func (r *reader) artifact(n ast.Node) (a Artifact, ok bool) {
	if p, plain := scalar(r.resolve(n)); plain {
		a = Artifact{Name: path.Base(p), Path: p}
	} else {
		entries, ok := r.mapping(n, "an artifact")
		if !ok {
			return a, false
		}
		for _, e := range entries {
			switch e.key {
			case "name":
				a.Name = r.text(e)
			case "path":
				a.Path = r.text(e)
			default:
				r.fail(e.at, "unknown key %q in an artifact; there are name and path", e.key)
			}
		}
	}
	if a.Path == "" || path.IsAbs(a.Path) || a.Path != path.Clean(a.Path) || strings.HasPrefix(a.Path, "..") {
		r.fail(n, "an artifact's path leads from the checked-out tree down to a file: %q", a.Path)
		return a, false
	}
	if !jobName.MatchString(a.Name) || a.Name == JobOutput {
		r.fail(n, "an artifact's name is made of letters, digits, '.', '_' and '-': %q", a.Name)
		return a, false
	}
	return a, true
}

// JobOutput is the name of a build's log, which no artifact may take.
const JobOutput = "job-output.txt"
