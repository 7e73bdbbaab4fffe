package image

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// The media types of image patches: JSON patches of draft 10 and of draft 4.
// See https://docs.openstack.org/api-ref/image/v2/#update-image
const (
	patch21 = "application/openstack-images-v2.1-json-patch"
	patch20 = "application/openstack-images-v2.0-json-patch"
)

func mediaType(r *http.Request) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

func (h *api) update(w http.ResponseWriter, r *http.Request) error {
	read := map[string]func(map[string]json.RawMessage) (Change, error){patch21: readChange21, patch20: readChange20}[mediaType(r)]
	if read == nil {
		w.Header().Set("Accept-Patch", patch20+", "+patch21)
		return fault.New(fault.Unsupported, "Image PATCH expects Content-Type one of: %s, %s", patch20, patch21)
	}
	var body []map[string]json.RawMessage
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body == nil {
		return fault.New(fault.BadRequest, "Request body must be a JSON array of operation objects.")
	}
	changes := make([]Change, len(body))
	for i, operation := range body {
		var err error
		if changes[i], err = read(operation); err != nil {
			return err
		}
	}
	img, err := h.service.Update(r.Context(), caller(r), r.PathValue("id"), changes)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, view(img))
}

// readChange21 reads {"op": "replace", "path": "/name", "value": "x"}.
func readChange21(operation map[string]json.RawMessage) (Change, error) {
	var op Op
	if json.Unmarshal(operation["op"], &op) != nil {
		return Change{}, fault.New(fault.BadRequest, "Unable to find 'op' in JSON Schema change")
	}
	if op != Add && op != Replace && op != Remove {
		return Change{}, fault.New(fault.BadRequest, "Invalid operation: `%s`. It must be one of the following: add, replace, remove.", op)
	}
	return readChange(operation, op, operation["path"], false)
}

// readChange20 reads {"replace": "/name", "value": "x"}.
func readChange20(operation map[string]json.RawMessage) (Change, error) {
	var found []Op
	for _, op := range []Op{Add, Replace, Remove} {
		if _, ok := operation[string(op)]; ok {
			found = append(found, op)
		}
	}
	if len(found) != 1 {
		return Change{}, fault.New(fault.BadRequest, "Operation objects must contain exactly one member named \"add\", \"remove\", or \"replace\".")
	}
	return readChange(operation, found[0], operation[string(found[0])], true)
}

func readChange(operation map[string]json.RawMessage, op Op, path json.RawMessage, fresh bool) (Change, error) {
	var pointer string
	if json.Unmarshal(path, &pointer) != nil {
		return Change{}, fault.New(fault.BadRequest, "Unable to find 'path' in JSON Schema change")
	}
	name, err := attributeAt(pointer)
	if err != nil {
		return Change{}, err
	}
	value, ok := operation["value"]
	if !ok && op != Remove {
		return Change{}, fault.New(fault.BadRequest, "Operation %q requires a member named \"value\".", op)
	}
	return Change{Op: op, Name: name, Value: value, Fresh: fresh}, nil
}

// attributeAt is the name that a JSON pointer (RFC 6901) leads to: images are
// flat, so it has one part.
func attributeAt(pointer string) (string, error) {
	name, ok := strings.CutPrefix(pointer, "/")
	bare := strings.NewReplacer("~0", "", "~1", "").Replace(name)
	if !ok || name == "" || strings.Contains(name, "/") || strings.Contains(bare, "~") {
		return "", fault.New(fault.BadRequest, "Invalid JSON pointer for this resource: '%s'", pointer)
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(name), nil
}
