package rest_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review/query"
	"github.com/gatehouse-dev/gatehouse/review/rest"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

// site is a review server with the REST API in front.
type site struct {
	*reviewtest.Site

	t   *testing.T
	api string
}

func start(t *testing.T) *site {
	t.Helper()
	s := reviewtest.Start(t)
	language := query.New(s.Labels(""), time.Now)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	server := httptest.NewServer(rest.New(rest.Config{Service: s.Service, Compile: language.Compile, Log: log}))
	t.Cleanup(server.Close)
	return &site{Site: s, t: t, api: server.URL}
}

// answer is what the API answered.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// call makes a request: "GET /path", as a user ("" for nobody).
func (s *site) call(user, request, body string) answer {
	s.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.api+path, strings.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Content-Type", "application/json; charset=UTF-8")
	if user != "" {
		r.SetBasicAuth(user, reviewtest.Password)
	}
	return s.send(r)
}

func (s *site) send(r *http.Request) answer {
	s.t.Helper()
	response, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return answer{s.t, response.StatusCode, response.Header, string(text)}
}

// ok requires the status and decodes the guarded JSON.
func ok[T any](a answer, status int) T {
	a.t.Helper()
	require.Equal(a.t, status, a.status, a.body)
	rest, guarded := strings.CutPrefix(a.body, ")]}'\n")
	require.True(a.t, guarded, "no guard: %s", a.body)
	var v T
	require.NoError(a.t, json.Unmarshal([]byte(rest), &v), rest)
	return v
}

// object is a JSON object.
type object = map[string]any

// fails requires an error in plain text.
func (a answer) fails(status int, text string) {
	a.t.Helper()
	assert.Equal(a.t, status, a.status)
	assert.Equal(a.t, text+"\n", a.body)
	assert.Equal(a.t, "text/plain; charset=UTF-8", a.header.Get("Content-Type"))
}

// push sends a commit for review, with push options such as "%wip".
func push(t *testing.T, c *reviewtest.Clone, file, content, message, options string) {
	t.Helper()
	c.Commit(file, content, message)
	c.Git("push", "-q", "origin", "HEAD:refs/for/main"+options)
}

// oneChange is a site with project tools/hello and ann's change 1 in it.
func oneChange(t *testing.T) (*site, *reviewtest.Clone) {
	t.Helper()
	s := start(t)
	s.Project(t, "tools/hello")
	clone := s.Clone(t, "ann", "tools/hello")
	push(t, clone, "hello.txt", "hello\nworld\n", "Say hello\n\nTo everybody.", "")
	return s, clone
}

func TestWhoCalls(t *testing.T) {
	t.Parallel()
	s := start(t)
	basic := func(path, user, password string) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.api+path, nil)
		require.NoError(t, err)
		r.SetBasicAuth(user, password)
		return s.send(r)
	}

	refused := s.call("", "GET /a/accounts/self", "")
	refused.fails(http.StatusUnauthorized, "Unauthorized")
	assert.Equal(t, `Basic realm="Gatehouse", charset="UTF-8"`, refused.header.Get("Www-Authenticate"))
	basic("/a/accounts/self", "ann", "wrong").fails(http.StatusUnauthorized, "Unauthorized")
	basic("/a/nowhere", "nobody", "secret").fails(http.StatusUnauthorized, "Unauthorized")

	s.call("", "GET /accounts/self", "").fails(http.StatusForbidden, "Authentication required")
	basic("/accounts/self", "ann", "wrong").fails(http.StatusForbidden, "Authentication required")

	assert.Equal(t, "ann", ok[object](s.call("ann", "GET /a/accounts/self", ""), 200)["username"])
	assert.Equal(t, "ann", ok[object](s.call("ann", "GET /accounts/self", ""), 200)["username"])
}

func TestOtherSitesCannotUseABrowsersPassword(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.api+"/a/changes/1/abandon", nil)
	require.NoError(t, err)
	r.SetBasicAuth("ann", reviewtest.Password)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	s.send(r).fails(http.StatusForbidden, "cross-site request refused")
	assert.Equal(t, "NEW", ok[object](s.call("", "GET /changes/1", ""), 200)["status"])
}

func TestAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	s := start(t)
	answer := s.call("", "GET /config/server/version", "")
	assert.Contains(t, answer.header.Get("Cache-Control"), "no-store")
	assert.Equal(t, "nosniff", answer.header.Get("X-Content-Type-Options"))
	assert.Equal(t, "application/json; charset=UTF-8", answer.header.Get("Content-Type"))
	assert.Equal(t, ")]}'\n\""+rest.Version+"\"\n", answer.body)
	s.call("", "GET /changes/1/nothing", "").fails(http.StatusNotFound, "Not Found")
}

