package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// MaxBody bounds a JSON request body, in bytes.
const MaxBody = 1 << 20

// ReadJSON decodes the request's body, a single JSON value of at most MaxBody
// bytes, into v. Unknown members are ignored. A bad body is fault.BadRequest,
// one too long fault.TooLarge.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	if err := decoder.Decode(v); err != nil {
		var tooLong *http.MaxBytesError
		var wrongType *json.UnmarshalTypeError
		switch {
		case errors.As(err, &tooLong):
			return fault.New(fault.TooLarge, "Request is too large: at most %d bytes.", MaxBody)
		case errors.As(err, &wrongType):
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %s: %s is not of type %s.",
				wrongType.Field, wrongType.Value, wrongType.Type.Kind())
		case errors.Is(err, io.EOF):
			return fault.New(fault.BadRequest, "A JSON body is required.")
		default:
			return fault.New(fault.BadRequest, "Malformed request body: %v", err)
		}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.BadRequest, "Malformed request body: more than one JSON value.")
	}
	return nil
}

// WriteJSON answers with status and v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // it fails if the client went away: there is nobody left to tell
	return nil
}

// WriteKeystoneError answers with an error in Keystone's form. The other
// services use it for a refused token, since Keystone's middleware answers that.
func WriteKeystoneError(w http.ResponseWriter, status int, message string) {
	_ = WriteJSON(w, status, map[string]any{"error": map[string]any{ // strings and numbers can be encoded
		"code": status, "message": message, "title": http.StatusText(status),
	}})
}

// OrNull is text, or JSON's null if it is empty.
func OrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Limit reads the query's limit, at most maximum, which is also the default.
// Zero or more is allowed, as in most of OpenStack's APIs; anything else is
// fault.BadRequest.
func Limit(r *http.Request, maximum int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return maximum, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fault.New(fault.BadRequest, "limit must be an integer of at least 0, not %q", text)
	}
	return min(n, maximum), nil
}
