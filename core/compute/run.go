package compute

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// pruneEvery is how often images are looked at that no server uses.
const pruneEvery = time.Hour

// retryAfter is when work is tried again that failed for no reason of the
// server's own, such as a database that cannot be written to.
const retryAfter = 10 * time.Second

// Run does the tasks of servers until ctx is cancelled, then returns after
// what goes on has been stopped; it is taken up again by the next Run. At
// first it makes the driver's machines and the servers agree.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := s.config.Driver.Events(ctx)
	if err := s.reconcile(ctx); err != nil {
		cancel()
		for range events { // until it closes
		}
		return fmt.Errorf("reconcile servers with machines: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { s.listen(ctx, events) })
	running.Go(func() { s.pruneImages(ctx) })
	for range s.config.Workers {
		running.Go(func() { s.worker(ctx, &running) })
	}
	running.Wait()
	return ctx.Err()
}

func (s *Service) worker(ctx context.Context, running *sync.WaitGroup) {
	for {
		work, id, done, err := s.queue.take(ctx)
		if err != nil {
			return
		}
		err = s.work(work, id)
		if wait, ok := errors.AsType[*waitError](err); ok {
			running.Go(func() { s.addAfter(ctx, id, wait.over) })
		} else if err != nil && work.Err() == nil {
			s.log.ErrorContext(ctx, "work on server failed", "server", id, "err", err)
			time.AfterFunc(retryAfter, func() { s.queue.add(id) })
		}
		done()
	}
}

// addAfter queues a server when what it waits for is over.
func (s *Service) addAfter(ctx context.Context, id string, over <-chan struct{}) {
	select {
	case <-over:
		s.queue.add(id)
	case <-ctx.Done():
	}
}

// work does whatever is to be done to a server: its task, or else what its
// volumes wait for.
func (s *Service) work(ctx context.Context, id string) error {
	server, err := s.store.server(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil // it was deleted while it waited
	}
	if err != nil {
		return err
	}
	switch server.TaskState {
	case Scheduling, Spawning:
		return s.build(ctx, server)
	case PoweringOn:
		return s.powerOn(ctx, server)
	case PoweringOff:
		return s.powerOff(ctx, server)
	case Rebooting, RebootingHard:
		return s.reboot(ctx, server)
	case Deleting:
		return s.delete(ctx, server)
	default:
		return s.plug(ctx, server)
	}
}

// settle ends a task with what change makes of the server, unless the server
// has been given another one meanwhile.
func (s *Service) settle(ctx context.Context, server Server, change func(*Server)) error {
	_, err := s.store.changeServer(ctx, server.ID, func(now *Server) error {
		if now.TaskState != server.TaskState {
			return errTaskChanged
		}
		now.TaskState = Idle
		change(now)
		return nil
	})
	if errors.Is(err, errTaskChanged) {
		return nil
	}
	if err == nil {
		s.queue.add(server.ID) // its volumes may wait
	}
	return err
}

// errTaskChanged says that a server has another task than was thought.
var errTaskChanged = errors.New("the server's task has changed")

// finish notes the outcome of an action.
func (s *Service) finish(ctx context.Context, server, action string, failure error) {
	why := ""
	if failure != nil {
		why = failure.Error()
	}
	if err := s.store.finishActions(ctx, server, action, why, time.Now().UTC()); err != nil {
		s.log.WarnContext(ctx, "end of action not recorded", "server", server, "action", action, "err", err)
	}
}

func (s *Service) pruneImages(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		used, err := s.store.imagesUsed(ctx)
		if err == nil {
			err = s.images.prune(ctx, used, s.config.KeepImages)
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "unused images not removed", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
