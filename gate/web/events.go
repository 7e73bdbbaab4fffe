package web

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// pace bounds how often a page is told to look again.
	pace = 300 * time.Millisecond
	// heartbeat keeps proxies from closing a quiet stream.
	heartbeat = 20 * time.Second
)

// events tells a page, by server-sent events, when to look again.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	next := s.next()
	_, _ = io.WriteString(w, "retry: 2000\n\nevent: changed\ndata: 0\n\n")
	for n := 1; out.Flush() == nil; n++ {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(heartbeat):
			_, _ = io.WriteString(w, ": still here\n\n")
			continue
		case <-next:
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pace):
		}
		next = s.next()
		_, _ = fmt.Fprintf(w, "event: changed\ndata: %d\n\n", n)
	}
}

// logIndex lists a build's files.
func (s *Server) logIndex(w http.ResponseWriter, r *http.Request) error {
	v, err := s.build(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return err
	}
	return s.render(w, "files.html", v)
}

// logFile serves a build's file as it is: untrusted bytes, which a browser
// may show as text or save, and nothing else.
func (s *Server) logFile(w http.ResponseWriter, r *http.Request) error {
	file, err := s.config.Logs.OpenFile(r.PathValue("uuid"), r.PathValue("name"))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	untrusted(w)
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}

// stream sends a build's log as it grows, from ?offset= on.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) error {
	var offset int64
	if v := r.FormValue("offset"); v != "" {
		n, err := strconv.ParseUint(v, 10, 62)
		if err != nil {
			return fmt.Errorf("%w: offset must be a number of bytes", errBadRequest)
		}
		offset = int64(n)
	}
	untrusted(w)
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	return s.config.Logs.Follow(r.Context(), r.PathValue("uuid"), offset, func(p []byte) error {
		if _, err := w.Write(p); err != nil {
			return err
		}
		return out.Flush()
	})
}

func untrusted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
}
