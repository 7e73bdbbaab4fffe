package identity_test

import (
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/identity"
)

func TestTooManyWrongPasswordsLockAnAccountForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := identity.New(t.Context(), identity.Config{
			Log: slog.New(slog.DiscardHandler), BcryptCost: bcrypt.MinCost, LockoutFailures: 3, LockoutTime: time.Minute,
		})
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, s.Bootstrap(t.Context(), identity.BootstrapConfig{AdminPassword: adminPassword}))
		alice(t, s)
		for range 3 {
			_, _, err := s.Verify(t.Context(), "alice", "guess")
			require.True(t, fault.Is(err, fault.Unauthorized))
		}
		_, _, err = s.Verify(t.Context(), "alice", "wonder")
		require.True(t, fault.Is(err, fault.Unauthorized), "locked: even the right one is refused")
		_, _, err = s.Verify(t.Context(), "admin", adminPassword)
		require.NoError(t, err, "others are not")

		time.Sleep(time.Minute)
		_, _, err = s.Verify(t.Context(), "alice", "wonder")
		require.NoError(t, err)
	})
}

func TestGuessesMadeAtOnceLockAnAccountToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "")
		alice(t, s)
		parallel, release := identity.HoldPasswords(s)
		var guesses sync.WaitGroup
		for range 10 + parallel { // the last are tried when ten have failed
			guesses.Go(func() {
				_, _, err := s.Verify(t.Context(), "alice", "guess")
				assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
			})
		}
		synctest.Wait()
		guesses.Go(func() {
			_, _, err := s.Verify(t.Context(), "alice", "wonder")
			assert.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
		})
		synctest.Wait()
		release()
		guesses.Wait()
	})
}

// Whoever guesses chooses the names, too.
func TestWrongNamesTakeNoMemory(t *testing.T) {
	s := open(t, "")
	before := heap()
	for i := range 32 {
		name := strings.Repeat("x", 1<<20) + strconv.Itoa(i)
		for _, c := range []identity.Credentials{
			password(name, "guess"), {Credential: &identity.ApplicationCredentialRef{ID: name, Secret: "guess"}},
		} {
			_, _, err := s.Authenticate(t.Context(), c, identity.Scope{})
			require.True(t, fault.Is(err, fault.Unauthorized), "got %v", err)
		}
	}
	assert.Less(t, heap()-before, int64(8<<20))
	runtime.KeepAlive(s)
}

// heap is how many bytes of memory are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestAClientThatIsLoggedInIsNotLockedOutByAGuesser(t *testing.T) {
	s := open(t, "")
	alice(t, s)
	_, _, err := s.Verify(t.Context(), "alice", "wonder")
	require.NoError(t, err)
	for range 20 {
		_, _, err := s.Verify(t.Context(), "alice", "guess")
		require.True(t, fault.Is(err, fault.Unauthorized))
	}
	_, _, err = s.Verify(t.Context(), "alice", "wonder")
	assert.NoError(t, err)
}
