package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// tokens knows one token, "good", which is alice's.
type tokens struct{}

func (tokens) Validate(_ context.Context, token string) (httpapi.Caller, error) {
	if token != "good" {
		return httpapi.Caller{}, fault.New(fault.Unauthorized, "bad token")
	}
	return httpapi.Caller{UserName: "alice", Roles: []string{"member"}}, nil
}

var statuses = map[fault.Kind]int{
	fault.Internal: 500, fault.BadRequest: 400, fault.Unauthorized: 401, fault.NotFound: 404, fault.NotAllowed: 405,
	fault.TooLarge: 413,
}

// newAPI makes an API at /thing that logs to log.
func newAPI(log *bytes.Buffer, metrics *httpapi.Metrics) *httpapi.API {
	return httpapi.New(httpapi.Config{
		Name: "thing", Prefix: "/thing", Tokens: tokens{}, Metrics: metrics,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		WriteError: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), statuses[fault.KindOf(err)])
		},
	})
}

func request(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func write(text string) httpapi.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write([]byte(text))
		return err
	}
}

func TestARouteNeedsAValidToken(t *testing.T) {
	a := newAPI(&bytes.Buffer{}, nil)
	a.Handle("GET /who", func(w http.ResponseWriter, r *http.Request) error {
		return write(httpapi.CallerFrom(r.Context()).UserName)(w, r)
	})
	for _, token := range []string{"", "bad"} {
		w := request(a, "GET", "/thing/who", "X-Auth-Token", token)
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		assert.Equal(t, `Keystone uri="http://example.com/identity"`, w.Header().Get("Www-Authenticate"))
		assert.Equal(t, "X-Auth-Token", w.Header().Get("Vary"))
	}
	w := request(a, "GET", "/thing/who", "X-Auth-Token", "good")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "alice", w.Body.String())
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	a := newAPI(&bytes.Buffer{}, nil)
	a.HandlePublic("GET /{$}", write("root"))
	a.HandlePublic("GET /v1/things", write("list"))
	a.HandlePublic("GET /v1/things/{id}", func(w http.ResponseWriter, r *http.Request) error {
		return write("one "+r.PathValue("id"))(w, r)
	})
	a.HandlePublic("POST /v1/things", write("made"))
	for target, want := range map[string]string{
		"/thing": "root", "/thing/": "root", "/thing/v1/things": "list", "/thing/v1/things/a": "one a",
		"/thing/v1/things/a%2Fb": "one a/b", "/thing/v1/things/%2e%2e%2fx": "one ../x",
	} {
		w := request(a, "GET", target)
		assert.Equal(t, http.StatusOK, w.Code, target)
		assert.Equal(t, want, w.Body.String(), target)
	}
	for _, target := range []string{
		"/thing/x", "/thing/v1/things/", "/thing/v1/things/a/b", "/thing//v1/things", "/thing/v1/./things", "/thing/v1/x/../things",
	} {
		assert.Equal(t, http.StatusNotFound, request(a, "GET", target).Code, target)
	}
	w := request(a, "DELETE", "/thing/v1/things")
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	assert.Equal(t, "GET, POST", w.Header().Get("Allow"))
	assert.Equal(t, http.StatusOK, request(a, "HEAD", "/thing/v1/things").Code)
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	log := &bytes.Buffer{}
	a := newAPI(log, nil)
	a.HandlePublic("GET /id", func(w http.ResponseWriter, r *http.Request) error {
		return write(httpapi.RequestID(r.Context()))(w, r)
	})
	theirs := "req-12345678-1234-1234-1234-123456789abc"
	w := request(a, "GET", "/thing/id", "X-Openstack-Request-Id", theirs)
	id := w.Header().Get(httpapi.RequestIDHeader)
	assert.Regexp(t, "^req-[0-9a-f-]{36}$", id)
	assert.NotEqual(t, theirs, id)
	assert.Equal(t, id, w.Body.String())
	assert.Contains(t, log.String(), "request="+id+" caller_request="+theirs)
	assert.Regexp(t, "^req-", request(a, "GET", "/thing/nothing").Header().Get(httpapi.RequestIDHeader))

	log.Reset()
	request(a, "GET", "/thing/id", "X-Openstack-Request-Id", "forged\nline")
	assert.NotContains(t, log.String(), "forged")
}

