package compute

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Prefix is where the API is mounted.
const Prefix = "/compute"

// legacyHeader asks for a microversion and tells it, beside the header that
// all services share.
const legacyHeader = "X-OpenStack-Nova-API-Version"

var (
	lowest  = httpapi.Microversion{Major: 2, Minor: 1}
	highest = httpapi.Microversion{Major: 2, Minor: 93}
)

// api serves Nova's API for a service.
type api struct {
	service *Service
	http    *httpapi.API
}

// Handler returns the HTTP API, to be mounted at Prefix.
func (s *Service) Handler() http.Handler {
	a := &api{service: s, http: httpapi.New(httpapi.Config{
		Name: "compute", Prefix: Prefix, Log: s.log, Tokens: s.config.Tokens, WriteError: writeError, Metrics: s.config.Metrics,
	})}
	a.routeVersions()
	a.routeFlavors()
	a.routeKeypairs()
	a.routeServers()
	a.routeServerParts()
	a.routeActions()
	a.routeAttachments()
	a.routeQuotas()
	a.routeHosts()
	return withoutProject(a.http)
}

// projectPath is a path that names the project, as Nova's did in old times;
// clients still make such.
var projectPath = regexp.MustCompile(`^(` + Prefix + `/v2\.1)/([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/.*)$`)

type projectKey struct{}

// withoutProject takes the project out of paths of the form /v2.1/PROJECT/…,
// which mean the same as /v2.1/…, and keeps it in the context.
func withoutProject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if old, ok := strings.CutPrefix(r.URL.Path, Prefix+"/v2/"); ok && old != "" { // v2.0 means 2.1, less strictly checked
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = Prefix+"/v2.1/"+old, strings.Replace(r.URL.RawPath, "/v2/", "/v2.1/", 1)
		}
		if match := projectPath.FindStringSubmatch(r.URL.EscapedPath()); match != nil {
			r = r.Clone(context.WithValue(r.Context(), projectKey{}, match[2]))
			r.URL.RawPath = match[1] + match[3]
			r.URL.Path = strings.Replace(r.URL.Path, "/"+match[2], "", 1)
		}
		next.ServeHTTP(w, r)
	})
}

func projectInPath(ctx context.Context) string {
	project, _ := ctx.Value(projectKey{}).(string)
	return project
}

// request is a request of a known caller for a known microversion.
type request struct {
	*http.Request
	w       http.ResponseWriter
	version httpapi.Microversion
	caller  Caller
}

// access is what a caller needs to be to use a route.
type access int

const (
	reader access = iota // anybody in a project
	writer               // not who may only read
	admin
)

// handle registers a route under /v2.1 that needs a token.
func (a *api) handle(pattern string, who access, h func(*request) error) {
	method, path, _ := strings.Cut(pattern, " ")
	a.http.Handle(method+" /v2.1"+path, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("X-Compute-Request-Id", httpapi.RequestID(r.Context()))
		version, err := httpapi.Negotiate(w, r, "compute", legacyHeader, lowest, highest)
		if err != nil {
			return err
		}
		token := httpapi.CallerFrom(r.Context())
		if err := permit(token, who, projectInPath(r.Context())); err != nil {
			return err
		}
		caller := Caller{
			UserID: token.UserID, ProjectID: token.ProjectID, Admin: token.IsAdmin(), RequestID: httpapi.RequestID(r.Context()),
		}
		return h(&request{Request: r, w: w, version: version, caller: caller})
	})
}

func permit(token httpapi.Caller, who access, project string) error {
	denied := fault.New(fault.Forbidden, "Policy doesn't allow this to be performed.")
	readOnly := token.Has("reader") && !token.Has("member") && !token.IsAdmin()
	switch {
	case token.ProjectID == "" && !token.IsAdmin():
		return denied
	case project != "" && project != token.ProjectID:
		return fault.New(fault.BadRequest, "Malformed request URL: URL's project_id '%s' doesn't match Context's project_id '%s'",
			project, token.ProjectID)
	case who == admin && !token.IsAdmin(), who == writer && readOnly:
		return denied
	}
	return nil
}

// since reports whether the request is for 2.minor or newer.
func (r *request) since(minor int) bool { return r.version.AtLeast(minor) }

// errNoResource is what Nova answers for what the microversion does not know
// yet, or any more.
var errNoResource = fault.New(fault.NotFound, "The resource could not be found.")

func (r *request) json(status int, v any) error { return httpapi.WriteJSON(r.w, status, v) }

// empty answers without a body.
func (r *request) empty(status int) error {
	r.w.WriteHeader(status)
	return nil
}

// object is a JSON object whose members depend on the microversion.
type object = map[string]any

// url is an address below the API's root, with the version and, if the
// request had it, the project.
func (r *request) url(path string) string {
	return httpapi.Base(r.Request) + "/v2.1" + r.project() + path
}

// bookmark is url without the version.
func (r *request) bookmark(path string) string { return httpapi.Base(r.Request) + r.project() + path }

func (r *request) project() string {
	if project := projectInPath(r.Context()); project != "" {
		return "/" + project
	}
	return ""
}

// links are the links that each resource has.
func (r *request) links(path string) []object {
	return []object{{"rel": "self", "href": r.url(path)}, {"rel": "bookmark", "href": r.bookmark(path)}}
}

// next are the links of a list to its next page, which begins after a marker.
func (r *request) next(marker string) []object {
	query := r.URL.Query()
	query.Set("marker", marker)
	path := strings.TrimPrefix(r.URL.Path, "/v2.1")
	return []object{{"rel": "next", "href": r.url(path) + "?" + query.Encode()}}
}

// faultNames are Nova's names of faults, by status.
var faultNames = map[int]string{
	400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
	409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit", 501: "notImplemented",
	503: "serviceUnavailable",
}

// statuses are the statuses of faults.
var statuses = map[fault.Kind]int{
	fault.BadRequest: 400, fault.Unauthorized: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.NotAllowed: 405,
	fault.NotAcceptable: 406, fault.Conflict: 409, fault.Gone: 410, fault.TooLarge: 413, fault.Unsupported: 415,
	fault.OverQuota: 403, fault.Unavailable: 503, fault.NoSpace: 507,
}

// writeError answers with a fault: {"itemNotFound": {"code": 404, …}}. What is
// wrong with a token is told in Keystone's form.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Pattern == "/" && fault.Is(err, fault.NotFound) { // no route matches
		writeNoRoute(w)
		return
	}
	status, message := 500, "Unexpected API Error. The service's log has the request's id and the reason."
	if f, ok := errors.AsType[*fault.Error](explain(err)); ok {
		status, message = statuses[f.Kind], f.Message
	}
	if status == 0 {
		status = 500
	}
	w.Header().Set("X-Compute-Request-Id", w.Header().Get(httpapi.RequestIDHeader))
	body := object{"code": status, "message": message}
	name := faultNames[status]
	switch {
	case status == http.StatusUnauthorized:
		name, body["title"] = "error", "Unauthorized"
	case name == "":
		name = "computeFault"
	}
	_ = httpapi.WriteJSON(w, status, object{name: body}) // an object of strings can be encoded
}
