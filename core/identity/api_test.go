package identity_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/identity"
)

// client speaks plain HTTP to a service.
type client struct {
	t     *testing.T
	h     http.Handler
	token string
}

func newClient(t *testing.T, s *identity.Service, name, pass, onProject string) client {
	t.Helper()
	return client{t, s.Handler(), login(t, s, name, pass, onProject)}
}

// do sends a request; headers are names and values in turn.
func (c client) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, identity.Prefix+path, strings.NewReader(body))
	if c.token != "" {
		r.Header.Set("X-Auth-Token", c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	return w
}

// get decodes the answer to a GET, which must be 200.
func (c client) get(path string) map[string]any {
	c.t.Helper()
	w := c.do("GET", path, "")
	require.Equal(c.t, http.StatusOK, w.Code, w.Body.String())
	return decode(c.t, w)
}

func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
	return body
}

// names lists the names in an answered list.
func names(body map[string]any, key string) []string {
	all := []string{}
	list, _ := body[key].([]any)
	for _, one := range list {
		o, _ := one.(map[string]any)
		name, _ := o["name"].(string)
		all = append(all, name)
	}
	return all
}

func TestVersionsAreToldWithoutAToken(t *testing.T) {
	c := client{t: t, h: open(t, "").Handler()}
	for _, path := range []string{"", "/"} {
		w := c.do("GET", path, "", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "cloud.example.org")
		assert.Equal(t, http.StatusMultipleChoices, w.Code)
		assert.Equal(t, "https://cloud.example.org/identity/v3/", w.Header().Get("Location"))
		assert.JSONEq(t, `{"versions": {"values": [{
			"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
			"links": [{"rel": "self", "href": "https://cloud.example.org/identity/v3/"}],
			"media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]
		}]}}`, w.Body.String())
	}
	for _, path := range []string{"/v3", "/v3/"} {
		version, _ := c.get(path)["version"].(map[string]any)
		assert.Equal(t, "v3.14", version["id"])
	}
}

