package identity_test

import (
	"context"
	"log/slog"
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
func open(tb testing.TB, file string) *identity.Service {
	tb.Helper()
	s, err := identity.New(context.Background(), identity.Config{
		Log: slog.New(slog.DiscardHandler), File: file, BcryptCost: bcrypt.MinCost, Catalog: services,
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	require.NoError(tb, s.Bootstrap(context.Background(), identity.BootstrapConfig{AdminPassword: adminPassword}))
	return s
}

// alice makes a user with a role on a project of her own.
func alice(tb testing.TB, s *identity.Service) identity.User {
	tb.Helper()
	u, err := s.EnsureAccount(context.Background(), identity.Account{Name: "alice", Password: "wonder", Project: "tea", Role: "member"})
	require.NoError(tb, err)
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
func login(tb testing.TB, s *identity.Service, name, pass, onProject string) string {
	tb.Helper()
	id, _, err := s.Authenticate(context.Background(), password(name, pass), project(onProject))
	require.NoError(tb, err)
	_, err = s.Validate(context.Background(), id)
	require.NoError(tb, err)
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

func TestStandingFollowsTheUser(t *testing.T) {
	s := open(t, "")
	id := alice(t, s).ID
	_, admin, err := s.Standing(t.Context(), "admin")
	require.NoError(t, err)
	assert.True(t, admin)
	_, err = s.UpdateUser(t.Context(), id, "", func(u *identity.User) error { u.Enabled = false; return nil })
	require.NoError(t, err)
	u, admin, err := s.Standing(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, id, u.ID)
	assert.False(t, u.Enabled)
	assert.False(t, admin)
	require.NoError(t, s.DeleteUser(t.Context(), id))
	_, _, err = s.Standing(t.Context(), "alice")
	assert.True(t, fault.Is(err, fault.NotFound))
}
