package review_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

func TestHTTPPasswordsAreMadeAndRevoked(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ann, bob := site.Account(t, "ann"), site.Account(t, "bob")
	password, err := site.SetHTTPPassword(t.Context(), ann, ann.ID, "")
	require.NoError(t, err)
	got, err := site.Login(t.Context(), "ann", password)
	require.NoError(t, err)
	assert.Equal(t, ann.ID, got.ID)
	_, err = site.Login(t.Context(), "bob", password)
	assert.True(t, fault.Is(err, fault.Unauthorized))
	_, err = site.SetHTTPPassword(t.Context(), bob, ann.ID, "")
	assert.True(t, fault.Is(err, fault.Forbidden))
	require.NoError(t, site.DeleteHTTPPassword(t.Context(), ann, ann.ID))
	_, err = site.Login(t.Context(), "ann", password)
	assert.True(t, fault.Is(err, fault.Unauthorized), "not even from memory")
	_, err = site.Login(t.Context(), "ann", reviewtest.Password)
	require.NoError(t, err)
}

func TestAccountsAreFoundByWhateverNamesThem(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ann := site.Account(t, "ann")
	for _, text := range []string{"self", "ann", "ann@example.com", "ANN@example.com", "Ann Author", "Ann Author <ann@example.com>"} {
		got, err := site.FindAccount(t.Context(), ann, text)
		require.NoError(t, err, text)
		assert.Equal(t, ann.ID, got.ID, text)
	}
	for _, text := range []string{"", "nobody", "<>", "0"} {
		_, err := site.FindAccount(t.Context(), ann, text)
		assert.True(t, fault.Is(err, fault.NotFound), text)
	}
	_, err := site.FindAccount(t.Context(), nil, "self")
	assert.True(t, fault.Is(err, fault.Unauthorized))
}

func TestAKeyBelongsToOneAccount(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	ann, bob := site.Account(t, "ann"), site.Account(t, "bob")
	const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"
	key, err := site.AddSSHKey(t.Context(), ann, ann.ID, line+"\n")
	require.NoError(t, err)
	assert.Equal(t, line, key.Line())
	again, err := site.AddSSHKey(t.Context(), ann, ann.ID, line)
	require.NoError(t, err)
	assert.Equal(t, key, again)
	_, err = site.AddSSHKey(t.Context(), bob, bob.ID, line)
	assert.True(t, fault.Is(err, fault.Conflict))
	for _, bad := range []string{"", "nonsense", "ssh-ed25519 AAAA", `command="x" ` + line, line + "\n" + line} {
		_, err := site.AddSSHKey(t.Context(), ann, ann.ID, bad)
		assert.True(t, fault.Is(err, fault.BadRequest), "%q", bad)
	}
	require.NoError(t, site.DeleteSSHKey(t.Context(), ann, ann.ID, key.Seq))
	keys, err := site.SSHKeys(t.Context(), ann, ann.ID)
	require.NoError(t, err)
	assert.Empty(t, keys)
}

func TestOnlyAdministratorsMakeAccounts(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	_, err := site.CreateAccount(t.Context(), site.Account(t, "ann"), review.NewAccount{Username: "new"})
	assert.True(t, fault.Is(err, fault.Forbidden))
	admin := site.Account(t, "admin")
	for _, name := range []string{"", "a b", "../x", "x/y", "-x", "x\n"} {
		_, err := site.CreateAccount(t.Context(), admin, review.NewAccount{Username: name})
		assert.True(t, fault.Is(err, fault.BadRequest), "%q", name)
	}
	made, err := site.CreateAccount(t.Context(), admin, review.NewAccount{Username: "new", HTTPPassword: "chosen"})
	require.NoError(t, err)
	got, err := site.Login(t.Context(), "new", "chosen")
	require.NoError(t, err)
	assert.Equal(t, made.ID, got.ID)
	_, err = site.CreateAccount(t.Context(), admin, review.NewAccount{Username: "other", Email: "ann@example.com"})
	assert.True(t, fault.Is(err, fault.Conflict))
}
