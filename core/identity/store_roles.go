package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

const roleColumns = `id, COALESCE(domain_id, ''), name, description, options, extra`

func scanRole(row db.Row) (Role, error) {
	var r Role
	err := row.Scan(&r.ID, &r.DomainID, &r.Name, &r.Description, jsonColumn{&r.Options}, jsonColumn{&r.Extra})
	return r, err
}

func insertRole(ctx context.Context, q db.Querier, r Role) error {
	_, err := q.ExecContext(ctx, `INSERT INTO roles (id, domain_id, name, description, options, extra) VALUES ($1, $2, $3, $4, $5, $6)`,
		r.ID, nullable(r.DomainID), r.Name, r.Description, toJSON(r.Options), toJSON(r.Extra))
	return duplicate(err, "role", r.Name, r.DomainID)
}

func updateRole(ctx context.Context, q db.Querier, r Role) error {
	_, err := q.ExecContext(ctx, `UPDATE roles SET name = $1, description = $2, options = $3, extra = $4 WHERE id = $5`,
		r.Name, r.Description, toJSON(r.Options), toJSON(r.Extra), r.ID)
	return duplicate(err, "role", r.Name, r.DomainID)
}

func selectRole(ctx context.Context, q db.Querier, id string) (Role, error) {
	r, err := scanRole(q.QueryRowContext(ctx, `SELECT `+roleColumns+` FROM roles WHERE id = $1`, id))
	if err != nil {
		return Role{}, notFound(err, "role", id)
	}
	return r, nil
}

func selectRoles(ctx context.Context, q db.Querier, f RoleFilter) ([]Role, error) {
	return db.Collect(ctx, q, scanRole,
		`SELECT `+roleColumns+` FROM roles WHERE COALESCE(domain_id, '') = $1 AND ($2 = '' OR name = $2) ORDER BY name, id`,
		f.DomainID, f.Name)
}

func deleteRole(ctx context.Context, tx *sql.Tx, id string) error {
	result, err := tx.ExecContext(ctx, `DELETE FROM roles WHERE id = $1`, id)
	return exactlyOne(result, err, "role", id)
}

func scanImplication(row db.Row) (Implication, error) {
	var i Implication
	err := row.Scan(&i.Prior.ID, &i.Prior.DomainID, &i.Prior.Name, &i.Prior.Description,
		&i.Implied.ID, &i.Implied.DomainID, &i.Implied.Name, &i.Implied.Description)
	return i, err
}

func selectImplications(ctx context.Context, q db.Querier, priorID string) ([]Implication, error) {
	return db.Collect(ctx, q, scanImplication,
		`SELECT p.id, COALESCE(p.domain_id, ''), p.name, p.description, i.id, COALESCE(i.domain_id, ''), i.name, i.description
		FROM implied_roles JOIN roles p ON p.id = prior_id JOIN roles i ON i.id = implied_id
		WHERE $1 = '' OR prior_id = $1 ORDER BY p.name, i.name`, priorID)
}

func insertImplication(ctx context.Context, q db.Querier, priorID, impliedID string) error {
	_, err := q.ExecContext(ctx,
		`INSERT INTO implied_roles (prior_id, implied_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, priorID, impliedID)
	return err
}

func deleteImplication(ctx context.Context, q db.Querier, priorID, impliedID string) error {
	_, err := q.ExecContext(ctx, `DELETE FROM implied_roles WHERE prior_id = $1 AND implied_id = $2`, priorID, impliedID)
	return err
}
