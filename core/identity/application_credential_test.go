package identity_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
)

// robot makes an application credential of the user whose token it is, with
// the named roles.
func robot(t *testing.T, s *identity.Service, token string, c identity.ApplicationCredential, roles ...string) (identity.ApplicationCredential, identity.Credentials) {
	t.Helper()
	parent, err := s.Token(t.Context(), token)
	require.NoError(t, err)
	c.Name = "robot"
	for _, name := range roles {
		c.Roles = append(c.Roles, identity.Role{Name: name})
	}
	c, secret, err := s.CreateApplicationCredential(t.Context(), parent, c, "")
	require.NoError(t, err)
	return c, identity.Credentials{Credential: &identity.ApplicationCredentialRef{ID: c.ID, Secret: secret}}
}

func TestGophercloudLogsInByApplicationCredential(t *testing.T) {
	c := newCloud(t)
	ctx, admin := t.Context(), c.admin(t)
	user, err := tokens.Get(ctx, admin, admin.Token()).ExtractUser()
	require.NoError(t, err)
	made, err := applicationcredentials.Create(ctx, admin, user.ID, applicationcredentials.CreateOpts{
		Name: "robot", Roles: []applicationcredentials.Role{{Name: "member"}},
	}).Extract()
	require.NoError(t, err)
	shown, err := applicationcredentials.Get(ctx, admin, user.ID, made.ID).Extract()
	require.NoError(t, err)
	assert.Empty(t, shown.Secret)

	for _, options := range []gophercloud.AuthOptions{
		{ApplicationCredentialID: made.ID, ApplicationCredentialSecret: made.Secret},
		{ApplicationCredentialName: "robot", ApplicationCredentialSecret: made.Secret, Username: "admin", DomainName: "Default"},
	} {
		options.IdentityEndpoint = c.url
		provider, err := openstack.AuthenticatedClient(ctx, options)
		require.NoError(t, err)
		robot, err := openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
		require.NoError(t, err)
		held, err := tokens.Get(ctx, robot, robot.Token()).ExtractRoles()
		require.NoError(t, err)
		require.Len(t, held, 2, "member and what it implies")
		_, err = projects.Create(ctx, robot, projects.CreateOpts{Name: "tea"}).Extract()
		assert.True(t, gophercloud.ResponseCodeIs(err, http.StatusForbidden), "got %v", err)
		_, err = applicationcredentials.Create(ctx, robot, user.ID, applicationcredentials.CreateOpts{Name: "other"}).Extract()
		assert.True(t, gophercloud.ResponseCodeIs(err, http.StatusForbidden), "it is restricted: %v", err)
	}
	require.NoError(t, applicationcredentials.Delete(ctx, admin, user.ID, made.ID).ExtractErr())
	_, err = openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: c.url, ApplicationCredentialID: made.ID, ApplicationCredentialSecret: made.Secret,
	})
	assert.True(t, gophercloud.ResponseCodeIs(err, http.StatusUnauthorized), "got %v", err)
}

func TestAnApplicationCredentialStaysWithinItsProjectAndRoles(t *testing.T) {
	s := open(t, "")
	_, credentials := robot(t, s, login(t, s, "admin", adminPassword, "admin"), identity.ApplicationCredential{}, "reader")
	first, token, err := s.Authenticate(t.Context(), credentials, identity.Scope{})
	require.NoError(t, err)
	assert.Equal(t, []string{"application_credential"}, token.Methods)

	_, child, err := s.Authenticate(t.Context(), identity.Credentials{Token: first}, project("admin"))
	require.NoError(t, err)
	require.Len(t, child.Roles, 1, "a token made from its token has no more")
	assert.Equal(t, "reader", child.Roles[0].Name)

	for name, scope := range map[string]identity.Scope{
		"system": {System: true}, "none": {Unscoped: true}, "another project": project("tea"),
	} {
		for _, by := range []identity.Credentials{credentials, {Token: first}} {
			_, _, err := s.Authenticate(t.Context(), by, scope)
			assert.True(t, fault.Is(err, fault.Unauthorized), "%s: %v", name, err)
		}
	}
	credentials.Credential.Secret += "x"
	_, _, err = s.Authenticate(t.Context(), credentials, identity.Scope{})
	assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
}

func TestAnApplicationCredentialIsWorthWhatItsUserStillHolds(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	c, credentials := robot(t, s, login(t, s, "alice", "wonder", "tea"), identity.ApplicationCredential{})
	token, _, err := s.Authenticate(t.Context(), credentials, identity.Scope{})
	require.NoError(t, err)
	_, err = s.Validate(t.Context(), token)
	require.NoError(t, err)

	grant := identity.Assignment{UserID: u.ID, ProjectID: u.DefaultProjectID, RoleID: memberRole(t, s).ID}
	require.NoError(t, s.Revoke(t.Context(), grant))
	assertRevoked(t, s, token)
	require.NoError(t, s.Grant(t.Context(), grant))
	token, _, err = s.Authenticate(t.Context(), credentials, identity.Scope{})
	require.NoError(t, err)
	require.NoError(t, s.DeleteApplicationCredential(t.Context(), u.ID, c.ID))
	assertRevoked(t, s, token)
}

func TestAnApplicationCredentialExpiresWithItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "")
		alice(t, s)
		expires := time.Now().Add(time.Hour)
		_, credentials := robot(t, s, login(t, s, "alice", "wonder", "tea"), identity.ApplicationCredential{ExpiresAt: expires})
		id, token, err := s.Authenticate(t.Context(), credentials, identity.Scope{})
		require.NoError(t, err)
		assert.True(t, expires.Equal(token.ExpiresAt))
		time.Sleep(time.Hour)
		assertRevoked(t, s, id)
		_, _, err = s.Authenticate(t.Context(), credentials, identity.Scope{})
		assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
	})
}

func TestApplicationCredentialsAreRefusedForBadInput(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	c := newClient(t, s, "alice", "wonder", "tea")
	path := "/v3/users/" + u.ID + "/application_credentials"
	for body, status := range map[string]int{
		`{}`: 400,
		`{"application_credential": {"name": ""}}`:                                               400,
		`{"application_credential": {"name": "a", "roles": "all"}}`:                              400,
		`{"application_credential": {"name": "a", "roles": [{"name": "admin"}]}}`:                404,
		`{"application_credential": {"name": "a", "expires_at": "soon"}}`:                        400,
		`{"application_credential": {"name": "a", "expires_at": "2000-01-01T00:00:00"}}`:         400,
		`{"application_credential": {"name": "a", "access_rules": [{"path": "/"}]}}`:             400,
		`{"application_credential": {"name": "a", "unrestricted": "yes"}}`:                       400,
		`{"application_credential": {"name": "b", "expires_at": "2999-01-01T00:00:00.000000Z"}}`: 201,
		`{"application_credential": {"name": "c", "access_rules": [], "roles": []}}`:             201,
	} {
		assert.Equal(t, status, c.do("POST", path, body).Code, body)
	}
	assert.Equal(t, http.StatusConflict, c.do("POST", path, `{"application_credential": {"name": "b"}}`).Code)
	assert.Equal(t, []string{"b", "c"}, names(c.get(path), "application_credentials"))

	admin := newClient(t, s, "admin", adminPassword, "admin")
	assert.Equal(t, http.StatusForbidden, admin.do("POST", path, `{"application_credential": {"name": "x"}}`).Code, "nobody makes one for another")
	user, err := s.UserByName(t.Context(), "default", "admin")
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, c.do("GET", "/v3/users/"+user.ID+"/application_credentials", "").Code)
}
