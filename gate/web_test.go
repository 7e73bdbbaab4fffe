package gate_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
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

// get reads a page that must be there, anonymously.
func (h *house) get(path string) string {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.gate.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	require.Equal(h.t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	assert.NotEmpty(h.t, w.Header().Get("Content-Security-Policy"), path)
	assert.Equal(h.t, "nosniff", w.Header().Get("X-Content-Type-Options"), path)
	return w.Body.String()
}

func (h *house) json(path string) any {
	h.t.Helper()
	var v any
	require.NoError(h.t, json.Unmarshal([]byte(h.get(path)), &v))
	return v
}

// hostile is a machine whose output and a change whose subject are an attack.
const hostile = `<script>alert("x")</script>`

func tested(t *testing.T, f func(h *house, uuid string)) {
	t.Helper()
	r := newReview(jobs)
	n := newMachines(func(_ context.Context, _ *machine, s node.Step, out io.Writer) (int, error) {
		_, _ = io.WriteString(out, hostile+"\n--- FAIL: Test"+hostile+" (0.00s)\n")
		return map[string]int{"test": 1}[s.Script], nil
	})
	inHouse(t, r, n, func(h *house) {
		r.push(1)
		r.set(func() { r.changes[1].Subject = hostile })
		pass(time.Minute)
		for _, b := range h.json("/api/tenant/gatehouse/builds?job_name=unit").([]any) {
			f(h, b.(map[string]any)["uuid"].(string))
		}
	})
}

func TestPagesShowWhatWasBuilt(t *testing.T) {
	tested(t, func(h *house, uuid string) {
		t := h.t
		build := h.get("/build/" + uuid)
		assert.Contains(t, build, "FAILURE")
		assert.Contains(t, build, "What failed")
		assert.Contains(t, build, "run step 1 of 1 failed with status 1")
		assert.Contains(t, build, `href="/logs/`+uuid+`/report.xml"`)
		set := h.json("/api/tenant/gatehouse/build/" + uuid).(map[string]any)["buildset"].(map[string]any)["uuid"].(string)
		assert.Contains(t, h.get("/buildset/"+set), "Tested tree")
		assert.Contains(t, h.get("/builds?result=FAILURE"), uuid)
		assert.NotContains(t, h.get("/builds?result=TIMED_OUT"), uuid)
		assert.Contains(t, h.get("/buildsets?pipeline=check"), set)
		assert.Contains(t, h.get("/"), "Nothing is queued.")
		for _, page := range []string{"/", "/builds", "/buildsets", "/build/" + uuid, "/buildset/" + set, "/fragment/build/" + uuid} {
			assert.NotContains(t, h.get(page), hostile, page)
		}
	})
}

func TestLogsAreServedAsTextThatNothingRuns(t *testing.T) {
	tested(t, func(h *house, uuid string) {
		for _, path := range []string{"/logs/" + uuid + "/job-output.txt", "/stream/" + uuid, "/logs/" + uuid + "/report.xml"} {
			w := h.do("GET", path, "")
			assert.Equal(h.t, http.StatusOK, w.Code)
			assert.Equal(h.t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			assert.Equal(h.t, "default-src 'none'; sandbox", w.Header().Get("Content-Security-Policy"))
		}
		log := h.get("/stream/" + uuid)
		assert.Contains(h.t, log, "==> run step 1 of 1: test")
		assert.Equal(h.t, log[100:], h.get("/stream/"+uuid+"?offset=100"))
		assert.Equal(h.t, http.StatusBadRequest, h.do("GET", "/stream/"+uuid+"?offset=-1", "").Code)
		for _, path := range []string{"/logs/" + uuid + "/..%2f..%2fgate.db", "/logs/..%2f..%2f/gate.db", "/logs/none/job-output.txt", "/build/none", "/buildset/none", "/api/tenant/gatehouse/build/none", "/stream/none"} {
			assert.Equal(h.t, http.StatusNotFound, h.do("GET", path, "").Code, path)
		}
	})
}

func TestFilesOfABuildAreListed(t *testing.T) {
	tested(t, func(h *house, uuid string) {
		page := h.get("/logs/" + uuid + "/")
		assert.Contains(h.t, page, `href="/logs/`+uuid+`/job-output.txt"`)
		assert.Contains(h.t, page, `href="/logs/`+uuid+`/report.xml"`)
		assert.Equal(h.t, http.StatusNotFound, h.do("GET", "/logs/none/", "").Code)
		assert.Equal(h.t, "/logs/"+uuid+"/", h.do("GET", "/logs/"+uuid, "").Header().Get("Location"))
		build := h.json("/api/tenant/gatehouse/build/" + uuid).(map[string]any)
		assert.Equal(h.t, "http://gate/logs/"+uuid+"/", build["log_url"])
		assert.Contains(h.t, build["artifacts"], map[string]any{"name": "report.xml", "url": "http://gate/logs/" + uuid + "/report.xml"})
	})
}

// Part B: the fields that Zuul's clients read.
func TestStatusHasZuulsFields(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		r.push(1)
		r.approve(1)
		pass(5 * time.Second)
		r.push(2)
		r.approve(2)
		pass(5 * time.Second)
		t := h.t
		status := h.json("/api/tenant/gatehouse/status").(map[string]any)
		has(t, status, "zuul_version", "trigger_event_queue", "management_event_queue", "result_event_queue", "last_reconfigured", "pipelines")
		pipeline := status["pipelines"].([]any)[1].(map[string]any)
		has(t, pipeline, "name", "description", "state", "manager", "triggers", "change_queues")
		queue := pipeline["change_queues"].([]any)[0].(map[string]any)
		has(t, queue, "name", "branch", "window", "heads")
		chain := queue["heads"].([]any)[0].([]any)
		require.Len(t, chain, 2)
		item := chain[1].(map[string]any)
		has(t, item, "id", "live", "active", "refs", "item_ahead", "items_behind", "failing_reasons", "zuul_ref", "enqueue_time", "remaining_time", "jobs")
		assert.Equal(t, chain[0].(map[string]any)["id"], item["item_ahead"])
		has(t, item["refs"].([]any)[0].(map[string]any), "project", "project_canonical", "ref", "id", "url", "owner")
		has(t, item["jobs"].([]any)[0].(map[string]any), "name", "dependencies", "voting", "result", "uuid", "queued", "waiting_status", "execute_time",
			"start_time", "end_time", "estimated_time", "elapsed_time", "remaining_time", "tries", "retry", "paused", "pre_fail", "canceled", "url", "finger_url", "report_url")
		assert.Len(t, h.json("/api/tenant/gatehouse/status/change/2,1"), 1)
		page := h.get("/")
		assert.Contains(t, page, `id="change-2"`)
		assert.Contains(t, page, "tested on the branch with 1,1")
		pass(10 * time.Minute)
		assert.Equal(t, []int{1, 2}, r.submits)
	})
}

