package gate

import (
	"context"
	"sync"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// mailbox holds events until they are applied. Putting one never blocks, so
// that what makes events can never wait for what takes them.
type mailbox struct {
	mu     sync.Mutex
	events []queue.Event
	ready  chan struct{} // holds one token while there are events
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (m *mailbox) put(e queue.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	m.signal()
}

// signal says that there are events. The lock is held.
func (m *mailbox) signal() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take returns the next event, or nil when ctx ends.
func (m *mailbox) take(ctx context.Context) queue.Event {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.ready:
		}
		m.mu.Lock()
		if len(m.events) == 0 {
			m.mu.Unlock()
			continue
		}
		e := m.events[0]
		m.events = m.events[1:]
		if len(m.events) > 0 {
			m.signal()
		}
		m.mu.Unlock()
		return e
	}
}

// lanes runs functions, those of one change one after the other in the order
// in which they came. What the gate reads of a change and what it writes to
// it thus never overtake each other.
type lanes struct {
	mu      sync.Mutex
	waiting map[int][]func()
	tasks   sync.WaitGroup
}

func newLanes() *lanes { return &lanes{waiting: map[int][]func(){}} }

// do runs f after those given before for the change, unless ctx ends before
// its turn. It does not block.
func (l *lanes) do(ctx context.Context, change int, f func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, busy := l.waiting[change]
	l.waiting[change] = append(queue, func() {
		if ctx.Err() == nil {
			f(ctx)
		}
	})
	if !busy {
		l.tasks.Go(func() { l.work(change) })
	}
}

func (l *lanes) work(change int) {
	for {
		l.mu.Lock()
		queue := l.waiting[change]
		if len(queue) == 0 {
			delete(l.waiting, change)
			l.mu.Unlock()
			return
		}
		f := queue[0]
		l.waiting[change] = queue[1:]
		l.mu.Unlock()
		f()
	}
}

// cancels are the ends of what can be canceled by name.
type cancels struct {
	mu    sync.Mutex
	funcs map[string]context.CancelFunc
}

func newCancels() *cancels { return &cancels{funcs: map[string]context.CancelFunc{}} }

// with returns a context that cancel ends.
func (c *cancels) with(ctx context.Context, name string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.funcs[name] = cancel
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.funcs, name)
	}
}

func (c *cancels) cancel(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.funcs[name]; ok {
		f()
	}
}
