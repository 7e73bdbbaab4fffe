package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// resume lets the stopped queue of project p go on, through the public API.
func (h *house) resume() {
	h.t.Helper()
	response := h.do("POST", "/api/tenant/gatehouse/resume", `{"pipeline": "gate", "queue": "p"}`)
	require.Equal(h.t, http.StatusOK, response.Code, response.Body.String())
}

func (h *house) do(method, path, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth("admin", "secret")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.gate.Handler().ServeHTTP(w, r)
	return w
}

var _ = testing.Short
var _ = synctest.Wait
var _ = time.Second
