package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/buildlog"
	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/findings"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// closeTimeout bounds the deletion of a machine; Sweep gets what it misses.
const closeTimeout = 2 * time.Minute

// maxArtifact bounds an artifact, in bytes.
const maxArtifact = 256 << 20

// execution is a build under way.
type execution struct {
	gate    *Gate
	run     queue.Run
	job     config.Job
	log     *buildlog.Writer
	found   *findings.Reader
	node    Node
	network map[string]string // variables by which steps find their network
	record  store.Build
	// running says that the phase under way is run: a failing test in it
	// decides at once (A6.4).
	running  bool
	foretold bool
}

// build runs a build from the machine's launch to its end, and tells the
// queues the result. If the gate stops meanwhile, it tells nothing: the build
// is run again.
func (g *Gate) build(ctx context.Context, run queue.Run) {
	defer g.live.remove(run.Build)
	defer g.web.Changed()
	log, err := g.logs.Create(run.Build, g.config.LogLimit)
	if err != nil {
		g.log.ErrorContext(ctx, "build cannot keep a log", "build", run.Build, "error", err)
		g.end(ctx, &execution{run: run, record: store.Build{UUID: run.Build, Result: queue.Error, Detail: err.Error()}})
		return
	}
	x := &execution{gate: g, run: run, log: log, found: findings.NewReader(nil), record: store.Build{UUID: run.Build}}
	log.OnLine = x.line
	x.record.Result, x.record.Detail = x.execute(ctx)
	if x.record.Result == queue.Retry && run.Last {
		x.record.Result = queue.RetryLimit
	}
	log.Say("build %s: %s", run.Build, x.verdict())
	if err := log.Close(); err != nil {
		g.log.ErrorContext(ctx, "the log of a build is incomplete", "build", run.Build, "error", err)
	}
	g.end(ctx, x)
	x.closeNode(ctx)
}

// verdict says for people what came of the build.
func (x *execution) verdict() string {
	text := string(x.record.Result)
	if x.record.Detail != "" {
		text += ": " + x.record.Detail
	}
	switch x.record.Result {
	case queue.Retry:
		return text + "; the job is tried again on another machine"
	case queue.RetryLimit:
		return fmt.Sprintf("%s; this was try %d, and the job has %d attempts", text, x.run.Try, x.job.Attempts)
	default:
		return text
	}
}

// end records a build and tells the queues.
func (g *Gate) end(ctx context.Context, x *execution) {
	x.record.Ended = time.Now()
	if x.found != nil {
		x.record.Findings = x.found.Found()
	}
	stopping := ctx.Err() != nil
	// A build that ends because the gate does is recorded all the same.
	g.record(ctx, g.store.EndBuild(context.WithoutCancel(ctx), x.record))
	g.metrics.builds.WithLabelValues(string(x.record.Result)).Inc()
	g.metrics.observe(x.record.Timings)
	g.log.InfoContext(ctx, "build ended", "build", x.run.Build, "job", x.run.Job, "change", x.run.Change.Key,
		"result", x.record.Result, "detail", x.record.Detail, "timings", x.record.Timings)
	if !stopping {
		g.mailbox.put(queue.BuildDone{Build: x.run.Build, Result: x.record.Result})
	}
}

// closeNode deletes the machine whatever happened.
func (x *execution) closeNode(ctx context.Context) {
	if x.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := x.node.Close(ctx); err != nil {
		x.gate.log.WarnContext(ctx, "a machine could not be deleted; it will be swept", "build", x.run.Build, "error", err)
	}
}

