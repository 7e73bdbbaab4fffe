package gerrit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxBody bounds an answer of the server, in bytes.
const maxBody = 64 << 20

// statusError is an answer other than 2xx.
type statusError struct {
	Status int
	Method string
	Path   string
	Text   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, e.Text)
}

// hasStatus reports whether err is the server's answer with one of the codes.
func hasStatus(err error, codes ...int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && slices.Contains(codes, e.Status)
}

func (g *Gerrit) get(ctx context.Context, path string, answer any) error {
	return g.do(ctx, http.MethodGet, path, "", nil, answer)
}

func (g *Gerrit) post(ctx context.Context, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return g.do(ctx, http.MethodPost, path, "application/json; charset=UTF-8", data, answer)
}

// do makes a request below /a/. A nil answer is not read.
func (g *Gerrit) do(ctx context.Context, method, path, mediaType string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, g.config.URL+"/a/"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.SetBasicAuth(g.config.User, g.config.Password)
	request.Header.Set("Accept", "application/json")
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	response, err := g.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask the review server: %w", err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return fmt.Errorf("%s %s: read answer: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return &statusError{Status: response.StatusCode, Method: method, Path: path, Text: firstBytes(strings.TrimSpace(string(data)), 500)}
	}
	if answer == nil {
		return nil
	}
	return decode(data, method, path, answer)
}

// decode reads JSON behind Gerrit's guard against being run as a script.
func decode(data []byte, method, path string, answer any) error {
	if rest, guarded := bytes.CutPrefix(data, []byte(")]}'")); guarded {
		data = rest
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("%s %s: the answer is not what Gerrit says: %w", method, path, err)
	}
	return nil
}

func firstBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
