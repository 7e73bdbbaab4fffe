package identity_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/identity"
)

// cloudOn makes a service with real costs, on disk.
func cloudOn(b *testing.B) *identity.Service {
	b.Helper()
	s, err := identity.New(b.Context(), identity.Config{
		Log: slog.New(slog.DiscardHandler), File: filepath.Join(b.TempDir(), "identity.db"), Catalog: services,
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	require.NoError(b, s.Bootstrap(b.Context(), identity.BootstrapConfig{AdminPassword: adminPassword}))
	return s
}

// BenchmarkValidateRequest is GET /v3/auth/tokens without the network.
func BenchmarkValidateRequest(b *testing.B) {
	s := cloudOn(b)
	h, token := s.Handler(), login(b, s, "admin", adminPassword, "admin")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/identity/v3/auth/tokens", nil)
		r.Header.Set("X-Auth-Token", token)
		r.Header.Set("X-Subject-Token", token)
		for pb.Next() {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusOK {
				b.Error(w.Body)
				return
			}
		}
	})
}

// BenchmarkValidate is what every other service's request costs.
func BenchmarkValidate(b *testing.B) {
	s := cloudOn(b)
	token := login(b, s, "admin", adminPassword, "admin")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Validate(context.Background(), token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkValidateAfterAChange reads the token from the database each time.
func BenchmarkValidateAfterAChange(b *testing.B) {
	s := cloudOn(b)
	tokens := make([]string, 1000)
	for i := range tokens {
		tokens[i] = login(b, s, "admin", adminPassword, "admin")
	}
	for i := 0; b.Loop(); i++ {
		if i%len(tokens) == 0 {
			b.StopTimer()
			_, err := s.CreateRole(b.Context(), identity.Role{Name: fmt.Sprint("role", i)})
			require.NoError(b, err)
			b.StartTimer()
		}
		if _, err := s.Validate(b.Context(), tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirstPasswordAuth hashes with bcrypt, BenchmarkPasswordAuth is that
// of a client that has logged in within the last minutes.
func BenchmarkFirstPasswordAuth(b *testing.B) {
	s := cloudOn(b)
	for b.Loop() {
		if _, _, err := s.Verify(b.Context(), "admin", "wrong"); err == nil {
			b.Fatal("a wrong password was taken")
		}
	}
}

func BenchmarkPasswordAuth(b *testing.B) {
	s := cloudOn(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Authenticate(context.Background(), password("admin", adminPassword), project("admin")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
