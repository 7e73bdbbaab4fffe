package identity

import (
	"context"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func insertAssignment(ctx context.Context, q db.Querier, a Assignment) error {
	kind, actor := a.actor()
	t := a.target()
	_, err := q.ExecContext(ctx,
		`INSERT INTO assignments (actor_kind, actor_id, target_kind, target_id, role_id, inherited)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, kind, actor, t.kind, t.id, a.RoleID, a.Inherited)
	return err
}

func deleteAssignment(ctx context.Context, q db.Querier, a Assignment) error {
	_, actor := a.actor()
	result, err := q.ExecContext(ctx,
		`DELETE FROM assignments WHERE actor_id = $1 AND target_id = $2 AND role_id = $3 AND inherited = $4`,
		actor, a.target().id, a.RoleID, a.Inherited)
	if err := exactlyOne(result, err, "role assignment", a.RoleID); !fault.Is(err, fault.NotFound) {
		return err
	}
	return noAssignment(a)
}

func scanAssignment(row db.Row) (Assignment, error) {
	var a Assignment
	var actorKind, actor string
	var t target
	if err := row.Scan(&actorKind, &actor, &t.kind, &t.id, &a.RoleID, &a.Inherited); err != nil {
		return Assignment{}, err
	}
	if actorKind == "group" {
		a.GroupID = actor
	} else {
		a.UserID = actor
	}
	switch t.kind {
	case onProject:
		a.ProjectID = t.id
	case onDomain:
		a.DomainID = t.id
	case onSystem:
		a.System = true
	}
	return a, nil
}

// matchAssignment narrows a query to an Assignment's set fields, see
// assignmentArgs. A kind is needed beside an id only for the system.
const matchAssignment = `
	WHERE ($1 = '' OR (actor_kind = 'user' AND actor_id = $1))
	  AND ($2 = '' OR (actor_kind = 'group' AND actor_id = $2))
	  AND ($3 = '' OR (target_kind = 'project' AND target_id = $3))
	  AND ($4 = '' OR (target_kind = 'domain' AND target_id = $4))
	  AND (NOT $5 OR target_kind = 'system')
	  AND ($6 = '' OR role_id = $6)
	  AND (NOT $7 OR inherited)
	ORDER BY actor_id, target_id, role_id`

func assignmentArgs(f Assignment) []any {
	return []any{f.UserID, f.GroupID, f.ProjectID, f.DomainID, f.System, f.RoleID, f.Inherited}
}

func selectAssignments(ctx context.Context, q db.Querier, f Assignment) ([]Assignment, error) {
	return db.Collect(ctx, q, scanAssignment,
		`SELECT actor_kind, actor_id, target_kind, target_id, role_id, inherited FROM assignments`+matchAssignment,
		assignmentArgs(f)...)
}

// selectEffective resolves groups to members, inherited roles to the projects
// below, and adds what the roles imply. Roles of domains fall out.
func selectEffective(ctx context.Context, q db.Querier, f Assignment) ([]Assignment, error) {
	return db.Collect(ctx, q, scanAssignment,
		`WITH RECURSIVE
		below (above_id, below_id) AS (
			SELECT parent_id, id FROM projects WHERE parent_id IS NOT NULL
			UNION
			SELECT above_id, id FROM projects JOIN below ON parent_id = below_id),
		by_user (user_id, target_kind, target_id, role_id, inherited) AS (
			SELECT COALESCE(user_id, actor_id), target_kind, target_id, role_id, inherited
			FROM assignments LEFT JOIN group_members ON actor_kind = 'group' AND group_id = actor_id
			WHERE actor_kind = 'user' OR user_id IS NOT NULL),
		held (user_id, target_kind, target_id, role_id) AS (
			SELECT user_id, target_kind, target_id, role_id FROM by_user WHERE NOT inherited
			UNION
			SELECT user_id, 'project', below_id, role_id FROM by_user JOIN below ON above_id = target_id WHERE inherited
			UNION
			SELECT user_id, target_kind, target_id, implied_id FROM held JOIN implied_roles ON prior_id = role_id),
		effective (actor_kind, actor_id, target_kind, target_id, role_id, inherited) AS (
			SELECT 'user', user_id, target_kind, target_id, role_id, FALSE FROM held
			JOIN roles ON roles.id = role_id WHERE roles.domain_id IS NULL)
		SELECT actor_kind, actor_id, target_kind, target_id, role_id, inherited FROM effective`+matchAssignment,
		assignmentArgs(f)...)
}

func selectAssignedRoles(ctx context.Context, q db.Querier, actor, targetID string, inherited bool) ([]Role, error) {
	return db.Collect(ctx, q, scanRole,
		`SELECT `+roleColumns+` FROM roles WHERE id IN (
			SELECT role_id FROM assignments WHERE actor_id = $1 AND target_id = $2 AND inherited = $3)
		ORDER BY name, id`, actor, targetID, inherited)
}

// selectHeldRoles lists the roles that a user's token has on a target: its
// own, its groups', those inherited from above, and all that these imply.
func selectHeldRoles(ctx context.Context, q db.Querier, userID, targetID string) ([]Role, error) {
	return db.Collect(ctx, q, scanRole,
		`WITH RECURSIVE
		above (above_id, next_id) AS (
			SELECT id, parent_id FROM projects WHERE id = $1
			UNION
			SELECT id, parent_id FROM projects JOIN above ON id = next_id),
		held (role_id) AS (
			SELECT role_id FROM assignments
			WHERE (actor_id = $2 OR actor_id IN (SELECT group_id FROM group_members WHERE user_id = $2))
			  AND ((target_id = $1 AND NOT inherited)
			    OR (target_id <> $1 AND inherited AND target_id IN (SELECT above_id FROM above)))
			UNION
			SELECT implied_id FROM held JOIN implied_roles ON prior_id = role_id)
		SELECT `+roleColumns+` FROM roles JOIN held ON role_id = id WHERE domain_id IS NULL ORDER BY name`, targetID, userID)
}

// selectIsAdmin reports whether a user holds the role admin on any target.
func selectIsAdmin(ctx context.Context, q db.Querier, userID string) (bool, error) {
	held, err := selectEffective(ctx, q, Assignment{UserID: userID})
	if err != nil {
		return false, err
	}
	admins, err := selectRoles(ctx, q, RoleFilter{Name: "admin"})
	if err != nil || len(admins) == 0 {
		return false, err
	}
	for _, a := range held {
		if a.RoleID == admins[0].ID {
			return true, nil
		}
	}
	return false, nil
}
