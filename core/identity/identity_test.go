package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
)

const adminPassword = "let me in"

var services = []identity.CatalogService{
	{Type: "identity", Name: "keystone", Path: "/identity/v3"},
	{Type: "compute", Name: "nova", Path: "/compute/v2.1"},
	{Type: "volumev3", Name: "cinderv3", Path: "/volume/v3/{project_id}"},
}

// open makes a service with its defaults in place and cheap hashes.
func open(t testing.TB, file string) *identity.Service {
	t.Helper()
	s, err := identity.New(context.Background(), identity.Config{
		Log: slog.New(slog.DiscardHandler), File: file, BcryptCost: bcrypt.MinCost, Catalog: services,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Bootstrap(context.Background(), identity.BootstrapConfig{AdminPassword: adminPassword}))
	return s
}

// alice makes a user with a role on a project of her own.
func alice(t testing.TB, s *identity.Service) identity.User {
	t.Helper()
	u, err := s.EnsureAccount(context.Background(), identity.Account{Name: "alice", Password: "wonder", Project: "tea", Role: "member"})
	require.NoError(t, err)
	return u
}

func password(name, password string) identity.Credentials {
	return identity.Credentials{Password: &identity.PasswordCredentials{
		User: identity.Ref{Name: name, DomainID: identity.DefaultDomainID}, Password: password,
	}}
}

func project(name string) identity.Scope {
	return identity.Scope{Project: &identity.Ref{Name: name, DomainName: "Default"}}
}

// login issues a token, which must work.
func login(t testing.TB, s *identity.Service, name, pass, onProject string) string {
	t.Helper()
	id, _, err := s.Authenticate(context.Background(), password(name, pass), project(onProject))
	require.NoError(t, err)
	_, err = s.Validate(context.Background(), id)
	require.NoError(t, err)
	return id
}

func assertRevoked(t *testing.T, s *identity.Service, token string) {
	t.Helper()
	_, err := s.Validate(t.Context(), token)
	assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
}

func TestATokenSaysWhoseItIsOnWhatAndWithWhichRoles(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	caller, err := s.Validate(t.Context(), login(t, s, "alice", "wonder", "tea"))
	require.NoError(t, err)
	assert.Equal(t, u.ID, caller.UserID)
	assert.Equal(t, "alice", caller.UserName)
	assert.Equal(t, "tea", caller.ProjectName)
	assert.Equal(t, "default", caller.ProjectDomainID)
	assert.Equal(t, []string{"member", "reader"}, caller.Roles, "member implies reader")
	assert.False(t, caller.IsAdmin())

	caller, err = s.Validate(t.Context(), login(t, s, "admin", adminPassword, "admin"))
	require.NoError(t, err)
	assert.Equal(t, []string{"admin", "member", "reader"}, caller.Roles)
}

func TestLoggingInIsRefusedWithoutSayingWhy(t *testing.T) {
	s := open(t, "")
	alice(t, s)
	for name, attempt := range map[string]struct {
		credentials identity.Credentials
		scope       identity.Scope
	}{
		"wrong password":          {password("alice", "Wonder"), project("tea")},
		"empty password":          {password("alice", ""), project("tea")},
		"very long password":      {password("alice", strings.Repeat("x", 5000)), project("tea")},
		"no such user":            {password("bob", "wonder"), project("tea")},
		"no such project":         {password("alice", "wonder"), project("coffee")},
		"somebody else's project": {password("alice", "wonder"), project("admin")},
		"no role on the domain":   {password("alice", "wonder"), identity.Scope{Domain: &identity.Ref{ID: "default"}}},
		"no role on the system":   {password("alice", "wonder"), identity.Scope{System: true}},
		"a domain as project":     {password("admin", adminPassword), identity.Scope{Project: &identity.Ref{ID: "default"}}},
		"no credentials":          {identity.Credentials{}, project("tea")},
		"an unknown token":        {identity.Credentials{Token: "nonsense"}, project("tea")},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.Authenticate(t.Context(), attempt.credentials, attempt.scope)
			assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
			assert.EqualError(t, err, "The request you have made requires authentication.")
		})
	}
}