func TestTheTokenBodyIsKeystones(t *testing.T) {
	s := open(t, "")
	c := client{t: t, h: s.Handler()}
	w := c.do("POST", "/v3/auth/tokens", `{"auth": {"identity": {"methods": ["password"], "password": {"user": {
		"name": "admin", "domain": {"name": "Default"}, "password": "let me in"}}},
		"scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}`)
	require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
	assert.Regexp(t, "^req-[0-9a-f-]{36}$", w.Header().Get("X-Openstack-Request-Id"))
	assert.Equal(t, "X-Auth-Token", w.Header().Get("Vary"))
	c.token = w.Header().Get("X-Subject-Token")
	require.NotEmpty(t, c.token)

	token, _ := decode(t, w)["token"].(map[string]any)
	for _, key := range []string{"issued_at", "expires_at"} {
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`, token[key])
	}
	assert.Equal(t, []any{"password"}, token["methods"])
	assert.Equal(t, false, token["is_domain"])
	assert.Equal(t, []string{"admin", "member", "reader"}, names(token, "roles"))
	user, _ := token["user"].(map[string]any)
	assert.Equal(t, map[string]any{"id": "default", "name": "Default"}, user["domain"])
	assert.Contains(t, user, "password_expires_at")

	shown := c.do("GET", "/v3/auth/tokens", "", "X-Subject-Token", c.token)
	require.Equal(t, http.StatusOK, shown.Code)
	assert.Equal(t, c.token, shown.Header().Get("X-Subject-Token"))
	assert.JSONEq(t, w.Body.String(), shown.Body.String())
	assert.Equal(t, http.StatusOK, c.do("HEAD", "/v3/auth/tokens", "", "X-Subject-Token", c.token).Code)

	catalog, _ := token["catalog"].([]any)
	require.Len(t, catalog, len(services))
	bare, _ := decode(t, c.do("GET", "/v3/auth/tokens?nocatalog", "", "X-Subject-Token", c.token))["token"].(map[string]any)
	assert.NotContains(t, bare, "catalog")
}

func TestErrorsHaveKeystonesForm(t *testing.T) {
	s := open(t, "")
	alice(t, s)
	admin := newClient(t, s, "admin", adminPassword, "admin")
	tenant := newClient(t, s, "alice", "wonder", "tea")
	nobody := client{t: t, h: s.Handler()}
	stale := client{t: t, h: s.Handler(), token: strings.Repeat("0", 64)}
	for name, test := range map[string]struct {
		c                  client
		method, path, body string
		status             int
		message            string
	}{
		"no token":         {nobody, "GET", "/v3/users", "", 401, "The request you have made requires authentication."},
		"bad token":        {stale, "GET", "/v3/users", "", 401, "The request you have made requires authentication."},
		"not allowed":      {tenant, "GET", "/v3/users", "", 403, "You are not authorized to perform the requested action: identity:list_users."},
		"no such project":  {admin, "GET", "/v3/projects/x", "", 404, "Could not find project: x."},
		"hidden project":   {tenant, "GET", "/v3/projects/x", "", 403, "You are not authorized to perform the requested action: identity:get_project."},
		"no such user":     {admin, "DELETE", "/v3/users/x", "", 404, "Could not find user: x."},
		"no such path":     {admin, "GET", "/v3/nothing", "", 404, "The resource could not be found."},
		"no such method":   {admin, "PUT", "/v3/users", "", 405, "The method is not allowed for the requested URL."},
		"empty id":         {admin, "DELETE", "/v3/users/", "", 405, "The method is not allowed for the requested URL."},
		"name taken":       {admin, "POST", "/v3/users", `{"user": {"name": "alice"}}`, 409, "Conflict occurred attempting to store user - Duplicate entry found with name alice at domain ID default."},
		"default domain":   {admin, "DELETE", "/v3/domains/default", "", 403, "The default domain cannot be deleted."},
		"no subject token": {admin, "GET", "/v3/auth/tokens", "", 400, "X-Subject-Token is missing."},
	} {
		t.Run(name, func(t *testing.T) {
			w := test.c.do(test.method, test.path, test.body)
			require.Equal(t, test.status, w.Code, w.Body.String())
			assert.JSONEq(t, string(must(json.Marshal(map[string]any{"error": map[string]any{
				"code": test.status, "message": test.message, "title": http.StatusText(test.status),
			}}))), w.Body.String())
			if test.status == http.StatusUnauthorized {
				assert.Equal(t, `Keystone uri="http://example.com/identity"`, w.Header().Get("Www-Authenticate"))
			}
		})
	}
	w := admin.do("GET", "/v3/auth/tokens", "", "X-Subject-Token", "unknown")
	assert.Equal(t, http.StatusNotFound, w.Code)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestATenantSeesItselfOnly(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	admin := newClient(t, s, "admin", adminPassword, "admin")
	tenant := newClient(t, s, "alice", "wonder", "tea")
	other, err := s.UserByName(t.Context(), "default", "admin")
	require.NoError(t, err)

	assert.Equal(t, []string{"tea"}, names(tenant.get("/v3/users/"+u.ID+"/projects"), "projects"))
	assert.Equal(t, []string{"tea"}, names(tenant.get("/v3/auth/projects"), "projects"))
	tenant.get("/v3/users/" + u.ID)
	tenant.get("/v3/projects/" + u.DefaultProjectID)
	for _, path := range []string{
		"/v3/users", "/v3/users/" + other.ID, "/v3/users/" + other.ID + "/projects", "/v3/projects", "/v3/projects/" + other.DefaultProjectID,
		"/v3/roles", "/v3/groups", "/v3/role_assignments", "/v3/domains", "/v3/services", "/v3/endpoints", "/v3/role_inferences",
	} {
		assert.Equal(t, http.StatusForbidden, tenant.do("GET", path, "").Code, path)
	}
	for _, path := range []string{"/v3/users/" + u.ID, "/v3/projects/" + u.DefaultProjectID, "/v3/users/" + other.ID} {
		assert.Equal(t, http.StatusForbidden, tenant.do("DELETE", path, "").Code, path)
		assert.Equal(t, http.StatusForbidden, tenant.do("PATCH", path, `{}`).Code, path)
	}

	for _, method := range []string{"GET", "DELETE"} {
		w := tenant.do(method, "/v3/auth/tokens", "", "X-Subject-Token", admin.token)
		assert.Equal(t, http.StatusForbidden, w.Code, method)
	}
	admin.get("/v3/users")
	assert.Equal(t, http.StatusNoContent, tenant.do("DELETE", "/v3/auth/tokens", "", "X-Subject-Token", tenant.token).Code)
	assert.Equal(t, http.StatusUnauthorized, tenant.do("GET", "/v3/auth/projects", "").Code)
}

func TestAttributesOfTheClientsOwnAreKept(t *testing.T) {
	c := newClient(t, open(t, ""), "admin", adminPassword, "admin")
	w := c.do("POST", "/v3/users", `{"user": {"name": "bob", "email": "b@example.org", "shoe": {"size": 43}}}`)
	require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
	created, _ := decode(t, w)["user"].(map[string]any)
	id, _ := created["id"].(string)
	w = c.do("PATCH", "/v3/users/"+id, `{"user": {"email": "bob@example.org", "id": "`+id+`"}}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	user, _ := c.get("/v3/users/" + id)["user"].(map[string]any)
	assert.Equal(t, "bob@example.org", user["email"])
	assert.Equal(t, map[string]any{"size": 43.0}, user["shoe"])
	assert.NotContains(t, user, "password")
	assert.Equal(t, http.StatusBadRequest, c.do("PATCH", "/v3/users/"+id, `{"user": {"domain_id": "other"}}`).Code)
}

func TestListsAreFiltered(t *testing.T) {
	s := open(t, "")
	c := newClient(t, s, "admin", adminPassword, "admin")
	for _, name := range []string{"red", "reddish", "blue"} {
		_, err := s.CreateProject(t.Context(), identity.Project{Name: name, DomainID: "default", Enabled: name != "blue", Tags: []string{name, "colour"}})
		require.NoError(t, err)
	}
	for query, want := range map[string][]string{
		"":                       {"admin", "blue", "red", "reddish"},
		"name=red":               {"red"},
		"name__contains=ed":      {"red", "reddish"},
		"name__istartswith=REDD": {"reddish"},
		"name__endswith=e":       {"blue"},
		"enabled=false":          {"blue"},
		"enabled=1&name=blue":    {},
		"domain_id=elsewhere":    {},
		"parent_id=default":      {"admin", "blue", "red", "reddish"},
		"is_domain=true":         {"Default"},
		"tags=red,colour":        {"red"},
		"tags-any=red,blue":      {"blue", "red"},
		"not-tags-any=colour":    {"admin"},
		"colour=unknown":         {"admin", "blue", "red", "reddish"},
	} {
		assert.Equal(t, want, names(c.get("/v3/projects?"+query), "projects"), query)
	}
}

func TestProjectsNestAndAreRemovedFromTheLeaves(t *testing.T) {
	s := open(t, "")
	c := newClient(t, s, "admin", adminPassword, "admin")
	top := must(s.CreateProject(t.Context(), identity.Project{Name: "top", DomainID: "default", Enabled: true}))
	mid := must(s.CreateProject(t.Context(), identity.Project{Name: "mid", ParentID: top.ID, Enabled: true}))
	leaf := must(s.CreateProject(t.Context(), identity.Project{Name: "leaf", ParentID: mid.ID, Enabled: true}))
	assert.Equal(t, "default", leaf.DomainID)

	shown, _ := c.get("/v3/projects/" + leaf.ID + "?parents_as_ids")["project"].(map[string]any)
	assert.Equal(t, map[string]any{mid.ID: map[string]any{top.ID: nil}}, shown["parents"])
	shown, _ = c.get("/v3/projects/" + top.ID + "?subtree_as_ids")["project"].(map[string]any)
	assert.Equal(t, map[string]any{mid.ID: map[string]any{leaf.ID: nil}}, shown["subtree"])

	u := alice(t, s)
	grant := "/v3/OS-INHERIT/projects/" + top.ID + "/users/" + u.ID + "/roles/" + memberRole(t, s).ID + "/inherited_to_projects"
	require.Equal(t, http.StatusNoContent, c.do("PUT", grant, "").Code)
	require.Equal(t, http.StatusNoContent, c.do("HEAD", grant, "").Code)
	login(t, s, "alice", "wonder", "leaf")
	_, _, err := s.Authenticate(t.Context(), password("alice", "wonder"), project("top"))
	require.Error(t, err, "inherited roles hold below only")
	assert.ElementsMatch(t, []string{"leaf", "mid", "tea"}, names(c.get("/v3/users/"+u.ID+"/projects"), "projects"))

	assert.Equal(t, http.StatusForbidden, c.do("DELETE", "/v3/projects/"+top.ID, "").Code)
	for _, p := range []identity.Project{leaf, mid, top} {
		assert.Equal(t, http.StatusNoContent, c.do("DELETE", "/v3/projects/"+p.ID, "").Code)
	}
	assert.Equal(t, http.StatusNotFound, c.do("DELETE", "/v3/projects/"+top.ID, "").Code)
}

func TestADomainGoesWithAllThatIsInIt(t *testing.T) {
	s := open(t, "")
	c := newClient(t, s, "admin", adminPassword, "admin")
	w := c.do("POST", "/v3/domains", `{"domain": {"name": "lab"}}`)
	require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
	domain, _ := decode(t, w)["domain"].(map[string]any)
	id, _ := domain["id"].(string)
	p := must(s.CreateProject(t.Context(), identity.Project{Name: "tea", DomainID: id, Enabled: true}))
	must(s.CreateProject(t.Context(), identity.Project{Name: "cup", ParentID: p.ID, Enabled: true}))
	u := must(s.CreateUser(t.Context(), identity.User{Name: "carol", DomainID: id, Enabled: true}, "pw"))
	must(s.CreateGroup(t.Context(), identity.Group{Name: "all", DomainID: id}))
	must(s.CreateRole(t.Context(), identity.Role{Name: "own", DomainID: id}))
	require.NoError(t, s.Grant(t.Context(), identity.Assignment{UserID: u.ID, DomainID: id, RoleID: memberRole(t, s).ID}))
	token, _, err := s.Authenticate(t.Context(), identity.Credentials{Password: &identity.PasswordCredentials{UserID: u.ID, Password: "pw"}},
		identity.Scope{Domain: &identity.Ref{Name: "lab"}})
	require.NoError(t, err)

	assert.Equal(t, http.StatusForbidden, c.do("DELETE", "/v3/domains/"+id, "").Code, "it is enabled")
	require.Equal(t, http.StatusOK, c.do("PATCH", "/v3/domains/"+id, `{"domain": {"enabled": false}}`).Code)
	assertRevoked(t, s, token)
	require.Equal(t, http.StatusNoContent, c.do("DELETE", "/v3/domains/"+id, "").Code)
	assert.Equal(t, []string{"Default"}, names(c.get("/v3/domains"), "domains"))
	assert.Equal(t, []string{"admin"}, names(c.get("/v3/users"), "users"))
	assert.Equal(t, []string{"admin"}, names(c.get("/v3/projects"), "projects"))
}
