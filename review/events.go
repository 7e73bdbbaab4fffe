package review

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// hub knows which events readers may see, and wakes them for new ones. Events
// are rows; the hub holds none, so a reader who stalls costs nothing.
//
// Positions are given within write transactions, one at a time, so they are
// in order; but a transaction that moves refs is not done when it commits. Its
// span stays unreleased until git has followed, and holds back those after it.
type hub struct {
	mu         sync.Mutex
	unreleased map[int64]int // the first positions of spans; two may share one if a transaction was rolled back
	last       int64         // the last position of a released span
	news       chan struct{} // closed when visible grows
}

// span is the positions of one transaction's events; the zero span has none.
type span struct{ first, last int64 }

// open finds where the events end.
func (h *hub) open(ctx context.Context, q querier) error {
	h.unreleased = map[int64]int{}
	h.news = make(chan struct{})
	if err := q.QueryRowContext(ctx, `SELECT coalesce(max(position), 0) FROM events`).Scan(&h.last); err != nil {
		return fmt.Errorf("find the last event: %w", err)
	}
	return nil
}

// hold adds a position to a span whose transaction is still open.
func (h *hub) hold(s *span, position int64) {
	if s.first == 0 {
		s.first = position
		h.mu.Lock()
		h.unreleased[position]++
		h.mu.Unlock()
	}
	s.last = position
}

// release ends a span, happened tells whether its events did.
func (h *hub) release(s *span, happened bool) {
	if s.first == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unreleased[s.first]--; h.unreleased[s.first] == 0 {
		delete(h.unreleased, s.first)
	}
	if happened {
		h.last = max(h.last, s.last)
	}
	close(h.news)
	h.news = make(chan struct{})
}

// visible is the last position that readers may see, and a channel that is
// closed when that may have changed.
func (h *hub) visible() (int64, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.last
	for first := range h.unreleased {
		last = min(last, first-1)
	}
	return last, h.news
}

// record writes an event. body is marshalled with type and eventCreatedOn
// already in it.
func (t *tx) record(ctx context.Context, e Event, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", e.Type, err)
	}
	var position int64
	err = t.QueryRowContext(ctx, `INSERT INTO events (type, created, project, ref, change, json)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING position`,
		e.Type, micros(t.at), e.Project, e.Ref, e.Change, string(text)).Scan(&position)
	if err != nil {
		return fmt.Errorf("insert event %s: %w", e.Type, err)
	}
	t.events.hold(&t.span, position)
	return nil
}

// LastEvent is the position of the last event, 0 if there is none.
func (s *Service) LastEvent() int64 {
	last, _ := s.events.visible()
	return last
}

// Events lists at most limit events after a position of what the caller may
// see. next is the position to go on from; it is after if there was nothing.
func (s *Service) Events(ctx context.Context, caller *Account, after int64, limit int) (events []Event, next int64, err error) {
	visible, _ := s.events.visible()
	return s.eventsWhere(ctx, caller, `position > $1 AND position <= $2 ORDER BY position LIMIT $3`, after, after, visible, limit)
}

// EventsBetween lists at most limit events from one time (included) to another
// (excluded) of what the caller may see.
func (s *Service) EventsBetween(ctx context.Context, caller *Account, from, to time.Time, limit int) ([]Event, error) {
	visible, _ := s.events.visible()
	events, _, err := s.eventsWhere(ctx, caller, `created >= $1 AND created < $2 AND position <= $3 ORDER BY position LIMIT $4`,
		0, micros(from), micros(to), visible, limit)
	return events, err
}

func (s *Service) eventsWhere(ctx context.Context, caller *Account, where string, after int64, args ...any) ([]Event, int64, error) {
	//nolint:gosec // G202: where is one of this file's constants
	rows, err := s.db.QueryContext(ctx, `SELECT position, type, created, project, ref, change, json FROM events WHERE `+where, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("select events: %w", err)
	}
	all, err := scanEvents(rows)
	if err != nil {
		return nil, 0, err
	}
	var seen []Event
	for _, e := range all {
		after = e.Position
		ok, err := s.maySeeEvent(ctx, caller, e)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			seen = append(seen, e)
		}
	}
	return seen, after, nil
}

func scanEvents(rows *sql.Rows) ([]Event, error) {
	type row struct {
		Event
		created int64
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.Position, &r.Type, &r.created, &r.Project, &r.Ref, &r.Change, &r.JSON}
	})
	events := make([]Event, len(all))
	for i, r := range all {
		events[i] = r.Event
		events[i].Created = fromMicros(r.created)
	}
	return events, err
}

// maySeeEvent reports whether the event is of what the caller may read now.
func (s *Service) maySeeEvent(ctx context.Context, caller *Account, e Event) (bool, error) {
	if e.Change == 0 {
		return true, nil
	}
	var n int
	condition := visibleCondition("$2", caller.admin())
	err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM changes c WHERE number = $1 AND NOT `+condition,
		e.Change, caller.id()).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("check event's change: %w", err)
	}
	return n == 0, nil // of a deleted change everybody may know that it was
}

// tailBatch bounds what a reader holds in memory, in events.
const tailBatch = 100

// Tail calls f for each event after a position, and then for each as it
// happens, until ctx ends or f fails. Before f is called, all that the event
// tells of can be read. A negative position means: from now on.
func (s *Service) Tail(ctx context.Context, caller *Account, after int64, f func(Event) error) error {
	if after < 0 {
		after = s.LastEvent()
	}
	for {
		_, news := s.events.visible()
		events, next, err := s.Events(ctx, caller, after, tailBatch)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := f(e); err != nil {
				return err
			}
		}
		if next != after {
			after = next
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}
