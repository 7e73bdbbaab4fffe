package identity_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
)

func TestWhatIsImmutableIsNeitherChangedNorRemoved(t *testing.T) {
	c := newClient(t, open(t, ""), "admin", adminPassword, "admin")
	for path, key := range map[string]string{"/v3/projects": "project", "/v3/roles": "role", "/v3/domains": "domain"} {
		w := c.do("POST", path, `{"`+key+`": {"name": "rock", "enabled": false, "options": {"immutable": true}}}`)
		require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
		made, _ := decode(t, w)[key].(map[string]any)
		assert.Equal(t, map[string]any{"immutable": true}, made["options"])
		id, _ := made["id"].(string)
		one := path + "/" + id

		assert.Equal(t, http.StatusForbidden, c.do("PATCH", one, `{"`+key+`": {"description": "soft"}}`).Code, key)
		assert.Equal(t, http.StatusForbidden, c.do("DELETE", one, "").Code, key)
		w = c.do("PATCH", one, `{"`+key+`": {"options": {"immutable": null}}}`)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		assert.Equal(t, http.StatusNoContent, c.do("DELETE", one, "").Code, key)
	}
}

func TestTheDefaultRolesAreImmutable(t *testing.T) {
	s := open(t, "")
	err := s.DeleteRole(t.Context(), memberRole(t, s).ID)
	assert.True(t, fault.Is(err, fault.Forbidden), "got %v", err)
}

func TestUnknownOptionsAreRefused(t *testing.T) {
	c := newClient(t, open(t, ""), "admin", adminPassword, "admin")
	for _, options := range []string{
		`7`, `null`, `[]`, `{"mutable": true}`, `{"lock_password": "yes"}`, `{"immutable": true}`,
		`{"multi_factor_auth_rules": "password"}`, `{"multi_factor_auth_rules": ["password"]}`, `{"multi_factor_auth_rules": [[1]]}`,
	} {
		w := c.do("POST", "/v3/users", `{"user": {"name": "bob", "options": `+options+`}}`)
		assert.Equal(t, http.StatusBadRequest, w.Code, "%s: %s", options, w.Body)
	}
}

// setOption sets one of alice's options.
func setOption(t *testing.T, s *identity.Service, name string, value any) {
	t.Helper()
	u, err := s.UserByName(t.Context(), identity.DefaultDomainID, "alice")
	require.NoError(t, err)
	_, err = s.UpdateUser(t.Context(), u.ID, "", func(u *identity.User) error {
		u.Options = identity.Options{name: value}
		return nil
	})
	require.NoError(t, err)
}

func TestALockedPasswordIsNotForItsUserToChange(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	setOption(t, s, "lock_password", true)
	err := s.ChangePassword(t.Context(), u.ID, "wonder", "land")
	assert.True(t, fault.Is(err, fault.BadRequest), "got %v", err)
	_, err = s.UpdateUser(t.Context(), u.ID, "land", func(*identity.User) error { return nil })
	assert.NoError(t, err, "an administrator may")
}

func TestAUserMayBeExemptFromLockout(t *testing.T) {
	s := open(t, "")
	alice(t, s)
	setOption(t, s, "ignore_lockout_failure_attempts", true)
	for range 20 {
		_, _, err := s.Verify(t.Context(), "alice", "guess")
		require.True(t, fault.Is(err, fault.Unauthorized))
	}
	_, _, err := s.Verify(t.Context(), "alice", "wonder")
	assert.NoError(t, err)
}

func TestMultiFactorRulesAreKept(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	token := login(t, s, "alice", "wonder", "tea")
	rules := []any{[]any{"password", "totp"}, []any{"password", "application_credential"}}
	_, robot := robot(t, s, token, identity.ApplicationCredential{})
	_, err := s.UpdateUser(t.Context(), u.ID, "", func(u *identity.User) error {
		u.Options = identity.Options{"multi_factor_auth_enabled": true, "multi_factor_auth_rules": rules}
		return nil
	})
	require.NoError(t, err)

	_, _, err = s.Authenticate(t.Context(), password("alice", "wonder"), project("tea"))
	require.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
	_, _, err = s.Authenticate(t.Context(), robot, identity.Scope{})
	require.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
	_, _, err = s.Verify(t.Context(), "alice", "wonder")
	require.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
	both := password("alice", "wonder")
	both.Credential = robot.Credential
	_, _, err = s.Authenticate(t.Context(), both, identity.Scope{})
	require.NoError(t, err)
	_, _, err = s.Authenticate(t.Context(), identity.Credentials{Token: token}, project("tea"))
	assert.NoError(t, err, "a token counts for all methods")
}
