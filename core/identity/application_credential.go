package identity

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// ApplicationCredential lets a program act for a user on one project without
// the user's password. It goes with the user and with the project, and is
// worth only those of its roles that the user still holds.
type ApplicationCredential struct {
	ID                string
	UserID, ProjectID string
	Name, Description string
	Roles             []Role
	// Unrestricted tokens may make and remove application credentials.
	Unrestricted bool
	ExpiresAt    time.Time // zero: never

	roleIDs    []string
	secretHash string
}

// ApplicationCredentialRef names an application credential by id, or by name
// and user.
type ApplicationCredentialRef struct {
	ID, Name string
	UserID   string // or:
	User     Ref

	Secret string
}

func (c ApplicationCredential) expired(now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt)
}

// CreateApplicationCredential makes one for the user and project of a token,
// with some of its roles, or all if none are named. It is returned with its
// id; an empty secret is chosen here, and returned.
func (s *Service) CreateApplicationCredential(ctx context.Context, t *Token, c ApplicationCredential, secret string) (ApplicationCredential, string, error) {
	if err := checkName(c.Name, 255); err != nil {
		return ApplicationCredential{}, "", err
	}
	if t.Project == nil {
		return ApplicationCredential{}, "", fault.New(fault.BadRequest, "An application credential needs a token on a project.")
	}
	if c.expired(time.Now()) {
		return ApplicationCredential{}, "", fault.New(fault.BadRequest, "The application credential would have expired already.")
	}
	if err := c.takeRoles(t); err != nil {
		return ApplicationCredential{}, "", err
	}
	if secret == "" {
		secret = newTokenID()
	}
	hash, err := s.passwords.hash(ctx, secret)
	if err != nil {
		return ApplicationCredential{}, "", err
	}
	c.ID, c.UserID, c.ProjectID, c.secretHash = newID(), t.User.ID, t.Project.ID, hash
	err = s.change(ctx, func(tx *sql.Tx) error { return insertApplicationCredential(ctx, tx, c) })
	return c, secret, err
}

// takeRoles resolves the roles asked for, by id or name, among the token's.
func (c *ApplicationCredential) takeRoles(t *Token) error {
	asked := c.Roles
	if len(asked) == 0 {
		asked = t.Roles
	}
	c.Roles = nil
	for _, want := range asked {
		at := slices.IndexFunc(t.Roles, func(r Role) bool {
			return r.ID == want.ID || want.ID == "" && r.Name == want.Name
		})
		if at < 0 {
			return notFound(sql.ErrNoRows, "role assignment with role", want.ID+want.Name)
		}
		c.Roles = append(c.Roles, t.Roles[at])
		c.roleIDs = append(c.roleIDs, t.Roles[at].ID)
	}
	return nil
}

// among picks the credential's roles, and what they imply, of those held.
func (c ApplicationCredential) among(held []Role, implications []Implication) []Role {
	ids := slices.Clone(c.roleIDs)
	for i := 0; i < len(ids); i++ {
		for _, one := range implications {
			if one.Prior.ID == ids[i] && !slices.Contains(ids, one.Implied.ID) {
				ids = append(ids, one.Implied.ID)
			}
		}
	}
	return slices.DeleteFunc(held, func(r Role) bool { return !slices.Contains(ids, r.ID) })
}

// ApplicationCredential finds one of a user's application credentials.
func (s *Service) ApplicationCredential(ctx context.Context, userID, id string) (ApplicationCredential, error) {
	c, err := selectApplicationCredential(ctx, s.db, id)
	if err == nil && c.UserID != userID {
		err = notFound(sql.ErrNoRows, "Application Credential", id)
	}
	if err != nil {
		return ApplicationCredential{}, err
	}
	return c, loadCredentialRoles(ctx, s.db, &c)
}

// ApplicationCredentials lists a user's application credentials by name; with
// a name, only the one that has it.
func (s *Service) ApplicationCredentials(ctx context.Context, userID, name string) ([]ApplicationCredential, error) {
	all, err := selectApplicationCredentials(ctx, s.db, userID, name)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := loadCredentialRoles(ctx, s.db, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// DeleteApplicationCredential removes one, and its tokens.
func (s *Service) DeleteApplicationCredential(ctx context.Context, userID, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error { return deleteApplicationCredential(ctx, tx, userID, id) })
}

// loadCredentialRoles fills in the roles that still exist.
func loadCredentialRoles(ctx context.Context, q db.Querier, c *ApplicationCredential) error {
	c.Roles = nil
	for _, id := range c.roleIDs {
		role, err := selectRole(ctx, q, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		c.Roles = append(c.Roles, role)
	}
	return nil
}

// verifyCredential proves an application credential by its secret. Whatever
// is wrong is fault.Unauthorized, and takes as long as a wrong secret does.
func (s *Service) verifyCredential(ctx context.Context, ref ApplicationCredentialRef) (ApplicationCredential, error) {
	c, err := s.findCredential(ctx, ref)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return ApplicationCredential{}, err
	}
	account := c.ID
	if account == "" {
		account = stableID("credential", ref.ID, ref.Name)
	}
	right, err := s.passwords.verify(ctx, account, c.secretHash, ref.Secret)
	if err != nil {
		return ApplicationCredential{}, err
	}
	if !right || c.expired(time.Now()) {
		return ApplicationCredential{}, unauthorized()
	}
	return c, nil
}

func (s *Service) findCredential(ctx context.Context, ref ApplicationCredentialRef) (ApplicationCredential, error) {
	if ref.ID != "" {
		return selectApplicationCredential(ctx, s.db, ref.ID)
	}
	u, err := findUser(ctx, s.db, PasswordCredentials{UserID: ref.UserID, User: ref.User})
	if err != nil {
		return ApplicationCredential{}, err
	}
	found, err := selectApplicationCredentials(ctx, s.db, u.ID, ref.Name)
	if err == nil && len(found) == 0 {
		err = notFound(sql.ErrNoRows, "Application Credential", ref.Name)
	}
	if err != nil {
		return ApplicationCredential{}, err
	}
	return found[0], nil
}
