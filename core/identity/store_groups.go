package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

const groupColumns = `id, domain_id, name, description, extra`

func scanGroup(row db.Row) (Group, error) {
	var g Group
	err := row.Scan(&g.ID, &g.DomainID, &g.Name, &g.Description, jsonColumn{&g.Extra})
	return g, err
}

func insertGroup(ctx context.Context, q db.Querier, g Group) error {
	_, err := q.ExecContext(ctx, `INSERT INTO groups (`+groupColumns+`) VALUES ($1, $2, $3, $4, $5)`,
		g.ID, g.DomainID, g.Name, g.Description, toJSON(g.Extra))
	return duplicate(err, "group", g.Name, g.DomainID)
}

func updateGroup(ctx context.Context, q db.Querier, g Group) error {
	_, err := q.ExecContext(ctx, `UPDATE groups SET name = $1, description = $2, extra = $3 WHERE id = $4`,
		g.Name, g.Description, toJSON(g.Extra), g.ID)
	return duplicate(err, "group", g.Name, g.DomainID)
}

func selectGroup(ctx context.Context, q db.Querier, id string) (Group, error) {
	g, err := scanGroup(q.QueryRowContext(ctx, `SELECT `+groupColumns+` FROM groups WHERE id = $1`, id))
	if err != nil {
		return Group{}, notFound(err, "group", id)
	}
	return g, nil
}

func selectGroups(ctx context.Context, q db.Querier, f GroupFilter) ([]Group, error) {
	return db.Collect(ctx, q, scanGroup,
		`SELECT `+groupColumns+` FROM groups
		WHERE ($1 = '' OR name = $1) AND ($2 = '' OR domain_id = $2)
			AND ($3 = '' OR id IN (SELECT group_id FROM group_members WHERE user_id = $3))
		ORDER BY name, id`, f.Name, f.DomainID, f.UserID)
}

func deleteGroup(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM assignments WHERE actor_id = $1`, id); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `DELETE FROM groups WHERE id = $1`, id)
	return exactlyOne(result, err, "group", id)
}

func selectMembers(ctx context.Context, q db.Querier, groupID string) ([]User, error) {
	return db.Collect(ctx, q, scanUser,
		`SELECT `+userColumns+` FROM users WHERE id IN (SELECT user_id FROM group_members WHERE group_id = $1) ORDER BY name, id`, groupID)
}

func insertMember(ctx context.Context, q db.Querier, groupID, userID string) error {
	_, err := q.ExecContext(ctx,
		`INSERT INTO group_members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, groupID, userID)
	return err
}

func deleteMember(ctx context.Context, q db.Querier, groupID, userID string) error {
	result, err := q.ExecContext(ctx, `DELETE FROM group_members WHERE group_id = $1 AND user_id = $2`, groupID, userID)
	if err := exactlyOne(result, err, "user", userID); !fault.Is(err, fault.NotFound) {
		return err
	}
	return fault.New(fault.NotFound, "User '%s' not found in group '%s'.", userID, groupID)
}
