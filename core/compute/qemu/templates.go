package qemu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

const (
	// templateTimeout is how long a template may take to be built, most of
	// which is the guest's boot.
	templateTimeout = 15 * time.Minute
	// failedFor is how long after a failure machines boot without trying to
	// make their template again.
	failedFor = 10 * time.Minute
)

// templates are those of one host. A template is built once however many wait
// for it, and removed when it is the least recently used of those that exceed
// the budget.
type templates struct {
	dir string
	log *slog.Logger
	// budget is what all of them may take of the host's disk and memory, in
	// bytes; see template.cost.
	budget  struct{ disk, memory int64 }
	timeout time.Duration // of a build
	build   func(ctx context.Context, t *template, m compute.Machine) error

	ctx    context.Context //nolint:containedctx // the driver's life: a template belongs to no call
	cancel context.CancelFunc
	builds sync.WaitGroup

	mu       sync.Mutex
	ready    map[string]*template     // by id
	building map[string]chan struct{} // closed when the build is over
	failed   map[string]failure
}

// failure is why there is no template, and since when.
type failure struct {
	why error
	at  time.Time
}

// newTemplates loads the templates of a directory. What is in it and is none,
// remove is called for.
func newTemplates(dir string, log *slog.Logger, remove func(t *template) error) (*templates, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &templates{
		dir: dir, log: log, timeout: templateTimeout,
		ready: map[string]*template{}, building: map[string]chan struct{}{}, failed: map[string]failure{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if uuid.Validate(entry.Name()) != nil || !entry.IsDir() {
			continue
		}
		t := s.template(entry.Name())
		if err := t.load(); err != nil {
			log.Info("removing what is no template", "template", t.id, "reason", err)
			if err := remove(t); err != nil {
				return nil, fmt.Errorf("remove template %s: %w", t.id, err)
			}
			continue
		}
		s.ready[t.id] = t
	}
	return s, nil
}

func (s *templates) template(id string) *template {
	return &template{id: id, dir: filepath.Join(s.dir, id)}
}

// acquire returns the template of the given id, for the caller to release. It
// waits until the template is built, for a machine like m, and fails with ctx,
// or if that failed, now or a while ago.
func (s *templates) acquire(ctx context.Context, id string, m compute.Machine) (*template, error) {
	for {
		t, building, err := s.try(id, m)
		if t != nil || err != nil {
			return t, err
		}
		select {
		case <-building:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try returns the template, in use, or the end of its build, or why there is
// none.
func (s *templates) try(id string, m compute.Machine) (*template, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, building, err := s.find(id, m)
	if t != nil {
		t.users++
		t.used = time.Now()
	}
	return t, building, err
}

// prepare has the template built if there is none. It returns the end of the
// build; nil if there is none to wait for.
func (s *templates) prepare(id string, m compute.Machine) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, building, _ := s.find(id, m)
	return building
}

// find starts a build if need be. The lock is held.
func (s *templates) find(id string, m compute.Machine) (*template, <-chan struct{}, error) {
	if s.ctx.Err() != nil {
		return nil, nil, errors.New("the driver is closed")
	}
	if t := s.ready[id]; t != nil {
		return t, nil, nil
	}
	if building := s.building[id]; building != nil {
		return nil, building, nil
	}
	if last, ok := s.failed[id]; ok && time.Since(last.at) < failedFor {
		return nil, nil, fmt.Errorf("no template since %s: %w", last.at.Format(time.TimeOnly), last.why)
	}
	delete(s.failed, id)
	building := make(chan struct{})
	s.building[id] = building
	s.builds.Go(func() {
		defer close(building)
		s.construct(s.template(id), m)
	})
	return nil, building, nil
}

// construct builds a template, and makes room for it.
func (s *templates) construct(t *template, m compute.Machine) {
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	began := time.Now()
	err := s.build(ctx, t, m)
	if ctx.Err() != nil && s.ctx.Err() == nil {
		err = fmt.Errorf("not built within %v: %w", s.timeout, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.building, t.id)
	disk, memory := t.cost()
	if err == nil && (disk > s.budget.disk || memory > s.budget.memory) {
		err = fmt.Errorf("it takes %d MB of disk and %d MB of memory, more than all templates may", disk>>20, memory>>20)
	}
	if err != nil {
		err = errors.Join(err, t.remove())
		s.failed[t.id] = failure{err, time.Now()}
		s.log.Warn("template not built", "template", t.id, "took", time.Since(began), "err", err)
		return
	}
	t.used = time.Now()
	s.ready[t.id] = t
	s.log.Info("template built", "template", t.id, "image", m.Root.File, "took", time.Since(began),
		"memory_mb", memory>>20, "disk_mb", disk>>20)
	s.evict()
}

// release ends the use of a template.
func (s *templates) release(t *template) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.users--
	s.bury(t)
}

// condemn takes a template, which the caller uses, out of service: no fork of
// it works.
func (s *templates) condemn(t *template, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.condemned {
		return
	}
	s.log.Warn("template condemned", "template", t.id, "reason", why)
	t.condemned = true
	delete(s.ready, t.id)
	s.failed[t.id] = failure{why, time.Now()}
}

// bury removes a condemned template that nobody uses any more. The lock is
// held.
func (s *templates) bury(t *template) {
	if !t.condemned || t.users > 0 {
		return
	}
	if err := t.remove(); err != nil { // the next driver will
		s.log.Warn("template not removed", "template", t.id, "err", err)
	}
}

// evict removes the least recently used templates until the budget holds, and
// those whose image is gone. One that is in use stays. The lock is held.
func (s *templates) evict() {
	byAge := slices.SortedFunc(maps.Values(s.ready), func(a, b *template) int { return a.used.Compare(b.used) })
	var disk, memory int64
	for _, t := range slices.Backward(byAge) {
		d, m := t.cost()
		disk, memory = disk+d, memory+m
		_, gone := os.Stat(t.record.Base.File)
		if gone == nil && disk <= s.budget.disk && memory <= s.budget.memory || t.users > 0 {
			continue
		}
		disk, memory = disk-d, memory-m
		delete(s.ready, t.id)
		t.condemned = true
		s.bury(t)
		s.log.Info("template evicted", "template", t.id, "used", t.used, "disk_mb", d>>20, "memory_mb", m>>20)
	}
}

// stop ends all builds and waits for that.
func (s *templates) stop() {
	s.cancel()
	s.builds.Wait()
}
