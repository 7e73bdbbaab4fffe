package review

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Login reports whose username and password these are: Passwords' or the
// account's own HTTP password. Who logs in for the first time gets an account,
// with the name that Passwords knows; its groups and address follow Passwords
// (see followUser). Anything else is fault.Unauthorized.
//
// A success is remembered for a minute, since a client sends its password with
// every request.
func (s *Service) Login(ctx context.Context, username, password string) (*Account, error) {
	key, generation := s.logins.key(username, password)
	if id, ok := s.logins.known(key); ok {
		if a, err := s.ActiveAccount(ctx, id); err == nil {
			return a, nil
		}
	}
	a, err := s.verify(ctx, username, password)
	if err != nil {
		return nil, err
	}
	if !a.Active {
		return nil, errLogin()
	}
	s.logins.remember(key, a.ID, generation)
	return a, nil
}

func errLogin() error { return fault.New(fault.Unauthorized, "Invalid username or password") }

func (s *Service) verify(ctx context.Context, username, password string) (*Account, error) {
	if username == "" || password == "" {
		return nil, errLogin()
	}
	own, err := hasHTTPPassword(ctx, s.db, username, password)
	if err != nil {
		return nil, err
	}
	if own {
		a, err := s.AccountByUsername(ctx, username)
		if err != nil {
			return nil, err
		}
		return s.inStanding(ctx, a)
	}
	user, err := s.config.Passwords.Verify(ctx, username, password)
	if fault.Is(err, fault.Unauthorized) {
		return nil, errLogin()
	}
	if err != nil {
		return nil, fmt.Errorf("verify password: %w", err)
	}
	return s.welcome(ctx, user)
}

// welcome makes or updates the account of a user whose password was right.
func (s *Service) welcome(ctx context.Context, user User) (*Account, error) {
	a, err := selectAccount(ctx, s.db, `username = $1`, user.Username)
	if err != nil {
		return nil, err
	}
	s.standings.forget(user.Username)
	if a != nil {
		if a.another(&user) {
			defer s.logins.forget()
		}
		return s.followUser(ctx, a, &user, user.origin())
	}
	a = &Account{Username: user.Username, FullName: user.FullName, Email: user.Email,
		Admin: user.Admin, Service: user.Service, Active: true, origin: user.origin()}
	err = s.write(ctx, func(t *tx) error { return insertAccount(ctx, t, a) })
	if fault.Is(err, fault.Conflict) { // somebody else's request was first, or the address is taken
		if first, err := selectAccount(ctx, s.db, `username = $1`, user.Username); first != nil || err != nil {
			return first, err
		}
		a.Email = ""
		err = s.write(ctx, func(t *tx) error { return insertAccount(ctx, t, a) })
	}
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "account made", "account", a.ID, "username", a.Username)
	return a, nil
}

// loginTTL is how long a right password is remembered: the longest that a
// revoked one works.
const loginTTL = time.Minute

const maxLogins = 1024

// logins remembers right passwords, as keyed hashes, for a while.
type logins struct {
	mu         sync.Mutex
	secret     [32]byte
	right      map[[32]byte]login
	generation int
}

type login struct {
	account int64
	until   time.Time
}

// key is what a username and password are remembered under, and the generation
// in which they were presented.
func (l *logins) key(username, password string) ([32]byte, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.right == nil {
		_, _ = rand.Read(l.secret[:]) // never fails (crypto/rand)
		l.right = map[[32]byte]login{}
	}
	text := append(l.secret[:len(l.secret):len(l.secret)], fmt.Sprintf("%d:%s:%s", len(username), username, password)...)
	return sha256.Sum256(text), l.generation
}

func (l *logins) known(key [32]byte) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.right[key]
	return found.account, ok && time.Now().Before(found.until)
}

// remember keeps a success, unless passwords were forgotten meanwhile.
func (l *logins) remember(key [32]byte, account int64, generation int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return
	}
	if len(l.right) >= maxLogins {
		clear(l.right)
	}
	l.right[key] = login{account, time.Now().Add(loginTTL)}
}

// forget forgets all: a password was changed.
func (l *logins) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	clear(l.right)
}
