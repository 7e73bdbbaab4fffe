package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// maxPassword is the length of the longest password, in bytes (Keystone's
// max_password_length).
const maxPassword = 4096

// rememberFor is how long a verified password is verified again without
// bcrypt. The memory of it is a keyed hash that is worth nothing outside this
// process, and is bound to the stored hash: a new password voids it.
const rememberFor = 5 * time.Minute

// passwords hashes and verifies passwords. bcrypt is slow by intent: at most
// one runs per CPU, so that a flood of logins queues here and other requests
// do not wait behind it.
type passwords struct {
	cost     int
	dummy    string // a hash that no password has
	key      []byte // of the remembered ones
	slots    chan struct{}
	failures int           // that lock an account
	lockTime time.Duration // for which they do

	mu         sync.Mutex
	remembered map[string]memory  // by stored hash
	accounts   map[string]attempt // by account
}

type memory struct {
	digest [sha256.Size]byte
	until  time.Time
}

// attempt counts an account's wrong passwords since the last right one.
type attempt struct {
	failures int
	last     time.Time
}

func newPasswords(cost, failures int, lockTime time.Duration) (*passwords, error) {
	dummy, err := bcrypt.GenerateFromPassword(digest(newID()), cost)
	if err != nil {
		return nil, fmt.Errorf("bcrypt cost %d: %w", cost, err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return &passwords{
		cost: cost, dummy: string(dummy), key: key, failures: failures, lockTime: lockTime,
		slots:      make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
		remembered: map[string]memory{}, accounts: map[string]attempt{},
	}, nil
}

// digest makes a password fit bcrypt, which takes 72 bytes and stops at a
// zero byte.
func digest(password string) []byte {
	sum := sha256.Sum256([]byte(password))
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// hash makes the stored form of a password.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if len(password) > maxPassword {
		return "", fault.New(fault.BadRequest, "Password length must be less than or equal to %d bytes.", maxPassword)
	}
	var hash []byte
	err := p.work(ctx, func() (err error) {
		hash, err = bcrypt.GenerateFromPassword(digest(password), p.cost)
		return err
	})
	return string(hash), err
}

// work runs f once a slot is free.
func (p *passwords) work(ctx context.Context, f func() error) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }()
	return f()
}

// verify reports whether password is the one stored as hash. account names
// whom it would let in, for the lockout; "" is never locked. An empty hash (no
// such account, or one without a password) takes as long as any other and is
// never right.
func (p *passwords) verify(ctx context.Context, account, hash, password string) (bool, error) {
	sum := p.keyed(hash, password)
	if hash != "" && p.remembers(hash, sum) {
		return true, nil
	}
	stored := hash
	if hash == "" || len(password) > maxPassword {
		stored = p.dummy
	}
	right := false
	err := p.work(ctx, func() error {
		err := bcrypt.CompareHashAndPassword([]byte(stored), digest(password))
		switch {
		case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
			p.failed(account)
			return nil
		case err != nil:
			return err
		}
		// Only now: the guesses that waited before this one count.
		if right = !p.locked(account); right {
			p.succeeded(account, hash, sum)
		}
		return nil
	})
	return right, err
}

func (p *passwords) keyed(hash, password string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(hash))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	return [sha256.Size]byte(mac.Sum(nil))
}

func (p *passwords) remembers(hash string, sum [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.remembered[hash]
	return ok && time.Now().Before(m.until) && hmac.Equal(m.digest[:], sum[:])
}

func (p *passwords) locked(account string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.accounts[account]
	return a.failures >= p.failures && time.Since(a.last) < p.lockTime
}

func (p *passwords) failed(account string) {
	if account == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.accounts[account]
	if a.failures >= p.failures {
		if time.Since(a.last) < p.lockTime {
			return // trying on does not prolong the lock
		}
		a.failures = 0
	}
	p.accounts[account] = attempt{a.failures + 1, time.Now()}
}

func (p *passwords) succeeded(account, hash string, sum [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.accounts, account)
	p.remembered[hash] = memory{sum, time.Now().Add(rememberFor)}
}

// purge forgets what is over.
func (p *passwords) purge(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for hash, m := range p.remembered {
		if now.After(m.until) {
			delete(p.remembered, hash)
		}
	}
	for account, a := range p.accounts {
		if now.Sub(a.last) > p.lockTime {
			delete(p.accounts, account)
		}
	}
}
