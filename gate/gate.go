// Package gate tests every change before it merges, as Zuul does
// (https://zuul-ci.org/docs/zuul/latest/gating.html): it watches a review
// server, merges changes speculatively, runs their jobs in machines of their
// own, votes, and submits what passes. The trunk is never broken.
//
// The parts: package queue decides and does nothing else; this package does
// what it decides, and tells it what came of it. Package source is what is
// needed of a review server, merger makes the states to test, store remembers,
// web shows.
package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-dev/gatehouse/gate/buildlog"
	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/merger"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/gate/store"
	"github.com/gatehouse-dev/gatehouse/gate/web"
	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// Config is what a gate is made of. Everything without a default in its
// comment is required.
type Config struct {
	// Dir holds the database, the logs and the mirrors; see Paths.
	Dir string
	// Log takes what an operator may want to know.
	Log *slog.Logger
	// Source is the review server.
	Source source.Source
	// States merges; nil: a merger.Merger that fetches from Source.
	States States
	// Nodes gives out machines.
	Nodes Nodes
	// Labels are the names of the machines' kinds that a job may ask for;
	// nil: any, and the machines' provider decides.
	Labels []string
	// Networks are what a job may ask for beyond its machine; nil: nothing.
	Networks *network.Offers
	// PublicURL is where the gate's pages are, for links in reports. It may
	// be a function's result, since a port may be known late.
	PublicURL func() string
	// MaxNodes bounds the machines in use at once. Default 2.
	MaxNodes int
	// Window is the speculation of the gate pipeline's queues.
	Window queue.Window
	// LogLimit bounds the log of a build, in bytes. Default 64 MiB.
	LogLimit int64
	// KeepLogs is how long the logs and artifacts of builds are kept; their
	// results are kept always. Default 30 days.
	KeepLogs time.Duration
	// Recheck is how often all open changes are looked at even if no event
	// asks for it. Default 5 minutes.
	Recheck time.Duration
	// Verify checks the password of a person who wants to change something;
	// nil: nobody may.
	Verify func(ctx context.Context, user, password string) (admin bool, err error)
	// Metrics takes the gate's figures; nil: none are kept.
	Metrics prometheus.Registerer
	// Git is the git program; empty: git, looked up in the path.
	Git string
}

// States makes and reads the states that are tested. See package merger.
type States interface {
	Merge(ctx context.Context, project, branch string, picks []merger.Pick, fastForward bool) (merger.State, error)
	Tip(ctx context.Context, project, branch string) (commit, tree string, err error)
	Merged(ctx context.Context, project, branch, revision string) (commit, tree string, err error)
	ReadFile(ctx context.Context, project, commit, path string, limit int64) ([]byte, error)
	Archive(ctx context.Context, project, commit string, w io.Writer) error
}

// Gate is a gate. Its exported methods may be called concurrently.
type Gate struct {
	config  Config
	log     *slog.Logger
	source  source.Source
	states  States
	store   *store.Store
	logs    *buildlog.Dir
	metrics *metrics
	web     *web.Server

	flowing atomic.Bool // events come from the review server

	since time.Time // patch sets older than this gate are not its own business

	mu    sync.Mutex // guards state
	state *queue.State

	mailbox  *mailbox
	lanes    *lanes
	launcher *launcher
	prepares *cancels // by build set
	live     *liveBuilds
	touched  *touched
}

