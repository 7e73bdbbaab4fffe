package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func read(body string) (name string, err error) {
	var v struct {
		Thing struct {
			Name string `json:"name"`
		} `json:"thing"`
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	err = httpapi.ReadJSON(httptest.NewRecorder(), r, &v)
	return v.Thing.Name, err
}

func TestReadJSONTakesOneValue(t *testing.T) {
	name, err := read(`{"thing": {"name": "x", "unknown": 1}}` + "\n ")
	require.NoError(t, err)
	assert.Equal(t, "x", name)
	for body, message := range map[string]string{
		``:                           "A JSON body is required.",
		`  `:                         "A JSON body is required.",
		`{`:                          "Malformed request body: unexpected EOF",
		`{"thing": {"name": 1}}`:     "Invalid input for field/attribute thing.name: number is not of type string.",
		`{"thing": {}} {"thing": 1}`: "Malformed request body: more than one JSON value.",
		`{"thing": {}} x`:            "Malformed request body: more than one JSON value.",
	} {
		_, err := read(body)
		assert.True(t, fault.Is(err, fault.BadRequest), "%s: %v", body, err)
		assert.EqualError(t, err, message, body)
	}
	_, err = read(`{"thing": "` + strings.Repeat("x", httpapi.MaxBody) + `"}`)
	assert.True(t, fault.Is(err, fault.TooLarge), "%v", err)
	_, err = read(`{"thing": ` + strings.Repeat("[", 100_000))
	assert.True(t, fault.Is(err, fault.BadRequest), "%v", err)
}

func TestWriteJSONTellsTheLength(t *testing.T) {
	w := httptest.NewRecorder()
	require.NoError(t, httpapi.WriteJSON(w, http.StatusAccepted, map[string]int{"n": 1}))
	assert.Equal(t, http.StatusAccepted, w.Code)
	assert.JSONEq(t, `{"n": 1}`, w.Body.String())
	assert.Equal(t, "7", w.Header().Get("Content-Length"))
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))

	w = httptest.NewRecorder()
	require.Error(t, httpapi.WriteJSON(w, http.StatusOK, func() {}))
	assert.Empty(t, w.Result().Header, "nothing was written")
}

func TestLimitIsAtMostTheMaximum(t *testing.T) {
	for query, want := range map[string]int{"": 1000, "limit=": 1000, "limit=0": 0, "limit=5": 5, "limit=5000": 1000} {
		n, err := httpapi.Limit(httptest.NewRequest(http.MethodGet, "/?"+query, nil), 1000)
		require.NoError(t, err, query)
		assert.Equal(t, want, n, query)
	}
	for _, query := range []string{"limit=-1", "limit=x", "limit=1.5", "limit=99999999999999999999"} {
		_, err := httpapi.Limit(httptest.NewRequest(http.MethodGet, "/?"+query, nil), 1000)
		assert.True(t, fault.Is(err, fault.BadRequest), query)
	}
}
