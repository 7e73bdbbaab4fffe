package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// parallel is how many volumes and snapshots are worked on at a time.
	parallel = 4
	// retry is when Run looks again for what it could not do.
	retry = time.Minute
)

// errLater says that there is nothing to do now: Run will be woken when there
// is.
var errLater = errors.New("not yet")

// notify tells Run that there is something to do.
func (s *Service) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // it knows already
	}
}

// Run makes, extends and removes volumes and snapshots until ctx is
// cancelled, then returns after the work under way has stopped. What it had
// not finished, also in an earlier life, is done at the next Run.
func (s *Service) Run(ctx context.Context) error {
	if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	w := &workers{slots: make(chan struct{}, parallel), busy: map[string]bool{}}
	defer w.wait.Wait()
	again := time.NewTicker(retry)
	defer again.Stop()
	for {
		if err := s.start(ctx, w); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "looking for work failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-again.C:
		}
	}
}

// workers are the goroutines of Run.
type workers struct {
	wait  sync.WaitGroup
	slots chan struct{}

	mu   sync.Mutex
	busy map[string]bool // the ids that are worked on; true if that was asked for again
}

// do runs f in a goroutine once there is a slot, if the id is not worked on
// already, and then calls done. errLater is no error if it was asked for again
// in the meantime.
func (w *workers) do(ctx context.Context, id string, f func() error, done func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, busy := w.busy[id]; busy {
		w.busy[id] = true
		return
	}
	w.busy[id] = false
	w.wait.Go(func() {
		select {
		case <-ctx.Done():
			return
		case w.slots <- struct{}{}:
		}
		err := f()
		<-w.slots
		w.mu.Lock()
		if w.busy[id] && errors.Is(err, errLater) {
			err = nil
		}
		delete(w.busy, id)
		w.mu.Unlock()
		done(err)
	})
}

// start begins all that is to be done.
func (s *Service) start(ctx context.Context, w *workers) error {
	done := func(err error) {
		switch {
		case err == nil:
			s.notify() // more may have been asked for while it was worked on
		case ctx.Err() == nil && !errors.Is(err, errLater):
			s.log.ErrorContext(ctx, "outcome not stored", "err", err)
		}
	}
	volumes, snapshots, err := s.store.pending(ctx)
	if err != nil {
		return err
	}
	for _, id := range snapshots {
		w.do(ctx, id, func() error { return s.workSnapshot(ctx, id) }, done)
	}
	for _, id := range volumes {
		w.do(ctx, id, func() error { return s.work(ctx, id) }, done)
	}
	return nil
}

// work does what is pending for a volume and notes how that went. It reports
// an error only if it could not note it: then the next Run does it again.
func (s *Service) work(ctx context.Context, id string) error {
	v, err := s.store.get(ctx, id) // as it is now: since it was listed, it may have been worked on
	if errors.Is(err, sql.ErrNoRows) || err == nil && v.task == none {
		return errLater
	}
	if err != nil {
		return err
	}
	path, failed := s.files.volume(v.ID), Failed
	switch v.task {
	case toCreate:
		err = create(path, v.SizeGB, func(file *os.File) error { return s.fill(ctx, v, file) })
	case toExtend:
		err, failed = extend(path, v.SizeGB), FailedExtend
	case toDelete:
		if err = remove(path); err == nil {
			return s.store.delete(ctx, v.ID)
		}
		failed = FailedDelete
	case none: // there is nothing to do, see above
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.log.ErrorContext(ctx, "volume failed", "volume", v.ID, "task", v.task, "err", err)
	}
	_, noted := s.store.update(ctx, v.ID, now(), func(stored *Volume) error {
		if stored.task != v.task {
			return nil // an administrator reset the status and asked for something else
		}
		stored.Status, stored.task = Available, none
		if err != nil {
			stored.Status = failed
		}
		return nil
	})
	return noted
}

// workSnapshot is work for a snapshot.
func (s *Service) workSnapshot(ctx context.Context, id string) error {
	one, err := getSnapshot(ctx, s.store.db, id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && one.task == none {
		return errLater
	}
	if err != nil {
		return err
	}
	path, failed := s.files.snapshot(one.ID), Failed
	if one.task == toCreate {
		err = create(path, one.SizeGB, func(file *os.File) error { return clone(ctx, file, s.files.volume(one.VolumeID)) })
	} else {
		if err = remove(path); err == nil {
			return s.store.deleteSnapshot(ctx, one.ID)
		}
		failed = FailedDelete
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.log.ErrorContext(ctx, "snapshot failed", "snapshot", one.ID, "task", one.task, "err", err)
	}
	_, noted := s.store.updateSnapshot(ctx, one.ID, now(), func(stored *Snapshot) error {
		if stored.task != one.task {
			return nil // an administrator asked for something else
		}
		stored.Status, stored.task = Available, none
		if err != nil {
			stored.Status = failed
		}
		return nil
	})
	return noted
}

// sweep removes files that no volume or snapshot has.
func (s *Service) sweep(ctx context.Context) error {
	known := map[string]func(id string) error{
		"volumes":   func(id string) error { _, err := s.store.get(ctx, id); return err },
		"snapshots": func(id string) error { _, err := getSnapshot(ctx, s.store.db, id); return err },
	}
	for kind, lookUp := range known {
		ids, err := s.files.list(kind)
		if err != nil {
			return err
		}
		for _, id := range ids {
			err := lookUp(id)
			if errors.Is(err, sql.ErrNoRows) {
				s.log.InfoContext(ctx, "leftover file removed", "kind", kind, "id", id)
				path := s.files.volume(id)
				if kind == "snapshots" {
					path = s.files.snapshot(id)
				}
				err = remove(path)
			}
			if err != nil {
				return fmt.Errorf("sweep %s: %w", kind, err)
			}
		}
	}
	return nil
}
