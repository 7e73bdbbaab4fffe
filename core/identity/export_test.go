package identity

import "testing"

// Purge does at once what Run does from time to time.
func Purge(t *testing.T, s *Service) error {
	t.Helper()
	return s.purge(t.Context())
}

// CountTokens counts those stored, expired ones included.
func CountTokens(t *testing.T, s *Service) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM tokens`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
