// Package httpapi is what the OpenStack endpoints share: request ids, tokens,
// errors, JSON, microversions, paging, metrics.
//
// A service makes an API, registers its routes and lets handlers return
// errors; the API's WriteError alone turns a fault into the service's own
// form of error.
package httpapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// RequestIDHeader carries the id of a request, "req-" and a UUID. The id of
// the caller's own request, if it sent one, is logged beside ours.
const RequestIDHeader = "X-Openstack-Request-Id"

// HandlerFunc answers one request. A returned error is written by the API's
// WriteError; nothing may have been written by then.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Tokens verifies tokens; the identity service does.
type Tokens interface {
	// Validate reports whose token it is, or fault.Unauthorized.
	Validate(ctx context.Context, token string) (Caller, error)
}

// Config is what an API is made of. Everything is required but Metrics.
type Config struct {
	Name       string // the service's type in the catalog, e.g. "compute"
	Prefix     string // where the service is mounted, e.g. "/compute"; cut off before routing
	Log        *slog.Logger
	Tokens     Tokens
	WriteError func(w http.ResponseWriter, r *http.Request, err error)
	Metrics    *Metrics
}

// API serves the routes of one service.
type API struct {
	config Config
	mux    *http.ServeMux
}

// New makes an API without routes: it answers everything with fault.NotFound.
func New(config Config) *API {
	a := &API{config: config, mux: http.NewServeMux()}
	a.HandlePublic("/", a.unknown)
	return a
}

func noResource(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.NotFound, "The resource could not be found.")
}

// unknown answers what no route matches: it tells apart whether the path is
// unknown or only the method.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"DELETE", "GET", "PATCH", "POST", "PUT"} {
		other := *r
		other.Method = method
		if _, pattern := a.mux.Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return noResource(w, r)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return fault.New(fault.NotAllowed, "The method is not allowed for the requested URL.")
}

// Handle registers a route that needs a valid token. The pattern is that of
// http.ServeMux, without the prefix; CallerFrom gives the handler the caller.
func (a *API) Handle(pattern string, h HandlerFunc) {
	a.HandlePublic(pattern, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Vary", "X-Auth-Token")
		token := r.Header.Get("X-Auth-Token")
		if token == "" {
			return fault.New(fault.Unauthorized, "The request you have made requires authentication.")
		}
		caller, err := a.config.Tokens.Validate(r.Context(), token)
		if err != nil {
			return err
		}
		return h(w, r.WithContext(WithCaller(r.Context(), caller)))
	})
}

// HandlePublic registers a route that anybody may use.
func (a *API) HandlePublic(pattern string, h HandlerFunc) {
	a.mux.HandleFunc(pattern, a.answer(h))
}

// answer makes a handler of h that writes its errors.
func (a *API) answer(h HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if db.IsFull(err) {
			a.config.Log.ErrorContext(r.Context(), "the disk of the database is full", "err", err)
			err = fault.New(fault.NoSpace, "The disk of the service is full.")
		}
		if fault.KindOf(err) == fault.Internal && r.Context().Err() == nil {
			a.config.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path,
				"request", RequestID(r.Context()), "err", err)
		}
		if fault.KindOf(err) == fault.Unauthorized {
			w.Header().Set("Www-Authenticate", fmt.Sprintf("Keystone uri=%q", Origin(r)+"/identity"))
		}
		a.config.WriteError(w, r, err)
	}
}

// ServeHTTP implements http.Handler. The prefix stays readable through Base.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := "req-" + uuid.NewString()
	w.Header().Set(RequestIDHeader, id)
	ctx := context.WithValue(r.Context(), requestIDKey{}, id)
	ctx = context.WithValue(ctx, prefixKey{}, a.config.Prefix)
	rec := &recorder{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			a.config.Log.ErrorContext(ctx, "request panicked", "request", id, "panic", p, "stack", string(debug.Stack()))
			if rec.status == 0 {
				a.config.WriteError(rec, r, fmt.Errorf("panic: %v", p))
			}
		}
		a.config.Metrics.observe(a.config.Name, r.Method, rec.status, time.Since(start))
		a.config.Log.DebugContext(ctx, "request", "service", a.config.Name, "method", r.Method, "path", r.URL.Path,
			"status", rec.status, "took", time.Since(start), "request", id, "caller_request", callerRequest(r))
	}()
	stripped := http.StripPrefix(a.config.Prefix, http.HandlerFunc(a.route))
	if r.URL.Path == a.config.Prefix { // the service's root asked for without its slash
		r = r.Clone(ctx)
		r.URL.Path += "/"
		r.URL.RawPath = ""
	}
	stripped.ServeHTTP(rec, r.WithContext(ctx))
}

// route finds the handler. A path with an empty or dotted segment is unknown:
// http.ServeMux would redirect it to one without our prefix.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	escaped := r.URL.EscapedPath()
	if clean := path.Clean(escaped); clean != escaped && clean+"/" != escaped {
		a.answer(noResource)(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

var requestIDForm = regexp.MustCompile(`^req-[0-9a-f-]{36}$`)

// callerRequest is the id the caller gave its own request, if it is one.
func callerRequest(r *http.Request) string {
	if id := r.Header.Get(RequestIDHeader); requestIDForm.MatchString(id) {
		return id
	}
	return ""
}

type (
	requestIDKey struct{}
	prefixKey    struct{}
	callerKey    struct{}
)

// RequestID is the id given to the request whose context this is, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom hands files to the connection's own ReadFrom, which needs no buffer.
func (w *recorder) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
