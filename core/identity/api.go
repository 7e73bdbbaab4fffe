package identity

import (
	"net/http"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Prefix is where the API is mounted.
const Prefix = "/identity"

// api answers Keystone's requests from a Service.
type api struct {
	*httpapi.API
	s *Service
}

// Handler returns the HTTP API, to be mounted at Prefix.
func (s *Service) Handler() http.Handler {
	a := &api{s: s, API: httpapi.New(httpapi.Config{
		Name: "identity", Prefix: Prefix, Log: s.log, Tokens: s, WriteError: writeError, Metrics: s.config.Metrics,
	})}
	a.versionRoutes()
	a.tokenRoutes()
	a.catalogRoutes()
	a.domainRoutes()
	a.projectRoutes()
	a.userRoutes()
	a.applicationCredentialRoutes()
	a.groupRoutes()
	a.roleRoutes()
	a.assignmentRoutes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "X-Auth-Token")
		// Keystone takes a path with a slash at its end for the one without.
		if strings.HasSuffix(r.URL.EscapedPath(), "/") {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = strings.TrimSuffix(r.URL.Path, "/"), strings.TrimSuffix(r.URL.RawPath, "/")
		}
		a.ServeHTTP(w, r)
	})
}

// policy decides whether a caller may do what a request asks for.
// They are Keystone's defaults: https://docs.openstack.org/keystone/zed/configuration/policy.html
type policy func(c httpapi.Caller, r *http.Request) bool

// anyone is whoever has a valid token.
func anyone(httpapi.Caller, *http.Request) bool { return true }

// admin holds the role admin.
func admin(c httpapi.Caller, _ *http.Request) bool { return c.IsAdmin() }

// reader is an admin, or reads the whole system.
func reader(c httpapi.Caller, _ *http.Request) bool {
	return c.IsAdmin() || c.System && c.Has("reader")
}

// self is a reader, or the user in the path.
func self(c httpapi.Caller, r *http.Request) bool {
	return reader(c, r) || r.PathValue("user") == c.UserID
}

// inProject is a reader, or has a token for the project in the path.
func inProject(c httpapi.Caller, r *http.Request) bool {
	return reader(c, r) || r.PathValue("project") == c.ProjectID
}

// inDomain is a reader, or has a token on something in the domain in the path.
func inDomain(c httpapi.Caller, r *http.Request) bool {
	domain := r.PathValue("domain")
	return reader(c, r) || domain == c.DomainID || domain == c.ProjectDomainID
}

// handle registers a route, and whom the policy, known to operators by the
// name of the action, lets use it.
func (a *api) handle(pattern, action string, allowed policy, h httpapi.HandlerFunc) {
	a.Handle(pattern, func(w http.ResponseWriter, r *http.Request) error {
		if !allowed(httpapi.CallerFrom(r.Context()), r) {
			return forbidden(action)
		}
		return h(w, r)
	})
}

func forbidden(action string) error {
	return fault.New(fault.Forbidden, "You are not authorized to perform the requested action: identity:%s.", action)
}

// statuses are Keystone's status codes; what is missing is a 500.
var statuses = map[fault.Kind]int{
	fault.BadRequest:    http.StatusBadRequest,
	fault.Unauthorized:  http.StatusUnauthorized,
	fault.Forbidden:     http.StatusForbidden,
	fault.NotFound:      http.StatusNotFound,
	fault.NotAllowed:    http.StatusMethodNotAllowed,
	fault.NotAcceptable: http.StatusNotAcceptable,
	fault.Conflict:      http.StatusConflict,
	fault.TooLarge:      http.StatusRequestEntityTooLarge,
	fault.Unsupported:   http.StatusUnsupportedMediaType,
	fault.Unavailable:   http.StatusServiceUnavailable,
	fault.NoSpace:       http.StatusInsufficientStorage,
}

// writeError answers with an error in Keystone's form.
func writeError(w http.ResponseWriter, _ *http.Request, err error) {
	status, known := statuses[fault.KindOf(err)]
	message := err.Error()
	if !known {
		status = http.StatusInternalServerError
		message = "An unexpected error prevented the server from fulfilling your request."
	}
	httpapi.WriteKeystoneError(w, status, message)
}

// noContent answers 204 unless err.
func noContent(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
