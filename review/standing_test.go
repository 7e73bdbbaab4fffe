package review_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

const userKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl laptop"

// ways gives an account a key and an HTTP password, and is every way in that
// asks for no password of the directory's.
func ways(t *testing.T, site *reviewtest.Site, a *review.Account) map[string]func() (*review.Account, error) {
	t.Helper()
	_, err := site.AddSSHKey(t.Context(), a, a.ID, userKey)
	require.NoError(t, err)
	password, err := site.SetHTTPPassword(t.Context(), a, a.ID, "")
	require.NoError(t, err)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(userKey))
	require.NoError(t, err)
	return map[string]func() (*review.Account, error){
		"session":  func() (*review.Account, error) { return site.ActiveAccount(t.Context(), a.ID) },
		"key":      func() (*review.Account, error) { return site.AccountByKey(t.Context(), a.Username, key.Marshal()) },
		"password": func() (*review.Account, error) { return site.Login(t.Context(), a.Username, password) },
	}
}

func opened(t *testing.T, ins map[string]func() (*review.Account, error)) {
	t.Helper()
	for name, in := range ins {
		_, err := in()
		require.NoError(t, err, name)
	}
}

func closed(t *testing.T, ins map[string]func() (*review.Account, error)) {
	t.Helper()
	for name, in := range ins {
		_, err := in()
		assert.True(t, fault.Is(err, fault.Unauthorized), "%s: %v", name, err)
	}
}

func TestADisabledUserIsLetInNoMore(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ins := ways(t, site, site.Account(t, "ann"))
	ins["own password"] = func() (*review.Account, error) { return site.Login(t.Context(), "ann", reviewtest.Password) }
	opened(t, ins)
	ann := reviewtest.Users["ann"]
	ann.Disabled = true
	site.People.Know(ann)
	closed(t, ins)
	site.People.Know(reviewtest.Users["ann"])
	opened(t, ins)
}

func TestADeletedUserIsLetInNoMore(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ins := ways(t, site, site.Account(t, "ann"))
	opened(t, ins)
	site.People.Forget("ann")
	closed(t, ins)
}

func TestAnotherUserOfTheNameDoesNotOpenTheOldDoors(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	carl := review.User{ID: "1", Username: "carl"}
	site.People.Know(carl)
	first := site.Account(t, "carl")
	registered := first.Registered
	ins := ways(t, site, first)
	opened(t, ins)
	carl.ID = "2"
	site.People.Know(carl)
	closed(t, ins)
	second := site.Account(t, "carl")
	delete(ins, "session") // the account is the new user's now: see review/web for old sessions
	closed(t, ins)
	keys, err := site.SSHKeys(t.Context(), second, second.ID)
	require.NoError(t, err)
	assert.Empty(t, keys)
	assert.True(t, second.Registered.After(registered), "which ends web sessions that began before")
}

func TestAnAccountMadeHereNeedsNoUser(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	robot, err := site.CreateAccount(t.Context(), site.Account(t, "admin"), review.NewAccount{Username: "robot"})
	require.NoError(t, err)
	ins := ways(t, site, robot)
	opened(t, ins)

	site.People.Know(review.User{Username: "robot", Admin: true}) // who has not shown that the account is theirs
	for name, in := range ins {
		a, err := in()
		require.NoError(t, err, name)
		assert.False(t, a.Admin, name)
	}
	site.People.Know(review.User{Username: "robot", Disabled: true})
	closed(t, ins)
}

func TestLossOfAdminTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ins := ways(t, site, site.Account(t, "admin"))
	for name, in := range ins {
		a, err := in()
		require.NoError(t, err, name)
		require.True(t, a.Admin, name)
	}
	site.People.Know(review.User{Username: "admin"})
	for name, in := range ins {
		a, err := in()
		require.NoError(t, err, name)
		assert.False(t, a.Admin, name)
	}
}

func TestAnAccountFollowsItsUsersAddressAndKeepsItsOwnName(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ann := site.Account(t, "ann")
	site.People.Know(review.User{Username: "ann", FullName: "Other", Email: "new@example.com"})
	got, err := site.ActiveAccount(t.Context(), ann.ID)
	require.NoError(t, err)
	assert.Equal(t, "new@example.com", got.Email)
	assert.Equal(t, "Ann Author", got.FullName)
	emails, err := site.Emails(t.Context(), got, got.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"new@example.com", "ann@example.com"}, emails)

	site.People.Know(review.User{Username: "ann", Email: "bob@example.com"}) // which is bob's
	got, err = site.ActiveAccount(t.Context(), ann.ID)
	require.NoError(t, err)
	assert.Equal(t, "new@example.com", got.Email)
}

// counting counts how often it is asked for a standing.
type counting struct{ asked atomic.Int32 }

func (c *counting) Verify(context.Context, string, string) (review.User, error) {
	return review.User{Username: "ann"}, nil
}

func (c *counting) Standing(context.Context, string) (review.User, error) {
	c.asked.Add(1)
	return review.User{Username: "ann"}, nil
}

func TestAStandingIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	source := &counting{}
	s, err := review.New(t.Context(), review.Config{
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Passwords: source, URL: "http://localhost", Recheck: time.Hour,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	ann, err := s.Login(t.Context(), "ann", "x")
	require.NoError(t, err)
	for range 3 {
		_, err := s.ActiveAccount(t.Context(), ann.ID)
		require.NoError(t, err)
	}
	assert.Equal(t, int32(1), source.asked.Load())
}
