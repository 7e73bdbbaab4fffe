package qemu

import (
	"context"
	"sync"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// hub keeps events until somebody takes them. Each goes to one listener.
type hub struct {
	mu      sync.Mutex
	pending []compute.Event
	wake    chan struct{} // closed and replaced with each event
}

func newHub() *hub { return &hub{wake: make(chan struct{})} }

func (h *hub) add(event compute.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append(h.pending, event)
	close(h.wake)
	h.wake = make(chan struct{})
}

// forget drops the events of a machine.
func (h *hub) forget(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.pending[:0]
	for _, event := range h.pending {
		if event.ID != id {
			kept = append(kept, event)
		}
	}
	h.pending = kept
}

// next takes the oldest event, or returns what tells of the next one.
func (h *hub) next() (event compute.Event, ok bool, wake <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending) == 0 {
		return event, false, h.wake
	}
	event = h.pending[0]
	h.pending = h.pending[1:]
	return event, true, nil
}

// putBack returns an event that was not delivered after all.
func (h *hub) putBack(event compute.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append([]compute.Event{event}, h.pending...)
	close(h.wake)
	h.wake = make(chan struct{})
}

// Events implements compute.Driver. When there are several listeners, each
// event goes to one of them. One is delivered again after a restart if
// Gatehouse was killed while delivering it.
func (d *Driver) Events(ctx context.Context) <-chan compute.Event {
	events := make(chan compute.Event)
	go func() {
		defer close(events)
		for ctx.Err() == nil {
			event, ok, wake := d.events.next()
			if !ok {
				select {
				case <-wake:
				case <-ctx.Done():
				}
				continue
			}
			select {
			case events <- event:
				d.delivered(event)
			case <-ctx.Done():
				d.events.putBack(event)
			}
		}
	}()
	return events
}

// delivered forgets that a machine died.
func (d *Driver) delivered(event compute.Event) {
	m, err := d.machine(event.ID)
	if err != nil {
		return // destroyed meanwhile
	}
	if err := m.update(func(r *record) { r.Died = nil }); err != nil {
		d.log.Warn("machine's end will be reported again", "server", event.ID, "error", err)
	}
}
