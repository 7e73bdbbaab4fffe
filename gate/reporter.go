package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/merger"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// submitTries is how often a submission is tried that the server did not
// refuse (A5).
const submitTries = 3

// reportStart tells a change that its jobs begin. A vote of an earlier run
// stands until the result takes its place, but not the one with which the
// change could be submitted meanwhile. All that is a courtesy: if it fails,
// nothing follows.
func (g *Gate) reportStart(ctx context.Context, c queue.ReportStart) {
	r := source.Report{
		Pipeline: c.Pipeline, Quiet: true,
		Message: fmt.Sprintf("Starting %s jobs.\n%s", c.Pipeline, g.url(fmt.Sprintf("/#change-%d", c.Change.Number))),
	}
	if change, err := g.source.Change(ctx, c.Change.Number); err != nil || submittable(change) {
		r.Labels = map[string]int{verified: 0}
	}
	err := g.source.Report(ctx, c.Change, r)
	if err != nil && ctx.Err() == nil {
		g.log.WarnContext(ctx, "the start of jobs was not reported", "change", c.Change.Key, "error", err)
	}
}

// submittable reports whether the gate's own vote lets a change be submitted.
func submittable(c *source.Change) bool {
	return slices.ContainsFunc(c.Votes, func(v source.Vote) bool {
		return v.Own && v.Label == verified && v.Value >= strength(config.Gate)
	})
}

// refuse tells a change why it does not enter a pipeline.
func (g *Gate) refuse(ctx context.Context, c queue.Refuse) {
	g.deliver(ctx, c.Change, source.Report{
		Pipeline: c.Pipeline, Message: fmt.Sprintf("%s (%s pipeline).\n\n%s", notEnqueued, c.Pipeline, c.Reason),
	})
	g.touched.one(c.Change.Number)
}

// report ends an item: it says what came of it and, in the gate, merges. It
// runs in the change's lane.
func (g *Gate) report(ctx context.Context, c queue.Report) {
	var done queue.Reported
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		var err error
		if done, err = g.tryReport(ctx, c); err == nil {
			break
		}
		if ctx.Err() != nil {
			return // the next start asks again
		}
		g.log.WarnContext(ctx, "report not delivered yet", "change", c.Change.Key, "pipeline", c.Pipeline, "error", err)
		if !wait(ctx, pause) {
			return
		}
		c.Again = true // the failed try may have done a part
	}
	g.mailbox.put(done)
	g.touched.one(c.Change.Number)
}

// tryReport does what report has to do, once.
func (g *Gate) tryReport(ctx context.Context, c queue.Report) (queue.Reported, error) {
	done := queue.Reported{Item: c.Item}
	if err := g.settle(ctx, c); err != nil {
		return done, err
	}
	if !c.Submit {
		return done, g.say(ctx, c)
	}
	if c.Again {
		merged, err := g.isMerged(ctx, c.Change)
		if err != nil {
			return done, err
		}
		if merged {
			return g.prove(ctx, c)
		}
	}
	stale, err := g.stale(ctx, c)
	if err != nil || stale {
		done.Stale = stale
		return done, err
	}
	if err := g.say(ctx, c); err != nil {
		return done, err
	}
	why, err := g.submit(ctx, c.Change)
	if err != nil {
		return done, err
	}
	if why == "" {
		return g.prove(ctx, c)
	}
	return done, g.mergeFailure(ctx, c, why)
}

// settle records in the history what the queue made of the builds.
func (g *Gate) settle(ctx context.Context, c queue.Report) error {
	if c.Buildset == nil {
		return nil
	}
	var errs []error
	for _, b := range c.Buildset.Builds {
		if b.Result == queue.Skipped || b.Result == queue.Canceled {
			voting := slices.ContainsFunc(c.Buildset.Jobs, func(j queue.Job) bool { return j.Name == b.Job && j.Voting })
			errs = append(errs, g.store.AddBuild(ctx, store.Build{
				UUID: b.ID, Buildset: c.Buildset.ID, Job: b.Job, Try: b.Try, Voting: voting, Result: b.Result, Queued: time.Now(), Ended: time.Now(),
			}))
		}
		errs = append(errs, g.store.SettleBuild(ctx, b.ID, b.Result, !b.Superseded))
	}
	errs = append(errs, g.store.EndBuildset(ctx, c.Buildset.ID, string(c.Outcome.Result), c.Outcome.Reason, time.Now()))
	return errors.Join(errs...)
}

