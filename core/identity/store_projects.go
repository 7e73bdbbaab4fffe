package identity

import (
	"context"
	"database/sql"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

const projectColumns = `id, COALESCE(domain_id, ''), COALESCE(parent_id, ''), is_domain, name, description, enabled, tags, options, extra`

func scanProject(row db.Row) (Project, error) {
	var p Project
	err := row.Scan(&p.ID, &p.DomainID, &p.ParentID, &p.IsDomain, &p.Name, &p.Description, &p.Enabled,
		jsonColumn{&p.Tags}, jsonColumn{&p.Options}, jsonColumn{&p.Extra})
	return p, err
}

func insertProject(ctx context.Context, q db.Querier, p Project) error {
	_, err := q.ExecContext(ctx,
		`INSERT INTO projects (id, domain_id, parent_id, is_domain, name, description, enabled, tags, options, extra)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		p.ID, nullable(p.DomainID), nullable(p.ParentID), p.IsDomain, p.Name, p.Description, p.Enabled,
		toJSON(p.Tags), toJSON(p.Options), toJSON(p.Extra))
	return duplicate(err, p.kind(), p.Name, p.DomainID)
}

func updateProject(ctx context.Context, q db.Querier, p Project) error {
	_, err := q.ExecContext(ctx,
		`UPDATE projects SET name = $1, description = $2, enabled = $3, tags = $4, options = $5, extra = $6 WHERE id = $7`,
		p.Name, p.Description, p.Enabled, toJSON(p.Tags), toJSON(p.Options), toJSON(p.Extra), p.ID)
	return duplicate(err, p.kind(), p.Name, p.DomainID)
}

// selectProject finds a project, or a domain, by id.
func selectProject(ctx context.Context, q db.Querier, id string) (Project, error) {
	p, err := scanProject(q.QueryRowContext(ctx, `SELECT `+projectColumns+` FROM projects WHERE id = $1`, id))
	if err != nil {
		return Project{}, notFound(err, "project", id)
	}
	return p, nil
}

func selectDomain(ctx context.Context, q db.Querier, id string) (Project, error) {
	p, err := scanProject(q.QueryRowContext(ctx, `SELECT `+projectColumns+` FROM projects WHERE id = $1 AND is_domain`, id))
	if err != nil {
		return Project{}, notFound(err, "domain", id)
	}
	return p, nil
}

// selectProjectByName finds a project in a domain; with no domain, a domain.
func selectProjectByName(ctx context.Context, q db.Querier, domainID, name string) (Project, error) {
	p, err := scanProject(q.QueryRowContext(ctx,
		`SELECT `+projectColumns+` FROM projects WHERE COALESCE(domain_id, '') = $1 AND name = $2`, domainID, name))
	if err != nil {
		return Project{}, notFound(err, Project{IsDomain: domainID == ""}.kind(), name)
	}
	return p, nil
}

func selectProjects(ctx context.Context, q db.Querier, f ProjectFilter) ([]Project, error) {
	return db.Collect(ctx, q, scanProject,
		`SELECT `+projectColumns+` FROM projects
		WHERE is_domain = $1 AND ($2 = '' OR name = $2) AND ($3 = '' OR domain_id = $3) AND ($4 = '' OR parent_id = $4)
		ORDER BY name, id`, f.IsDomain, f.Name, f.DomainID, f.ParentID)
}

// selectSubtree lists a project and all projects below it, parents first.
func selectSubtree(ctx context.Context, q db.Querier, id string) ([]Project, error) {
	return db.Collect(ctx, q, scanProject,
		`WITH RECURSIVE below (below_id, depth) AS (
			SELECT id, 0 FROM projects WHERE id = $1
			UNION ALL
			SELECT id, depth + 1 FROM projects JOIN below ON parent_id = below_id)
		SELECT `+projectColumns+` FROM projects JOIN below ON below_id = id ORDER BY depth, name`, id)
}

// selectParents lists the projects above a project, the nearest first, without
// its domain.
func selectParents(ctx context.Context, q db.Querier, id string) ([]Project, error) {
	return db.Collect(ctx, q, scanProject,
		`WITH RECURSIVE above (above_id, next_id, depth) AS (
			SELECT id, parent_id, 0 FROM projects WHERE id = $1
			UNION ALL
			SELECT id, parent_id, depth + 1 FROM projects JOIN above ON id = next_id)
		SELECT `+projectColumns+` FROM projects JOIN above ON above_id = id
		WHERE depth > 0 AND NOT is_domain ORDER BY depth`, id)
}

// deleteProject removes a project without projects below it, and all that
// hangs on it alone.
func deleteProject(ctx context.Context, tx *sql.Tx, id string) error {
	for _, statement := range []string{
		`DELETE FROM tokens WHERE target_id = $1`,
		`DELETE FROM assignments WHERE target_id = $1`,
		`UPDATE users SET default_project_id = '' WHERE default_project_id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, id); err != nil {
			return err
		}
	}
	result, err := tx.ExecContext(ctx, `DELETE FROM projects WHERE id = $1`, id)
	return exactlyOne(result, err, "project", id)
}

// deleteDomainContents removes the users, groups and roles of a domain. Its
// projects have gone before.
func deleteDomainContents(ctx context.Context, tx *sql.Tx, id string) error {
	for _, statement := range []string{
		`DELETE FROM assignments WHERE actor_id IN (SELECT id FROM users WHERE domain_id = $1)`,
		`DELETE FROM assignments WHERE actor_id IN (SELECT id FROM groups WHERE domain_id = $1)`,
		`DELETE FROM users WHERE domain_id = $1`,
		`DELETE FROM groups WHERE domain_id = $1`,
		`DELETE FROM roles WHERE domain_id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, id); err != nil {
			return err
		}
	}
	return nil
}
