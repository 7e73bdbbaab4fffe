// Package web serves the review server's pages, and puts its HTTP doors
// behind one another: git, the REST API, the pages.
//
// The pages are rendered on the server and work without scripts. With
// scripts, htmx keeps them up to date (server-sent events) and there are
// keys for everything. All they need is embedded; nothing is fetched from
// elsewhere, and the Content-Security-Policy says so to the browser.
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/rest"
)

//go:embed static
var static embed.FS

// Config is what the site is made of. All of it is required.
type Config struct {
	Service *review.Service
	// Compile reads the search language; query.Language does.
	Compile func(ctx context.Context, caller *review.Account, text string) (review.Query, error)
	// REST serves the paths that rest.Match names, Git those that IsGit finds.
	REST  http.Handler
	Git   http.Handler
	IsGit func(r *http.Request) bool
	// KeyFile holds the secret that sessions are signed with, so that they
	// outlive a restart. It is made if it is missing.
	KeyFile string
	Log     *slog.Logger
}

// Site is everything that the review server's HTTP listener serves. It
// implements http.Handler.
type Site struct {
	config   Config
	service  *review.Service
	log      *slog.Logger
	sessions *sessions
	pages    *http.ServeMux
	views    *views
}

// New makes the site.
func New(config Config) (*Site, error) {
	sessions, err := openSessions(config.KeyFile)
	if err != nil {
		return nil, err
	}
	views, err := parseViews()
	if err != nil {
		return nil, err
	}
	s := &Site{
		config: config, service: config.Service, log: config.Log, sessions: sessions, pages: http.NewServeMux(), views: views,
	}
	return s, s.routes()
}

func (s *Site) routes() error {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return fmt.Errorf("embedded files: %w", err)
	}
	s.pages.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(files))))
	s.pages.HandleFunc("GET /static/syntax.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		http.ServeContent(w, r, "", started, strings.NewReader(syntaxCSS()))
	})
	s.handle("GET /{$}", s.listPage)
	s.handle("GET /q/{query...}", redirectQuery)
	s.handle("GET /dashboard/self", s.dashboard)
	s.handle("GET /{number}", s.redirectNumber)
	s.handle("GET /c/{rest...}", s.getChange)
	s.handle("POST /c/{rest...}", s.postChange)
	s.handle("GET /events", s.streamEvents)
	s.handle("GET /login", s.loginPage)
	s.handle("POST /login", s.login)
	s.handle("POST /logout", s.logout)
	s.handle("GET /settings", s.settingsPage)
	s.handle("POST /settings", s.changeSettings)
	s.handle("/", func(*visit) error { return fault.New(fault.NotFound, "There is no such page.") })
	return nil
}

// started is the time that embedded files are dated with.
var started = time.Now()

func cached(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		h.ServeHTTP(w, r)
	})
}

// ServeHTTP implements http.Handler. A path belongs to git if it ends as
// git's do, whatever the project is called; then to the REST API if it begins
// with one of its collections; else to the pages.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.config.IsGit(r):
		s.config.Git.ServeHTTP(w, r)
	case rest.Match(r.URL.Path):
		s.config.REST.ServeHTTP(w, r)
	default:
		s.servePage(w, r)
	}
}

// contentSecurity lets a page use what this server serves, and nothing else;
// neither scripts nor styles may be written into it.
const contentSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *Site) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurity)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	defer s.catch(r.Context(), w, r.URL.Path)
	s.pages.ServeHTTP(w, r)
}

// catch, deferred, turns a panic into a 500.
func (s *Site) catch(ctx context.Context, w http.ResponseWriter, path string) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(p)
	}
	s.log.ErrorContext(ctx, "page panicked", "path", path, "panic", p, "stack", string(debug.Stack()))
	http.Error(w, "Internal server error", http.StatusInternalServerError)
}

// visit is a request for a page, and who makes it.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	caller  *review.Account // nil: nobody in particular
	session string          // the cookie's value; "" for nobody
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// handle registers a page. POST requests need the session's token, so that no
// other site can send them in somebody's name.
func (s *Site) handle(pattern string, h func(v *visit) error) {
	s.pages.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r}
		err := s.identify(r.Context(), v)
		if err == nil && r.Method == http.MethodPost {
			err = s.checkForm(v)
		}
		if err == nil {
			err = h(v)
		}
		if err != nil {
			s.fail(r.Context(), v, err)
		}
	})
}

// statuses are the kinds of fault that pages tell of, in HTTP.
var statuses = map[fault.Kind]int{
	fault.BadRequest:    http.StatusBadRequest,
	fault.Unauthorized:  http.StatusUnauthorized,
	fault.Forbidden:     http.StatusForbidden,
	fault.NotFound:      http.StatusNotFound,
	fault.Conflict:      http.StatusConflict,
	fault.TooLarge:      http.StatusRequestEntityTooLarge,
	fault.Unprocessable: http.StatusUnprocessableEntity,
	fault.Unavailable:   http.StatusServiceUnavailable,
	fault.NoSpace:       http.StatusInsufficientStorage,
}

// fail shows an error: a fault's own text, else none but that there is one.
func (s *Site) fail(ctx context.Context, v *visit, err error) {
	if ctx.Err() != nil {
		return // the client went away
	}
	status, text := http.StatusInternalServerError, "Something went wrong here. The server's log says what."
	if f, ok := errors.AsType[*fault.Error](err); ok && statuses[f.Kind] != 0 {
		status, text = statuses[f.Kind], f.Message
	} else {
		s.log.ErrorContext(ctx, "page failed", "method", v.r.Method, "path", v.r.URL.Path, "err", err)
	}
	page := s.page(v, http.StatusText(status))
	page.Body = text
	if err := s.render(v, status, "error", page); err != nil {
		http.Error(v.w, text, status)
	}
}
