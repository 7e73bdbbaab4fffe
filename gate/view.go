package gate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/web"
)

func (g *Gate) webConfig() web.Config {
	return web.Config{
		Log: g.log, Store: g.store, Logs: g.logs, Status: g.Status, URL: g.url, Actions: actions{g}, Verify: g.config.Verify,
	}
}

// actions are what an administrator may do.
type actions struct{ *Gate }

// Resume lets a stopped queue go on.
func (a actions) Resume(_ context.Context, pipeline, q string) {
	a.mailbox.put(queue.Resume{Pipeline: pipeline, Queue: q})
}

// Dequeue removes a change from a pipeline.
func (a actions) Dequeue(_ context.Context, pipeline string, change int, by string) {
	a.mailbox.put(queue.Dequeue{Pipeline: pipeline, Number: change, By: by})
}

// Enqueue puts a change into a pipeline whose requirements it meets.
func (a actions) Enqueue(ctx context.Context, pipeline string, change int) error {
	c, err := a.source.Change(ctx, change)
	if err != nil {
		return fmt.Errorf("%w: %w", web.ErrRefused, err)
	}
	if pipeline == config.Gate {
		if reason := unmet(c); reason != "" {
			return fmt.Errorf("%w: %s", web.ErrRefused, reason)
		}
	}
	a.enqueue(ctx, pipeline, c)
	return nil
}

// Status is what is going on now, for the status page and the API.
func (g *Gate) Status() web.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := web.Status{
		Version: "gatehouse", LastReconfigured: g.since.UnixMilli(), EventsFlow: g.flowing.Load(),
		MachinesAvailable: g.config.MaxNodes, MachinesUsed: g.launcher.used(),
	}
	for _, p := range g.state.Definitions() {
		view := web.Pipeline{Name: p.Name, Manager: string(p.Manager), Description: descriptions[p.Name], State: "normal", Triggers: []string{"gerrit"}, ChangeQueues: []web.Queue{}}
		for _, q := range g.state.Pipelines[p.Name].Queues {
			view.ChangeQueues = append(view.ChangeQueues, g.queueView(p, q))
		}
		s.Pipelines = append(s.Pipelines, view)
	}
	return s
}

var descriptions = map[string]string{
	config.Check: "Tests every patch set on its branch, and votes.",
	config.Gate:  "Tests approved changes in the order in which they merge, each on those ahead, and merges what passes.",
}

func (g *Gate) queueView(p queue.Pipeline, q *queue.Queue) web.Queue {
	view := web.Queue{Name: q.Name, Window: q.Window, Stopped: q.Stopped, Heads: [][]web.Item{}}
	for index, i := range q.Items {
		item := g.itemView(i)
		if p.Manager == queue.Dependent && index > 0 {
			ahead, behind := id(q.Items[index-1]), id(i)
			item.ItemAhead = &ahead
			last := &view.Heads[0][index-1]
			last.ItemsBehind = append(last.ItemsBehind, behind)
			view.Heads[0] = append(view.Heads[0], item)
			continue
		}
		view.Heads = append(view.Heads, []web.Item{item})
	}
	return view
}

func id(i *queue.Item) string { return strconv.FormatInt(i.ID, 10) }

func (g *Gate) itemView(i *queue.Item) web.Item {
	c := i.Change
	v := web.Item{
		ID: id(i), Live: true, Active: i.Buildset != nil, ItemsBehind: []string{}, FailingReasons: []string{},
		EnqueueTime: i.EnqueuedAt.UnixMilli(), Jobs: []web.Job{}, Number: c.Number, PatchSet: c.PatchSet, Subject: c.Subject,
		Base: []string{}, Resets: []string{},
		Refs: []web.Ref{{Project: c.Project, ProjectCanonical: c.Project, Ref: c.Ref, ID: c.String(), URL: c.URL, Owner: c.Owner}},
	}
	for _, r := range i.Resets {
		v.Resets = append(v.Resets, r.Cause)
	}
	v.State = g.stateOf(i)
	b := i.Buildset
	if b == nil {
		return v
	}
	v.Buildset = b.ID
	for _, k := range b.Base {
		v.Base = append(v.Base, k.String())
	}
	if b.Commit != "" {
		v.ZuulRef = &b.Commit
	}
	for _, j := range b.Jobs {
		job := g.jobView(b, j)
		if job.PreFail || job.Voting && job.Result != nil && job.Class() == "bad" {
			v.FailingReasons = append(v.FailingReasons, fmt.Sprintf("%s: %s", j.Name, job.Word()))
		}
		v.Jobs = append(v.Jobs, job)
	}
	v.RemainingTime = remaining(v.Jobs)
	return v
}

