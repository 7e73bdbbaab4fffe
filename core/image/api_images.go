package image

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Page sizes of lists; Glance's.
const (
	defaultPage = 25
	maxPage     = 1000
)

func (h *api) create(w http.ResponseWriter, r *http.Request) error {
	var body map[string]json.RawMessage
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body == nil {
		return fault.New(fault.BadRequest, "The body must be a JSON object.")
	}
	var img Image
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if err := img.Set(name, body[name]); err != nil {
			return err
		}
	}
	img, err := h.service.Create(r.Context(), caller(r), img)
	if err != nil {
		return err
	}
	w.Header().Set("Location", httpapi.Base(r)+"/v2/images/"+img.ID)
	return httpapi.WriteJSON(w, http.StatusCreated, view(img))
}

func (h *api) show(w http.ResponseWriter, r *http.Request) error {
	img, err := h.service.Get(r.Context(), caller(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, view(img))
}

func (h *api) delete(w http.ResponseWriter, r *http.Request) error {
	if err := h.service.Delete(r.Context(), caller(r), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *api) addTag(w http.ResponseWriter, r *http.Request) error {
	if err := h.service.AddTag(r.Context(), caller(r), r.PathValue("id"), r.PathValue("tag")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *api) removeTag(w http.ResponseWriter, r *http.Request) error {
	if err := h.service.RemoveTag(r.Context(), caller(r), r.PathValue("id"), r.PathValue("tag")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *api) setActive(active bool) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.service.SetActive(r.Context(), caller(r), r.PathValue("id"), active); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (h *api) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	filter, err := readFilter(query)
	if err != nil {
		return err
	}
	images, err := h.service.List(r.Context(), caller(r), filter)
	if err != nil {
		return err
	}
	views := make([]map[string]any, len(images))
	for i, img := range images {
		views[i] = view(img)
	}
	query.Del("marker")
	answer := map[string]any{"images": views, "schema": "/v2/schemas/images", "first": link(query)}
	if len(images) > 0 && len(images) == filter.Limit {
		query.Set("marker", images[len(images)-1].ID)
		answer["next"] = link(query)
	}
	return httpapi.WriteJSON(w, http.StatusOK, answer)
}

func link(query url.Values) string {
	if len(query) == 0 {
		return "/v2/images"
	}
	return "/v2/images?" + query.Encode()
}

// readFilter reads the query of a list.
func readFilter(query url.Values) (Filter, error) {
	f := Filter{Limit: defaultPage, Is: map[string]string{}}
	for name, values := range query {
		if err := f.read(name, values); err != nil {
			return Filter{}, err
		}
	}
	var err error
	f.Sort, err = readSort(query)
	return f, err
}

func (f *Filter) read(name string, values []string) error {
	value := values[len(values)-1]
	switch name {
	case "sort", "sort_key", "sort_dir":
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil {
			return fault.New(fault.BadRequest, "limit param must be an integer")
		}
		if n < 0 {
			return fault.New(fault.BadRequest, "limit param must be positive")
		}
		f.Limit = min(n, maxPage)
	case "marker":
		f.Marker = value
	case "visibility":
		f.Visibility = value
	case "member_status":
		f.MemberStatus = value
	case "tag":
		f.Tags = values
	case "os_hidden", "protected":
		return f.readBool(name, strings.ToLower(value))
	case "changes-since":
		return fault.New(fault.BadRequest, `The "changes-since" filter is no longer available on v2.`)
	default:
		f.Is[name] = value
	}
	return nil
}

func (f *Filter) readBool(name, value string) error {
	if value != "true" && value != "false" {
		return fault.New(fault.BadRequest, "Invalid value '%s' for '%s' filter. Valid values are 'true' or 'false'.", value, name)
	}
	is := value == "true"
	if name == "os_hidden" {
		f.Hidden = is
	} else {
		f.Protected = &is
	}
	return nil
}

// readSort reads either form: sort=name:asc,size or sort_key and sort_dir,
// one direction for all keys or one for each.
func readSort(query url.Values) ([]Sort, error) {
	keys, directions := query["sort_key"], query["sort_dir"]
	if query.Has("sort") {
		if len(keys)+len(directions) > 0 {
			return nil, fault.New(fault.BadRequest, "Old and new sorting syntax cannot be combined")
		}
		for one := range strings.SplitSeq(query.Get("sort"), ",") {
			key, direction, _ := strings.Cut(one, ":")
			if direction == "" {
				direction = "desc"
			}
			keys, directions = append(keys, key), append(directions, direction)
		}
	}
	if len(directions) > 1 && len(directions) != len(keys) {
		return nil, fault.New(fault.BadRequest, "Number of sort dirs does not match the number of sort keys")
	}
	if len(keys) == 0 && len(directions) == 1 {
		keys = []string{"created_at"}
	}
	sorts := make([]Sort, len(keys))
	for i, key := range keys {
		direction := "desc"
		if len(directions) > 0 {
			direction = strings.TrimSpace(directions[min(i, len(directions)-1)])
		}
		if direction != "asc" && direction != "desc" {
			return nil, fault.New(fault.BadRequest, "Invalid sort direction: %s", direction)
		}
		sorts[i] = Sort{strings.TrimSpace(key), direction == "desc"}
	}
	return sorts, nil
}

// view is an image as the API shows it.
// See https://docs.openstack.org/api-ref/image/v2/#show-image
func view(img Image) map[string]any {
	v := make(map[string]any, len(img.Properties)+24)
	for name, value := range img.Properties {
		v[name] = value
	}
	self := "/v2/images/" + img.ID
	tags := img.Tags
	if tags == nil {
		tags = []string{}
	}
	maps.Copy(v, map[string]any{
		"id": img.ID, "name": httpapi.OrNull(img.Name), "owner": img.Owner, "visibility": img.Visibility, "status": img.Status,
		"disk_format": httpapi.OrNull(img.DiskFormat), "container_format": httpapi.OrNull(img.ContainerFormat),
		"min_disk": img.MinDiskGB, "min_ram": img.MinRAMMB, "protected": img.Protected, "os_hidden": img.Hidden,
		"size": nil, "virtual_size": nil, "checksum": nil, "os_hash_algo": nil, "os_hash_value": nil,
		"tags": tags, "created_at": timestamp(img.CreatedAt), "updated_at": timestamp(img.UpdatedAt),
		"self": self, "file": self + "/file", "schema": "/v2/schemas/image",
	})
	if data := img.Data; data != nil {
		v["size"], v["checksum"], v["os_hash_algo"], v["os_hash_value"] = data.Size, data.Checksum, "sha512", data.HashValue
		if data.VirtualSize > 0 {
			v["virtual_size"] = data.VirtualSize
		}
	}
	return v
}