func has(t *testing.T, object map[string]any, fields ...string) {
	t.Helper()
	for _, f := range fields {
		assert.Contains(t, object, f)
	}
}

func TestStatusPageIsToldToLookAgain(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		ctx, cancel := context.WithCancel(h.t.Context())
		reader, writer := io.Pipe()
		done := make(chan bool)
		go func() {
			defer close(done)
			h.gate.Handler().ServeHTTP(&streamed{ResponseRecorder: httptest.NewRecorder(), w: writer}, httptest.NewRequestWithContext(ctx, "GET", "/events", nil))
			_ = writer.Close()
		}()
		lines := make(chan string, 100)
		go func() {
			for s := bufio.NewScanner(reader); s.Scan(); {
				if strings.HasPrefix(s.Text(), "event:") {
					lines <- s.Text()
				}
			}
			close(lines)
		}()
		assert.Equal(h.t, "event: changed", <-lines, "what was missed before")
		synctest.Wait()
		require.Empty(h.t, lines)
		r.push(1)
		pass(time.Second)
		assert.NotEmpty(h.t, lines)
		cancel()
		<-done
	})
}

// streamed is a response that is read while it is written.
type streamed struct {
	*httptest.ResponseRecorder
	w io.Writer
}

func (s *streamed) Write(p []byte) (int, error)       { return s.w.Write(p) }
func (s *streamed) WriteString(p string) (int, error) { return io.WriteString(s.w, p) }
func (s *streamed) Flush()                            {}

func TestQueuesAreChangedByAdministratorsOnly(t *testing.T) {
	const base = "/api/tenant/gatehouse/project/p/"
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		r.approve(1)
		pass(5 * time.Second)
		try := func(user, password, media string) int {
			q := httptest.NewRequest(http.MethodPost, base+"dequeue", strings.NewReader(`{"pipeline": "gate", "change": "1,1"}`))
			if user != "" {
				q.SetBasicAuth(user, password)
			}
			q.Header.Set("Content-Type", media)
			w := httptest.NewRecorder()
			h.gate.Handler().ServeHTTP(w, q)
			return w.Code
		}
		assert.Equal(t, http.StatusUnauthorized, try("", "", "application/json"))
		assert.Equal(t, http.StatusForbidden, try("dev", "secret", "application/json"))
		assert.Equal(t, http.StatusBadRequest, try("admin", "secret", "text/plain"), "a form of another site could send that")
		assert.Len(t, h.gate.Status().Pipelines[1].ChangeQueues[0].Heads[0], 1)

		assert.Equal(t, http.StatusOK, try("admin", "secret", "application/json"))
		pass(time.Second)
		assert.Zero(t, h.gate.Status().Pipelines[1].Items())
		assert.Contains(t, r.own(1)[0], "removed by admin")
		assert.Equal(t, source.New, r.status(1))

		assert.Equal(t, http.StatusOK, h.do("POST", base+"enqueue", `{"pipeline": "gate", "change": "1"}`).Code)
		pass(time.Minute)
		assert.Equal(t, source.Merged, r.status(1))
		assert.Equal(t, http.StatusConflict, h.do("POST", base+"enqueue", `{"pipeline": "gate", "change": "1"}`).Code, "it is merged")
		assert.Equal(t, http.StatusConflict, h.do("POST", base+"enqueue", `{"pipeline": "gate", "change": "x"}`).Code)
	})
}
