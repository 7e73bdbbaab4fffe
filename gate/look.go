package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
)

// lookAgain is when a change is looked at again that could not be read.
const lookAgain = 15 * time.Second

// touched gathers the changes to look at; one that is touched twice is looked
// at once.
type touched struct {
	mu      sync.Mutex
	changes map[int]bool
	every   bool
	ready   chan struct{}
}

func newTouched() *touched {
	return &touched{changes: map[int]bool{}, ready: make(chan struct{}, 1)}
}

func (t *touched) one(number int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes[number] = true
	t.signal()
}

func (t *touched) all() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.every = true
	t.signal()
}

func (t *touched) signal() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

func (t *touched) take() (changes map[int]bool, every bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changes, every = t.changes, t.every
	t.changes, t.every = map[int]bool{}, false
	return changes, every
}

// lookLoop looks at changes that were touched, and now and then at all.
func (g *Gate) lookLoop(ctx context.Context) {
	tick := time.NewTicker(g.config.Recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.touched.all()
			continue
		case <-g.touched.ready:
		}
		changes, every := g.touched.take()
		for _, number := range slices.Sorted(maps.Keys(changes)) {
			g.lanes.do(ctx, number, func(ctx context.Context) { g.look(ctx, number, false) })
		}
		if every {
			g.lookAtAll(ctx)
		}
	}
}

// lookAtAll finds what no event told of (C8): open changes that want
// something, and queued ones that are not open any more.
func (g *Gate) lookAtAll(ctx context.Context) {
	queued := g.queued()
	err := g.source.Open(ctx, func(c *source.Change) error {
		if queued[c.Number] || len(wants(c, g.since)) > 0 {
			// The list may be older than the gate's own last words on the
			// change: look again, in the change's lane.
			g.touched.one(c.Number)
		}
		delete(queued, c.Number)
		return nil
	})
	if err != nil {
		if ctx.Err() == nil {
			g.log.WarnContext(ctx, "open changes cannot be listed", "error", err)
			time.AfterFunc(lookAgain, g.touched.all)
		}
		return
	}
	for number := range queued {
		g.touched.one(number)
	}
}

// queued are the numbers of all changes in queues.
func (g *Gate) queued() map[int]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	numbers := map[int]bool{}
	for _, p := range g.state.Pipelines {
		for _, i := range p.Items() {
			numbers[i.Change.Number] = true
		}
	}
	return numbers
}

// look reads a change, tells the queues what it found and puts the change
// into the pipelines that it wants. follows says that a change entered the
// gate that this one needs (A1.4). It runs in the change's lane.
func (g *Gate) look(ctx context.Context, number int, follows bool) {
	c, err := g.read(ctx, number)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, source.ErrNotFound):
		g.mailbox.put(queue.Update{Number: number, Closed: true})
		return
	case err != nil:
		g.log.WarnContext(ctx, "change cannot be read", "change", number, "error", err)
		time.AfterFunc(lookAgain, func() { g.touched.one(number) })
		return
	}
	g.mailbox.put(update(c))
	for _, pipeline := range wants(c, g.since) {
		g.enqueue(ctx, pipeline, c)
	}
	if follows && unmet(c) == "" {
		g.enqueue(ctx, config.Gate, c)
	}
}

// read asks for a change, three times if need be.
func (g *Gate) read(ctx context.Context, number int) (c *source.Change, err error) {
	for try := range 3 {
		if try > 0 && !wait(ctx, time.Duration(try)*time.Second) {
			break
		}
		if c, err = g.source.Change(ctx, number); err == nil || errors.Is(err, source.ErrNotFound) {
			break
		}
	}
	return c, err
}

// wait reports false if ctx ended before d was over.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func update(c *source.Change) queue.Update {
	u := queue.Update{
		Number: c.Number, Current: c.PatchSet, Closed: c.Status != source.New, Merged: c.Status == source.Merged,
		Unmet: map[string]string{config.Gate: unmet(c)},
	}
	if c.WIP {
		u.Unmet[config.Check] = "the change is work in progress"
	}
	return u
}

// enqueue asks the queues to take a change.
func (g *Gate) enqueue(ctx context.Context, pipeline string, c *source.Change) {
	if g.holds(pipeline, c.Key) {
		return
	}
	e := queue.Enqueue{Pipeline: pipeline, Queue: c.Project, Change: c.Change, At: time.Now()}
	if pipeline != config.Gate {
		g.mailbox.put(e)
		return
	}
	neededBy, err := g.resolve(ctx, c, &e)
	if err != nil {
		if ctx.Err() == nil {
			g.log.WarnContext(ctx, "change cannot be enqueued", "change", c.Key, "pipeline", pipeline, "error", err)
			time.AfterFunc(lookAgain, func() { g.touched.one(c.Number) })
		}
		return
	}
	g.mailbox.put(e)
	for _, n := range neededBy {
		g.lanes.do(ctx, n, func(ctx context.Context) { g.look(ctx, n, true) })
	}
}

// resolve fills in the queue and what the change needs. It returns the
// changes that need it.
func (g *Gate) resolve(ctx context.Context, c *source.Change, e *queue.Enqueue) (neededBy []int, err error) {
	if e.Queue, err = g.queueOf(ctx, c.Project, c.Branch); err != nil {
		return nil, err
	}
	needs, neededBy, err := g.source.Related(ctx, c.Change)
	if err != nil {
		return nil, err
	}
	var before []int
	for _, n := range needs {
		needed, err := g.source.Change(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("needed change: %w", err)
		}
		if needed.Status == source.Merged {
			continue
		}
		needed.Needs = before
		e.Needed = append(e.Needed, queue.Needed{Change: needed.Change, Queue: e.Queue, Unmet: unmet(needed)})
		before = append(slices.Clip(before), n)
	}
	e.Change.Needs = before
	return neededBy, nil
}

// queueOf reads from the branch as it is merged which queue the project
// shares (A1.1); without a readable job file it has its own.
func (g *Gate) queueOf(ctx context.Context, project, branch string) (string, error) {
	tip, _, err := g.states.Tip(ctx, project, branch)
	if err != nil {
		return "", err
	}
	c, err := g.readConfig(ctx, project, tip)
	if err != nil || c.Queue == "" {
		return project, nil //nolint:nilerr // what is wrong with it the preparation reports
	}
	return c.Queue, nil
}
