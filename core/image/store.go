package image

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// store is the service's database. Its times are microseconds since 1970.
type store struct{ db *sql.DB }

const columns = `id, name, owner, visibility, status, disk_format, container_format, min_disk, min_ram,
	protected, os_hidden, size, virtual_size, checksum, os_hash_value, created_at, updated_at`

// insert stores a new image. An id that is or was another's is fault.Conflict.
func (s store) insert(ctx context.Context, img Image) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		taken := fault.New(fault.Conflict, "Image ID %s already exists!", img.ID)
		var was int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM deleted_images WHERE id = $1`, img.ID).Scan(&was); err != nil {
			return fmt.Errorf("look for deleted image: %w", err)
		}
		if was > 0 {
			return taken
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO images (`+columns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, -1, 0, '', '', $12, $13)`,
			img.ID, img.Name, img.Owner, img.Visibility, img.Status, img.DiskFormat, img.ContainerFormat, img.MinDiskGB,
			img.MinRAMMB, img.Protected, img.Hidden, img.CreatedAt.UnixMicro(), img.UpdatedAt.UnixMicro())
		if db.IsUnique(err) {
			return taken
		}
		if err != nil {
			return fmt.Errorf("insert image: %w", err)
		}
		return insertExtras(ctx, tx, img)
	})
}

// insertExtras stores the tags and properties of an image that has none.
func insertExtras(ctx context.Context, q db.Querier, img Image) error {
	for _, tag := range img.Tags {
		if _, err := q.ExecContext(ctx, `INSERT INTO image_tags (image_id, tag) VALUES ($1, $2)`, img.ID, tag); err != nil {
			return fmt.Errorf("insert image tag: %w", err)
		}
	}
	for name, value := range img.Properties {
		_, err := q.ExecContext(ctx, `INSERT INTO image_properties (image_id, name, value) VALUES ($1, $2, $3)`, img.ID, name, value)
		if err != nil {
			return fmt.Errorf("insert image property: %w", err)
		}
	}
	return nil
}

// get reads an image, or reports sql.ErrNoRows.
func (s store) get(ctx context.Context, id string) (Image, error) { return get(ctx, s.db, id) }

func get(ctx context.Context, q db.Querier, id string) (Image, error) {
	images, err := query(ctx, q, `SELECT `+columns+` FROM images WHERE id = $1`, id)
	if err != nil {
		return Image{}, err
	}
	if len(images) == 0 {
		return Image{}, sql.ErrNoRows
	}
	return images[0], nil
}

// query reads whole images in the order of text, which selects columns.
func query(ctx context.Context, q db.Querier, text string, args ...any) ([]Image, error) {
	images, err := db.Collect(ctx, q, scan, text, args...)
	if err != nil {
		return nil, fmt.Errorf("select images: %w", err)
	}
	return images, addExtras(ctx, q, images)
}

func scan(row db.Row) (Image, error) {
	var img Image
	var data Data
	var created, updated int64
	err := row.Scan(&img.ID, &img.Name, &img.Owner, &img.Visibility, &img.Status, &img.DiskFormat, &img.ContainerFormat,
		&img.MinDiskGB, &img.MinRAMMB, &img.Protected, &img.Hidden, &data.Size, &data.VirtualSize, &data.Checksum,
		&data.HashValue, &created, &updated)
	if err != nil {
		return Image{}, err
	}
	if data.Size >= 0 {
		img.Data = &data
	}
	img.Properties = map[string]string{}
	img.CreatedAt, img.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return img, nil
}

// addExtras reads the tags and properties of images.
func addExtras(ctx context.Context, q db.Querier, images []Image) error {
	if len(images) == 0 {
		return nil
	}
	at := make(map[string]*Image, len(images))
	ids := make([]any, len(images))
	for i := range images {
		at[images[i].ID] = &images[i]
		ids[i] = images[i].ID
	}
	in := db.Parameters(1, len(ids))
	tags, err := db.Collect(ctx, q, scanTexts, `SELECT image_id, tag, '' FROM image_tags WHERE image_id IN `+in+` ORDER BY tag`, ids...)
	if err != nil {
		return fmt.Errorf("select image tags: %w", err)
	}
	for _, row := range tags {
		at[row[0]].Tags = append(at[row[0]].Tags, row[1])
	}
	properties, err := db.Collect(ctx, q, scanTexts, `SELECT image_id, name, value FROM image_properties WHERE image_id IN `+in, ids...)
	if err != nil {
		return fmt.Errorf("select image properties: %w", err)
	}
	for _, row := range properties {
		at[row[0]].Properties[row[1]] = row[2]
	}
	return nil
}

func scanTexts(row db.Row) (texts [3]string, err error) {
	err = row.Scan(&texts[0], &texts[1], &texts[2])
	return texts, err
}

// list reads the first images that q selects.
func (s store) list(ctx context.Context, q *selection, order []db.Order, limit int) ([]Image, error) {
	page := q.Page(order, limit, 0)
	return query(ctx, s.db, `SELECT `+columns+` FROM images`+page, q.Args()...)
}

// update changes an image by f, in one transaction, and returns it. If there
// is none it reports sql.ErrNoRows; an error of f changes nothing.
func (s store) update(ctx context.Context, id string, at time.Time, f func(*Image) error) (img Image, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		if img, err = get(ctx, tx, id); err != nil {
			return err
		}
		if err := f(&img); err != nil {
			return err
		}
		img.UpdatedAt = at
		_, err := tx.ExecContext(ctx, `UPDATE images SET name = $1, owner = $2, visibility = $3, disk_format = $4,
			container_format = $5, min_disk = $6, min_ram = $7, protected = $8, os_hidden = $9, updated_at = $10 WHERE id = $11`,
			img.Name, img.Owner, img.Visibility, img.DiskFormat, img.ContainerFormat, img.MinDiskGB, img.MinRAMMB,
			img.Protected, img.Hidden, at.UnixMicro(), id)
		if err != nil {
			return fmt.Errorf("update image: %w", err)
		}
		for _, text := range []string{`DELETE FROM image_tags WHERE image_id = $1`, `DELETE FROM image_properties WHERE image_id = $1`} {
			if _, err := tx.ExecContext(ctx, text, id); err != nil {
				return fmt.Errorf("replace tags and properties of image: %w", err)
			}
		}
		return insertExtras(ctx, tx, img)
	})
	return img, err
}

// setStatus moves an image from one of some states to another, and reports
// whether it was in one of them.
func (s store) setStatus(ctx context.Context, id string, from []string, to string, at time.Time) (bool, error) {
	args := []any{to, at.UnixMicro(), id}
	for _, status := range from {
		args = append(args, status)
	}
	return affected(s.db.ExecContext(ctx, `UPDATE images SET status = $1, updated_at = $2
		WHERE id = $3 AND status IN `+db.Parameters(4, len(from)), args...))
}

// activate makes a saving image active, and reports whether there was one.
func (s store) activate(ctx context.Context, id string, data Data, at time.Time) (bool, error) {
	return affected(s.db.ExecContext(ctx, `UPDATE images SET status = 'active', size = $1, virtual_size = $2, checksum = $3,
		os_hash_value = $4, updated_at = $5 WHERE id = $6 AND status = 'saving'`,
		data.Size, data.VirtualSize, data.Checksum, data.HashValue, at.UnixMicro(), id))
}

// resetSaving queues all images again whose upload a restart cut short.
func (s store) resetSaving(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, `UPDATE images SET status = 'queued' WHERE status = 'saving'`); err != nil {
		return fmt.Errorf("reset saving images: %w", err)
	}
	return nil
}

// delete removes an image and keeps its id from being used again. It reports
// whether there was one, not protected.
func (s store) delete(ctx context.Context, id string) (deleted bool, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		deleted, err = affected(tx.ExecContext(ctx, `DELETE FROM images WHERE id = $1 AND NOT protected`, id))
		if err != nil || !deleted {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO deleted_images (id) VALUES ($1)`, id); err != nil {
			return fmt.Errorf("remember deleted image: %w", err)
		}
		return nil
	})
	return deleted, err
}

// affected reports whether a statement changed any row.
func affected(result sql.Result, err error) (bool, error) {
	changed, err := db.Changed(result, err)
	if err != nil {
		return false, fmt.Errorf("change image: %w", err)
	}
	return changed, nil
}
