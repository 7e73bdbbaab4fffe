package identity

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Ref names a user, project or domain: by id, or by name in a domain (itself
// named by id or name; a domain's own name needs none).
type Ref struct {
	ID, Name             string
	DomainID, DomainName string
}

// PasswordCredentials are a user and a password.
type PasswordCredentials struct {
	UserID string // or:
	User   Ref

	Password string
}

// Credentials prove who somebody is. Several given must prove the same user.
type Credentials struct {
	Password   *PasswordCredentials
	Token      string // one that is still valid
	Credential *ApplicationCredentialRef
}

// Scope is what a token is asked for. If nothing is set, it is the user's
// default project, if it has one and a role there, else the token is unscoped.
type Scope struct {
	Project, Domain *Ref
	System          bool
	Unscoped        bool // no scope, whatever the default
}

// Authenticate issues a token. Wrong credentials, and a scope on which the
// user holds no role or which does not exist, are fault.Unauthorized, all with
// the same message.
func (s *Service) Authenticate(ctx context.Context, c Credentials, scope Scope) (id string, t *Token, err error) {
	p, err := s.prove(ctx, c)
	if err != nil {
		return "", nil, refuse(err)
	}
	id = newTokenID()
	t = p.token(hashToken(id), s.config.TokenLifetime)
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		if err := p.recheck(ctx, tx); err != nil {
			return err
		}
		if !p.user.Options.allows(t.Methods) {
			return unauthorized()
		}
		on, err := p.scope(ctx, tx, scope)
		if err != nil {
			return err
		}
		if err := t.load(ctx, tx, p.user.ID, on); err != nil {
			return err
		}
		return insertToken(ctx, tx, t)
	})
	if err != nil {
		return "", nil, refuse(err)
	}
	return id, t, nil
}

// proof is what credentials proved.
type proof struct {
	user       User
	password   bool
	secret     bool                   // that of an application credential
	parent     *Token                 // the token it was proved by, or nil
	credential *ApplicationCredential // to which it is limited, directly or by parent; or nil
}

func (s *Service) prove(ctx context.Context, c Credentials) (proof, error) {
	var p proof
	if c.Token != "" {
		parent, err := s.Token(ctx, c.Token)
		if err != nil {
			return proof{}, err
		}
		p.parent, p.user, p.credential = parent, parent.User, parent.Credential
	}
	if c.Credential != nil {
		credential, err := s.verifyCredential(ctx, *c.Credential)
		if err != nil {
			return proof{}, err
		}
		u, err := selectUser(ctx, s.db, credential.UserID)
		if err != nil {
			return proof{}, err
		}
		if p.parent != nil && (p.credential == nil || p.credential.ID != credential.ID) {
			return proof{}, unauthorized()
		}
		p.secret, p.user, p.credential = true, u, &credential
	}
	if c.Password != nil {
		u, err := s.verify(ctx, *c.Password)
		if err != nil {
			return proof{}, err
		}
		if p.user.ID != "" && p.user.ID != u.ID {
			return proof{}, unauthorized()
		}
		p.password, p.user = true, u
	}
	if p.user.ID == "" {
		return proof{}, unauthorized()
	}
	return p, nil
}

// token makes the token that follows from p, as yet without a scope. One made
// from another neither outlives it nor hides how the user authenticated then.
func (p proof) token(hash string, lifetime time.Duration) *Token {
	now := time.Now().UTC().Truncate(time.Microsecond)
	t := &Token{hash: hash, IssuedAt: now, ExpiresAt: now.Add(lifetime), AuditIDs: []string{newAuditID()}}
	if p.password {
		t.Methods = append(t.Methods, "password")
	}
	if p.secret {
		t.Methods = append(t.Methods, "application_credential")
	}
	if c := p.credential; c != nil {
		t.credentialID = c.ID
		if !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(t.ExpiresAt) {
			t.ExpiresAt = c.ExpiresAt
		}
	}
	if p.parent == nil {
		return t
	}
	t.ExpiresAt = p.parent.ExpiresAt
	t.AuditIDs = append(t.AuditIDs, p.parent.AuditIDs[len(p.parent.AuditIDs)-1])
	for _, method := range append([]string{"token"}, p.parent.Methods...) {
		if !slices.Contains(t.Methods, method) {
			t.Methods = append(t.Methods, method)
		}
	}
	return t
}

// recheck makes sure, in the transaction that stores the token, that what was
// proved has not been taken back meanwhile.
func (p proof) recheck(ctx context.Context, tx *sql.Tx) error {
	if p.parent != nil {
		if _, err := selectToken(ctx, tx, p.parent.hash); err != nil {
			return err
		}
	}
	u, err := selectUser(ctx, tx, p.user.ID)
	if err != nil {
		return err
	}
	if p.password && u.passwordHash != p.user.passwordHash {
		return unauthorized()
	}
	return nil
}

