package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Group is a set of users; its members hold the roles that it holds.
type Group struct {
	ID          string
	DomainID    string
	Name        string
	Description string
	Extra       map[string]any // further attributes, as clients sent them
}

// GroupFilter picks groups. Empty fields match all.
type GroupFilter struct {
	Name, DomainID string
	UserID         string // groups of which this user is a member
}

// CreateGroup makes a group; its id is chosen here.
func (s *Service) CreateGroup(ctx context.Context, g Group) (Group, error) {
	if err := checkName(g.Name, 64); err != nil {
		return Group{}, err
	}
	g.ID = newID()
	err := s.change(ctx, func(tx *sql.Tx) error {
		if _, err := selectDomain(ctx, tx, g.DomainID); err != nil {
			return err
		}
		return insertGroup(ctx, tx, g)
	})
	return g, err
}

// Group finds a group.
func (s *Service) Group(ctx context.Context, id string) (Group, error) {
	return selectGroup(ctx, s.db, id)
}

// Groups lists groups by name.
func (s *Service) Groups(ctx context.Context, f GroupFilter) ([]Group, error) {
	return selectGroups(ctx, s.db, f)
}

// UpdateGroup lets edit alter a group's name, description and attributes.
func (s *Service) UpdateGroup(ctx context.Context, id string, edit func(*Group) error) (Group, error) {
	var g Group
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		if g, err = selectGroup(ctx, tx, id); err != nil {
			return err
		}
		if err := edit(&g); err != nil {
			return err
		}
		if err := checkName(g.Name, 64); err != nil {
			return err
		}
		return updateGroup(ctx, tx, g)
	})
	return g, err
}

// DeleteGroup removes a group and its rights.
func (s *Service) DeleteGroup(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error { return deleteGroup(ctx, tx, id) })
}

// GroupMembers lists the users in a group by name.
func (s *Service) GroupMembers(ctx context.Context, id string) ([]User, error) {
	if _, err := s.Group(ctx, id); err != nil {
		return nil, err
	}
	return selectMembers(ctx, s.db, id)
}

// AddToGroup makes a user a member of a group. It may be one already.
func (s *Service) AddToGroup(ctx context.Context, id, userID string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := checkMembership(ctx, tx, id, userID); err != nil {
			return err
		}
		return insertMember(ctx, tx, id, userID)
	})
}

// RemoveFromGroup ends a user's membership. Its tokens lose at once what the
// group gave.
func (s *Service) RemoveFromGroup(ctx context.Context, id, userID string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := checkMembership(ctx, tx, id, userID); err != nil {
			return err
		}
		return deleteMember(ctx, tx, id, userID)
	})
}

// InGroup reports fault.NotFound unless the user is a member of the group.
func (s *Service) InGroup(ctx context.Context, id, userID string) error {
	if err := checkMembership(ctx, s.db, id, userID); err != nil {
		return err
	}
	groups, err := s.Groups(ctx, GroupFilter{UserID: userID})
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.ID == id {
			return nil
		}
	}
	return fault.New(fault.NotFound, "User '%s' not found in group '%s'.", userID, id)
}

func checkMembership(ctx context.Context, q db.Querier, id, userID string) error {
	if _, err := selectGroup(ctx, q, id); err != nil {
		return err
	}
	_, err := selectUser(ctx, q, userID)
	return err
}
