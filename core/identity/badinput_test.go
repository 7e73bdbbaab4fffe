package identity_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
)

// Bodies that no request wants, whatever its resource.
var badBodies = []string{
	``, `{`, `[]`, `null`, `"x"`, `{}`, `{"KEY": null}`, `{"KEY": []}`, `{"KEY": "x"}`, `{"KEY": {}} {}`,
	`{"KEY": {"name": 1}}`, `{"KEY": {"name": null}}`, `{"KEY": {"name": ""}}`, `{"KEY": {"name": " \t"}}`,
	`{"KEY": {"name": "` + strings.Repeat("x", 256) + `"}}`, `{"KEY": {"name": {"a": []}}}`,
	`{"KEY": {"name": "a", "description": 7}}`, `{"KEY": {"name": "a", "id": "x", "description": {}}}`,
	`{"KEY": {"name": "a", "extra": ` + strings.Repeat("[", 20000) + `}}`,
}

func TestBadBodiesAreTheClientsFault(t *testing.T) {
	c := newClient(t, open(t, ""), "admin", adminPassword, "admin")
	for path, key := range map[string]string{
		"/v3/users": "user", "/v3/projects": "project", "/v3/roles": "role", "/v3/groups": "group", "/v3/domains": "domain",
	} {
		for _, body := range badBodies {
			body = strings.ReplaceAll(body, "KEY", key)
			w := c.do("POST", path, body)
			assert.Equal(t, http.StatusBadRequest, w.Code, "POST %s %.80s: %s", path, body, w.Body)
		}
		w := c.do("POST", path, `{"`+key+`": {"name": "`+strings.Repeat("x", 2<<20)+`"}}`)
		assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code, path)
		w = c.do("POST", path, `{"`+key+`": {"name": "a", "domain_id": "nowhere"}}`)
		if key != "domain" {
			assert.Equal(t, http.StatusNotFound, w.Code, "%s: %s", path, w.Body)
		}
	}
}

func TestBadAuthenticationRequestsAreTheClientsFault(t *testing.T) {
	c := client{t: t, h: open(t, "").Handler()}
	identityOf := func(s string) string { return `{"auth": {"identity": ` + s + `}}` }
	user := `{"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "let me in"}}}`
	require.Equal(t, http.StatusCreated, c.do("POST", "/v3/auth/tokens", identityOf(user)).Code)
	scoped := func(s string) string { return `{"auth": {"identity": ` + user + `, "scope": ` + s + `}}` }
	for _, body := range []string{
		``, `{}`, `{"auth": null}`, `{"auth": {}}`, `{"auth": []}`, `{"auth": {"identity": 3}}`,
		identityOf(`{}`), identityOf(`{"methods": []}`), identityOf(`{"methods": "password"}`), identityOf(`{"methods": [1]}`),
		identityOf(`{"methods": ["password"]}`), identityOf(`{"methods": ["password"], "password": {}}`),
		identityOf(`{"methods": ["password"], "password": {"user": {"password": "x"}}}`),
		identityOf(`{"methods": ["password"], "password": {"user": {"name": "admin", "password": "x"}}}`),
		identityOf(`{"methods": ["password"], "password": {"user": {"id": "x"}}}`),
		identityOf(`{"methods": ["password"], "password": {"user": {"id": "x", "password": 5}}}`),
		identityOf(`{"methods": ["token"]}`), identityOf(`{"methods": ["token"], "token": {"id": 4}}`), identityOf(`{"methods": ["token"], "token": {}}`),
		scoped(`"everything"`), scoped(`{}`), scoped(`[]`), scoped(`7`), scoped(`{"project": {}}`), scoped(`{"project": {"name": "admin"}}`),
		scoped(`{"project": "admin"}`), scoped(`{"domain": {}}`), scoped(`{"system": {}}`), scoped(`{"system": {"all": false}}`),
		scoped(`{"system": "all"}`), scoped(`{"domain": {"id": "default"}, "system": {"all": true}}`),
	} {
		w := c.do("POST", "/v3/auth/tokens", body)
		assert.Equal(t, http.StatusBadRequest, w.Code, "%s: %s", body, w.Body)
	}
	for _, body := range []string{
		identityOf(`{"methods": ["totp"]}`), scoped(`{"project": {"id": "x"}}`), scoped(`{"domain": {"id": "x"}}`),
		scoped(`{"project": {"id": "default"}}`), scoped(`{"project": {"name": "admin", "domain": {"name": "Nowhere"}}}`),
	} {
		assert.Equal(t, http.StatusUnauthorized, c.do("POST", "/v3/auth/tokens", body).Code, body)
	}
}