// refuse hides from whoever logs in what does not exist.
func refuse(err error) error {
	if fault.Is(err, fault.NotFound) {
		return unauthorized()
	}
	return err
}

// scope is what the token is to be scoped to. An application credential has
// one, and no other may be asked for.
func (p proof) scope(ctx context.Context, q db.Querier, asked Scope) (target, error) {
	if p.credential == nil {
		return resolveScope(ctx, q, p.user, asked)
	}
	own := target{onProject, p.credential.ProjectID}
	if asked == (Scope{}) {
		return own, nil
	}
	on, err := resolveScope(ctx, q, p.user, asked)
	if err == nil && on != own {
		err = unauthorized()
	}
	return on, err
}

func resolveScope(ctx context.Context, q db.Querier, u User, scope Scope) (target, error) {
	switch {
	case scope.Project != nil:
		p, err := findProject(ctx, q, *scope.Project)
		if err == nil && p.IsDomain {
			err = unauthorized()
		}
		return target{onProject, p.ID}, err
	case scope.Domain != nil:
		d, err := findDomain(ctx, q, scope.Domain.ID, scope.Domain.Name)
		return target{onDomain, d.ID}, err
	case scope.System:
		return target{onSystem, systemID}, nil
	case scope.Unscoped || u.DefaultProjectID == "":
		return target{}, nil
	}
	return defaultScope(ctx, q, u)
}

// defaultScope is the user's default project if it can be used, else none.
func defaultScope(ctx context.Context, q db.Querier, u User) (target, error) {
	on := target{onProject, u.DefaultProjectID}
	err := (&Token{}).load(ctx, q, u.ID, on)
	if fault.Is(err, fault.NotFound) {
		return target{}, nil
	}
	return on, err
}

func findProject(ctx context.Context, q db.Querier, r Ref) (Project, error) {
	if r.ID != "" {
		return selectProject(ctx, q, r.ID)
	}
	domain, err := findDomain(ctx, q, r.DomainID, r.DomainName)
	if err != nil {
		return Project{}, err
	}
	return selectProjectByName(ctx, q, domain.ID, r.Name)
}

func findDomain(ctx context.Context, q db.Querier, id, name string) (Project, error) {
	if id != "" {
		return selectDomain(ctx, q, id)
	}
	return selectProjectByName(ctx, q, "", name)
}

func findUser(ctx context.Context, q db.Querier, c PasswordCredentials) (User, error) {
	if c.UserID != "" {
		return selectUser(ctx, q, c.UserID)
	}
	domain, err := findDomain(ctx, q, c.User.DomainID, c.User.DomainName)
	if err != nil {
		return User{}, err
	}
	return selectUserByName(ctx, q, domain.ID, c.User.Name)
}

// verify proves a password. Whatever is wrong is fault.Unauthorized, and
// takes as long as a wrong password does.
func (s *Service) verify(ctx context.Context, c PasswordCredentials) (User, error) {
	u, err := findUser(ctx, s.db, c)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return User{}, err
	}
	account := u.ID
	if account == "" { // of a fixed size, since anybody may send any name
		account = stableID("user", c.UserID, c.User.DomainID, c.User.DomainName, c.User.Name)
	}
	if u.Options.is(ignoreLockout) {
		account = ""
	}
	right, err := s.passwords.verify(ctx, account, u.passwordHash, c.Password)
	if err != nil {
		return User{}, err
	}
	if !right || !u.Enabled {
		s.log.WarnContext(ctx, "password refused", "user", fmt.Sprintf("%.255s", c.User.Name), "user_id", u.ID)
		return User{}, unauthorized()
	}
	return u, nil
}

// Verify checks a user of the default domain by password, for services that
// keep accounts of their own. It reports whether the user is an administrator
// of the cloud (holds the role admin anywhere), or fault.Unauthorized.
func (s *Service) Verify(ctx context.Context, username, password string) (u User, admin bool, err error) {
	u, err = s.verify(ctx, PasswordCredentials{User: Ref{Name: username, DomainID: DefaultDomainID}, Password: password})
	if err != nil {
		return User{}, false, err
	}
	if !u.Options.allows([]string{"password"}) {
		return User{}, false, unauthorized()
	}
	admin, err = selectIsAdmin(ctx, s.db, u.ID)
	return u, admin, err
}

// Standing is a user of the default domain as it is now, enabled or not, and
// whether it is an administrator of the cloud: for services that have verified
// its password before. One that does not exist is fault.NotFound.
func (s *Service) Standing(ctx context.Context, username string) (u User, admin bool, err error) {
	u, err = selectUserByName(ctx, s.db, DefaultDomainID, username)
	if err != nil {
		return User{}, false, err
	}
	admin, err = selectIsAdmin(ctx, s.db, u.ID)
	return u, admin, err
}
