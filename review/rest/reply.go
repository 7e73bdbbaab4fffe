package rest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// What a handler may answer beside a value for JSON.
type (
	// noContent is 204 without a body.
	noContent struct{}
	// created is 201 with a value as JSON.
	created struct{ value any }
	// encoded is bytes in base64, as Gerrit sends what may be binary.
	encoded struct{ bytes []byte }
	// content is bytes as they are.
	content struct {
		mediaType string
		bytes     []byte
	}
)

// guard keeps a browser from running an answer as a script. Clients cut it.
const guard = ")]}'\n"

func reply(w http.ResponseWriter, answer any) error {
	switch a := answer.(type) {
	case noContent:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case created:
		return writeJSON(w, http.StatusCreated, a.value)
	case encoded:
		w.Header().Set("X-Fyi-Content-Encoding", "base64")
		w.Header().Set("X-Fyi-Content-Type", "text/plain")
		write(w, http.StatusOK, "text/plain; charset=ISO-8859-1", []byte(base64.StdEncoding.EncodeToString(a.bytes)))
		return nil
	case content:
		write(w, http.StatusOK, a.mediaType, a.bytes)
		return nil
	default:
		return writeJSON(w, http.StatusOK, answer)
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	var body strings.Builder
	body.WriteString(guard)
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	write(w, status, "application/json; charset=UTF-8", []byte(body.String()))
	return nil
}

func plain(w http.ResponseWriter, status int, text string) {
	write(w, status, "text/plain; charset=UTF-8", []byte(text+"\n"))
}

func write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // it fails if the client went away: there is nobody left to tell
}

// maxBody bounds a request's body, in bytes.
const maxBody = 4 << 20

// read decodes the request's JSON body into v. No body leaves v as it is.
func (c *call) read(v any) error {
	body, err := c.readText()
	if err != nil || body == "" {
		return err
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		return fault.New(fault.BadRequest, "Invalid json in request: %v", err)
	}
	return nil
}

// readText is the request's body as it is, without white space around it.
func (c *call) readText() (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", fault.New(fault.TooLarge, "request body is larger than %d bytes", maxBody)
		}
		return "", fault.New(fault.BadRequest, "request body cannot be read: %v", err)
	}
	return strings.TrimSpace(string(body)), nil
}

// errPrecondition is 412: If-None-Match says that nothing may be there yet.
var errPrecondition = errors.New("resource already exists")

// onlyCreate turns the conflict that creating something met into 412 if the
// client asked for that.
func (c *call) onlyCreate(err error) error {
	if fault.Is(err, fault.Conflict) && c.r.Header.Get("If-None-Match") == "*" {
		return errPrecondition
	}
	return err
}

// has reports whether the query has a flag: "?x", "?x=1", "?x=true".
func (c *call) has(flag string) bool {
	values, ok := c.r.URL.Query()[flag]
	return ok && (values[0] == "" || values[0] == "1" || values[0] == "true")
}

// number reads a parameter that counts something: by the first of its names
// that is given.
func (c *call) number(names ...string) (int, error) {
	for _, name := range names {
		text := c.r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, fault.New(fault.BadRequest, `"%s" is not a valid value for "--%s"`, text, name)
		}
		return n, nil
	}
	return 0, nil
}

// unescape is a path without its percent encoding. http.Request holds no
// other than right ones.
func unescape(path string) string {
	text, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return text
}

// timestamp is a time as Gerrit writes it: UTC, nine digits after the second.
type timestamp time.Time

const timestampLayout = "2006-01-02 15:04:05.000000000"

// MarshalJSON implements json.Marshaler.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(t).UTC().Format(timestampLayout) + `"`), nil
}

// maybe is t, or nil for the zero time, which is left out.
func maybe(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	return new(timestamp(t))
}