// execute returns the result of the build, and for people why.
func (x *execution) execute(ctx context.Context) (queue.Result, string) {
	began := time.Now()
	live, _ := x.gate.live.get(x.run.Build)
	x.record.Timings.Queue = began.Sub(live.queued)
	x.gate.live.change(x.run.Build, func(b *liveBuild) { b.began = began })
	x.gate.record(ctx, x.gate.store.BeginBuild(ctx, x.run.Build, began))
	c := x.run.Change
	x.log.Say("job %s, try %d, for change %s of %s, branch %s, pipeline %s", x.run.Job, x.run.Try, c.Key, c.Project, c.Branch, x.run.Pipeline)
	if err := x.readJob(ctx); err != nil {
		return ended(ctx, queue.Error, fmt.Sprintf("the job cannot be read: %v", err))
	}
	if result, detail := x.boot(ctx); result != queue.Success {
		return result, detail
	}
	if result, detail := x.connect(ctx); result != queue.Success {
		return result, detail
	}
	if result, detail := x.copyTree(ctx); result != queue.Success {
		return result, detail
	}
	result, detail := x.phases(ctx)
	x.artifacts(ctx)
	return result, detail
}

// ended is the result of a build that stopped: what went wrong does not
// matter if it was canceled.
func ended(ctx context.Context, r queue.Result, detail string) (queue.Result, string) {
	if ctx.Err() != nil {
		return queue.Canceled, "canceled"
	}
	return r, detail
}

// readJob reads the definition out of the tested state.
func (x *execution) readJob(ctx context.Context) error {
	c, err := x.gate.readConfig(ctx, x.run.Change.Project, x.run.Commit)
	if err != nil {
		return err
	}
	jobs := c.Pipelines[x.run.Pipeline].Jobs
	i := slices.IndexFunc(jobs, func(j config.Job) bool { return j.Name == x.run.Job })
	if i < 0 {
		return fmt.Errorf("%s does not define it", config.File)
	}
	x.job = jobs[i]
	x.record.Label = x.job.Label
	x.found = findings.NewReader(x.job.FailureOutput)
	return nil
}

// copyTree brings the tested tree into the machine.
func (x *execution) copyTree(ctx context.Context) (queue.Result, string) {
	x.phase("copying the tree")
	began := time.Now()
	reader, writer := io.Pipe()
	archived := make(chan error, 1)
	go func() {
		err := x.gate.states.Archive(ctx, x.run.Change.Project, x.run.Commit, writer)
		writer.CloseWithError(err)
		archived <- err
	}()
	err := x.node.CopyTree(ctx, reader, x.dir())
	_ = reader.Close() // lets the archive end if the copy did not read all
	archiveErr := <-archived
	x.record.Timings.Copy = time.Since(began)
	if err != nil {
		if archiveErr != nil && !errors.Is(archiveErr, io.ErrClosedPipe) {
			err = archiveErr
		}
		return ended(ctx, queue.Retry, fmt.Sprintf("the tree could not be copied into the machine: %v", err))
	}
	x.log.Say("commit %s is in %s after %s", x.run.Commit, x.dir(), seconds(x.record.Timings.Copy))
	return queue.Success, ""
}

// dir is where the tree is in the machine.
func (x *execution) dir() string {
	return path.Join(x.node.Home(), "src", path.Clean("/"+x.run.Change.Project))
}

// phases runs pre-run, run and post-run (A6.1).
func (x *execution) phases(ctx context.Context) (queue.Result, string) {
	limited, cancel := context.WithTimeoutCause(ctx, x.job.Timeout, fmt.Errorf("the job's timeout of %s is over", duration(x.job.Timeout)))
	defer cancel()
	result, detail := x.pre(ctx, limited)
	if result == queue.Success {
		result, detail = x.main(ctx, limited)
	}
	if ctx.Err() != nil {
		return queue.Canceled, "canceled"
	}
	// A machine that is lost has nothing to collect.
	if result != queue.Retry || x.record.Timings.Run > 0 {
		if failed, why := x.post(ctx); failed && (result == queue.Success || result == queue.Failure) {
			return queue.PostFailure, why
		}
	}
	return result, detail
}