func TestOnlyInternalErrorsAreLoggedAsErrors(t *testing.T) {
	log := &bytes.Buffer{}
	a := newAPI(log, nil)
	a.HandlePublic("GET /broken", func(http.ResponseWriter, *http.Request) error { return errors.New("disk on fire") })
	a.HandlePublic("GET /absent", func(http.ResponseWriter, *http.Request) error { return fault.New(fault.NotFound, "gone") })

	assert.Equal(t, http.StatusNotFound, request(a, "GET", "/thing/absent").Code)
	assert.NotContains(t, log.String(), "level=ERROR")
	assert.Equal(t, http.StatusInternalServerError, request(a, "GET", "/thing/broken").Code)
	assert.Contains(t, log.String(), `level=ERROR msg="request failed"`)
	assert.Contains(t, log.String(), "disk on fire")
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	log := &bytes.Buffer{}
	a := newAPI(log, nil)
	a.HandlePublic("GET /panic", func(http.ResponseWriter, *http.Request) error { panic("out of paper") })
	a.HandlePublic("GET /abort", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })

	assert.Equal(t, http.StatusInternalServerError, request(a, "GET", "/thing/panic").Code)
	assert.Contains(t, log.String(), "out of paper")
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { request(a, "GET", "/thing/abort") })
}

func TestLinksBeginWhereTheClientReachedUs(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		want    string
	}{
		"directly":              {nil, "http://example.com/thing"},
		"behind a proxy":        {[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "cloud.example.org"}, "https://cloud.example.org/thing"},
		"behind several":        {[]string{"X-Forwarded-Proto", "https, http", "X-Forwarded-Host", "a.org, b.org"}, "https://a.org/thing"},
		"RFC 7239":              {[]string{"Forwarded", `for=192.0.2.1; Proto=HTTPS;host="[2001:db8::1]:8443", for=x;host=b`}, "https://[2001:db8::1]:8443/thing"},
		"scheme only":           {[]string{"X-Forwarded-Proto", "https"}, "https://example.com/thing"},
		"nonsense":              {[]string{"X-Forwarded-Proto", "gopher", "X-Forwarded-Host", `x"><script>`}, "http://example.com/thing"},
		"nonsense of RFC 7239":  {[]string{"Forwarded", `;;=,host`}, "http://example.com/thing"},
		"a path where host was": {[]string{"X-Forwarded-Host", "evil.org/path"}, "http://example.com/thing"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(&bytes.Buffer{}, nil)
			a.HandlePublic("GET /base", func(w http.ResponseWriter, r *http.Request) error { return write(httpapi.Base(r))(w, r) })
			assert.Equal(t, test.want, request(a, "GET", "/thing/base", test.headers...).Body.String())
		})
	}
}

func TestRequestsAreCountedByServiceMethodAndStatus(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newAPI(&bytes.Buffer{}, httpapi.NewMetrics(registry))
	a.HandlePublic("GET /ok", write("ok"))
	request(a, "GET", "/thing/ok")
	request(a, "GET", "/thing/ok")
	request(a, "BREW", "/thing/ok")

	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	counts := map[string]uint64{}
	for _, metric := range families[0].GetMetric() {
		var labels []string
		for _, label := range metric.GetLabel() {
			labels = append(labels, label.GetValue())
		}
		counts[strings.Join(labels, " ")] = metric.GetHistogram().GetSampleCount()
	}
	assert.Equal(t, map[string]uint64{"GET thing 200": 2, "other thing 405": 1}, counts)
}

func TestAHandlerReachesTheConnectionThroughTheRecorder(t *testing.T) {
	a := newAPI(&bytes.Buffer{}, nil)
	a.HandlePublic("GET /flush", func(w http.ResponseWriter, _ *http.Request) error {
		return http.NewResponseController(w).Flush()
	})
	assert.True(t, request(a, "GET", "/thing/flush").Flushed)
}
