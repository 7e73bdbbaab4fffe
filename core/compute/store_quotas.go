package compute

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

// quotas returns a project's limits: its own, else those of defaults.
func (s *store) quotas(ctx context.Context, project string, defaults Quotas) (Quotas, error) {
	type limit struct {
		resource string
		allowed  int
	}
	limits, err := db.Collect(ctx, s.db, func(r db.Row) (l limit, err error) {
		err = r.Scan(&l.resource, &l.allowed)
		return l, err
	}, `SELECT resource, allowed FROM quotas WHERE project_id = $1`, project)
	if err != nil {
		return defaults, fmt.Errorf("select quotas: %w", err)
	}
	fields := defaults.resources()
	for _, l := range limits {
		if field := fields[l.resource]; field != nil {
			*field = l.allowed
		}
	}
	return defaults, nil
}

func (s *store) setQuotas(ctx context.Context, project string, limits map[string]int) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		for resource, limit := range limits {
			const set = `INSERT INTO quotas (project_id, resource, allowed) VALUES ($1, $2, $3)
				ON CONFLICT (project_id, resource) DO UPDATE SET allowed = excluded.allowed`
			if _, err := tx.ExecContext(ctx, set, project, resource, limit); err != nil {
				return fmt.Errorf("set quota of %s: %w", resource, err)
			}
		}
		return nil
	})
}

func (s *store) deleteQuotas(ctx context.Context, project string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM quotas WHERE project_id = $1`, project)
	return err
}

// usage sums what the servers of a project claim of its quota.
func (s *store) usage(ctx context.Context, project string) (Usage, error) {
	return usage(ctx, s.db, `WHERE project_id = $1`, project)
}

// hostUsage sums what the servers that have a host claim of it.
func (s *store) hostUsage(ctx context.Context) (Usage, error) {
	return usage(ctx, s.db, `WHERE host <> ''`)
}

func usage(ctx context.Context, q db.Querier, where string, args ...any) (u Usage, err error) {
	query := `SELECT COUNT(*), COALESCE(SUM(vcpus), 0), COALESCE(SUM(memory_mb), 0) FROM servers ` + where
	if err := q.QueryRowContext(ctx, query, args...).Scan(&u.Instances, &u.Cores, &u.RAMMB); err != nil {
		return u, fmt.Errorf("sum servers: %w", err)
	}
	return u, nil
}