// pre prepares. Failing, it is tried again (A6.2).
func (x *execution) pre(ctx, limited context.Context) (queue.Result, string) {
	began := time.Now()
	s := x.steps(limited, "pre-run", x.job.PreRun)
	x.record.Timings.Pre = time.Since(began)
	switch {
	case ctx.Err() != nil:
		return queue.Canceled, "canceled"
	case limited.Err() != nil:
		return queue.TimedOut, x.timedOut()
	case s.err != nil:
		return queue.Retry, s.String()
	case s.full:
		return queue.DiskFull, s.String()
	case s.exit != 0:
		return queue.Retry, s.String()
	default:
		return queue.Success, ""
	}
}

// main runs what decides. Failing, it is not tried again, unless the machine
// was lost.
func (x *execution) main(ctx, limited context.Context) (queue.Result, string) {
	began := time.Now()
	x.running = true
	s := x.steps(limited, "run", x.job.Run)
	x.running = false
	x.record.Timings.Run = max(time.Since(began), 1)
	switch {
	case ctx.Err() != nil:
		return queue.Canceled, "canceled"
	case limited.Err() != nil:
		return queue.TimedOut, x.timedOut()
	case s.err != nil:
		return queue.Retry, s.String()
	case s.exit == 0 && x.foretold:
		return queue.Failure, "a test failed, though the steps ended with status 0"
	case s.exit == 0:
		return queue.Success, ""
	case s.full:
		return queue.DiskFull, s.String()
	default:
		return queue.Failure, s.String()
	}
}

func (x *execution) timedOut() string {
	return fmt.Sprintf("the job took longer than its timeout of %s", duration(x.job.Timeout))
}

// post collects and cleans up, also after a failure.
func (x *execution) post(ctx context.Context) (failed bool, why string) {
	if len(x.job.PostRun) == 0 {
		return false, ""
	}
	limited, cancel := context.WithTimeoutCause(ctx, x.job.PostTimeout, fmt.Errorf("the timeout of post-run, %s, is over", duration(x.job.PostTimeout)))
	defer cancel()
	began := time.Now()
	s := x.steps(limited, "post-run", x.job.PostRun)
	x.record.Timings.Post = time.Since(began)
	if limited.Err() != nil {
		return true, fmt.Sprintf("post-run took longer than its timeout of %s", duration(x.job.PostTimeout))
	}
	return s.err != nil || s.exit != 0, s.String()
}

// artifacts fetches the job's files. One that is missing is no failure.
func (x *execution) artifacts(ctx context.Context) {
	if len(x.job.Artifacts) == 0 || ctx.Err() != nil {
		return
	}
	x.phase("collecting artifacts")
	ctx, cancel := context.WithTimeoutCause(ctx, x.job.PostTimeout, fmt.Errorf("collecting took longer than the timeout of post-run, %s", duration(x.job.PostTimeout)))
	defer cancel()
	began := time.Now()
	for _, a := range x.job.Artifacts {
		err := x.fetch(ctx, a)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			x.log.Say("artifact %s: there is no file %s", a.Name, a.Path)
		case err != nil:
			x.log.Say("artifact %s: %v", a.Name, err)
		}
	}
	x.record.Timings.Collect = time.Since(began)
}

func (x *execution) fetch(ctx context.Context, a config.Artifact) error {
	file, err := x.gate.logs.CreateFile(x.run.Build, a.Name)
	if err != nil {
		return err
	}
	err = x.node.Fetch(ctx, path.Join(x.dir(), a.Path), &bounded{w: file, left: maxArtifact})
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, x.gate.logs.Remove(x.run.Build, a.Name))
	}
	return nil
}

// bounded fails once more than a number of bytes is written.
type bounded struct {
	w    io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("it is larger than %d MiB", maxArtifact>>20)
	}
	return b.w.Write(p)
}

// phase tells people what the build does.
func (x *execution) phase(name string) {
	x.gate.live.change(x.run.Build, func(b *liveBuild) { b.phase = name })
	x.gate.web.Changed()
}
