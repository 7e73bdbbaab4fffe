package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// maxSize bounds a job file, in bytes.
const maxSize = 256 << 10

// Parse reads a job file. Its error is always Errors.
func Parse(data []byte) (c *Config, err error) {
	if len(data) > maxSize {
		return nil, Errors{{Line: 1, Column: 1, Message: fmt.Sprintf("the file is larger than %d bytes", maxSize)}}
	}
	// The YAML parser is not ours and the file is anybody's.
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, Errors{{Line: 1, Column: 1, Message: fmt.Sprintf("this is no YAML that can be read: %v", p)}}
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if e := tooDeep(tokens); e != nil {
		return nil, e
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxErrors(err)
	}
	r := &reader{anchors: map[string]ast.Node{}}
	c = r.file(file)
	if len(r.errors) > 0 {
		return nil, r.sorted()
	}
	return c, nil
}

func syntaxErrors(err error) Errors {
	e := Error{Line: 1, Column: 1, Message: err.Error()}
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		e.Message = syntax.Message
		e.Line, e.Column = tokenPosition(syntax.Token)
	}
	return Errors{e}
}

func (r *reader) file(file *ast.File) *Config {
	c := &Config{Pipelines: map[string]Pipeline{}}
	var stanzas []ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		list, ok := r.resolve(doc.Body).(*ast.SequenceNode)
		if !ok {
			r.fail(doc.Body, "the file must be a list: entries that begin with `- job:` or `- project:`")
			continue
		}
		stanzas = append(stanzas, list.Values...)
	}
	projects := r.jobs(c, stanzas)
	switch {
	case len(projects) == 0 && len(r.errors) == 0:
		r.failAt(1, 1, "there is no `- project:` that says which jobs run in check and gate")
	case len(projects) > 1:
		r.fail(projects[1].at, "a file has one `project`; there is another above")
	}
	for _, p := range projects {
		r.project(c, p)
	}
	return c
}

// jobs reads the job stanzas into c and returns the project stanzas: jobs may
// be defined below the project that names them.
func (r *reader) jobs(c *Config, stanzas []ast.Node) (projects []entry) {
	lines := map[string]int{}
	for _, stanza := range stanzas {
		entries, ok := r.mapping(stanza, "an entry of the file")
		if !ok {
			continue
		}
		if len(entries) != 1 {
			r.fail(stanza, "an entry has one key, `job` or `project`; is something not indented below it?")
			continue
		}
		switch e := entries[0]; e.key {
		case "job":
			job := r.job(e)
			if first, twice := lines[job.Name]; twice {
				r.fail(e.at, "job %q is defined twice; first in line %d", job.Name, first)
				continue
			}
			if job.Name != "" {
				lines[job.Name] = job.Line
				c.Jobs = append(c.Jobs, job)
			}
		case "project":
			projects = append(projects, e)
		default:
			r.fail(e.at, "unknown entry %q; there are job and project", e.key)
		}
	}
	return projects
}

func (r *reader) project(c *Config, e entry) {
	entries, ok := r.mapping(e.value, "a project")
	if !ok {
		return
	}
	for _, e := range entries {
		switch e.key {
		case "queue":
			c.Queue = r.text(e)
		case Check, Gate:
			c.Pipelines[e.key] = r.pipeline(c, e)
		default:
			r.fail(e.at, "unknown key %q in a project; there are queue, check and gate", e.key)
		}
	}
}

func (r *reader) pipeline(c *Config, e entry) Pipeline {
	var p Pipeline
	entries, ok := r.mapping(e.value, "pipeline "+e.key)
	if !ok {
		return p
	}
	for _, k := range entries {
		switch k.key {
		case "fail-fast":
			p.FailFast = r.boolean(k)
		case "jobs":
			for _, n := range r.items(k.value) {
				if job, ok := r.use(c, n); ok {
					p.Jobs = append(p.Jobs, job)
				}
			}
		default:
			r.fail(k.at, "unknown key %q in pipeline %s; there are jobs and fail-fast", k.key, e.key)
		}
	}
	r.graph(p.Jobs, e)
	return p
}

// use reads one job of a pipeline: its name, or its name with settings that
// hold in this pipeline only.
func (r *reader) use(c *Config, n ast.Node) (Job, bool) {
	name, plain := scalar(r.resolve(n))
	var settings entry
	if !plain {
		entries, ok := r.mapping(n, "a job of a pipeline")
		if !ok {
			return Job{}, false
		}
		if len(entries) != 1 {
			r.fail(n, "a job of a pipeline is a name, or a name with its settings below it")
			return Job{}, false
		}
		settings, name = entries[0], entries[0].key
	}
	i := slices.IndexFunc(c.Jobs, func(j Job) bool { return j.Name == name })
	if i < 0 {
		r.fail(n, "job %q is not defined%s", name, nearest(name, c.Jobs))
		return Job{}, false
	}
	job := c.Jobs[i]
	if !plain {
		r.settings(&job, settings, true)
	}
	return job, true
}

func nearest(name string, jobs []Job) string {
	names := make([]string, len(jobs))
	for i, j := range jobs {
		if strings.EqualFold(j.Name, name) {
			return fmt.Sprintf("; do you mean %q?", j.Name)
		}
		names[i] = j.Name
	}
	if len(names) == 0 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}

// graph refuses jobs named twice and dependencies that lead nowhere or back.
func (r *reader) graph(jobs []Job, pipeline entry) {
	byName := map[string]Job{}
	for _, j := range jobs {
		if _, twice := byName[j.Name]; twice {
			r.fail(pipeline.at, "job %q stands twice in pipeline %s", j.Name, pipeline.key)
		}
		byName[j.Name] = j
	}
	for _, j := range jobs {
		for _, d := range j.Dependencies {
			if _, ok := byName[d.Name]; !ok && !d.Soft {
				r.fail(pipeline.at, "job %q depends on %q, which pipeline %s does not run", j.Name, d.Name, pipeline.key)
			}
		}
	}
	if cycle := findCycle(byName); cycle != nil {
		r.fail(pipeline.at, "jobs depend on each other in a circle: %s", strings.Join(cycle, " → "))
	}
}

// findCycle returns the names along a circle of dependencies, or nil.
func findCycle(jobs map[string]Job) []string {
	const visiting, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		path = append(path, name)
		defer func() { path = path[:len(path)-1] }()
		switch state[name] {
		case visiting:
			return slices.Clone(path[slices.Index(path, name):])
		case done:
			return nil
		}
		state[name] = visiting
		for _, d := range jobs[name].Dependencies {
			if cycle := visit(d.Name); cycle != nil {
				return cycle
			}
		}
		state[name] = done
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		if cycle := visit(name); cycle != nil {
			return cycle
		}
	}
	return nil
}
