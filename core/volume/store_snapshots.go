package volume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

const snapshotColumns = `id, volume_id, project_id, user_id, name, description, size_gb, status, task, created_at, updated_at`

// insertSnapshot stores a new snapshot of a volume, if nobody may be writing
// to that and the quotas allow it, and returns its size.
func (s store) insertSnapshot(ctx context.Context, snapshot Snapshot) (sizeGB int, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		v, err := get(ctx, tx, snapshot.VolumeID)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound(snapshot.VolumeID)
		}
		if err != nil {
			return err
		}
		if err := v.copyable(); err != nil {
			return err
		}
		quotas, used, err := s.quotas(ctx, tx, snapshot.ProjectID)
		if err != nil {
			return err
		}
		if err := quotas.allowSnapshot(used, v.SizeGB); err != nil {
			return err
		}
		sizeGB = v.SizeGB
		_, err = tx.ExecContext(ctx, `INSERT INTO snapshots (`+snapshotColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			snapshot.ID, snapshot.VolumeID, snapshot.ProjectID, snapshot.UserID, snapshot.Name, snapshot.Description, sizeGB,
			snapshot.Status, snapshot.task, micro(snapshot.CreatedAt), micro(snapshot.UpdatedAt))
		if err != nil {
			return fmt.Errorf("insert snapshot: %w", err)
		}
		return insertSnapshotMetadata(ctx, tx, snapshot)
	})
	return sizeGB, err
}

func insertSnapshotMetadata(ctx context.Context, q db.Querier, snapshot Snapshot) error {
	for name, value := range snapshot.Metadata {
		_, err := q.ExecContext(ctx, `INSERT INTO snapshot_metadata (snapshot_id, name, value) VALUES ($1, $2, $3)`, snapshot.ID, name, value)
		if err != nil {
			return fmt.Errorf("insert snapshot metadata: %w", err)
		}
	}
	return nil
}

// getSnapshot reads a snapshot, or reports sql.ErrNoRows.
func getSnapshot(ctx context.Context, q db.Querier, id string) (Snapshot, error) {
	snapshots, err := querySnapshots(ctx, q, `SELECT `+snapshotColumns+` FROM snapshots WHERE id = $1`, id)
	if err != nil {
		return Snapshot{}, err
	}
	if len(snapshots) == 0 {
		return Snapshot{}, sql.ErrNoRows
	}
	return snapshots[0], nil
}

func querySnapshots(ctx context.Context, q db.Querier, text string, args ...any) ([]Snapshot, error) {
	snapshots, err := db.Collect(ctx, q, scanSnapshot, text, args...)
	if err != nil {
		return nil, fmt.Errorf("select snapshots: %w", err)
	}
	return snapshots, addSnapshotMetadata(ctx, q, snapshots)
}

func scanSnapshot(row db.Row) (Snapshot, error) {
	one := Snapshot{Metadata: map[string]string{}}
	var created, updated int64
	err := row.Scan(&one.ID, &one.VolumeID, &one.ProjectID, &one.UserID, &one.Name, &one.Description, &one.SizeGB,
		&one.Status, &one.task, &created, &updated)
	one.CreatedAt, one.UpdatedAt = fromMicro(created), fromMicro(updated)
	return one, err
}

func addSnapshotMetadata(ctx context.Context, q db.Querier, snapshots []Snapshot) error {
	if len(snapshots) == 0 {
		return nil
	}
	at := make(map[string]map[string]string, len(snapshots))
	ids := make([]any, len(snapshots))
	for i, one := range snapshots {
		at[one.ID], ids[i] = one.Metadata, one.ID
	}
	items, err := db.Collect(ctx, q, scanItem,
		`SELECT snapshot_id, '', name, value FROM snapshot_metadata WHERE snapshot_id IN `+db.Parameters(1, len(ids)), ids...)
	if err != nil {
		return fmt.Errorf("select snapshot metadata: %w", err)
	}
	for _, i := range items {
		at[i.of][i.name] = i.value
	}
	return nil
}

// updateSnapshot is update for snapshots. One that a volume is being made
// from cannot be deleted.
func (s store) updateSnapshot(ctx context.Context, id string, at time.Time, f func(*Snapshot) error) (snapshot Snapshot, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		snapshot, err = changeSnapshot(ctx, tx, id, at, f)
		return err
	})
	return snapshot, err
}

func changeSnapshot(ctx context.Context, tx *sql.Tx, id string, at time.Time, f func(*Snapshot) error) (Snapshot, error) {
	snapshot, err := getSnapshot(ctx, tx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Snapshot{}, snapshotNotFound(id)
	}
	if err != nil {
		return Snapshot{}, err
	}
	before := maps.Clone(snapshot.Metadata)
	if err := f(&snapshot); err != nil {
		return Snapshot{}, err
	}
	if err := notBeingRead(ctx, tx, snapshot); err != nil {
		return Snapshot{}, err
	}
	snapshot.UpdatedAt = at
	_, err = tx.ExecContext(ctx, `UPDATE snapshots SET name = $1, description = $2, status = $3, task = $4, updated_at = $5 WHERE id = $6`,
		snapshot.Name, snapshot.Description, snapshot.Status, snapshot.task, micro(at), id)
	if err != nil {
		return Snapshot{}, fmt.Errorf("update snapshot: %w", err)
	}
	if maps.Equal(before, snapshot.Metadata) {
		return snapshot, nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM snapshot_metadata WHERE snapshot_id = $1`, id); err != nil {
		return Snapshot{}, fmt.Errorf("delete snapshot metadata: %w", err)
	}
	return snapshot, insertSnapshotMetadata(ctx, tx, snapshot)
}

func notBeingRead(ctx context.Context, q db.Querier, snapshot Snapshot) error {
	if snapshot.task != toDelete {
		return nil
	}
	var readers int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM volumes WHERE snapshot_id = $1 AND task = $2`, snapshot.ID, toCreate).Scan(&readers)
	if err != nil {
		return fmt.Errorf("count volumes made from snapshot: %w", err)
	}
	if readers > 0 {
		return fault.New(fault.BadRequest, "Invalid snapshot: Snapshot %s is being copied.", snapshot.ID)
	}
	return nil
}

// deleteSnapshot removes a snapshot for good.
func (s store) deleteSnapshot(ctx context.Context, id string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM snapshots WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete snapshot: %w", err)
	}
	return nil
}