func TestChangesAreFoundByEachOfTheirIDs(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	change := ok[object](s.call("", "GET /changes/1", ""), 200)
	changeID, _ := change["change_id"].(string)
	assert.Equal(t, "tools%2Fhello~1", change["id"])
	assert.Equal(t, "tools%2Fhello~main~"+changeID, change["triplet_id"])
	for _, id := range []string{
		"1", changeID, "tools%2Fhello~1", "tools%2Fhello~main~" + changeID, "tools%2Fhello~refs%2Fheads%2Fmain~" + changeID,
	} {
		assert.InDelta(t, 1, ok[object](s.call("", "GET /changes/"+id, ""), 200)["_number"], 0, id)
		assert.InDelta(t, 1, ok[object](s.call("ann", "GET /a/changes/"+id+"/detail", ""), 200)["_number"], 0, id)
	}
	s.call("", "GET /changes/2", "").fails(http.StatusNotFound, "Not found: 2")
	s.call("", "GET /changes/other~1", "").fails(http.StatusNotFound, "Not found: other~1")
	s.call("", "GET /changes/%00", "").fails(http.StatusNotFound, "Not found: %00")
}

func TestQueries(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	push(t, clone, "b.txt", "b\n", "Second", "%topic=big")
	push(t, clone, "c.txt", "c\n", "Third", "%wip")
	numbers := func(list []object) []int {
		out := []int{}
		for _, change := range list {
			n, _ := change["_number"].(float64)
			out = append(out, int(n))
		}
		return out
	}
	list := func(path string) []object { return ok[[]object](s.call("", "GET "+path, ""), 200) }

	assert.ElementsMatch(t, []int{1, 2, 3}, numbers(list("/changes/")))
	assert.ElementsMatch(t, []int{1, 2, 3}, numbers(list("/changes/?q=project:tools/hello+status:open")))
	assert.Equal(t, []int{2}, numbers(list("/changes/?q=topic:big")))
	assert.Empty(t, list("/changes/?q=status:merged"))

	first := list("/changes/?q=status:open&n=2")
	assert.Equal(t, []int{3, 2}, numbers(first))
	assert.Nil(t, first[0]["_more_changes"])
	assert.Equal(t, true, first[1]["_more_changes"])
	assert.Equal(t, []int{1}, numbers(list("/changes/?q=status:open&n=2&S=2")))
	assert.Equal(t, []int{1}, numbers(list("/changes/?q=status:open&limit=2&start=2")))
	assert.Equal(t, []int{3}, numbers(list("/changes/?q=limit:1&n=2")))

	several := ok[[][]object](s.call("", "GET /changes/?q=2&q=is:wip", ""), 200)
	require.Len(t, several, 2)
	assert.Equal(t, []int{2}, numbers(several[0]))
	assert.Equal(t, []int{3}, numbers(several[1]))

	mine := ok[[]object](s.call("ann", "GET /a/changes/?q=is:owner", ""), 200)
	assert.Len(t, mine, 3)

	s.call("", "GET /changes/?q=is:owner", "").fails(http.StatusBadRequest, "Must be signed-in to use this operator")
	s.call("", "GET /changes/?q=status:odd", "").fails(http.StatusBadRequest, "Unrecognized value: odd")
	s.call("", "GET /changes/?o=NONSENSE", "").fails(http.StatusBadRequest, `"NONSENSE" is not a valid value for "-o"`)
	s.call("", "GET /changes/?n=many", "").fails(http.StatusBadRequest, `"many" is not a valid value for "--n"`)
}

// What git-review reads to download a change.
func TestFetchNamesWhereARevisionIs(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	list := ok[[]struct {
		CurrentRevision string `json:"current_revision"`
		Revisions       map[string]struct {
			Number int `json:"_number"`
			Fetch  map[string]struct{ URL, Ref string }
		}
	}](s.call("", "GET /changes/?q=1&o=CURRENT_REVISION", ""), 200)
	require.Len(t, list, 1)
	revision, known := list[0].Revisions[list[0].CurrentRevision]
	require.True(t, known)
	fetch, known := revision.Fetch["anonymous http"]
	require.True(t, known)
	assert.Equal(t, "refs/changes/01/1/1", fetch.Ref)
	clone.Git("fetch", "-q", fetch.URL, fetch.Ref)
	assert.Equal(t, list[0].CurrentRevision, clone.Git("rev-parse", "FETCH_HEAD"))

	detail := ok[object](s.call("ann", "GET /a/changes/1?O=2", ""), 200) // bit 1: CURRENT_REVISION
	assert.Equal(t, list[0].CurrentRevision, detail["current_revision"])
}
