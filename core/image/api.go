package image

import (
	"errors"
	"html"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Prefix is where the service is mounted.
const Prefix = "/image"

type api struct{ service *Service }

// Handler returns the HTTP API, to be mounted at Prefix. Requests carry whole
// images: a server must not limit how long one may take.
func (s *Service) Handler() http.Handler {
	a := httpapi.New(httpapi.Config{
		Name: "image", Prefix: Prefix, Log: s.log, Tokens: s.config.Tokens, Metrics: s.config.Metrics, WriteError: writeError,
	})
	h := &api{s}
	a.HandlePublic("GET /{$}", versions(http.StatusMultipleChoices))
	a.HandlePublic("GET /versions", versions(http.StatusOK))
	for pattern, methods := range h.routes() {
		for method, handler := range methods {
			if method != http.MethodGet {
				handler = writers(handler)
			}
			a.Handle(method+" "+pattern, handler)
		}
		a.Handle(pattern, notAllowed(slices.Sorted(maps.Keys(methods))))
	}
	return a
}

// methods are the handlers of a path.
type methods map[string]httpapi.HandlerFunc

func (h *api) routes() map[string]methods {
	return map[string]methods{
		"/v2/images":                         {"GET": h.list, "POST": h.create},
		"/v2/images/{id}":                    {"GET": h.show, "PATCH": h.update, "DELETE": h.delete},
		"/v2/images/{id}/file":               {"GET": h.download, "PUT": h.upload},
		"/v2/images/{id}/tags/{tag}":         {"PUT": h.addTag, "DELETE": h.removeTag},
		"/v2/images/{id}/actions/deactivate": {"POST": h.setActive(false)},
		"/v2/images/{id}/actions/reactivate": {"POST": h.setActive(true)},
		"/v2/images/{id}/members":            {"GET": h.members, "POST": h.addMember},
		"/v2/images/{id}/members/{member}":   {"GET": h.member, "PUT": h.setMember, "DELETE": h.removeMember},
		"/v2/schemas/{name}":                 {"GET": h.schema},
		"/v2/info/import":                    {"GET": h.importMethods},
	}
}

// writers keeps from a handler those who may only read.
func writers(h httpapi.HandlerFunc) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if httpapi.CallerFrom(r.Context()).ReadOnly() {
			return fault.New(fault.Forbidden, "You are not authorized to complete this action.")
		}
		return h(w, r)
	}
}

func notAllowed(allowed []string) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return fault.New(fault.NotAllowed, "The method is not allowed for this resource.")
	}
}

// caller is who makes the request, in the service's terms.
func caller(r *http.Request) Caller {
	c := httpapi.CallerFrom(r.Context())
	return Caller{Project: c.ProjectID, Admin: c.IsAdmin()}
}

// versions answers what of the API is spoken: all minor versions at once,
// since they only ever added to each other.
func versions(status int) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		list := []map[string]any{}
		for _, minor := range []int{15, 9, 7, 6, 5, 4, 3, 2, 1, 0} {
			is := "SUPPORTED"
			if len(list) == 0 {
				is = "CURRENT"
			}
			list = append(list, map[string]any{
				"id": "v2." + strconv.Itoa(minor), "status": is,
				"links": []map[string]string{{"rel": "self", "href": httpapi.Base(r) + "/v2/"}},
			})
		}
		return httpapi.WriteJSON(w, status, map[string]any{"versions": list})
	}
}

// statuses are Glance's status codes; what is missing is a 500.
var statuses = map[fault.Kind]int{
	fault.BadRequest:   http.StatusBadRequest,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Forbidden:    http.StatusForbidden,
	fault.NotFound:     http.StatusNotFound,
	fault.NotAllowed:   http.StatusMethodNotAllowed,
	fault.Conflict:     http.StatusConflict,
	fault.Gone:         http.StatusGone,
	fault.TooLarge:     http.StatusRequestEntityTooLarge,
	fault.Unsupported:  http.StatusUnsupportedMediaType,
	fault.OverQuota:    http.StatusRequestEntityTooLarge,
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.NoSpace:      http.StatusRequestEntityTooLarge,
}

// writeError answers as Glance does: with a page, or with JSON for those who
// ask for it.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	message := "The server has either erred or is incapable of performing the requested operation."
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
	}
	status, known := statuses[fault.KindOf(err)]
	if !known {
		status = http.StatusInternalServerError
	}
	title := http.StatusText(status)
	line := strconv.Itoa(status) + " " + title
	switch {
	case status == http.StatusUnauthorized:
		httpapi.WriteKeystoneError(w, status, message)
	case strings.Contains(r.Header.Get("Accept"), "application/json"):
		_ = httpapi.WriteJSON(w, status, map[string]any{"message": message, "code": line, "title": title})
	default:
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>\n <head>\n  <title>" + line + "</title>\n </head>\n <body>\n  <h1>" + line + "</h1>\n  " +
			html.EscapeString(message) + "<br /><br />\n\n\n\n </body>\n</html>"))
	}
}

// timestamp is a time as the Image API writes it.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
