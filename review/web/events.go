package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/review"
)

// heartbeat is how often an idle stream says that it is alive, so that
// proxies keep it and a reader that went away is found out.
const heartbeat = 25 * time.Second

// streamEvents tells a page that something happened: to the change it shows
// (?change=N), or to any change. What happened, the page asks for itself. It
// begins after the last event that the page knows of (?after=POSITION, or what
// the browser got before its connection broke).
func (s *Site) streamEvents(v *visit) error {
	var number int64
	if text := v.r.URL.Query().Get("change"); text != "" {
		var err error
		if number, err = strconv.ParseInt(text, 10, 64); err != nil {
			number = -1 // no change has it
		}
	}
	after, err := strconv.ParseInt(cmp.Or(v.r.Header.Get("Last-Event-ID"), v.r.URL.Query().Get("after")), 10, 64)
	if last := s.service.LastEvent(); err != nil || after < 0 || after > last {
		after = last // from here on, and not from when Tail begins: the answer to the request promises it
	}
	v.w.Header().Set("Content-Type", "text/event-stream")
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.Header().Set("X-Accel-Buffering", "no")
	stream := &stream{w: v.w, control: http.NewResponseController(v.w)}
	if err := stream.send(": hello\n\n"); err != nil {
		return nil // the client went away
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	done := make(chan struct{})
	var beats sync.WaitGroup
	defer beats.Wait()
	defer close(done)
	beats.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-beat.C:
				_ = stream.send(": alive\n\n")
			}
		}
	})
	_ = s.service.Tail(v.ctx(), v.caller, after, func(e review.Event) error {
		if e.Change == 0 || number != 0 && e.Change != number {
			return nil
		}
		return stream.send(fmt.Sprintf("event: change\nid: %d\ndata: %d\n\n", e.Position, e.Change))
	})
	return nil
}

// stream writes whole messages from more than one goroutine.
type stream struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) send(message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.control.SetWriteDeadline(time.Now().Add(heartbeat))
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("stream events: %w", err)
	}
	if _, err := s.w.Write([]byte(message)); err != nil {
		return fmt.Errorf("stream events: %w", err)
	}
	return s.control.Flush()
}
