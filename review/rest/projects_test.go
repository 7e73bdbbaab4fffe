package rest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProjects(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.call("ann", "PUT /a/projects/new", "{}").fails(http.StatusForbidden, "create project not permitted")
	s.call("", "PUT /projects/new", "{}").fails(http.StatusForbidden, "Authentication required")
	made := ok[object](s.call("admin", "PUT /a/projects/team%2Fnew/", `{"description":"All new","create_empty_commit":true,"branches":["trunk"]}`), 201)
	assert.Equal(t, "team%2Fnew", made["id"])
	assert.Equal(t, "team/new", made["name"])
	assert.Equal(t, 409, s.call("admin", "PUT /a/projects/team%2Fnew", "{}").status)
	s.call("admin", "PUT /a/projects/x", `{"name":"y"}`).fails(http.StatusBadRequest, "name must match URL")
	assert.Equal(t, 400, s.call("admin", "PUT /a/projects/..%2Fx", "{}").status)

	list := ok[map[string]object](s.call("", "GET /projects/?d", ""), 200)
	require.Contains(t, list, "team/new")
	assert.Equal(t, "All new", list["team/new"]["description"])
	assert.Empty(t, ok[object](s.call("", "GET /projects/?p=other", ""), 200))
	assert.Equal(t, "team/new", ok[object](s.call("", "GET /projects/team%2Fnew", ""), 200)["name"])
	assert.Equal(t, http.StatusNotFound, s.call("", "GET /projects/none", "").status)
	assert.Equal(t, "refs/heads/trunk", ok[string](s.call("", "GET /projects/team%2Fnew/HEAD", ""), 200))

	assert.Equal(t, "Newer", ok[string](s.call("admin", "PUT /a/projects/team%2Fnew/description", `{"description":"Newer"}`), 200))
	assert.Equal(t, "Newer", ok[string](s.call("", "GET /projects/team%2Fnew/description", ""), 200))
	assert.Equal(t, "MERGE_IF_NECESSARY", ok[object](s.call("", "GET /projects/team%2Fnew/config", ""), 200)["submit_type"])
	labels := ok[[]object](s.call("", "GET /projects/team%2Fnew/labels/", ""), 200)
	assert.Equal(t, "Code-Review", labels[0]["name"])
}

func TestPutWithIfNoneMatchIsOnlyToCreate(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Project(t, "p")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.api+"/a/projects/p", nil)
	require.NoError(t, err)
	r.SetBasicAuth("admin", "secret")
	r.Header.Set("If-None-Match", "*")
	assert.Equal(t, http.StatusPreconditionFailed, s.send(r).status)
}

func TestBranches(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Project(t, "p")
	list := ok[[]object](s.call("", "GET /projects/p/branches/", ""), 200)
	require.Len(t, list, 2)
	assert.Equal(t, "HEAD", list[0]["ref"])
	assert.Equal(t, "main", list[0]["revision"])
	assert.Equal(t, "refs/heads/main", list[1]["ref"])

	s.call("ann", "PUT /a/projects/p/branches/stable%2F1", "{}").fails(http.StatusForbidden, "create branch not permitted")
	made := ok[object](s.call("admin", "PUT /a/projects/p/branches/stable%2F1", `{"revision":"main"}`), 201)
	assert.Equal(t, "refs/heads/stable/1", made["ref"])
	assert.Equal(t, list[1]["revision"], made["revision"])
	assert.Equal(t, 409, s.call("admin", "PUT /a/projects/p/branches/stable%2F1", `{"revision":"main"}`).status)
	assert.Equal(t, "refs/heads/stable/1", ok[object](s.call("", "GET /projects/p/branches/refs%2Fheads%2Fstable%2F1", ""), 200)["ref"])
	assert.Len(t, ok[[]object](s.call("", "GET /projects/p/branches?m=stable", ""), 200), 1)
	assert.Len(t, ok[[]object](s.call("", "GET /projects/p/branches?n=1&S=1", ""), 200), 1)
	assert.Equal(t, 204, s.call("admin", "DELETE /a/projects/p/branches/stable%2F1", "").status)
	assert.Equal(t, 404, s.call("", "GET /projects/p/branches/stable%2F1", "").status)
	assert.Empty(t, ok[[]object](s.call("", "GET /projects/p/tags/", ""), 200))
}
