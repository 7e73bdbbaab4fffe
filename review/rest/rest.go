// Package rest serves Gerrit's REST API, as far as its clients use it: see
// https://gerrit-review.googlesource.com/Documentation/rest-api.html
//
// It holds no rules of its own: every call becomes one or a few of
// review.Service's, on behalf of who is logged in. JSON is preceded by )]}'
// and errors are plain text. /a/X is X for somebody: without the right
// password it answers 401. X itself is for anybody, and for somebody if a
// right password comes along.
package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// Version is the release of Gerrit whose API this is. Clients derive from it
// what they may ask for.
const Version = "3.11.2"

// Config is what a Server is made of. All of it is required.
type Config struct {
	Service *review.Service
	// Compile reads the search language; query.Language does.
	Compile func(ctx context.Context, caller *review.Account, text string) (review.Query, error)
	Log     *slog.Logger
}

// Server serves the API. It implements http.Handler.
type Server struct {
	service *review.Service
	compile func(ctx context.Context, caller *review.Account, text string) (review.Query, error)
	log     *slog.Logger
	mux     *http.ServeMux
}

// New makes the API's server.
func New(config Config) *Server {
	s := &Server{service: config.Service, compile: config.Compile, log: config.Log, mux: http.NewServeMux()}
	s.changeRoutes()
	s.revisionRoutes()
	s.projectRoutes()
	s.accountRoutes()
	s.serverRoutes()
	s.handle("/", func(c *call) (any, error) { return nil, fault.New(fault.NotFound, "Not Found") })
	return s
}

// collections are the first segments of the API's paths.
var collections = map[string]bool{
	"a": true, "access": true, "accounts": true, "changes": true, "config": true,
	"groups": true, "plugins": true, "projects": true, "tools": true,
}

// Match reports whether a URL's path is the API's.
func Match(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return collections[first]
}

// call is a request and who makes it.
type call struct {
	w        http.ResponseWriter
	r        *http.Request
	caller   *review.Account // nil: nobody in particular
	segments []string        // of the path, without /a, still escaped
}

func (c *call) ctx() context.Context { return c.r.Context() }

// arg is a named segment of the path, unescaped.
func (c *call) arg(name string) string { return c.r.PathValue(name) }

// handler answers a call: with a value to be sent as JSON, or one of the
// types of reply.go.
type handler func(c *call) (any, error)

// handle registers a route, in the form of http.ServeMux, without /a and
// without a slash at the end.
func (s *Server) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(callKey{}).(*call)
		c.w, c.r = w, r
		answer, err := h(c)
		if err != nil {
			s.fail(r.Context(), c, err)
			return
		}
		if err := reply(w, answer); err != nil {
			s.fail(r.Context(), c, err)
		}
	})
}

type callKey struct{}

// protection refuses what a browser sends on behalf of another site: it may
// add a password that it was once given.
var protection = http.NewCrossOriginProtection()

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r}
	defer s.catch(r.Context(), w, r.URL.Path)
	w.Header().Set("Cache-Control", "private, no-cache, no-store, max-age=0, must-revalidate")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := protection.Check(r); err != nil {
		s.fail(r.Context(), c, fault.New(fault.Forbidden, "cross-site request refused"))
		return
	}
	path, private := strings.CutPrefix(r.URL.EscapedPath(), "/a/")
	path = "/" + strings.Trim(path, "/")
	if err := s.authenticate(r.Context(), c, private); err != nil {
		s.refuse(r.Context(), c, err)
		return
	}
	c.segments = strings.Split(path[1:], "/")
	inner := r.Clone(context.WithValue(r.Context(), callKey{}, c))
	inner.URL.RawPath = path
	inner.URL.Path = unescape(path)
	s.mux.ServeHTTP(w, inner)
}

// catch, deferred, turns a panic into a 500.
func (s *Server) catch(ctx context.Context, w http.ResponseWriter, path string) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(p)
	}
	s.log.ErrorContext(ctx, "request panicked", "path", path, "panic", p, "stack", string(debug.Stack()))
	plain(w, http.StatusInternalServerError, "Internal server error")
}

// authenticate finds out who calls. Private calls need a password; others may
// bring one, and a wrong one makes them nobody's.
func (s *Server) authenticate(ctx context.Context, c *call, private bool) error {
	username, password, given := c.r.BasicAuth()
	if !given {
		if private {
			return fault.New(fault.Unauthorized, "Unauthorized")
		}
		return nil
	}
	account, err := s.service.Login(ctx, username, password)
	if err != nil && (private || !fault.Is(err, fault.Unauthorized)) {
		return err
	}
	c.caller = account
	return nil
}

// refuse answers a call whose caller is not who it says.
func (s *Server) refuse(ctx context.Context, c *call, err error) {
	if !fault.Is(err, fault.Unauthorized) {
		s.fail(ctx, c, err)
		return
	}
	c.w.Header().Set("Www-Authenticate", `Basic realm="Gatehouse", charset="UTF-8"`)
	plain(c.w, http.StatusUnauthorized, "Unauthorized")
}

// statuses are the kinds of fault in HTTP. Whoever may try again with a
// password has been told so by the 401 of /a/; here, nobody asks for one.
var statuses = map[fault.Kind]int{
	fault.BadRequest:    http.StatusBadRequest,
	fault.Unauthorized:  http.StatusForbidden,
	fault.Forbidden:     http.StatusForbidden,
	fault.NotFound:      http.StatusNotFound,
	fault.NotAllowed:    http.StatusMethodNotAllowed,
	fault.NotAcceptable: http.StatusNotAcceptable,
	fault.Conflict:      http.StatusConflict,
	fault.Gone:          http.StatusGone,
	fault.TooLarge:      http.StatusRequestEntityTooLarge,
	fault.Unsupported:   http.StatusUnsupportedMediaType,
	fault.OverQuota:     http.StatusTooManyRequests,
	fault.Unprocessable: http.StatusUnprocessableEntity,
	fault.Unavailable:   http.StatusServiceUnavailable,
	fault.NoSpace:       http.StatusInsufficientStorage,
}

// fail answers with an error: a fault's own text, or a bare 500.
func (s *Server) fail(ctx context.Context, c *call, err error) {
	status, ok := statuses[fault.KindOf(err)]
	switch {
	case errors.Is(err, errPrecondition):
		plain(c.w, http.StatusPreconditionFailed, err.Error())
	case ok:
		plain(c.w, status, err.Error())
	case ctx.Err() != nil: // the client went away
	default:
		s.log.ErrorContext(ctx, "request failed", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
		plain(c.w, http.StatusInternalServerError, "Internal server error")
	}
}

// needCaller is the account that calls. There must be one.
func (c *call) needCaller() (*review.Account, error) {
	if c.caller == nil {
		return nil, fault.New(fault.Forbidden, "Authentication required")
	}
	return c.caller, nil
}
