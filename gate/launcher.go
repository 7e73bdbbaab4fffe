package gate

import (
	"container/heap"
	"context"
	"errors"
	"sync"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// errCanceled is why a build ends whose result nobody needs any more.
var errCanceled = errors.New("the build was canceled")

// launcher starts builds as machines become free, the most urgent first
// (A9.1).
type launcher struct {
	free  chan struct{} // a token for each machine that may be used
	ready chan struct{} // holds one token while builds wait

	mu      sync.Mutex
	waiting builds
	order   int
	running map[string]context.CancelCauseFunc
}

func newLauncher(machines int) *launcher {
	l := &launcher{
		free: make(chan struct{}, machines), ready: make(chan struct{}, 1),
		running: map[string]context.CancelCauseFunc{},
	}
	for range machines {
		l.free <- struct{}{}
	}
	return l
}

// run starts builds until ctx ends and returns when all have ended. f runs a
// build to its end; the machine counts as used until then.
func (l *launcher) run(ctx context.Context, f func(context.Context, queue.Run)) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.free:
		}
		run, buildCtx, ok := l.next(ctx)
		if !ok {
			return
		}
		tasks.Go(func() {
			defer func() { l.free <- struct{}{} }()
			defer l.ended(run.Build)
			f(buildCtx, run)
		})
	}
}

// next waits for a build.
func (l *launcher) next(ctx context.Context) (queue.Run, context.Context, bool) {
	for {
		select {
		case <-ctx.Done():
			return queue.Run{}, nil, false
		case <-l.ready:
		}
		if run, buildCtx, ok := l.pop(ctx); ok {
			return run, buildCtx, true
		}
	}
}

func (l *launcher) pop(ctx context.Context) (queue.Run, context.Context, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return queue.Run{}, nil, false
	}
	run := heap.Pop(&l.waiting).(waitingBuild).Run //nolint:forcetypeassert // builds holds nothing else
	l.signal()
	ctx, cancel := context.WithCancelCause(ctx)
	l.running[run.Build] = cancel
	return run, ctx, true
}

// signal says that builds wait, if any do. The lock is held.
func (l *launcher) signal() {
	if len(l.waiting) > 0 {
		select {
		case l.ready <- struct{}{}:
		default:
		}
	}
}

func (l *launcher) push(run queue.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order++
	heap.Push(&l.waiting, waitingBuild{run, l.order})
	l.signal()
}

// cancel ends a build, or takes it off the list. It reports whether the build
// had begun.
func (l *launcher) cancel(build string) (began bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel, ok := l.running[build]; ok {
		cancel(errCanceled)
		return true
	}
	for i, b := range l.waiting {
		if b.Build == build {
			heap.Remove(&l.waiting, i)
			break
		}
	}
	return false
}

func (l *launcher) ended(build string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel, ok := l.running[build]; ok {
		cancel(nil)
		delete(l.running, build)
	}
}

// used is how many builds run.
func (l *launcher) used() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.running)
}

// position is how many builds go first; -1 if the build does not wait.
func (l *launcher) position(build string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.waiting {
		if b.Build != build {
			continue
		}
		n := 0
		for j := range l.waiting {
			if l.waiting.Less(j, i) {
				n++
			}
		}
		return n
	}
	return -1
}

type waitingBuild struct {
	queue.Run
	order int
}

// builds is a heap of builds: lowest priority number first, then oldest.
type builds []waitingBuild

func (b builds) Len() int      { return len(b) }
func (b builds) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b builds) Less(i, j int) bool {
	if b[i].Priority != b[j].Priority {
		return b[i].Priority < b[j].Priority
	}
	return b[i].order < b[j].order
}
func (b *builds) Push(x any) { *b = append(*b, x.(waitingBuild)) } //nolint:forcetypeassert // see pop
func (b *builds) Pop() any {
	old := *b
	last := old[len(old)-1]
	*b = old[:len(old)-1]
	return last
}
