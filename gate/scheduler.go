package gate

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// applyLoop applies events to the state, one at a time: store, then act. What
// was stored and not acted on is asked for again after a restart.
func (g *Gate) applyLoop(ctx context.Context) error {
	for {
		e := g.mailbox.take(ctx)
		if e == nil {
			return ctx.Err()
		}
		began := time.Now()
		g.mu.Lock()
		commands := g.state.Apply(e)
		g.mu.Unlock()
		if !g.save(ctx) {
			return ctx.Err()
		}
		for _, c := range commands {
			g.act(ctx, c)
		}
		g.metrics.pass.Observe(time.Since(began).Seconds())
		g.measure()
		g.web.Changed()
	}
}

// save stores the state. While that fails, as on a full disk, nothing else is
// done: what is done must not be forgotten. It reports false when ctx ends.
func (g *Gate) save(ctx context.Context) bool {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		// Only this goroutine changes the state: reading it needs no lock.
		err := g.store.SaveState(ctx, g.state)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		g.log.ErrorContext(ctx, "the state of the queues cannot be stored; the gate waits", "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// act carries out a command, or begins to.
func (g *Gate) act(ctx context.Context, c queue.Command) {
	switch c := c.(type) {
	case queue.Prepare:
		g.record(ctx, g.store.AddBuildset(ctx, store.Buildset{
			UUID: c.Buildset, Pipeline: c.Pipeline, Change: c.Change, Base: keys(c.Ahead), Began: time.Now(),
		}))
		prepareCtx, done := g.prepares.with(ctx, c.Buildset)
		g.lanes.tasks.Go(func() {
			defer done()
			g.prepare(prepareCtx, c)
		})
	case queue.Drop:
		g.prepares.cancel(c.Buildset)
		g.record(ctx, g.store.EndBuildset(ctx, c.Buildset, string(queue.Canceled), "", time.Now()))
		g.metrics.resets.Inc()
	case queue.Run:
		g.launch(ctx, c)
	case queue.Cancel:
		for _, id := range c.Builds {
			g.cancelBuild(ctx, id)
		}
	case queue.ReportStart:
		g.lanes.do(ctx, c.Change.Number, func(ctx context.Context) { g.reportStart(ctx, c) })
	case queue.Refuse:
		g.lanes.do(ctx, c.Change.Number, func(ctx context.Context) { g.refuse(ctx, c) })
	case queue.Report:
		g.lanes.do(ctx, c.Change.Number, func(ctx context.Context) { g.report(ctx, c) })
	}
}

// record logs an error of the history. The history is for people: the queues
// do not depend on it.
func (g *Gate) record(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		g.log.ErrorContext(ctx, "the history is incomplete", "error", err)
	}
}

func keys(changes []queue.Change) []queue.Key {
	list := make([]queue.Key, len(changes))
	for i, c := range changes {
		list[i] = c.Key
	}
	return list
}

// holds reports whether the patch set is in a pipeline.
func (g *Gate) holds(pipeline string, k queue.Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state.Holds(pipeline, k)
}

// measure brings the gauges up to date.
func (g *Gate) measure() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, p := range g.state.Pipelines {
		stopped := 0
		for _, q := range p.Queues {
			if q.Stopped != "" {
				stopped++
			}
		}
		g.metrics.items.WithLabelValues(name).Set(float64(len(p.Items())))
		g.metrics.stopped.WithLabelValues(name).Set(float64(stopped))
	}
}

// itemOf returns a copy of the item that a build set belongs to, if it is
// still in a queue.
func (g *Gate) itemOf(buildset string) (queue.Item, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.state.Pipelines {
		items := p.Items()
		i := slices.IndexFunc(items, func(i *queue.Item) bool { return i.Buildset != nil && i.Buildset.ID == buildset })
		if i >= 0 {
			return *items[i], true
		}
	}
	return queue.Item{}, false
}
