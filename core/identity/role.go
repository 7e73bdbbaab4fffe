package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Role names what its holder may do. A role of a domain (DomainID set) never
// shows in tokens itself, only the roles it implies do.
type Role struct {
	ID          string
	DomainID    string // empty: a role of the whole cloud
	Name        string
	Description string
	Options     Options
	Extra       map[string]any // further attributes, as clients sent them
}

// RoleFilter picks roles. An empty name matches all, an empty domain the roles
// of the whole cloud.
type RoleFilter struct{ Name, DomainID string }

// Implication says that whoever holds Prior also holds Implied.
type Implication struct{ Prior, Implied Role }

// CreateRole makes a role; its id is chosen here.
func (s *Service) CreateRole(ctx context.Context, r Role) (Role, error) {
	if err := checkName(r.Name, 255); err != nil {
		return Role{}, err
	}
	r.ID = newID()
	err := s.change(ctx, func(tx *sql.Tx) error {
		if r.DomainID != "" {
			if _, err := selectDomain(ctx, tx, r.DomainID); err != nil {
				return err
			}
		}
		return insertRole(ctx, tx, r)
	})
	return r, err
}

// Role finds a role.
func (s *Service) Role(ctx context.Context, id string) (Role, error) {
	return selectRole(ctx, s.db, id)
}

// Roles lists roles by name.
func (s *Service) Roles(ctx context.Context, f RoleFilter) ([]Role, error) {
	return selectRoles(ctx, s.db, f)
}

// UpdateRole lets edit alter a role's name, description and attributes.
func (s *Service) UpdateRole(ctx context.Context, id string, edit func(*Role) error) (Role, error) {
	var r Role
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		if r, err = selectRole(ctx, tx, id); err != nil {
			return err
		}
		before := r.Options
		if err := edit(&r); err != nil {
			return err
		}
		if err := checkUpdate("role", id, before, r.Options); err != nil {
			return err
		}
		if err := checkName(r.Name, 255); err != nil {
			return err
		}
		return updateRole(ctx, tx, r)
	})
	return r, err
}

// DeleteRole removes a role, and takes it from all who hold it.
func (s *Service) DeleteRole(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		r, err := selectRole(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := checkDelete("role", id, r.Options); err != nil {
			return err
		}
		return deleteRole(ctx, tx, id)
	})
}

// Implications lists which roles imply which; with a prior role, only those
// that it implies.
func (s *Service) Implications(ctx context.Context, priorID string) ([]Implication, error) {
	return selectImplications(ctx, s.db, priorID)
}

// Implication finds one, or reports fault.NotFound.
func (s *Service) Implication(ctx context.Context, priorID, impliedID string) (Implication, error) {
	all, err := s.Implications(ctx, priorID)
	if err != nil {
		return Implication{}, err
	}
	for _, one := range all {
		if one.Implied.ID == impliedID {
			return one, nil
		}
	}
	return Implication{}, fault.New(fault.NotFound, "%s does not imply %s.", priorID, impliedID)
}

// Imply makes prior imply implied, from now on and for all who hold it.
func (s *Service) Imply(ctx context.Context, priorID, impliedID string) (Implication, error) {
	var i Implication
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		if i.Prior, err = selectRole(ctx, tx, priorID); err != nil {
			return err
		}
		if i.Implied, err = selectRole(ctx, tx, impliedID); err != nil {
			return err
		}
		switch {
		case i.Implied.Name == "admin":
			return fault.New(fault.Forbidden, "Unable to use admin as an implied role.")
		case priorID == impliedID:
			return fault.New(fault.BadRequest, "A role cannot imply itself.")
		}
		return insertImplication(ctx, tx, priorID, impliedID)
	})
	return i, err
}

// Unimply ends that prior implies implied.
func (s *Service) Unimply(ctx context.Context, priorID, impliedID string) error {
	if _, err := s.Implication(ctx, priorID, impliedID); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error { return deleteImplication(ctx, tx, priorID, impliedID) })
}
