package volume

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Prefix is where the service is mounted.
const Prefix = "/volume"

// The microversions that are spoken: those of Zed.
// See https://docs.openstack.org/cinder/zed/contributor/api_microversion_history.html
var lowest, highest = httpapi.Microversion{Major: 3, Minor: 0}, httpapi.Microversion{Major: 3, Minor: 70}

type api struct {
	*httpapi.API
	s *Service
}

// request is an HTTP request whose caller and microversion are known.
type request struct {
	*http.Request
	caller  Caller
	version httpapi.Microversion
}

type handler func(w http.ResponseWriter, r request) error

// Handler returns the HTTP API, to be mounted at Prefix.
func (s *Service) Handler() http.Handler {
	a := &api{s: s, API: httpapi.New(httpapi.Config{
		Name: "volume", Prefix: Prefix, Log: s.log, Tokens: s.config.Tokens, Metrics: s.config.Metrics, WriteError: writeError,
	})}
	a.HandlePublic("GET /{$}", func(w http.ResponseWriter, r *http.Request) error {
		return writeVersions(w, r, http.StatusMultipleChoices)
	})
	version := func(w http.ResponseWriter, r request) error { return writeVersions(w, r.Request, http.StatusOK) }
	a.routes(map[string]methods{"/v3": {"GET": version}, "/v3/{$}": {"GET": version}})
	a.routes(a.volumeRoutes())
	a.routes(a.snapshotRoutes())
	a.routes(a.otherRoutes())
	return withoutProject(a)
}

// methods are the handlers of a path.
type methods map[string]handler

func (a *api) routes(paths map[string]methods) {
	for path, handlers := range paths {
		allowed := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			h, ok := handlers[method]
			switch {
			case ok && method != http.MethodGet:
				h = writers(h)
			case !ok:
				h = func(w http.ResponseWriter, _ request) error {
					w.Header().Set("Allow", allowed)
					return fault.New(fault.NotAllowed, "The method is not allowed for this resource.")
				}
			}
			a.Handle(method+" "+path, negotiated(h))
		}
	}
}

// writers keeps from a handler those who may only read.
func writers(h handler) handler {
	return func(w http.ResponseWriter, r request) error {
		if httpapi.CallerFrom(r.Context()).ReadOnly() {
			return notAuthorized("this")
		}
		return h(w, r)
	}
}

// negotiated finds out what a handler is to know of a request.
func negotiated(h handler) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("X-Compute-Request-Id", httpapi.RequestID(r.Context()))
		version, err := httpapi.Negotiate(w, r, "volume", "", lowest, highest)
		if err != nil {
			return err
		}
		c := httpapi.CallerFrom(r.Context())
		if project := projectInPath(r.Context()); project != "" && project != c.ProjectID {
			return fault.New(fault.BadRequest, "Malformed request url")
		}
		return h(w, request{r, Caller{Project: c.ProjectID, User: c.UserID, Admin: c.IsAdmin()}, version})
	}
}

// collections are the first parts of paths below /v3/.
var collections = []string{
	"volumes", "snapshots", "types", "os-availability-zone", "extensions", "limits", "os-quota-sets", "os-quota-class-sets",
	"attachments", "backups", "groups", "os-services", "os-hosts", "qos-specs", "scheduler-stats", "os-volume-transfer",
	"volume-transfers", "messages", "clusters", "workers", "group_snapshots", "group_types", "consistencygroups", "cgsnapshots",
	"os-volume-manage", "os-snapshot-manage", "capabilities", "resource_filters", "default-types", "",
}

type projectKey struct{}

// withoutProject takes the project out of paths of the form /v3/PROJECT/…,
// which mean the same as /v3/…, and keeps it in the context.
func withoutProject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const root = Prefix + "/v3/"
		rest, ok := strings.CutPrefix(r.URL.Path, root)
		project, tail, deeper := strings.Cut(rest, "/")
		if !ok || !deeper || slices.Contains(collections, project) {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(context.WithValue(r.Context(), projectKey{}, project))
		r.URL.Path = root + tail
		if raw, ok := strings.CutPrefix(r.URL.RawPath, root); ok {
			_, tail, _ := strings.Cut(raw, "/")
			r.URL.RawPath = root + tail
		}
		next.ServeHTTP(w, r)
	})
}