// New opens the gate's database and reads where it left off. It starts
// nothing: see Run. The caller closes the gate.
func New(ctx context.Context, c Config) (*Gate, error) {
	c = c.withDefaults()
	db, err := store.Open(ctx, filepath.Join(c.Dir, "gate.db"))
	if err != nil {
		return nil, err
	}
	g := &Gate{
		config: c, log: c.Log, source: c.Source, states: c.States, store: db,
		logs: buildlog.Open(filepath.Join(c.Dir, "logs")), metrics: newMetrics(c.Metrics),
		mailbox: newMailbox(), prepares: newCancels(), live: newLiveBuilds(), touched: newTouched(),
	}
	g.lanes = newLanes()
	g.launcher = newLauncher(c.MaxNodes)
	if err := g.load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if g.web, err = web.New(g.webConfig()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return g, nil
}

func (c Config) withDefaults() Config {
	if c.MaxNodes == 0 {
		c.MaxNodes = 2
	}
	if c.LogLimit == 0 {
		c.LogLimit = 64 << 20
	}
	if c.KeepLogs == 0 {
		c.KeepLogs = 30 * 24 * time.Hour
	}
	if c.Recheck == 0 {
		c.Recheck = 5 * time.Minute
	}
	if c.States == nil {
		c.States = merger.New(merger.Config{Dir: filepath.Join(c.Dir, "git"), Git: c.Git, Remote: c.Source.Remote})
	}
	return c
}

// load reads the state of the queues.
func (g *Gate) load(ctx context.Context) error {
	instance, err := g.store.Meta(ctx, "instance", uuid.NewString)
	if err != nil {
		return err
	}
	since, err := g.store.Meta(ctx, "since", func() string { return time.Now().UTC().Format(time.RFC3339) })
	if err != nil {
		return err
	}
	if g.since, err = time.Parse(time.RFC3339, since); err != nil {
		return fmt.Errorf("read when the gate began: %w", err)
	}
	if g.state, err = g.store.State(ctx); err != nil {
		return err
	}
	if g.state == nil {
		g.state = queue.New(instance)
	}
	g.state.Define(pipelines(g.config.Window)...)
	return nil
}

// pipelines are those that exist without configuration.
func pipelines(w queue.Window) []queue.Pipeline {
	return []queue.Pipeline{
		{Name: config.Check, Manager: queue.Independent, Precedence: queue.Low},
		{Name: config.Gate, Manager: queue.Dependent, Precedence: queue.High, Supercedes: []string{config.Check}, RetryFailed: true, Window: w},
	}
}

// Handler serves the gate's pages and its REST API.
func (g *Gate) Handler() http.Handler { return g.web }

// Close closes the database. Run must have returned.
func (g *Gate) Close() error { return g.store.Close() }

// url is the address of a page of the gate.
func (g *Gate) url(path string) string {
	return strings.TrimRight(g.config.PublicURL(), "/") + path
}

// Run watches, tests and merges until ctx ends, and returns when nothing of it
// runs any more. Builds under way are ended; they are run again after the
// next start.
func (g *Gate) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if n, err := g.store.AbortBuilds(ctx, time.Now()); err != nil {
		return err
	} else if n > 0 {
		g.log.InfoContext(ctx, "builds of a stopped gate are run again", "builds", n)
	}
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){g.sweepLoop, g.buildLoop, g.lookLoop, g.watch} {
		loops.Go(func() { loop(ctx) })
	}
	g.mailbox.put(queue.Restart{})
	err := g.applyLoop(ctx)
	cancel()
	loops.Wait() // from here on nothing gives the lanes more to do
	g.lanes.tasks.Wait()
	return err
}

// watch follows the review server's events.
func (g *Gate) watch(ctx context.Context) {
	err := g.source.Watch(ctx, source.Hooks{
		Connected: func() {
			g.log.InfoContext(ctx, "events flow")
			g.flows(true)
			g.touched.all()
		},
		Touched: g.touched.one,
		Lost: func(err error) {
			g.flows(false)
			g.log.WarnContext(ctx, "no events from the review server", "error", err)
		},
	})
	if err != nil && ctx.Err() == nil {
		g.log.ErrorContext(ctx, "the review server is not watched any more", "error", err)
	}
}

// flows notes whether events come.
func (g *Gate) flows(yes bool) {
	g.flowing.Store(yes)
	if yes {
		g.metrics.connected.Set(1)
	} else {
		g.metrics.connected.Set(0)
	}
	g.web.Changed()
}

// prune removes logs that are not kept any longer.
func (g *Gate) prune(ctx context.Context) {
	n, err := g.logs.Prune(time.Now().Add(-g.config.KeepLogs))
	if err != nil {
		g.log.WarnContext(ctx, "old logs could not be removed", "error", err)
	}
	if n > 0 {
		g.log.InfoContext(ctx, "old logs removed", "builds", n)
	}
}

// sweepLoop deletes machines that no build needs: at the start those of a
// gate that was killed, later those whose deletion failed. It removes old
// logs, too.
func (g *Gate) sweepLoop(ctx context.Context) {
	pause := time.Second
	for {
		g.prune(ctx)
		err := g.config.Nodes.Sweep(ctx, g.live.has)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			g.log.WarnContext(ctx, "machines left behind could not be deleted", "error", err)
			pause = min(2*pause, time.Minute)
		default:
			pause = 10 * time.Minute
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
