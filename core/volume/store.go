package volume

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

//go:embed migrations/*.sql
var migrations embed.FS

// store is the service's database. Its times are microseconds since 1970.
type store struct {
	db       *sql.DB
	defaults Quotas
}

const columns = `id, project_id, user_id, name, description, size_gb, status, task, bootable, read_only,
	image_id, snapshot_id, source_id, created_at, updated_at`

// insert stores a new volume, if the quotas of its project allow it.
func (s store) insert(ctx context.Context, v Volume) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		quotas, used, err := s.quotas(ctx, tx, v.ProjectID)
		if err != nil {
			return err
		}
		if err := quotas.allowVolume(used, v.SizeGB); err != nil {
			return err
		}
		if err := stillThere(ctx, tx, v); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO volumes (`+columns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
			v.ID, v.ProjectID, v.UserID, v.Name, v.Description, v.SizeGB, v.Status, v.task, v.Bootable, v.ReadOnly,
			v.ImageID, v.SnapshotID, v.SourceID, micro(v.CreatedAt), micro(v.UpdatedAt))
		if err != nil {
			return fmt.Errorf("insert volume: %w", err)
		}
		return errors.Join(insertMetadata(ctx, tx, v.ID, "volume", v.Metadata), insertMetadata(ctx, tx, v.ID, "image", v.ImageMetadata))
	})
}

// stillThere checks, in the transaction that makes a volume from another or
// from a snapshot, that nobody began to delete that.
func stillThere(ctx context.Context, q db.Querier, v Volume) error {
	if v.SnapshotID != "" {
		snapshot, err := getSnapshot(ctx, q, v.SnapshotID)
		if errors.Is(err, sql.ErrNoRows) || err == nil && !snapshot.complete() {
			return snapshotNotFound(v.SnapshotID)
		}
		return err
	}
	if v.SourceID != "" {
		source, err := get(ctx, q, v.SourceID)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound(v.SourceID)
		}
		if err != nil {
			return err
		}
		return source.copyable()
	}
	return nil
}

func insertMetadata(ctx context.Context, q db.Querier, id, kind string, metadata map[string]string) error {
	for name, value := range metadata {
		_, err := q.ExecContext(ctx, `INSERT INTO volume_metadata (volume_id, kind, name, value) VALUES ($1, $2, $3, $4)`, id, kind, name, value)
		if err != nil {
			return fmt.Errorf("insert volume metadata: %w", err)
		}
	}
	return nil
}

// get reads a volume, or reports sql.ErrNoRows.
func (s store) get(ctx context.Context, id string) (Volume, error) { return get(ctx, s.db, id) }

func get(ctx context.Context, q db.Querier, id string) (Volume, error) {
	volumes, err := query(ctx, q, `SELECT `+columns+` FROM volumes WHERE id = $1`, id)
	if err != nil {
		return Volume{}, err
	}
	if len(volumes) == 0 {
		return Volume{}, sql.ErrNoRows
	}
	return volumes[0], nil
}

// pending lists the ids of the volumes and snapshots that Run has something
// to do for.
func (s store) pending(ctx context.Context) (volumes, snapshots []string, err error) {
	if volumes, err = s.ids(ctx, `SELECT id FROM volumes WHERE task <> '' ORDER BY created_at, id`); err != nil {
		return nil, nil, err
	}
	snapshots, err = s.ids(ctx, `SELECT id FROM snapshots WHERE task <> '' ORDER BY created_at, id`)
	return volumes, snapshots, err
}

func (s store) ids(ctx context.Context, text string) ([]string, error) {
	ids, err := db.Collect(ctx, s.db, scanID, text)
	if err != nil {
		return nil, fmt.Errorf("select pending: %w", err)
	}
	return ids, nil
}

func scanID(row db.Row) (id string, err error) {
	err = row.Scan(&id)
	return id, err
}

// query reads whole volumes in the order of text, which selects columns.
func query(ctx context.Context, q db.Querier, text string, args ...any) ([]Volume, error) {
	volumes, err := db.Collect(ctx, q, scan, text, args...)
	if err != nil {
		return nil, fmt.Errorf("select volumes: %w", err)
	}
	return volumes, addExtras(ctx, q, volumes)
}

func scan(row db.Row) (Volume, error) {
	v := Volume{Metadata: map[string]string{}, ImageMetadata: map[string]string{}}
	var created, updated int64
	err := row.Scan(&v.ID, &v.ProjectID, &v.UserID, &v.Name, &v.Description, &v.SizeGB, &v.Status, &v.task, &v.Bootable,
		&v.ReadOnly, &v.ImageID, &v.SnapshotID, &v.SourceID, &created, &updated)
	v.CreatedAt, v.UpdatedAt = fromMicro(created), fromMicro(updated)
	return v, err
}

// addExtras reads the metadata and attachments of volumes.
func addExtras(ctx context.Context, q db.Querier, volumes []Volume) error {
	if len(volumes) == 0 {
		return nil
	}
	at := make(map[string]*Volume, len(volumes))
	ids := make([]any, len(volumes))
	for i := range volumes {
		at[volumes[i].ID] = &volumes[i]
		ids[i] = volumes[i].ID
	}
	items, err := db.Collect(ctx, q, scanItem,
		`SELECT volume_id, kind, name, value FROM volume_metadata WHERE volume_id IN `+db.Parameters(1, len(ids)), ids...)
	if err != nil {
		return fmt.Errorf("select volume metadata: %w", err)
	}
	for _, i := range items {
		if i.kind == "image" {
			at[i.of].ImageMetadata[i.name] = i.value
		} else {
			at[i.of].Metadata[i.name] = i.value
		}
	}
	return addAttachments(ctx, q, at, ids)
}

// item is one of the metadata of a volume or snapshot.
type item struct{ of, kind, name, value string }

func scanItem(row db.Row) (i item, err error) {
	err = row.Scan(&i.of, &i.kind, &i.name, &i.value)
	return i, err
}

func addAttachments(ctx context.Context, q db.Querier, at map[string]*Volume, ids []any) error {
	attachments, err := db.Collect(ctx, q, scanAttachment, `SELECT volume_id, id, server_id, device, host, by_compute, attached_at
		FROM attachments WHERE volume_id IN `+db.Parameters(1, len(ids)), ids...)
	if err != nil {
		return fmt.Errorf("select attachments: %w", err)
	}
	for _, a := range attachments {
		at[a.volume].Attachment = &a.Attachment
	}
	return nil
}

// attached is an attachment and the volume that it is of.
type attached struct {
	volume string
	Attachment
}

func scanAttachment(row db.Row) (attached, error) {
	var a attached
	var since int64
	err := row.Scan(&a.volume, &a.ID, &a.ServerID, &a.Device, &a.Host, &a.ByCompute, &since)
	a.AttachedAt = fromMicro(since)
	return a, err
}

// update changes a volume by f, in one transaction, and returns it. If there
// is none it reports fault.NotFound; an error of f changes nothing. The
// quotas of the project must allow what a volume grows by.
func (s store) update(ctx context.Context, id string, at time.Time, f func(*Volume) error) (v Volume, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		v, err = s.change(ctx, tx, id, at, f)
		return err
	})
	return v, err
}

// updateAll is update for a volume together with its snapshots, but those that
// are being removed already: all change, or nothing does.
func (s store) updateAll(ctx context.Context, id string, at time.Time, f func(*Volume) error, each func(*Snapshot) error) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		snapshots, err := querySnapshots(ctx, tx,
			`SELECT `+snapshotColumns+` FROM snapshots WHERE volume_id = $1 AND task <> $2`, id, toDelete)
		if err != nil {
			return err
		}
		for _, one := range snapshots {
			if _, err := changeSnapshot(ctx, tx, one.ID, at, each); err != nil {
				return err
			}
		}
		_, err = s.change(ctx, tx, id, at, f)
		return err
	})
}

func (s store) change(ctx context.Context, tx *sql.Tx, id string, at time.Time, f func(*Volume) error) (Volume, error) {
	v, err := get(ctx, tx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Volume{}, notFound(id)
	}
	if err != nil {
		return Volume{}, err
	}
	before := v
	before.Metadata = maps.Clone(v.Metadata)
	before.ImageMetadata = maps.Clone(v.ImageMetadata)
	if err := f(&v); err != nil {
		return Volume{}, err
	}
	if err := s.checkChange(ctx, tx, before, v); err != nil {
		return Volume{}, err
	}
	v.UpdatedAt = at
	return v, write(ctx, tx, before, v)
}

// checkChange checks what a change to a volume depends on outside of it.
func (s store) checkChange(ctx context.Context, q db.Querier, before, after Volume) error {
	if after.SizeGB > before.SizeGB {
		quotas, used, err := s.quotas(ctx, q, after.ProjectID)
		if err != nil {
			return err
		}
		if err := quotas.allowSize(used, after.SizeGB, after.SizeGB-before.SizeGB); err != nil {
			return err
		}
	}
	if after.task == toDelete && before.task != toDelete || before.Status == Available && after.Status != Available {
		return s.unused(ctx, q, after)
	}
	return nil
}

// unused checks that no snapshot hangs on a volume that is to be deleted, and
// that nothing is being copied from one that is about to change.
func (s store) unused(ctx context.Context, q db.Querier, v Volume) error {
	var snapshots, copies int
	err := q.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM snapshots WHERE volume_id = $1 AND task <> $2),
		(SELECT count(*) FROM snapshots WHERE volume_id = $1 AND task = $3) +
		(SELECT count(*) FROM volumes WHERE source_id = $1 AND task = $3)`, v.ID, toDelete, toCreate).Scan(&snapshots, &copies)
	switch {
	case err != nil:
		return fmt.Errorf("count uses of volume: %w", err)
	case v.task == toDelete && snapshots > 0:
		return invalid("Volume %s still has %d dependent snapshots.", v.ID, snapshots)
	case copies > 0:
		return invalid("Volume %s is being copied.", v.ID)
	}
	return nil
}

