package identity

import (
	"context"
	"database/sql"
	"errors"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// BootstrapConfig says what a new cloud begins with.
type BootstrapConfig struct {
	// AdminPassword is given to the user "admin" when it is made. It does not
	// replace the password of one that exists.
	AdminPassword string
}

// Bootstrap makes what every cloud has, so far as it is missing: the domain
// Default, the roles admin, member and reader (each of which implies the
// next), the project admin, and the user admin with the role admin there and
// on the system.
func (s *Service) Bootstrap(ctx context.Context, config BootstrapConfig) error {
	if err := s.ensureDefaults(ctx); err != nil {
		return err
	}
	_, err := s.UserByName(ctx, DefaultDomainID, "admin")
	exists := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if !exists && config.AdminPassword == "" {
		return errors.New("bootstrap: the user admin needs a password")
	}
	password := config.AdminPassword
	if exists {
		password = ""
	}
	admin, err := s.EnsureAccount(ctx, Account{Name: "admin", Password: password, Project: "admin", Role: "admin"})
	if err != nil {
		return err
	}
	role, err := s.roleNamed(ctx, "admin")
	if err != nil {
		return err
	}
	return s.Grant(ctx, Assignment{UserID: admin.ID, System: true, RoleID: role.ID})
}

// ensureDefaults makes the default domain and roles.
func (s *Service) ensureDefaults(ctx context.Context) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := selectDomain(ctx, tx, DefaultDomainID)
		if fault.Is(err, fault.NotFound) {
			err = insertProject(ctx, tx, Project{ID: DefaultDomainID, IsDomain: true, Name: "Default",
				Description: "The default domain", Enabled: true})
		}
		if err != nil {
			return err
		}
		prior := ""
		for _, name := range []string{"admin", "member", "reader"} {
			id, err := ensureRole(ctx, tx, name)
			if err != nil {
				return err
			}
			if prior != "" {
				if err := insertImplication(ctx, tx, prior, id); err != nil {
					return err
				}
			}
			prior = id
		}
		return nil
	})
}

func ensureRole(ctx context.Context, tx *sql.Tx, name string) (id string, err error) {
	found, err := selectRoles(ctx, tx, RoleFilter{Name: name})
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[0].ID, nil
	}
	role := Role{ID: newID(), Name: name, Options: Options{immutable: true}}
	return role.ID, insertRole(ctx, tx, role)
}

// Account is a user of the default domain with a role on a project there.
type Account struct {
	Name     string
	Password string // empty: leave as it is
	Project  string
	Role     string
}

// EnsureAccount makes the user, the project and the role assignment so far as
// they are missing. A password that is not the user's becomes it.
func (s *Service) EnsureAccount(ctx context.Context, a Account) (User, error) {
	project, err := s.ProjectByName(ctx, DefaultDomainID, a.Project)
	if fault.Is(err, fault.NotFound) {
		project, err = s.CreateProject(ctx, Project{Name: a.Project, DomainID: DefaultDomainID, Enabled: true})
	}
	if err != nil {
		return User{}, err
	}
	user, err := s.ensureUser(ctx, a, project)
	if err != nil {
		return User{}, err
	}
	role, err := s.roleNamed(ctx, a.Role)
	if err != nil {
		return User{}, err
	}
	return user, s.Grant(ctx, Assignment{UserID: user.ID, ProjectID: project.ID, RoleID: role.ID})
}

func (s *Service) ensureUser(ctx context.Context, a Account, project Project) (User, error) {
	user, err := s.UserByName(ctx, DefaultDomainID, a.Name)
	if fault.Is(err, fault.NotFound) {
		return s.CreateUser(ctx, User{Name: a.Name, DomainID: DefaultDomainID, Enabled: true, DefaultProjectID: project.ID}, a.Password)
	}
	if err != nil || a.Password == "" {
		return user, err
	}
	right, err := s.passwords.verify(ctx, user.ID, user.passwordHash, a.Password)
	if err != nil || right {
		return user, err
	}
	return s.UpdateUser(ctx, user.ID, a.Password, func(*User) error { return nil })
}

func (s *Service) roleNamed(ctx context.Context, name string) (Role, error) {
	found, err := s.Roles(ctx, RoleFilter{Name: name})
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "Could not find role: %s.", name)
	}
	if err != nil {
		return Role{}, err
	}
	return found[0], nil
}
