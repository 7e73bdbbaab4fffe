package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

const userColumns = `id, domain_id, name, enabled, default_project_id, password_hash, options, extra`

func scanUser(row db.Row) (User, error) {
	var u User
	err := row.Scan(&u.ID, &u.DomainID, &u.Name, &u.Enabled, &u.DefaultProjectID, &u.passwordHash,
		jsonColumn{&u.Options}, jsonColumn{&u.Extra})
	return u, err
}

func insertUser(ctx context.Context, q db.Querier, u User) error {
	_, err := q.ExecContext(ctx, `INSERT INTO users (`+userColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		u.ID, u.DomainID, u.Name, u.Enabled, u.DefaultProjectID, u.passwordHash, toJSON(u.Options), toJSON(u.Extra))
	return duplicate(err, "user", u.Name, u.DomainID)
}

func updateUser(ctx context.Context, q db.Querier, u User) error {
	_, err := q.ExecContext(ctx,
		`UPDATE users SET name = $1, enabled = $2, default_project_id = $3, password_hash = $4, options = $5, extra = $6 WHERE id = $7`,
		u.Name, u.Enabled, u.DefaultProjectID, u.passwordHash, toJSON(u.Options), toJSON(u.Extra), u.ID)
	return duplicate(err, "user", u.Name, u.DomainID)
}

func selectUser(ctx context.Context, q db.Querier, id string) (User, error) {
	u, err := scanUser(q.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE id = $1`, id))
	if err != nil {
		return User{}, notFound(err, "user", id)
	}
	return u, nil
}

func selectUserByName(ctx context.Context, q db.Querier, domainID, name string) (User, error) {
	u, err := scanUser(q.QueryRowContext(ctx,
		`SELECT `+userColumns+` FROM users WHERE domain_id = $1 AND name = $2`, domainID, name))
	if err != nil {
		return User{}, notFound(err, "user", name)
	}
	return u, nil
}

func selectUsers(ctx context.Context, q db.Querier, f UserFilter) ([]User, error) {
	return db.Collect(ctx, q, scanUser,
		`SELECT `+userColumns+` FROM users WHERE ($1 = '' OR name = $1) AND ($2 = '' OR domain_id = $2) ORDER BY name, id`,
		f.Name, f.DomainID)
}

func deleteUser(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM assignments WHERE actor_id = $1`, id); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, id)
	return exactlyOne(result, err, "user", id)
}

// selectScopes lists the projects, or domains, that a user holds a role on by
// itself, by a group, or by inheritance from above.
func selectScopes(ctx context.Context, q db.Querier, userID string, domains bool) ([]Project, error) {
	return db.Collect(ctx, q, scanProject,
		`WITH RECURSIVE
		held (target_id, inherited) AS (
			SELECT target_id, inherited FROM assignments
			WHERE actor_id = $1 OR actor_id IN (SELECT group_id FROM group_members WHERE user_id = $1)),
		below (below_id) AS (
			SELECT id FROM projects WHERE parent_id IN (SELECT target_id FROM held WHERE inherited)
			UNION
			SELECT id FROM projects JOIN below ON parent_id = below_id)
		SELECT `+projectColumns+` FROM projects
		WHERE is_domain = $2 AND enabled
			AND (id IN (SELECT target_id FROM held WHERE NOT inherited) OR id IN (SELECT below_id FROM below))
		ORDER BY name, id`, userID, domains)
}