// say leaves the report on the change, once.
func (g *Gate) say(ctx context.Context, c queue.Report) error {
	var builds []store.Build
	if c.Buildset != nil {
		set, err := g.store.Buildset(ctx, c.Buildset.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		builds = set.Builds
	}
	r := message(c, builds, g.url)
	if c.Again {
		said, err := g.said(ctx, c, r)
		if said || err != nil {
			return err
		}
	}
	return g.post(ctx, c.Change, r)
}

// said reports whether the change has the report already, or is gone.
func (g *Gate) said(ctx context.Context, c queue.Report, r source.Report) (bool, error) {
	change, err := g.source.Change(ctx, c.Change.Number)
	if errors.Is(err, source.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	first, _, _ := strings.Cut(r.Message, "\n")
	return slices.ContainsFunc(change.Messages, func(m source.Message) bool {
		return m.Own && m.PatchSet == c.Change.PatchSet && strings.Contains(m.Text, first) &&
			(c.Buildset == nil || strings.Contains(m.Text, c.Buildset.ID))
	}), nil
}

// post leaves a report. What the server will never accept, such as a vote that
// the gate may not cast, is left again without what it may dislike.
func (g *Gate) post(ctx context.Context, c queue.Change, r source.Report) error {
	err := g.source.Report(ctx, c, r)
	if !errors.Is(err, source.ErrRefused) {
		return err
	}
	g.log.ErrorContext(ctx, "the review server refuses the gate's report; does the gate's account have the right to vote?", "change", c.Key, "error", err)
	r.Message += fmt.Sprintf("\n\n(The vote %v was refused: %v)", r.Labels, err)
	r.Labels, r.Comments = nil, nil
	if err := g.source.Report(ctx, c, r); !errors.Is(err, source.ErrRefused) {
		return err
	}
	return nil // the change is closed, or gone: there is nobody to tell
}

// deliver leaves a report, trying until it works.
func (g *Gate) deliver(ctx context.Context, c queue.Change, r source.Report) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := g.post(ctx, c, r)
		if err == nil || ctx.Err() != nil {
			return
		}
		g.log.WarnContext(ctx, "message not delivered yet", "change", c.Key, "error", err)
		if !wait(ctx, pause) {
			return
		}
	}
}

func (g *Gate) isMerged(ctx context.Context, c queue.Change) (bool, error) {
	change, err := g.source.Change(ctx, c.Number)
	if errors.Is(err, source.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return change.Status == source.Merged, nil
}

// stale reports whether a merge now would give another tree than the tested
// one: the branch moved under the queue.
func (g *Gate) stale(ctx context.Context, c queue.Report) (bool, error) {
	s, err := g.states.Merge(ctx, c.Change.Project, c.Change.Branch,
		[]merger.Pick{{Name: c.Change.String(), Ref: c.Change.Ref, Revision: c.Change.Revision}}, false)
	if _, conflict := errors.AsType[*merger.ConflictError](err); conflict || errors.Is(err, merger.ErrNoBranch) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return s.Tree != c.Buildset.Tree, nil
}

// submit asks for the merge and then asks whether it happened: only that
// counts. why says why not.
func (g *Gate) submit(ctx context.Context, c queue.Change) (why string, err error) {
	for try := range submitTries {
		if try > 0 && !wait(ctx, time.Duration(try)*time.Second) {
			return "", ctx.Err()
		}
		submitErr := g.source.Submit(ctx, c)
		merged, err := g.isMerged(ctx, c)
		if err != nil {
			return "", err
		}
		switch {
		case merged:
			return "", nil
		case submitErr == nil:
			why = "the review server accepted the submission, but the change is not merged"
		default:
			why = submitErr.Error()
		}
		if errors.Is(submitErr, source.ErrRefused) {
			break
		}
	}
	return why, nil
}

// mergeFailure says that a change which passed was not merged.
func (g *Gate) mergeFailure(ctx context.Context, c queue.Report, why string) error {
	g.log.WarnContext(ctx, "change passed but was not merged", "change", c.Change.Key, "why", why)
	c.Outcome = queue.Outcome{Result: queue.ItemMergeFailure, Reason: "The jobs passed, but the review server did not merge the change: " + why}
	g.record(ctx, g.store.ResettleBuildset(ctx, c.Buildset.ID, string(c.Outcome.Result), c.Outcome.Reason))
	return g.post(ctx, c.Change, message(c, nil, g.url))
}

// prove compares what the branch became with what was tested (C2).
func (g *Gate) prove(ctx context.Context, c queue.Report) (queue.Reported, error) {
	done := queue.Reported{Item: c.Item, Merged: true}
	commit, tree, err := g.states.Merged(ctx, c.Change.Project, c.Change.Branch, c.Change.Revision)
	switch {
	case errors.Is(err, merger.ErrNotMerged), errors.Is(err, merger.ErrNoBranch):
		done.Mismatch = fmt.Sprintf("change %s is merged, says the review server, but %v", c.Change.Key, err)
	case err != nil:
		return done, err
	case tree != c.Buildset.Tree:
		done.Mismatch = fmt.Sprintf("change %s: %s has tree %s after the merge (commit %s), tested was tree %s",
			c.Change.Key, c.Change.Branch, tree, commit, c.Buildset.Tree)
	}
	if done.Mismatch != "" {
		g.log.ErrorContext(ctx, "the merged tree is not the tested tree: the queue is stopped", "why", done.Mismatch)
		return done, nil
	}
	g.metrics.merged.Inc()
	g.log.InfoContext(ctx, "merged and proven", "change", c.Change.Key, "commit", commit, "tree", tree)
	return done, nil
}
