// Package githttp serves git's smart HTTP protocol
// (https://git-scm.com/docs/http-protocol) for the review server's projects:
// fetching by git's own upload-pack, pushing by review/receive.
//
// A project P is at /P and /P.git, and at the same below /p, /a and /a/p; under
// /a one has to log in first, as one has to for a push anywhere.
package githttp

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/receive"
)

const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
	infoRefs    = "info/refs"
)

// Handler serves the requests of git clients. Make one with New.
type Handler struct {
	service *review.Service
	log     *slog.Logger
}

// New makes a handler for a service's projects.
func New(service *review.Service, log *slog.Logger) *Handler {
	return &Handler{service: service, log: log}
}

// Match reports whether a request is a git client's, which this handler
// answers; it goes by the path alone.
func Match(r *http.Request) bool {
	_, _, _, ok := split(r.URL)
	return ok
}

// split takes a path apart: the project, what is asked of it, and whether the
// path demands that one logs in.
func split(u *url.URL) (project, what string, authenticated, ok bool) {
	path := strings.TrimPrefix(u.Path, "/")
	for _, what := range []string{infoRefs, uploadPack, receivePack} {
		project, found := strings.CutSuffix(path, "/"+what)
		if !found {
			continue
		}
		if what == infoRefs && !u.Query().Has("service") {
			return "", "", false, false // the dumb protocol
		}
		project, authenticated = strings.CutPrefix(project, "a/")
		project = strings.TrimPrefix(project, "p/")
		return strings.TrimSuffix(project, ".git"), what, authenticated, project != ""
	}
	return "", "", false, false
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	project, what, authenticated, ok := split(r.URL)
	if !ok {
		http.NotFound(w, r)
		return
	}
	service := what
	if what == infoRefs {
		service = r.URL.Query().Get("service")
	}
	caller, err := h.caller(r, authenticated || service == receivePack)
	if err == nil {
		err = h.serve(w, r, caller, project, service, what == infoRefs)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

// caller is who makes the request; required says that nobody in particular is
// not enough.
func (h *Handler) caller(r *http.Request, required bool) (*review.Account, error) {
	username, password, given := r.BasicAuth()
	switch {
	case given:
		return h.service.Login(r.Context(), username, password)
	case required:
		return nil, fault.New(fault.Unauthorized, "Authentication required")
	}
	return nil, nil
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, caller *review.Account, project, service string, advertise bool) error {
	if service != uploadPack && service != receivePack {
		return fault.New(fault.Forbidden, "Unsupported service: %q", service)
	}
	if _, err := h.service.Project(r.Context(), caller, project); err != nil {
		return err
	}
	kind := "result"
	if advertise {
		kind = "advertisement"
	} else if r.Method != http.MethodPost {
		return fault.New(fault.NotAllowed, "method %s is not allowed", r.Method)
	}
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	w.Header().Set("Content-Type", fmt.Sprintf("application/x-%s-%s", service, kind))
	if advertise {
		return h.advertise(w, r, caller, project, service)
	}
	body, err := bodyOf(w, r)
	if err != nil {
		return err
	}
	out := &flusher{w: w, controller: http.NewResponseController(w)}
	if service == receivePack {
		err = receive.Serve(r.Context(), h.service, caller, project, body, out)
	} else {
		err = h.service.UploadPack(r.Context(), caller, review.Fetch{
			Project: project, Protocol: protocolOf(r), Stateless: true, Stdin: body, Stdout: out,
		})
	}
	if err != nil && out.begun {
		h.log.DebugContext(r.Context(), "git client left, or sent nonsense", "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // the client must not take it for a whole answer
	}
	return err
}

func (h *Handler) advertise(w http.ResponseWriter, r *http.Request, caller *review.Account, project, service string) error {
	if service == receivePack {
		out := &preceded{w: w, text: "001f# service=git-receive-pack\n0000"}
		return receive.Advertise(r.Context(), h.service, caller, project, out)
	}
	fetch := review.Fetch{Project: project, Protocol: protocolOf(r), Stateless: true, Advertise: true, Stdout: w}
	if !strings.Contains(fetch.Protocol, "version=2") {
		fetch.Stdout = &preceded{w: w, text: "001e# service=git-upload-pack\n0000"}
	}
	return h.service.UploadPack(r.Context(), caller, fetch)
}

// protocolOf is the version of git's protocol that the client asks for.
func protocolOf(r *http.Request) string {
	switch p := r.Header.Get("Git-Protocol"); p {
	case "version=1", "version=2":
		return p
	}
	return ""
}

// maxRequest bounds what a fetching client sends, in bytes: its wants and haves.
const maxRequest = 64 << 20

func bodyOf(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	limit := int64(review.MaxPack)
	if strings.HasSuffix(r.URL.Path, uploadPack) {
		limit = maxRequest
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, limit))
	if r.Header.Get("Content-Encoding") != "gzip" {
		return body, nil
	}
	unzipped, err := gzip.NewReader(body)
	if err != nil {
		return nil, fault.New(fault.BadRequest, "bad gzip body: %v", err)
	}
	return io.LimitReader(unzipped, limit), nil
}

// fail answers with an error, if no answer has begun.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch fault.KindOf(err) {
	case fault.BadRequest:
		status = http.StatusBadRequest
	case fault.Unauthorized:
		status = http.StatusUnauthorized
		w.Header().Set("Www-Authenticate", `Basic realm="Gatehouse Code Review"`)
	case fault.Forbidden:
		status = http.StatusForbidden
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.NoSpace:
		status = http.StatusInsufficientStorage
	case fault.NotAllowed:
		status = http.StatusMethodNotAllowed
	default:
		if r.Context().Err() != nil || errors.Is(err, io.ErrClosedPipe) {
			return // the client went away
		}
		h.log.ErrorContext(r.Context(), "git request failed", "path", r.URL.Path, "err", err)
		err = errors.New("internal server error")
	}
	w.Header().Del("Cache-Control")
	http.Error(w, err.Error(), status)
}

// flusher sends each write at once: progress is to be seen as it is made.
type flusher struct {
	w          io.Writer
	controller *http.ResponseController
	begun      bool
}

func (f *flusher) Write(p []byte) (int, error) {
	f.begun = true
	n, err := f.w.Write(p)
	if err == nil {
		_ = f.controller.Flush() // a writer that cannot is no error
	}
	return n, err
}

// preceded writes a text before the first write.
type preceded struct {
	w    io.Writer
	text string
}

func (p *preceded) Write(b []byte) (int, error) {
	if p.text != "" {
		text := p.text
		p.text = ""
		if _, err := io.WriteString(p.w, text); err != nil {
			return 0, err
		}
	}
	return p.w.Write(b)
}
