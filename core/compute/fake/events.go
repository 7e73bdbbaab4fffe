package fake

import (
	"context"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// Events implements compute.Driver. There may be one listener at a time.
func (d Driver) Events(ctx context.Context) <-chan compute.Event {
	events := make(chan compute.Event)
	go func() {
		defer close(events)
		for {
			event, ok := d.host.next()
			if !ok {
				select {
				case <-d.host.wake:
					continue
				case <-ctx.Done():
					return
				}
			}
			select {
			case events <- event:
			case <-ctx.Done():
				d.host.putBack(event)
				return
			}
		}
	}()
	return events
}

func (h *host) next() (compute.Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending) == 0 {
		return compute.Event{}, false
	}
	event := h.pending[0]
	h.pending = h.pending[1:]
	return event, true
}

// putBack keeps an event for the next listener.
func (h *host) putBack(event compute.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append([]compute.Event{event}, h.pending...)
}