func TestStrangePathsAndQueriesAreTheClientsFault(t *testing.T) {
	c := newClient(t, open(t, ""), "admin", adminPassword, "admin")
	for _, path := range []string{
		"/v3/users/%00", "/v3/users/%2F", "/v3/users/%ff", "/v3/users/'%20OR%201=1--", "/v3/projects/" + strings.Repeat("x", 5000),
		"/v3//users", "/v3/users/../roles", "/v3/./users", "/v2.0/tokens", "/v3/projects/x/users/y/roles/z",
		"/v3/projects/x/tags/y", "/v3/roles/x/implies/y", "/v3/groups/x/users/y", "/v3/system/users/x/roles/y",
		"/v3/OS-INHERIT/domains/x/groups/y/roles/z/inherited_to_projects", "/v3/regions/x", "/v3/services/x", "/v3/endpoints/x",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "POST"} {
			w := c.do(method, path, `{}`)
			assert.GreaterOrEqual(t, w.Code, 400, "%s %s", method, path)
			assert.Less(t, w.Code, 500, "%s %s: %s", method, path, w.Body)
			assert.Contains(t, w.Body.String(), `{"error":{"code":4`, "%s %s", method, path)
		}
	}
	for _, query := range []string{
		"scope.project.id=a&scope.domain.id=b", "user.id=a&group.id=b", "effective&group.id=a",
	} {
		assert.Equal(t, http.StatusBadRequest, c.do("GET", "/v3/role_assignments?"+query, "").Code, query)
	}
	for _, query := range []string{"%zz", "name=%00", "name__=x", "__=x", "enabled=maybe", "limit=-1", "name=a&name=b"} {
		assert.Equal(t, http.StatusOK, c.do("GET", "/v3/users?"+query, "").Code, query)
	}
}

func TestPasswordsAreChangedWithTheOriginalOnly(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	c := client{t: t, h: s.Handler()}
	path := "/v3/users/" + u.ID + "/password"
	for body, status := range map[string]int{
		`{"user": {"original_password": "wrong", "password": "new"}}`:                                http.StatusUnauthorized,
		`{"user": {"original_password": "wonder"}}`:                                                  http.StatusBadRequest,
		`{"user": {"original_password": "wonder", "password": ""}}`:                                  http.StatusBadRequest,
		`{"user": {"original_password": "wonder", "password": "wonder"}}`:                            http.StatusBadRequest,
		`{"user": {"original_password": "wonder", "password": "` + strings.Repeat("x", 4097) + `"}}`: http.StatusBadRequest,
	} {
		assert.Equal(t, status, c.do("POST", path, body).Code, "%.80s", body)
	}
	body := `{"user": {"original_password": "wonder", "password": "land"}}`
	assert.Equal(t, http.StatusUnauthorized, c.do("POST", "/v3/users/nobody/password", body).Code)
	require.Equal(t, http.StatusNoContent, c.do("POST", path, body).Code)
	assert.Equal(t, http.StatusUnauthorized, c.do("POST", path, body).Code)
	_, _, err := s.Verify(t.Context(), "alice", "land")
	assert.NoError(t, err)
}

func TestAPasswordIsChangedOnceByItsOriginal(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	var changed atomic.Int32
	var changes sync.WaitGroup
	for i := range 16 {
		changes.Go(func() {
			err := s.ChangePassword(t.Context(), u.ID, "wonder", strconv.Itoa(i))
			if err == nil {
				changed.Add(1)
				return
			}
			assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
		})
	}
	changes.Wait()
	assert.Equal(t, int32(1), changed.Load())
}

func TestLongPasswordsCountToTheLastByte(t *testing.T) {
	s := open(t, "")
	long := strings.Repeat("x", 100)
	must(s.CreateUser(t.Context(), identity.User{Name: "bob", DomainID: "default", Enabled: true}, long+"1"))
	_, _, err := s.Verify(t.Context(), "bob", long+"2")
	require.Error(t, err)
	_, _, err = s.Verify(t.Context(), "bob", long+"1")
	require.NoError(t, err)
}
