// Package identity is the cloud's identity service: users, projects, domains,
// groups, roles, and the tokens by which every other service knows a caller.
//
// It implements Keystone's v3 API of the Zed release, see
// https://docs.openstack.org/api-ref/identity/v3/.
package identity

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// DefaultDomainID is the id of the domain "Default", which always exists.
const DefaultDomainID = "default"

// Config is what a Service is made of. All but Log may be zero.
type Config struct {
	Log     *slog.Logger
	Metrics *httpapi.Metrics

	// File is the SQLite database; empty means one in memory.
	File string

	// TokenLifetime is how long a token is valid; 12 hours if zero.
	TokenLifetime time.Duration

	// BcryptCost is the base-2 logarithm of the work to hash a password, 4 to
	// 31; 10 if zero.
	BcryptCost int

	// LockoutFailures wrong passwords in a row, 10 if zero, lock an account
	// against further ones for LockoutTime, 30 seconds if zero.
	LockoutFailures int
	LockoutTime     time.Duration

	// Catalog lists the cloud's services; identity's own entry is among them.
	Catalog []CatalogService
	// Region is the region of all endpoints; "RegionOne" if empty.
	Region string
	// PublicURL is the scheme and authority that endpoints begin with. If it
	// is empty, they begin with the one by which the client reached us.
	PublicURL string
}

func (c Config) withDefaults() Config {
	if c.TokenLifetime == 0 {
		c.TokenLifetime = 12 * time.Hour
	}
	if c.BcryptCost == 0 {
		c.BcryptCost = 10
	}
	if c.LockoutFailures == 0 {
		c.LockoutFailures = 10
	}
	if c.LockoutTime == 0 {
		c.LockoutTime = 30 * time.Second
	}
	if c.Region == "" {
		c.Region = "RegionOne"
	}
	return c
}

// Service is the identity service. Its methods may be called concurrently.
// They apply no policy: the API does, and who calls them directly is trusted.
type Service struct {
	config    Config
	log       *slog.Logger
	db        *sql.DB
	tokens    *tokenCache
	passwords *passwords
}

// New opens the service's database, which must be in use by no other process.
// The caller closes the service.
func New(ctx context.Context, config Config) (*Service, error) {
	config = config.withDefaults()
	passwords, err := newPasswords(config.BcryptCost, config.LockoutFailures, config.LockoutTime)
	if err != nil {
		return nil, err
	}
	handle, err := db.Open(ctx, config.File, db.Migrations(migrations))
	if err != nil {
		return nil, fmt.Errorf("open identity's database: %w", err)
	}
	return &Service{config: config, log: config.Log, db: handle, tokens: newTokenCache(), passwords: passwords}, nil
}

// Close closes the database.
func (s *Service) Close() error { return s.db.Close() }

// purgeEvery is how often Run removes what has expired.
const purgeEvery = 10 * time.Minute

// Run removes expired tokens from time to time until ctx ends, and returns
// its error.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(purgeEvery)
	defer ticker.Stop()
	for {
		if err := s.purge(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "purging expired tokens failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (s *Service) purge(ctx context.Context) error {
	now := time.Now()
	s.tokens.purge(now)
	s.passwords.purge(now)
	return deleteExpiredTokens(ctx, s.db, now)
}

// change runs f in a transaction that may alter what any token is worth.
// Tokens validated after change returns see it.
func (s *Service) change(ctx context.Context, f func(tx *sql.Tx) error) error {
	defer s.tokens.clear()
	return db.InTx(ctx, s.db, f)
}

// newID makes an id as Keystone's are: 32 hexadecimal digits.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}
