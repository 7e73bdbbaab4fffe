package gate

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// liveBuild is what is known of a build that has not ended.
type liveBuild struct {
	run      queue.Run
	queued   time.Time
	began    time.Time // a machine was asked for; zero: not yet
	answered time.Time // the machine answered
	phase    string    // for people
	node     string
	estimate time.Duration
}

// liveBuilds are the builds that have not ended, and what preparations wait
// for.
type liveBuilds struct {
	mu     sync.Mutex
	builds map[string]*liveBuild
	waitOf map[string]string // by build set
}

func newLiveBuilds() *liveBuilds {
	return &liveBuilds{builds: map[string]*liveBuild{}, waitOf: map[string]string{}}
}

// has reports whether a build may have a machine.
func (l *liveBuilds) has(build string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.builds[build]
	return ok
}

func (l *liveBuilds) get(build string) (liveBuild, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.builds[build]
	if !ok {
		return liveBuild{}, false
	}
	return *b, true
}

func (l *liveBuilds) add(b *liveBuild) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.builds[b.run.Build] = b
}

func (l *liveBuilds) remove(build string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.builds, build)
}

// change lets f change what is known of a build.
func (l *liveBuilds) change(build string, f func(*liveBuild)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.builds[build]; ok {
		f(b)
	}
}

// waits notes what a preparation waits for; an empty reason: nothing.
func (l *liveBuilds) waits(buildset, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reason == "" {
		delete(l.waitOf, buildset)
	} else {
		l.waitOf[buildset] = reason
	}
}

func (l *liveBuilds) reason(buildset string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waitOf[buildset]
}

// launch puts a build on the list of those that wait for a machine.
func (g *Gate) launch(ctx context.Context, c queue.Run) {
	now := time.Now()
	estimate, err := g.store.Estimate(ctx, c.Change.Project, c.Job)
	g.record(ctx, err)
	g.live.add(&liveBuild{run: c, queued: now, phase: "waiting for a machine", estimate: estimate})
	g.record(ctx, g.store.AddBuild(ctx, store.Build{UUID: c.Build, Buildset: c.Buildset, Job: c.Job, Try: c.Try, Voting: g.votes(c), Queued: now}))
	g.launcher.push(c)
}

// votes reports whether the job of a build is voting.
func (g *Gate) votes(c queue.Run) bool {
	item, ok := g.itemOf(c.Buildset)
	if !ok {
		return true
	}
	for _, j := range item.Buildset.Jobs {
		if j.Name == c.Job {
			return j.Voting
		}
	}
	return true
}

// cancelBuild ends a build, waiting or running.
func (g *Gate) cancelBuild(ctx context.Context, build string) {
	if g.launcher.cancel(build) {
		return // it runs: it ends and records itself
	}
	g.live.remove(build)
	g.record(ctx, g.store.EndBuild(ctx, store.Build{UUID: build, Result: queue.Canceled, Ended: time.Now()}))
}

// buildLoop runs builds as machines become free.
func (g *Gate) buildLoop(ctx context.Context) { g.launcher.run(ctx, g.build) }
