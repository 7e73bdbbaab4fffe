package compute

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

const flavorColumns = `id, name, description, vcpus, memory_mb, disk_gb, ephemeral_gb, swap_mb, rxtx_factor, private, disabled, extra_specs`

func scanFlavor(r db.Row) (f Flavor, err error) {
	err = r.Scan(&f.ID, &f.Name, &f.Description, &f.VCPUs, &f.MemoryMB, &f.DiskGB, &f.EphemeralGB, &f.SwapMB,
		&f.RXTXFactor, &f.Private, &f.Disabled, jsonColumn[map[string]string]{&f.ExtraSpecs})
	return f, err
}

// makeFirstFlavors makes flavors, once in the life of the database: those that
// are deleted do not come back.
func (s *store) makeFirstFlavors(ctx context.Context, flavors []Flavor) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		const once = `INSERT INTO settings (name, value) VALUES ('first flavors made', 'yes') ON CONFLICT DO NOTHING`
		result, err := tx.ExecContext(ctx, once)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		for _, f := range flavors {
			if err := insertFlavor(ctx, tx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) insertFlavor(ctx context.Context, f Flavor) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		var sameID bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM flavors WHERE id = $1)`, f.ID).Scan(&sameID)
		if err != nil {
			return fmt.Errorf("select flavor: %w", err)
		}
		if sameID {
			return fault.New(fault.Conflict, "Flavor with ID %s already exists.", f.ID)
		}
		return insertFlavor(ctx, tx, f)
	})
}

func insertFlavor(ctx context.Context, q db.Querier, f Flavor) error {
	if f.ExtraSpecs == nil {
		f.ExtraSpecs = map[string]string{}
	}
	if f.RXTXFactor == 0 {
		f.RXTXFactor = 1
	}
	specs, err := toJSON(f.ExtraSpecs)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO flavors (`+flavorColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		f.ID, f.Name, f.Description, f.VCPUs, f.MemoryMB, f.DiskGB, f.EphemeralGB, f.SwapMB, f.RXTXFactor, f.Private, f.Disabled, specs)
	if db.IsUnique(err) {
		return fault.New(fault.Conflict, "Flavor with name %s already exists.", f.Name)
	}
	if err != nil {
		return fmt.Errorf("insert flavor %s: %w", f.ID, err)
	}
	return nil
}

func (s *store) flavors(ctx context.Context) ([]Flavor, error) {
	flavors, err := db.Collect(ctx, s.db, scanFlavor, `SELECT `+flavorColumns+` FROM flavors ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("select flavors: %w", err)
	}
	return flavors, nil
}

func (s *store) flavor(ctx context.Context, id string) (Flavor, error) {
	return selectFlavor(ctx, s.db, id)
}

func selectFlavor(ctx context.Context, q db.Querier, id string) (Flavor, error) {
	f, err := scanFlavor(q.QueryRowContext(ctx, `SELECT `+flavorColumns+` FROM flavors WHERE id = $1`, id))
	if err = ifNone(err, flavorNotFound(id)); err != nil {
		return f, fmt.Errorf("select flavor: %w", err)
	}
	return f, nil
}

func (s *store) deleteFlavor(ctx context.Context, id string) error {
	result, err := s.db.ExecContext(ctx, `DELETE FROM flavors WHERE id = $1`, id)
	return mustChange(result, err, flavorNotFound(id))
}

func (s *store) changeFlavor(ctx context.Context, id string, change func(*Flavor) error) (f Flavor, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		if f, err = selectFlavor(ctx, tx, id); err != nil {
			return err
		}
		if err := change(&f); err != nil {
			return err
		}
		specs, err := toJSON(f.ExtraSpecs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE flavors SET description = $1, extra_specs = $2 WHERE id = $3`, f.Description, specs, id)
		return err
	})
	return f, err
}

// accessibleFlavors are the private flavors that a project may use.
func (s *store) accessibleFlavors(ctx context.Context, project string) (map[string]bool, error) {
	ids, err := db.Collect(ctx, s.db, scanText, `SELECT flavor_id FROM flavor_access WHERE project_id = $1`, project)
	if err != nil {
		return nil, fmt.Errorf("select accessible flavors: %w", err)
	}
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set, nil
}

func (s *store) flavorAccess(ctx context.Context, id string) ([]string, error) {
	return db.Collect(ctx, s.db, scanText, `SELECT project_id FROM flavor_access WHERE flavor_id = $1 ORDER BY project_id`, id)
}

func (s *store) addFlavorAccess(ctx context.Context, id, project string) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO flavor_access (flavor_id, project_id) VALUES ($1, $2)`, id, project)
	if db.IsUnique(err) {
		return fault.New(fault.Conflict, "Flavor access already exists for flavor %s and project %s combination.", id, project)
	}
	return err
}

func (s *store) removeFlavorAccess(ctx context.Context, id, project string) error {
	result, err := s.db.ExecContext(ctx, `DELETE FROM flavor_access WHERE flavor_id = $1 AND project_id = $2`, id, project)
	return mustChange(result, err, fault.New(fault.NotFound, "Flavor access not found for %s / %s combination.", id, project))
}
