package identity

import "testing"

// CountTokens counts those stored, expired ones included.
func CountTokens(t *testing.T, s *Service) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM tokens`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
