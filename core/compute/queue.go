package compute

import (
	"context"
	"slices"
	"sync"
)

// queue holds the ids of servers that something is to be done to, in the order
// in which they came. A server is given to one worker at a time; one added
// while it is worked on comes again.
type queue struct {
	mu      sync.Mutex
	waiting []string
	queued  map[string]bool
	busy    map[string]context.CancelFunc
	wake    chan struct{} // closed and replaced when a server may be had
}

func newQueue() *queue {
	return &queue{queued: map[string]bool{}, busy: map[string]context.CancelFunc{}, wake: make(chan struct{})}
}

func (q *queue) add(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(id)
}

// restart adds a server and ends the work that goes on with it. Both are one
// step: a worker that has found the new task already is ended, too, but comes
// to it again.
func (q *queue) restart(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if cancel := q.busy[id]; cancel != nil {
		cancel()
	}
	q.addLocked(id)
}

func (q *queue) addLocked(id string) {
	if q.queued[id] {
		return
	}
	q.queued[id] = true
	q.waiting = append(q.waiting, id)
	q.ring()
}

func (q *queue) ring() {
	close(q.wake)
	q.wake = make(chan struct{})
}

// take waits for a server that nobody works on. The context it returns ends
// when ctx does, when the work is interrupted, or by done.
func (q *queue) take(ctx context.Context) (work context.Context, id string, done func(), err error) {
	for {
		work, id, wake := q.try(ctx)
		if id != "" {
			return work, id, func() { q.done(id) }, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, "", nil, ctx.Err()
		}
	}
}

func (q *queue) try(ctx context.Context) (work context.Context, id string, wake <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() != nil {
		return nil, "", q.wake
	}
	for i, id := range q.waiting {
		if q.busy[id] != nil {
			continue
		}
		q.waiting = slices.Delete(q.waiting, i, i+1)
		delete(q.queued, id)
		work, cancel := context.WithCancel(ctx)
		q.busy[id] = cancel
		return work, id, nil
	}
	return nil, "", q.wake
}

func (q *queue) done(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy[id]()
	delete(q.busy, id)
	if q.queued[id] {
		q.ring()
	}
}
