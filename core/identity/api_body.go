package identity

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// object is a JSON object as it is answered: Keystone's resources carry
// attributes of the client's own choice beside theirs.
type object = map[string]any

// members are those of the object that a request's body is about. Each getter
// takes one; what is left are the client's own attributes. The first error
// sticks, and all is told by err.
type members struct {
	raw map[string]json.RawMessage
	bad error
}

// readMembers reads a body {"KEY": {…}}.
func readMembers(w http.ResponseWriter, r *http.Request, key string) (*members, error) {
	var body map[string]json.RawMessage
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return nil, err
	}
	m := &members{}
	if err := json.Unmarshal(body[key], &m.raw); err != nil || m.raw == nil {
		return nil, fault.New(fault.BadRequest,
			"Expecting to find %s in request body. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.", key)
	}
	delete(m.raw, "links")
	return m, nil
}

func (m *members) err() error { return m.bad }

// take decodes a member into what into points to, if it is there.
func (m *members) take(name, want string, into any) {
	raw, ok := m.raw[name]
	if !ok {
		return
	}
	delete(m.raw, name)
	if isNull(raw) || json.Unmarshal(raw, into) != nil {
		m.fail("Invalid input for field '%s': %s is not of type '%s'.", name, abbreviate(raw), want)
	}
}

func (m *members) fail(format string, args ...any) {
	if m.bad == nil {
		m.bad = fault.New(fault.BadRequest, format, args...)
	}
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

func abbreviate(raw json.RawMessage) string {
	if len(raw) > 64 {
		return strings.ToValidUTF8(string(raw[:64]), "") + "…"
	}
	return string(raw)
}

func (m *members) text(name string, into *string) { m.take(name, "string", into) }
func (m *members) flag(name string, into *bool)   { m.take(name, "boolean", into) }

// textOrNull takes null for the empty string.
func (m *members) textOrNull(name string, into *string) {
	if raw, ok := m.raw[name]; ok && isNull(raw) {
		delete(m.raw, name)
		*into = ""
		return
	}
	m.text(name, into)
}

// requiredText fails if the member is missing.
func (m *members) requiredText(name string, into *string) {
	if _, ok := m.raw[name]; !ok {
		m.fail("'%s' is a required property", name)
		return
	}
	m.text(name, into)
}

// options merges the member "options" into what is set.
func (m *members) options(into *Options, known map[string]string) {
	var changes map[string]any
	m.take("options", "object", &changes)
	merged, err := into.merge(changes, known)
	if err != nil {
		m.fail("%v", err)
		return
	}
	*into = merged
}

// fixed fails if the member is there and says something else.
func (m *members) fixed(name, value string) {
	got := value
	m.textOrNull(name, &got)
	if got != value {
		m.fail("Cannot change %s.", name)
	}
}

// rest merges the members not taken into extra, and returns it. A null one
// stays, as null.
func (m *members) rest(extra map[string]any) map[string]any {
	merged := maps.Clone(extra)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, raw := range m.raw {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			m.fail("Invalid input for field '%s'.", name)
			continue
		}
		merged[name] = value
	}
	return merged
}

// withExtra adds the client's own attributes to an object's.
func withExtra(o object, extra map[string]any) object {
	for name, value := range extra {
		if _, ok := o[name]; !ok {
			o[name] = value
		}
	}
	return o
}

func selfLink(r *http.Request, path string) object {
	return object{"self": httpapi.Base(r) + "/v3" + path}
}

// bodies renders each of a list by body.
func bodies[T any](r *http.Request, list []T, body func(*http.Request, T) object) []object {
	all := make([]object, len(list))
	for i, one := range list {
		all[i] = body(r, one)
	}
	return all
}

// writeList answers with those of the objects that the query's filters match.
func writeList(w http.ResponseWriter, r *http.Request, key string, all []object, filters ...string) error {
	matching := make([]object, 0, len(all))
	query := r.URL.Query()
	for _, o := range all {
		if matches(query, filters, o) {
			matching = append(matching, o)
		}
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{key: matching, "links": object{
		"next": nil, "previous": nil, "self": requestURL(r),
	}})
}

func requestURL(r *http.Request) string {
	link := httpapi.Base(r) + r.URL.Path
	if r.URL.RawQuery != "" {
		link += "?" + r.URL.RawQuery
	}
	return link
}

// matches applies filters such as name=x and name__contains=x. What is no
// filter is ignored, as Keystone does.
func matches(query url.Values, filters []string, o object) bool {
	for key, values := range query {
		attribute, op, _ := strings.Cut(key, "__")
		if !slices.Contains(filters, attribute) {
			continue
		}
		for _, value := range values {
			if !compare(o[attribute], op, value) {
				return false
			}
		}
	}
	return true
}

func compare(attribute any, op, value string) bool {
	if flag, ok := attribute.(bool); ok {
		return flag == isTrue(value)
	}
	text, _ := attribute.(string)
	if strings.HasPrefix(op, "i") {
		op, text, value = op[1:], strings.ToLower(text), strings.ToLower(value)
	}
	switch op {
	case "contains":
		return strings.Contains(text, value)
	case "startswith":
		return strings.HasPrefix(text, value)
	case "endswith":
		return strings.HasSuffix(text, value)
	default:
		return text == value
	}
}

// isTrue reads a flag of a query as Keystone does: there, and not "0".
func isTrue(value string) bool { return value != "0" && !strings.EqualFold(value, "false") }

// asks reports whether the query has a flag set.
func asks(r *http.Request, name string) bool {
	query := r.URL.Query()
	return query.Has(name) && isTrue(query.Get(name))
}
