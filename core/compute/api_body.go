package compute

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// body decodes the value of the one member that the request's body must have,
// e.g. "server". Members that v does not have are fault.BadRequest, as in
// Nova's closed schemas.
func (r *request) body(name string, v any) error {
	var members map[string]json.RawMessage
	if err := httpapi.ReadJSON(r.w, r.Request, &members); err != nil {
		return err
	}
	value, ok := members[name]
	if !ok {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute body. Value: %s. '%s' is a required property", keys(members), name)
	}
	if len(members) > 1 && name != "server" { // hints for the scheduler may stand beside a server
		return fault.New(fault.BadRequest, "Additional properties are not allowed beside '%s': %s", name, keys(members))
	}
	return strict(name, value, v)
}

func keys(members map[string]json.RawMessage) string {
	text, _ := json.Marshal(members) // what was decoded can be encoded
	return string(text)
}

// unknownForm is how encoding/json reports a member that is not in a struct.
var unknownForm = regexp.MustCompile(`^json: unknown field "(.*)"$`)

// strict decodes a JSON value; members unknown to v are fault.BadRequest.
func strict(name string, value json.RawMessage, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Value: %s. It is not of type '%s'",
			strings.TrimPrefix(name+"."+wrong.Field, "."), wrong.Value, wrong.Type.Kind())
	}
	if match := unknownForm.FindStringSubmatch(err.Error()); match != nil {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Additional properties are not allowed ('%s' was unexpected)",
			name, match[1])
	}
	return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. %s", name, err.Error())
}

// integer is a whole number, or a string of one: Nova takes both.
type integer int

func (n *integer) UnmarshalJSON(text []byte) error {
	value, err := strconv.Atoi(strings.Trim(string(text), `"`))
	if err != nil {
		return errors.New("Value: " + string(text) + " is not of type 'integer'")
	}
	*n = integer(value)
	return nil
}

// boolean is true or false in any of the forms that Nova takes.
type boolean bool

func (b *boolean) UnmarshalJSON(text []byte) error {
	value, ok := parseBool(strings.Trim(string(text), `"`))
	if !ok {
		return errors.New("Value: " + string(text) + " is not of type 'boolean'")
	}
	*b = boolean(value)
	return nil
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes", "t", "y":
		return true, true
	case "false", "0", "off", "no", "f", "n":
		return false, true
	}
	return false, false
}

// maxLimit is the length of the longest page.
const maxLimit = 1000

// page cuts a sorted list to what the query asks for by limit and marker; id
// tells an item's marker. It also returns the marker of the next page, or "".
func page[T any](r *request, list []T, id func(T) string) (cut []T, next string, err error) {
	limit, err := httpapi.Limit(r.Request, maxLimit)
	if err != nil {
		return nil, "", err
	}
	if marker := r.URL.Query().Get("marker"); marker != "" {
		for i, item := range list {
			if id(item) == marker {
				list, marker = list[i+1:], ""
				break
			}
		}
		if marker != "" {
			return nil, "", fault.New(fault.BadRequest, "marker [%s] not found", marker)
		}
	}
	if len(list) <= limit {
		return list, "", nil
	}
	if limit > 0 {
		next = id(list[limit-1])
	}
	return list[:limit], next, nil
}

// queryInt reads a number of the query; absent it is 0.
func queryInt(query url.Values, name string) (int, error) {
	text := query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fault.New(fault.BadRequest, "Invalid %s filter [%s]", name, text)
	}
	return n, nil
}

// name checks the name of a thing: 1 to 255 characters, not only spaces.
func checkName(field, name string) error {
	if n := len([]rune(name)); strings.TrimSpace(name) == "" || n > 255 {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Value: %s. It must have 1 to 255 characters", field, name)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. It must not have control characters", field)
		}
	}
	return nil
}
