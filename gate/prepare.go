package gate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/merger"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
)

// maxConfig bounds the job file that is read, in bytes; config bounds it more.
const maxConfig = 4 << 20

// prepare merges a state and freezes its jobs. What keeps it from doing so
// for a reason that is not the change's is tried again until it works.
func (g *Gate) prepare(ctx context.Context, c queue.Prepare) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		p, err := g.prepared(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			g.live.waits(c.Buildset, "")
			g.record(ctx, g.store.SetMerged(ctx, c.Buildset, p.Commit, p.Tree))
			g.mailbox.put(p)
			return
		}
		g.log.WarnContext(ctx, "state cannot be prepared yet", "change", c.Change.Key, "pipeline", c.Pipeline, "error", err)
		g.live.waits(c.Buildset, err.Error())
		g.web.Changed()
		if !wait(ctx, pause) {
			return
		}
	}
}

func (g *Gate) prepared(ctx context.Context, c queue.Prepare) (queue.Prepared, error) {
	p := queue.Prepared{Buildset: c.Buildset}
	mode, err := g.source.Merging(ctx, c.Change)
	if err != nil {
		return p, err
	}
	if !foreseen(mode) {
		p.Verdict = queue.ConfigError
		p.Message = fmt.Sprintf("The project merges by %s, whose result the gate cannot foresee: it needs %s, %s or %s.",
			mode, source.MergeIfNecessary, source.MergeAlways, source.FastForwardOnly)
		return p, nil
	}
	s, err := g.states.Merge(ctx, c.Change.Project, c.Change.Branch, picks(c), mode == source.FastForwardOnly)
	if conflict, ok := errors.AsType[*merger.ConflictError](err); ok {
		p.Verdict, p.Message = queue.Conflict, conflictMessage(c, conflict)
		return p, nil
	}
	if errors.Is(err, merger.ErrNoBranch) {
		p.Verdict, p.Message = queue.Conflict, fmt.Sprintf("The branch %s does not exist.", c.Change.Branch)
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Commit, p.Tree = s.Commit, s.Tree
	return g.freeze(ctx, c, p, s.Files)
}

// foreseen reports whether the merger knows what the server will make of a
// change (C2).
func foreseen(mode source.SubmitType) bool {
	switch mode {
	case source.MergeIfNecessary, source.MergeAlways, source.FastForwardOnly:
		return true
	default:
		return false
	}
}

// picks are the changes to merge: those ahead on the same branch, and the
// change itself.
func picks(c queue.Prepare) []merger.Pick {
	var list []merger.Pick
	for _, a := range append(slices.Clone(c.Ahead), c.Change) {
		if a.Project == c.Change.Project && a.Branch == c.Change.Branch {
			list = append(list, merger.Pick{Name: a.String(), Ref: a.Ref, Revision: a.Revision})
		}
	}
	return list
}

func conflictMessage(c queue.Prepare, e *merger.ConflictError) string {
	var b strings.Builder
	b.WriteString("The change does not merge onto " + c.Change.Branch)
	if len(c.Ahead) > 0 {
		b.WriteString(" with the changes ahead of it")
	}
	b.WriteString(": rebase it.\n\n")
	for _, f := range e.Files {
		b.WriteString("- " + f + "\n")
	}
	b.WriteString("\n" + e.Message)
	return b.String()
}

// freeze reads the jobs out of the merged state.
func (g *Gate) freeze(ctx context.Context, c queue.Prepare, p queue.Prepared, files []string) (queue.Prepared, error) {
	jobs, pipeline, err := g.jobs(ctx, c, p.Commit, files)
	if wrong, ok := errors.AsType[config.Errors](err); ok {
		p.Verdict, p.Errors = queue.ConfigError, wrong
		return p, nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Verdict = queue.NoJobs
		p.Message = fmt.Sprintf("The project has no %s in its root that says what to run, so nothing was tested, and the gate does not vote.", config.File)
		return p, nil
	case err != nil:
		return p, err
	case len(jobs) == 0:
		p.Verdict, p.Message = queue.NoJobs, fmt.Sprintf("No job of %s applies to this change, so nothing was tested, and the gate does not vote.", config.File)
		return p, nil
	}
	p.Verdict, p.FailFast = queue.Ready, pipeline.FailFast
	for _, j := range jobs {
		p.Jobs = append(p.Jobs, g.queueJob(c.Pipeline, j))
	}
	return p, nil
}

func (g *Gate) jobs(ctx context.Context, c queue.Prepare, commit string, files []string) ([]config.Job, config.Pipeline, error) {
	file, err := g.readConfig(ctx, c.Change.Project, commit)
	if err != nil {
		return nil, config.Pipeline{}, err
	}
	pipeline := file.Pipelines[c.Pipeline]
	jobs, err := file.Freeze(c.Pipeline, config.Change{Branch: c.Change.Branch, Files: files})
	if err != nil {
		return nil, pipeline, err
	}
	var wrong config.Errors
	for _, j := range jobs {
		if j.Label != "" && g.config.Labels != nil && !slices.Contains(g.config.Labels, j.Label) {
			wrong = append(wrong, config.Error{Line: j.Line, Column: 1, Message: fmt.Sprintf(
				"job %q asks for label %q, which this gate does not have; %s", j.Name, j.Label, choice(g.config.Labels))})
		}
		wrong = append(wrong, g.networkErrors(j)...)
	}
	if wrong != nil {
		return nil, pipeline, wrong
	}
	return jobs, pipeline, nil
}

// choice says which labels a job may name.
func choice(labels []string) string {
	var names []string
	for _, l := range slices.Sorted(slices.Values(labels)) {
		if l != "" { // what jobs get that name none
			names = append(names, strconv.Quote(l))
		}
	}
	if len(names) == 0 {
		return "leave the label out"
	}
	return "it has " + strings.Join(names, ", ")
}

// queueJob is what the queue needs to know of a job.
func (g *Gate) queueJob(pipeline string, j config.Job) queue.Job {
	job := queue.Job{Name: j.Name, Voting: j.Voting, Attempts: j.Attempts}
	for _, d := range j.Dependencies {
		job.Dependencies = append(job.Dependencies, d.Name)
	}
	if j.RetryFailed != nil {
		job.RetryFailed = *j.RetryFailed
	} else {
		i := slices.IndexFunc(g.state.Definitions(), func(p queue.Pipeline) bool { return p.Name == pipeline })
		job.RetryFailed = i >= 0 && g.state.Definitions()[i].RetryFailed
	}
	return job
}

// readConfig reads the job file of a commit. It reports fs.ErrNotExist if
// there is none, config.Errors if it is wrong.
func (g *Gate) readConfig(ctx context.Context, project, commit string) (*config.Config, error) {
	data, err := g.states.ReadFile(ctx, project, commit, config.File, maxConfig)
	switch {
	case errors.Is(err, merger.ErrTooLarge), errors.Is(err, fs.ErrInvalid):
		return nil, config.Errors{{Line: 1, Column: 1, Message: fmt.Sprintf("the file is larger than %d bytes, or is not a file", maxConfig)}}
	case err != nil:
		return nil, err
	}
	return config.Parse(data)
}
