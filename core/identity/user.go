package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// User is an account.
type User struct {
	ID               string
	DomainID         string
	Name             string
	Enabled          bool
	DefaultProjectID string // scope of a token asked for without one; may be empty
	Options          Options
	Extra            map[string]any // further attributes, as clients sent them: email, description …

	passwordHash string
}

// Text returns a further attribute, or "" if it is absent or no string.
func (u User) Text(attribute string) string {
	text, _ := u.Extra[attribute].(string)
	return text
}

// UserFilter picks users. Empty fields match all.
type UserFilter struct{ Name, DomainID string }

func (s *Service) checkUser(ctx context.Context, q db.Querier, u User) error {
	if err := checkName(u.Name, 255); err != nil {
		return err
	}
	if u.DefaultProjectID == "" {
		return nil
	}
	switch p, err := selectProject(ctx, q, u.DefaultProjectID); {
	case fault.Is(err, fault.NotFound):
		return nil // as in Keystone: a stale default project is not an error
	case err != nil:
		return err
	case p.IsDomain:
		return fault.New(fault.BadRequest, "User's default project ID cannot be a domain ID: %s", p.ID)
	}
	return nil
}

// CreateUser makes an account; its id is chosen here. Without a password
// nobody can log in by one.
func (s *Service) CreateUser(ctx context.Context, u User, password string) (User, error) {
	hash, err := s.hashIfSet(ctx, password)
	if err != nil {
		return User{}, err
	}
	u.ID, u.passwordHash = newID(), hash
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := s.checkUser(ctx, tx, u); err != nil {
			return err
		}
		if _, err := selectDomain(ctx, tx, u.DomainID); err != nil {
			return err
		}
		return insertUser(ctx, tx, u)
	})
	return u, err
}

func (s *Service) hashIfSet(ctx context.Context, password string) (string, error) {
	if password == "" {
		return "", nil
	}
	return s.passwords.hash(ctx, password)
}

// User finds an account.
func (s *Service) User(ctx context.Context, id string) (User, error) {
	return selectUser(ctx, s.db, id)
}

// UserByName finds an account in a domain.
func (s *Service) UserByName(ctx context.Context, domainID, name string) (User, error) {
	return selectUserByName(ctx, s.db, domainID, name)
}

// Users lists accounts by name.
func (s *Service) Users(ctx context.Context, f UserFilter) ([]User, error) {
	return selectUsers(ctx, s.db, f)
}

// UpdateUser lets edit alter an account; a password that is not empty
// replaces the account's. A new password, and disabling, revoke its tokens.
func (s *Service) UpdateUser(ctx context.Context, id, password string, edit func(*User) error) (User, error) {
	hash, err := s.hashIfSet(ctx, password)
	if err != nil {
		return User{}, err
	}
	var u User
	err = s.change(ctx, func(tx *sql.Tx) error {
		before, err := selectUser(ctx, tx, id)
		if err != nil {
			return err
		}
		u = before
		if err := edit(&u); err != nil {
			return err
		}
		if err := s.checkUser(ctx, tx, u); err != nil {
			return err
		}
		if hash != "" {
			u.passwordHash = hash
		}
		if hash != "" || !u.Enabled {
			if err := deleteTokensOf(ctx, tx, id); err != nil {
				return err
			}
		}
		return updateUser(ctx, tx, u)
	})
	return u, err
}

// ChangePassword replaces a user's password, given the one it has, and revokes
// the user's tokens. A wrong one is fault.Unauthorized.
func (s *Service) ChangePassword(ctx context.Context, id, original, password string) error {
	u, err := s.verify(ctx, PasswordCredentials{UserID: id, Password: original})
	if err != nil {
		return err
	}
	if u.Options.is(lockPassword) {
		return fault.New(fault.BadRequest, "You cannot change your password at this time due to password policy disallowing "+
			"password changes. Please contact your administrator to reset your password.")
	}
	if password == original {
		return fault.New(fault.BadRequest, "The new password must differ from the original one.")
	}
	if password == "" {
		return fault.New(fault.BadRequest, "Invalid input for field 'password': it is empty.")
	}
	_, err = s.UpdateUser(ctx, id, password, func(now *User) error {
		if now.passwordHash != u.passwordHash { // it is not the original any more
			return unauthorized()
		}
		return nil
	})
	return err
}

// DeleteUser removes an account, its tokens and its rights.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error { return deleteUser(ctx, tx, id) })
}

// UserProjects lists the projects on which a user holds a role, by name.
func (s *Service) UserProjects(ctx context.Context, id string) ([]Project, error) {
	return selectScopes(ctx, s.db, id, false)
}

// UserDomains lists the domains on which a user holds a role, by name.
func (s *Service) UserDomains(ctx context.Context, id string) ([]Project, error) {
	return selectScopes(ctx, s.db, id, true)
}
