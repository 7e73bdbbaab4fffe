package volume

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

// quotas reads a project's limits and what it has.
func (s store) quotas(ctx context.Context, q db.Querier, project string) (Quotas, Usage, error) {
	type limit struct {
		name    string
		maximum int
	}
	set, err := db.Collect(ctx, q, func(row db.Row) (l limit, err error) {
		err = row.Scan(&l.name, &l.maximum)
		return l, err
	}, `SELECT resource, maximum FROM quotas WHERE project_id = $1`, project)
	if err != nil {
		return Quotas{}, Usage{}, fmt.Errorf("select quotas: %w", err)
	}
	limits := s.defaults
	for _, l := range set {
		if maximum := limits.resources()[l.name]; maximum != nil {
			*maximum = l.maximum
		}
	}
	used, err := usage(ctx, q, project)
	return limits, used, err
}

// total is what all projects have together.
func (s store) total(ctx context.Context) (Usage, error) {
	return scanUsage(s.db.QueryRowContext(ctx, `SELECT v.n, v.gb, s.n, s.gb
		FROM (SELECT count(*) AS n, coalesce(sum(size_gb), 0) AS gb FROM volumes) AS v,
			(SELECT count(*) AS n, coalesce(sum(size_gb), 0) AS gb FROM snapshots) AS s`))
}

// usage is what a project has.
func usage(ctx context.Context, q db.Querier, project string) (Usage, error) {
	return scanUsage(q.QueryRowContext(ctx, `SELECT v.n, v.gb, s.n, s.gb
		FROM (SELECT count(*) AS n, coalesce(sum(size_gb), 0) AS gb FROM volumes WHERE project_id = $1) AS v,
			(SELECT count(*) AS n, coalesce(sum(size_gb), 0) AS gb FROM snapshots WHERE project_id = $1) AS s`, project))
}

func scanUsage(row *sql.Row) (used Usage, err error) {
	if err := row.Scan(&used.Volumes, &used.VolumeGB, &used.Snapshots, &used.SnapshotGB); err != nil {
		return Usage{}, fmt.Errorf("sum usage: %w", err)
	}
	return used, nil
}

func (s store) setQuotas(ctx context.Context, project string, limits map[string]int) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		for name, limit := range limits {
			_, err := tx.ExecContext(ctx, `INSERT INTO quotas (project_id, resource, maximum) VALUES ($1, $2, $3)
				ON CONFLICT (project_id, resource) DO UPDATE SET maximum = excluded.maximum`, project, name, limit)
			if err != nil {
				return fmt.Errorf("set quota: %w", err)
			}
		}
		return nil
	})
}

func (s store) deleteQuotas(ctx context.Context, project string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM quotas WHERE project_id = $1`, project); err != nil {
		return fmt.Errorf("delete quotas: %w", err)
	}
	return nil
}