func TestATokenMadeFromATokenNeitherOutlivesItNorLosesItsHistory(t *testing.T) {
	s := open(t, "")
	alice(t, s)
	first, parent, err := s.Authenticate(t.Context(), password("alice", "wonder"), identity.Scope{Unscoped: true})
	require.NoError(t, err)
	require.Nil(t, parent.Project)
	require.Empty(t, parent.Roles)

	_, child, err := s.Authenticate(t.Context(), identity.Credentials{Token: first}, project("tea"))
	require.NoError(t, err)
	assert.Equal(t, "tea", child.Project.Name)
	assert.Equal(t, parent.ExpiresAt, child.ExpiresAt)
	assert.Equal(t, []string{"token", "password"}, child.Methods)
	assert.Equal(t, parent.AuditIDs[0], child.AuditIDs[1])
}

func TestWithoutAScopeTheDefaultProjectIsUsedIfItCanBe(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	_, token, err := s.Authenticate(t.Context(), password("alice", "wonder"), identity.Scope{})
	require.NoError(t, err)
	require.NotNil(t, token.Project)
	assert.Equal(t, "tea", token.Project.Name)

	require.NoError(t, s.DeleteProject(t.Context(), u.DefaultProjectID))
	_, token, err = s.Authenticate(t.Context(), password("alice", "wonder"), identity.Scope{})
	require.NoError(t, err)
	assert.Nil(t, token.Project)
}

func TestBootstrapMayRunAgainAndKeepsAChangedPassword(t *testing.T) {
	s := open(t, "")
	admin, err := s.UserByName(t.Context(), identity.DefaultDomainID, "admin")
	require.NoError(t, err)
	require.NoError(t, s.ChangePassword(t.Context(), admin.ID, adminPassword, "better"))
	require.NoError(t, s.Bootstrap(t.Context(), identity.BootstrapConfig{AdminPassword: adminPassword}))

	login(t, s, "admin", "better", "admin")
	roles, err := s.Roles(t.Context(), identity.RoleFilter{})
	require.NoError(t, err)
	assert.Len(t, roles, 3)
}

func TestEnsureAccountSetsThePasswordAgain(t *testing.T) {
	s := open(t, "")
	first := alice(t, s)
	token := login(t, s, "alice", "wonder", "tea")
	require.Equal(t, first.ID, alice(t, s).ID)
	_, err := s.Validate(t.Context(), token)
	require.NoError(t, err, "nothing changed")

	_, err = s.EnsureAccount(t.Context(), identity.Account{Name: "alice", Password: "other", Project: "tea", Role: "member"})
	require.NoError(t, err)
	assertRevoked(t, s, token)
	login(t, s, "alice", "other", "tea")
}

func TestVerifyTellsAdministratorsApart(t *testing.T) {
	s := open(t, "")
	alice(t, s)
	u, admin, err := s.Verify(t.Context(), "alice", "wonder")
	require.NoError(t, err)
	assert.Equal(t, "alice", u.Name)
	assert.False(t, admin)
	_, admin, err = s.Verify(t.Context(), "admin", adminPassword)
	require.NoError(t, err)
	assert.True(t, admin)
	_, _, err = s.Verify(t.Context(), "alice", adminPassword)
	assert.True(t, fault.Is(err, fault.Unauthorized))
}

// client speaks plain HTTP to a service.
type client struct {
	t     testing.TB
	h     http.Handler
	token string
}

func newClient(t testing.TB, s *identity.Service, name, pass, onProject string) client {
	t.Helper()
	return client{t, s.Handler(), login(t, s, name, pass, onProject)}
}

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
	var body map[string]any
	require.NoError(c.t, json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&body))
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
