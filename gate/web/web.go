// Package web is the gate's face: the status page that moves by itself, the
// pages of builds and build sets with their live logs, and a REST API in the
// shape of Zuul's (https://zuul-ci.org/docs/zuul/latest/rest-api.html).
//
// The output of builds is untrusted: it reaches a browser only as text, under
// a policy that lets nothing in it run.
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"github.com/gatehouse-dev/gatehouse/gate/buildlog"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

//go:embed templates/*.html static/*
var files embed.FS

// Config is what the pages show and who may change what.
type Config struct {
	Log    *slog.Logger
	Store  *store.Store
	Logs   *buildlog.Dir
	Status func() Status
	// URL is the address of a page, for those who are told it elsewhere.
	URL func(path string) string
	// Actions change the queues; only administrators may.
	Actions Actions
	// Verify checks a password; nil: nobody may change anything.
	Verify func(ctx context.Context, user, password string) (admin bool, err error)
}

// Actions are what a person may do to the queues.
type Actions interface {
	// Resume lets a stopped queue go on.
	Resume(ctx context.Context, pipeline, queue string)
	// Dequeue removes a change; by says who wants it.
	Dequeue(ctx context.Context, pipeline string, change int, by string)
	// Enqueue puts a change into a pipeline if its requirements are met; if
	// not, the error says why.
	Enqueue(ctx context.Context, pipeline string, change int) error
}

// ErrRefused wraps the reason of an action that is not possible.
var ErrRefused = errors.New("refused")

// Server serves the pages.
type Server struct {
	config    Config
	mux       *http.ServeMux
	templates *template.Template

	mu      sync.Mutex
	changed chan struct{} // closed when the status has changed
}

// New prepares the pages.
func New(c Config) (*Server, error) {
	t, err := template.New("").Funcs(functions).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	s := &Server{config: c, templates: t, mux: http.NewServeMux(), changed: make(chan struct{})}
	if err := s.routes(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) routes() error {
	static, err := fs.Sub(files, "static")
	if err != nil {
		return err
	}
	s.mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(static))))
	s.page("GET /{$}", s.statusPage)
	s.page("GET /t/{tenant}/status", s.statusPage)
	s.page("GET /fragment/status", s.statusFragment)
	s.mux.HandleFunc("GET /events", s.events)
	s.page("GET /builds", s.buildsPage)
	s.page("GET /buildsets", s.buildsetsPage)
	s.page("GET /build/{uuid}", s.buildPage)
	s.page("GET /fragment/build/{uuid}", s.buildFragment)
	s.page("GET /buildset/{uuid}", s.buildsetPage)
	s.page("GET /t/{tenant}/build/{uuid}", s.buildPage)
	s.page("GET /t/{tenant}/buildset/{uuid}", s.buildsetPage)
	s.page("GET /logs/{uuid}/{$}", s.logIndex)
	s.page("GET /logs/{uuid}/{name}", s.logFile)
	s.page("GET /stream/{uuid}", s.stream)
	s.api()
	return nil
}

// Changed says that the status has changed.
func (s *Server) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// next returns a channel that is closed at the next change.
func (s *Server) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// policy lets a page use what this server serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP serves the pages and the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	s.mux.ServeHTTP(w, r)
}

// page registers a handler whose error becomes an answer.
func (s *Server) page(pattern string, h func(http.ResponseWriter, *http.Request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		switch {
		case err == nil, r.Context().Err() != nil:
		case isNotFound(err):
			http.Error(w, "There is no such build or file.", http.StatusNotFound)
		case errors.Is(err, errBadRequest):
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			s.config.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "error", err)
			http.Error(w, "Something went wrong; the gate's log says what.", http.StatusInternalServerError)
		}
	})
}

// errBadRequest wraps what is wrong with a request.
var errBadRequest = errors.New("bad request")

func isNotFound(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, buildlog.ErrName)
}

func cached(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		h.ServeHTTP(w, r)
	})
}
