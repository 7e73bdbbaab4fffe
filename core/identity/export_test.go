package identity

import "testing"

// HoldPasswords makes all that verify passwords wait until release is called.
// n is how many of them go on at a time then.
func HoldPasswords(s *Service) (n int, release func()) {
	slots := s.passwords.slots
	for range cap(slots) {
		slots <- struct{}{}
	}
	return cap(slots), func() {
		for range cap(slots) {
			<-slots
		}
	}
}

// CountTokens counts those stored, expired ones included.
func CountTokens(t *testing.T, s *Service) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM tokens`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