func projectInPath(ctx context.Context) string {
	project, _ := ctx.Value(projectKey{}).(string)
	return project
}

// base is what self links begin with: the form of path that the caller used.
func (r request) base(version string) string {
	base := httpapi.Base(r.Request) + version
	if project := projectInPath(r.Context()); project != "" {
		base += "/" + project
	}
	return base
}

func (r request) links(collection, id string) []map[string]string {
	return []map[string]string{
		{"rel": "self", "href": r.base("/v3") + "/" + collection + "/" + id},
		{"rel": "bookmark", "href": r.base("") + "/" + collection + "/" + id},
	}
}

func writeVersions(w http.ResponseWriter, r *http.Request, status int) error {
	return httpapi.WriteJSON(w, status, map[string]any{"versions": []map[string]any{{
		"id": "v3.0", "status": "CURRENT", "version": highest.String(), "min_version": lowest.String(), "updated": "2022-08-31T00:00:00Z",
		"links": []map[string]string{
			{"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
			{"rel": "self", "href": httpapi.Base(r) + "/v3/"},
		},
		"media-types": []map[string]string{{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}},
	}}})
}

// faults are Cinder's status codes and names; what is missing is a 500.
var faults = map[fault.Kind]struct {
	status int
	name   string
}{
	fault.BadRequest:    {http.StatusBadRequest, "badRequest"},
	fault.Forbidden:     {http.StatusForbidden, "forbidden"},
	fault.NotFound:      {http.StatusNotFound, "itemNotFound"},
	fault.NotAllowed:    {http.StatusMethodNotAllowed, "badMethod"},
	fault.NotAcceptable: {http.StatusNotAcceptable, "computeFault"},
	fault.Conflict:      {http.StatusConflict, "conflictingRequest"},
	fault.TooLarge:      {http.StatusRequestEntityTooLarge, "overLimit"},
	fault.OverQuota:     {http.StatusRequestEntityTooLarge, "overLimit"},
	fault.Unsupported:   {http.StatusUnsupportedMediaType, "badMediaType"},
	fault.Unavailable:   {http.StatusServiceUnavailable, "serviceUnavailable"},
	fault.NoSpace:       {http.StatusInsufficientStorage, "computeFault"},
}

// writeError answers as Cinder does.
func writeError(w http.ResponseWriter, _ *http.Request, err error) {
	message := "The server has either erred or is incapable of performing the requested operation."
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
	}
	if fault.Is(err, fault.Unauthorized) {
		httpapi.WriteKeystoneError(w, http.StatusUnauthorized, message)
		return
	}
	is, known := faults[fault.KindOf(err)]
	if !known {
		is.status, is.name = http.StatusInternalServerError, "computeFault"
	}
	body := map[string]any{"code": is.status, "message": message}
	if is.name == "overLimit" {
		w.Header().Set("Retry-After", "0")
		body["retryAfter"] = "0"
	}
	_ = httpapi.WriteJSON(w, is.status, map[string]any{is.name: body})
}

// timestamp is a time as this API writes it; one that never was is null.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000")
}

// readObject reads a body of the form {"name": {…}} into v, which is left as
// it is where members are absent.
func readObject(w http.ResponseWriter, r request, name string, v any) error {
	var body map[string]json.RawMessage
	if err := httpapi.ReadJSON(w, r.Request, &body); err != nil {
		return err
	}
	object, ok := body[name]
	if !ok || len(object) == 0 || object[0] != '{' {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute %s: an object is required.", name)
	}
	return decode(name, object, v)
}

// decode decodes a JSON value that is part of a body.
func decode(name string, value json.RawMessage, v any) error {
	err := json.Unmarshal(value, v)
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute %s: %s is not of type %s.", wrong.Field, wrong.Value, wrong.Type)
	}
	if err != nil {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute %s: %v", name, err)
	}
	return nil
}
