package identity_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
)

func memberRole(t *testing.T, s *identity.Service) identity.Role {
	t.Helper()
	roles, err := s.Roles(t.Context(), identity.RoleFilter{Name: "member"})
	require.NoError(t, err)
	require.Len(t, roles, 1)
	return roles[0]
}

func TestATokenDiesWithWhatItRestsOn(t *testing.T) {
	disable := func(p *identity.Project) error { p.Enabled = false; return nil }
	type victim struct {
		user        identity.User
		role, token string
	}
	for name, change := range map[string]func(ctx context.Context, s *identity.Service, v victim) error{
		"user deleted": func(ctx context.Context, s *identity.Service, v victim) error {
			return s.DeleteUser(ctx, v.user.ID)
		},
		"user disabled": func(ctx context.Context, s *identity.Service, v victim) error {
			_, err := s.UpdateUser(ctx, v.user.ID, "", func(u *identity.User) error { u.Enabled = false; return nil })
			return err
		},
		"password changed": func(ctx context.Context, s *identity.Service, v victim) error {
			return s.ChangePassword(ctx, v.user.ID, "wonder", "land")
		},
		"password set by an administrator": func(ctx context.Context, s *identity.Service, v victim) error {
			_, err := s.UpdateUser(ctx, v.user.ID, "land", func(*identity.User) error { return nil })
			return err
		},
		"role taken": func(ctx context.Context, s *identity.Service, v victim) error {
			return s.Revoke(ctx, identity.Assignment{UserID: v.user.ID, ProjectID: v.user.DefaultProjectID, RoleID: v.role})
		},
		"role deleted": func(ctx context.Context, s *identity.Service, v victim) error {
			if _, err := s.UpdateRole(ctx, v.role, func(r *identity.Role) error { r.Options = nil; return nil }); err != nil {
				return err
			}
			return s.DeleteRole(ctx, v.role)
		},
		"project deleted": func(ctx context.Context, s *identity.Service, v victim) error {
			return s.DeleteProject(ctx, v.user.DefaultProjectID)
		},
		"project disabled": func(ctx context.Context, s *identity.Service, v victim) error {
			_, err := s.UpdateProject(ctx, v.user.DefaultProjectID, disable)
			return err
		},
		"token revoked": func(ctx context.Context, s *identity.Service, v victim) error {
			return s.RevokeToken(ctx, v.token)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "")
			u := alice(t, s)
			token := login(t, s, "alice", "wonder", "tea")
			other := login(t, s, "admin", adminPassword, "admin")
			require.NoError(t, change(t.Context(), s, victim{u, memberRole(t, s).ID, token}))
			assertRevoked(t, s, token)
			_, err := s.Validate(t.Context(), other)
			assert.NoError(t, err, "nobody else's is touched")
		})
	}
}

func TestARevokedTokenStaysRevokedWhenItsUserIsEnabledAgain(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	token := login(t, s, "alice", "wonder", "tea")
	for _, enabled := range []bool{false, true} {
		_, err := s.UpdateUser(t.Context(), u.ID, "", func(u *identity.User) error { u.Enabled = enabled; return nil })
		require.NoError(t, err)
	}
	assertRevoked(t, s, token)
	login(t, s, "alice", "wonder", "tea")
}

func TestARoleGivenShowsInTokensThatExist(t *testing.T) {
	s := open(t, "")
	u := alice(t, s)
	token := login(t, s, "alice", "wonder", "tea")
	admins, err := s.Roles(t.Context(), identity.RoleFilter{Name: "admin"})
	require.NoError(t, err)
	require.NoError(t, s.Grant(t.Context(), identity.Assignment{UserID: u.ID, ProjectID: u.DefaultProjectID, RoleID: admins[0].ID}))
	caller, err := s.Validate(t.Context(), token)
	require.NoError(t, err)
	assert.True(t, caller.IsAdmin())
}

func TestATokenSurvivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "identity.db")
	first := open(t, file)
	alice(t, first)
	token := login(t, first, "alice", "wonder", "tea")
	revoked := login(t, first, "alice", "wonder", "tea")
	require.NoError(t, first.RevokeToken(t.Context(), revoked))

	second := open(t, file)
	caller, err := second.Validate(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, "alice", caller.UserName)
	assertRevoked(t, second, revoked)
}

func TestATokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "")
		alice(t, s)
		id, token, err := s.Authenticate(t.Context(), password("alice", "wonder"), project("tea"))
		require.NoError(t, err)
		assert.Equal(t, 12*time.Hour, token.ExpiresAt.Sub(token.IssuedAt))
		time.Sleep(12*time.Hour - time.Second)
		_, err = s.Validate(t.Context(), id)
		require.NoError(t, err)
		time.Sleep(time.Second)
		assertRevoked(t, s, id)
	})
}

func TestRunPurgesExpiredTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "")
		login(t, s, "admin", adminPassword, "admin")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()

		time.Sleep(11 * time.Hour)
		synctest.Wait()
		fresh := login(t, s, "admin", adminPassword, "admin")
		require.Equal(t, 2, identity.CountTokens(t, s))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.Equal(t, 1, identity.CountTokens(t, s))
		_, err := s.Validate(t.Context(), fresh)
		require.NoError(t, err)

		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
	})
}

// Whoever validates while a right is taken away may see it or not; whoever
// begins after it was taken away must not.
func TestARevocationHoldsAtOnceUnderLoad(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "identity.db"))
	u := alice(t, s)
	grant := identity.Assignment{UserID: u.ID, ProjectID: u.DefaultProjectID, RoleID: memberRole(t, s).ID}
	for range 25 {
		require.NoError(t, s.Grant(t.Context(), grant))
		token := login(t, s, "alice", "wonder", "tea")
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for ctx.Err() == nil {
					_, _ = s.Validate(context.Background(), token)
				}
			})
		}
		// Another change first, so that readers are on their way to the database.
		_, err := s.UpdateProject(t.Context(), u.DefaultProjectID, func(*identity.Project) error { return nil })
		require.NoError(t, err)
		err = s.Revoke(t.Context(), grant)
		_, after := s.Validate(t.Context(), token)
		stop()
		readers.Wait()
		require.NoError(t, err)
		require.True(t, fault.Is(after, fault.Unauthorized), "got %v", after)
		assertRevoked(t, s, token) // nor did a reader bring it back
	}
}
