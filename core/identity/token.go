package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Token is what a token is worth at the moment: whose it is, on what, and with
// which roles. It is shared between requests and must not be changed.
type Token struct {
	User       User
	UserDomain Project
	// Project or Domain is set, or System, or nothing: an unscoped token.
	Project, Domain *Project
	ProjectDomain   Project // of Project
	System          bool
	Roles           []Role // those implied by others included
	// Credential is the application credential that the token came from, or nil.
	Credential *ApplicationCredential

	Methods   []string // how the user authenticated: "password", "token"
	AuditIDs  []string // its own, and that of the first of its line, if another
	IssuedAt  time.Time
	ExpiresAt time.Time

	hash         string
	credentialID string // of Credential, or ""
	caller       httpapi.Caller
}

// target is what the token is scoped to.
func (t *Token) target() target {
	switch {
	case t.Project != nil:
		return target{onProject, t.Project.ID}
	case t.Domain != nil:
		return target{onDomain, t.Domain.ID}
	case t.System:
		return target{onSystem, systemID}
	default:
		return target{}
	}
}

// asCaller is the token as the other services see it.
func (t *Token) asCaller() httpapi.Caller {
	c := httpapi.Caller{
		UserID: t.User.ID, UserName: t.User.Name, UserDomainID: t.User.DomainID,
		System: t.System,
	}
	if t.Project != nil {
		c.ProjectID, c.ProjectName, c.ProjectDomainID = t.Project.ID, t.Project.Name, t.Project.DomainID
	}
	if t.Domain != nil {
		c.DomainID = t.Domain.ID
	}
	for _, r := range t.Roles {
		c.Roles = append(c.Roles, r.Name)
	}
	return c
}

// newTokenID makes a token: 256 random bits, in characters that no shell or
// option parser takes for something else.
func newTokenID() string {
	var id [32]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}

func newAuditID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// hashToken is what is kept of a token. It needs no salt: tokens are random.
func hashToken(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// Validate implements httpapi.Tokens.
func (s *Service) Validate(ctx context.Context, id string) (httpapi.Caller, error) {
	t, err := s.Token(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return httpapi.Caller{}, unauthorized()
	}
	if err != nil {
		return httpapi.Caller{}, err
	}
	caller := t.caller
	caller.Roles = slices.Clone(caller.Roles)
	return caller, nil
}

// Token reports what a token is worth, or fault.NotFound if it is unknown,
// expired or revoked, or if its user may no longer use its scope.
func (s *Service) Token(ctx context.Context, id string) (*Token, error) {
	hash := hashToken(id)
	t, generation := s.tokens.get(hash)
	if t == nil {
		var err error
		if t, err = selectToken(ctx, s.db, hash); err != nil {
			return nil, err
		}
		s.tokens.put(t, generation)
	}
	if !time.Now().Before(t.ExpiresAt) {
		return nil, errNoToken()
	}
	return t, nil
}

// load fills in a token's user, scope and roles. It reports fault.NotFound if
// one of them does not exist or is disabled, or if there is no role.
func (t *Token) load(ctx context.Context, q db.Querier, userID string, on target) (err error) {
	if t.User, err = selectUser(ctx, q, userID); err != nil {
		return err
	}
	if t.UserDomain, err = selectDomain(ctx, q, t.User.DomainID); err != nil {
		return err
	}
	if err := t.loadScope(ctx, q, on); err != nil {
		return err
	}
	if !t.usable() {
		return errNoToken()
	}
	if on != (target{}) {
		if t.Roles, err = selectHeldRoles(ctx, q, userID, on.id); err != nil {
			return err
		}
		if err := t.limit(ctx, q); err != nil {
			return err
		}
		if len(t.Roles) == 0 {
			return errNoToken()
		}
	}
	t.caller = t.asCaller()
	return nil
}

// limit leaves the token those of its user's roles that its application
// credential, if it has one, is for.
func (t *Token) limit(ctx context.Context, q db.Querier) error {
	if t.credentialID == "" {
		return nil
	}
	credential, err := selectApplicationCredential(ctx, q, t.credentialID)
	if err != nil {
		return err
	}
	t.Credential = &credential
	implications, err := selectImplications(ctx, q, "")
	if err != nil {
		return err
	}
	t.Roles = credential.among(t.Roles, implications)
	return nil
}

func (t *Token) loadScope(ctx context.Context, q db.Querier, on target) error {
	switch on.kind {
	case onProject:
		project, err := selectProject(ctx, q, on.id)
		if err != nil {
			return err
		}
		t.Project = &project
		t.ProjectDomain, err = selectDomain(ctx, q, project.DomainID)
		return err
	case onDomain:
		domain, err := selectDomain(ctx, q, on.id)
		if err != nil {
			return err
		}
		t.Domain = &domain
	case onSystem:
		t.System = true
	}
	return nil
}

// usable reports whether everything a token rests on is enabled.
func (t *Token) usable() bool {
	return t.User.Enabled && t.UserDomain.Enabled &&
		(t.Project == nil || t.Project.Enabled && t.ProjectDomain.Enabled) &&
		(t.Domain == nil || t.Domain.Enabled)
}

func errNoToken() error { return fault.New(fault.NotFound, "Failed to validate token") }

func unauthorized() error {
	return fault.New(fault.Unauthorized, "The request you have made requires authentication.")
}

// RevokeToken ends a token, or reports fault.NotFound if it is worth nothing.
func (s *Service) RevokeToken(ctx context.Context, id string) error {
	t, err := s.Token(ctx, id)
	if err != nil {
		return err
	}
	defer s.tokens.remove(t.hash)
	return deleteToken(ctx, s.db, t.hash)
}

// maxCached bounds the memory of the token cache: some 2 KB a token.
const maxCached = 20000

// tokenCache keeps validated tokens. Any change of users, projects, roles or
// assignments empties it, which is always right and seldom needed.
type tokenCache struct {
	mu         sync.RWMutex
	generation uint64
	tokens     map[string]*Token // by hash
}

func newTokenCache() *tokenCache { return &tokenCache{tokens: map[string]*Token{}} }

// get returns a token, or nil and the generation to put it with.
func (c *tokenCache) get(hash string) (*Token, uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tokens[hash], c.generation
}

// put keeps a token that was read from the database after get gave
// generation, unless something changed since.
func (c *tokenCache) put(t *Token, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if len(c.tokens) >= maxCached {
		clear(c.tokens)
	}
	c.tokens[t.hash] = t
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.tokens)
}

func (c *tokenCache) remove(hash string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++ // a reader may be about to put it
	delete(c.tokens, hash)
}

func (c *tokenCache) purge(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, t := range c.tokens {
		if !now.Before(t.ExpiresAt) {
			delete(c.tokens, hash)
		}
	}
}
