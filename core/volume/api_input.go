package volume

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// What clients may send, at most.
const (
	maxText  = 255 // characters, of names, descriptions, metadata
	maxSize  = 1<<31 - 1
	maxPage  = 1000
	maxItems = 128 // of metadata
)

// count is a number that clients send as such, or in a string.
type count struct {
	n   int
	set bool
}

// UnmarshalJSON reports fault.BadRequest for what is no number from 1 to
// maxSize; null is not set.
func (c *count) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > maxSize {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute size. Value: %.40s. It must be an integer from 1 to %d.", text, maxSize)
	}
	c.n, c.set = int(n), true
	return nil
}

// flag is a boolean that clients send as such, or in one of Cinder's words.
type flag struct{ is, set bool }

// UnmarshalJSON reports fault.BadRequest for what is no boolean; null is not
// set.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "null":
	case "true", "1", "yes", "y", "on", "t":
		*f = flag{true, true}
	case "false", "0", "no", "n", "off", "f":
		*f = flag{false, true}
	default:
		return fault.New(fault.BadRequest, "Invalid input for field/attribute: %.40s is not a boolean.", b)
	}
	return nil
}

// text is a name or description. Surrounding blanks are cut off; null is the
// empty one.
type text struct {
	s   string
	set bool
}

// UnmarshalJSON reports fault.BadRequest for what is no string, or too long.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute: %.40s is not of type 'string', 'null'.", b)
	}
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > maxText {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute: %.40s… is too long.", s)
	}
	*t = text{s, true}
	return nil
}

// or is t, or else the older name for the same thing.
func (t text) or(old text) text {
	if t.set {
		return t
	}
	return old
}

// metadata is names and values that users note.
type metadata map[string]string

// UnmarshalJSON reports fault.BadRequest for anything but an object of short
// strings; null is empty.
func (m *metadata) UnmarshalJSON(b []byte) error {
	var raw map[string]*string
	if err := json.Unmarshal(b, &raw); err != nil {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute metadata: an object of strings is required.")
	}
	if len(raw) > maxItems {
		return fault.New(fault.BadRequest, "Invalid metadata: at most %d items are allowed.", maxItems)
	}
	*m = metadata{}
	for name, value := range raw {
		if value == nil {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %.40s. Value: None. None is not of type 'string'", name)
		}
		if name == "" || utf8.RuneCountInString(name) > maxText || utf8.RuneCountInString(*value) > maxText {
			return fault.New(fault.BadRequest, "Invalid metadata: names have 1 to %d characters, values at most %d.", maxText, maxText)
		}
		(*m)[name] = *value
	}
	return nil
}

// checkItems bounds metadata that grew item by item.
func checkItems(m map[string]string) error {
	if len(m) > maxItems {
		return fault.New(fault.BadRequest, "Invalid metadata: at most %d items are allowed.", maxItems)
	}
	return nil
}

// readFilter reads the query of a list of volumes or snapshots.
func readFilter(r request) (Filter, error) {
	query := r.URL.Query()
	f := Filter{Project: r.caller.Project, Marker: query.Get("marker"), Is: map[string]string{}}
	if f.Project == "" && !r.caller.Admin {
		return Filter{}, notAuthorized("volume:get_all")
	}
	if all := query.Get("all_tenants"); r.caller.Admin && all != "" && all != "0" && !strings.EqualFold(all, "false") {
		f.Project = query.Get("project_id")
	}
	var err error
	if f.Limit, err = httpapi.Limit(r.Request, maxPage); err != nil {
		return Filter{}, err
	}
	if offset := query.Get("offset"); offset != "" {
		if f.Offset, err = strconv.Atoi(offset); err != nil || f.Offset < 0 {
			return Filter{}, fault.New(fault.BadRequest, "offset param must be an integer of at least 0")
		}
	}
	if f.Sort, err = readSort(query); err != nil {
		return Filter{}, err
	}
	if f.Metadata, err = readMetadataFilter(query.Get("metadata")); err != nil {
		return Filter{}, err
	}
	for name := range query {
		switch name {
		case "display_name":
			f.Is["name"] = query.Get(name)
		case "marker", "limit", "offset", "sort", "sort_key", "sort_dir", "metadata", "all_tenants", "project_id":
		default:
			f.Is[name] = query.Get(name)
		}
	}
	return f, nil
}

// readMetadataFilter reads a JSON object of strings, or the same as Python
// writes it, which is what clients send: {'a': 'b'}.
func readMetadataFilter(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var filter map[string]string
	if json.Unmarshal([]byte(text), &filter) == nil && len(filter) <= maxItems {
		return filter, nil
	}
	if json.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), &filter) == nil && len(filter) <= maxItems {
		return filter, nil
	}
	return nil, fault.New(fault.BadRequest, "Invalid input received: metadata=%.80q is not an object of strings.", text)
}

// readSort reads either form: sort=name:asc,size or sort_key and sort_dir.
func readSort(query url.Values) ([]Sort, error) {
	keys, directions := query.Get("sort_key"), query.Get("sort_dir")
	parts := strings.Split(query.Get("sort"), ",")
	if query.Has("sort") && keys+directions != "" {
		return nil, fault.New(fault.BadRequest, "The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter.")
	}
	if !query.Has("sort") {
		if keys == "" && directions == "" {
			return nil, nil
		}
		if keys == "" {
			keys = "created_at"
		}
		parts = []string{keys + ":" + directions}
	}
	sorts := make([]Sort, len(parts))
	for i, part := range parts {
		key, direction, _ := strings.Cut(part, ":")
		switch strings.TrimSpace(direction) {
		case "", "desc":
			sorts[i] = Sort{strings.TrimSpace(key), true}
		case "asc":
			sorts[i] = Sort{strings.TrimSpace(key), false}
		default:
			return nil, fault.New(fault.BadRequest, "Invalid input received: Unknown sort direction, must be one of asc, desc: %.40q", direction)
		}
	}
	return sorts, nil
}

// writeList answers a page of a list: what is in it, the link to the next
// page if there may be one, and from microversion 3.45 on how many there are
// in all, for those who ask.
func writeList(w http.ResponseWriter, r request, name, path string, views []map[string]any, f Filter, last string, total int) error {
	answer := map[string]any{name: views}
	if len(views) > 0 && len(views) == f.Limit && total > len(views)+f.Offset {
		query := maps.Clone(r.URL.Query())
		query.Set("marker", last)
		query.Del("offset")
		answer[name+"_links"] = []map[string]string{{"rel": "next", "href": r.base("/v3") + path + "?" + query.Encode()}}
	}
	if counted := r.URL.Query().Get("with_count"); r.version.AtLeast(45) && slices.Contains([]string{"true", "True", "1"}, counted) {
		answer["count"] = total
	}
	return httpapi.WriteJSON(w, http.StatusOK, answer)
}