// stateOf says what an item does, or why it waits (C5).
func (g *Gate) stateOf(i *queue.Item) string {
	b := i.Buildset
	switch {
	case i.Outcome != nil && i.Outcome.Result == queue.ItemSuccess:
		return "merging"
	case i.Outcome != nil:
		return "reporting"
	case i.Blocked != "":
		return i.Blocked
	case b == nil:
		return "waiting for room in the window"
	case b.Verdict == "":
		if why := g.live.reason(b.ID); why != "" {
			return "preparing, but: " + why
		}
		return "preparing: merging, reading the jobs"
	case b.Verdict == queue.Conflict:
		return "does not merge; waiting for those ahead"
	case b.Verdict != queue.Ready:
		return "waiting to be reported"
	default:
		return ""
	}
}

// remaining is the most that any job still needs, if that is known of all.
func remaining(jobs []web.Job) *int64 {
	var most int64
	for _, j := range jobs {
		switch {
		case j.Result != nil:
		case j.RemainingTime == nil:
			return nil
		default:
			most = max(most, *j.RemainingTime)
		}
	}
	if most == 0 {
		return nil // done, or longer under way than ever: nothing to foretell
	}
	return &most
}

func (g *Gate) jobView(b *queue.Buildset, j queue.Job) web.Job {
	v := web.Job{Name: j.Name, Dependencies: append([]string{}, j.Dependencies...), Voting: j.Voting}
	for _, x := range b.Builds {
		if x.Job == j.Name {
			v.Tries++
		}
	}
	last := b.Last(j.Name)
	if last == nil || last.Superseded {
		waits := "waiting for room in the window"
		if waiting := unfinished(b, j); len(waiting) > 0 {
			waits = fmt.Sprintf("waiting for %v", waiting)
		}
		v.WaitingStatus = &waits
		return v
	}
	v.Retry, v.PreFail = v.Tries > 1, last.Failing
	page := "/build/" + last.ID
	v.UUID, v.URL, v.ReportURL = &last.ID, &page, &page
	if last.Result != "" {
		r := string(last.Result)
		v.Result, v.Canceled = &r, last.Result == queue.Canceled
	}
	g.timesOf(&v, last)
	return v
}

func unfinished(b *queue.Buildset, j queue.Job) []string {
	var names []string
	for _, d := range j.Dependencies {
		if _, final := b.Final(d); !final {
			names = append(names, d)
		}
	}
	return names
}

// timesOf fills in the times of a build that has not ended.
func (g *Gate) timesOf(v *web.Job, b *queue.Build) {
	live, ok := g.live.get(b.ID)
	if !ok || b.Result != "" {
		return
	}
	estimate := live.estimate.Milliseconds()
	if estimate > 0 {
		v.EstimatedTime = &estimate
	}
	if live.began.IsZero() {
		v.Queued = true
		waits := live.phase
		if n := g.launcher.position(b.ID); n > 0 {
			waits = fmt.Sprintf("%s, behind %d", waits, n)
		}
		v.WaitingStatus = &waits
		return
	}
	began, elapsed := live.began.UnixMilli(), time.Since(live.began).Milliseconds()
	v.ExecuteTime, v.StartTime, v.ElapsedTime, v.Phase = &began, &began, &elapsed, live.phase
	if estimate > 0 {
		left := max(estimate-elapsed, 0)
		v.RemainingTime = &left
	}
}
