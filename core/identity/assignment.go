package identity

import (
	"context"
	"database/sql"
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Assignment says that a user or a group (one of the two is set) holds a role
// on a project, a domain or the system (one of the three is).
type Assignment struct {
	UserID, GroupID     string
	ProjectID, DomainID string
	System              bool
	RoleID              string
	// Inherited: the role is held on the projects below the target, and not on
	// the target itself.
	Inherited bool
}

// The kinds of target, as the store and tokens have them.
const (
	onProject = "project"
	onDomain  = "domain"
	onSystem  = "system"
	// systemID stands where a target's id does; no project has it.
	systemID = "all"
)

// target is what roles are held on. The zero target is that of an unscoped
// token.
type target struct{ kind, id string }

func (a Assignment) target() target {
	switch {
	case a.System:
		return target{onSystem, systemID}
	case a.DomainID != "":
		return target{onDomain, a.DomainID}
	default:
		return target{onProject, a.ProjectID}
	}
}

func (a Assignment) actor() (kind, id string) {
	if a.GroupID != "" {
		return "group", a.GroupID
	}
	return "user", a.UserID
}

// Grant assigns a role. It may be assigned already.
func (s *Service) Grant(ctx context.Context, a Assignment) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := checkAssignment(ctx, tx, a); err != nil {
			return err
		}
		return insertAssignment(ctx, tx, a)
	})
}

// Revoke takes a role away. Tokens that rest on it lose it at once.
func (s *Service) Revoke(ctx context.Context, a Assignment) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := checkAssignment(ctx, tx, a); err != nil {
			return err
		}
		return deleteAssignment(ctx, tx, a)
	})
}

// Granted reports fault.NotFound unless the role is assigned exactly so.
func (s *Service) Granted(ctx context.Context, a Assignment) error {
	if err := checkAssignment(ctx, s.db, a); err != nil {
		return err
	}
	found, err := selectAssignments(ctx, s.db, a)
	if err != nil {
		return err
	}
	if !slices.Contains(found, a) {
		return noAssignment(a)
	}
	return nil
}

func noAssignment(a Assignment) error {
	_, actor := a.actor()
	return fault.New(fault.NotFound, "Could not find role assignment with role: %s, user or group: %s, project, domain, or system: %s.",
		a.RoleID, actor, a.target().id)
}

// checkAssignment reports which part of an assignment does not exist.
func checkAssignment(ctx context.Context, q db.Querier, a Assignment) error {
	var err error
	if a.GroupID != "" {
		_, err = selectGroup(ctx, q, a.GroupID)
	} else {
		_, err = selectUser(ctx, q, a.UserID)
	}
	if err != nil {
		return err
	}
	switch t := a.target(); t.kind {
	case onDomain:
		_, err = selectDomain(ctx, q, t.id)
	case onProject:
		_, err = selectProject(ctx, q, t.id)
	}
	if err != nil {
		return err
	}
	role, err := selectRole(ctx, q, a.RoleID)
	if err == nil && role.DomainID != "" && a.System {
		return fault.New(fault.Forbidden, "A role of a domain cannot be assigned on the system.")
	}
	return err
}

// RolesAssigned lists the roles that one user or group is assigned directly
// on one target.
func (s *Service) RolesAssigned(ctx context.Context, a Assignment) ([]Role, error) {
	_, actor := a.actor()
	return selectAssignedRoles(ctx, s.db, actor, a.target().id, a.Inherited)
}

// Assignments lists the assignments that agree with f in all that is set
// there.
func (s *Service) Assignments(ctx context.Context, f Assignment) ([]Assignment, error) {
	return selectAssignments(ctx, s.db, f)
}

// EffectiveAssignments lists, for users only, what they hold on each target in
// the end: by themselves, by groups, by inheritance, and by implication. Only
// those are listed that agree with f in all that is set there.
func (s *Service) EffectiveAssignments(ctx context.Context, f Assignment) ([]Assignment, error) {
	return selectEffective(ctx, s.db, f)
}