func write(ctx context.Context, q db.Querier, before, v Volume) error {
	_, err := q.ExecContext(ctx, `UPDATE volumes SET name = $1, description = $2, size_gb = $3, status = $4, task = $5,
		bootable = $6, read_only = $7, updated_at = $8 WHERE id = $9`,
		v.Name, v.Description, v.SizeGB, v.Status, v.task, v.Bootable, v.ReadOnly, micro(v.UpdatedAt), v.ID)
	if err != nil {
		return fmt.Errorf("update volume: %w", err)
	}
	if !maps.Equal(before.Metadata, v.Metadata) || !maps.Equal(before.ImageMetadata, v.ImageMetadata) {
		if _, err := q.ExecContext(ctx, `DELETE FROM volume_metadata WHERE volume_id = $1`, v.ID); err != nil {
			return fmt.Errorf("delete volume metadata: %w", err)
		}
		err := errors.Join(insertMetadata(ctx, q, v.ID, "volume", v.Metadata), insertMetadata(ctx, q, v.ID, "image", v.ImageMetadata))
		if err != nil {
			return err
		}
	}
	return writeAttachment(ctx, q, v)
}

func writeAttachment(ctx context.Context, q db.Querier, v Volume) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM attachments WHERE volume_id = $1`, v.ID); err != nil {
		return fmt.Errorf("delete attachment: %w", err)
	}
	if v.Attachment == nil {
		return nil
	}
	a := v.Attachment
	_, err := q.ExecContext(ctx, `INSERT INTO attachments (volume_id, id, server_id, device, host, by_compute, attached_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, v.ID, a.ID, a.ServerID, a.Device, a.Host, a.ByCompute, micro(a.AttachedAt))
	if err != nil {
		return fmt.Errorf("insert attachment: %w", err)
	}
	return nil
}

// delete removes a volume for good. One that still has snapshots stays, and
// is reported as errLater.
func (s store) delete(ctx context.Context, id string) error {
	deleted, err := db.Changed(s.db.ExecContext(ctx, `DELETE FROM volumes
		WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM snapshots WHERE volume_id = $1)`, id))
	if err != nil {
		return fmt.Errorf("delete volume: %w", err)
	}
	if !deleted {
		return errLater
	}
	return nil
}

func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
