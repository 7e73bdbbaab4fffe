package image

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

const memberColumns = `image_id, member, status, created_at, updated_at`

func (s store) insertMember(ctx context.Context, m Member) error {
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		var n, images int
		err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM image_members WHERE image_id = $1),
			(SELECT count(*) FROM images WHERE id = $1)`, m.Image).Scan(&n, &images)
		switch {
		case err != nil:
			return fmt.Errorf("count image members: %w", err)
		case images == 0: // deleted in the meantime
			return notFound(m.Image)
		case n >= maxMembers:
			return fault.New(fault.OverQuota, "The limit has been exceeded on the number of allowed image members for this image. "+
				"Attempted: %d, Maximum: %d", n+1, maxMembers)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO image_members (`+memberColumns+`) VALUES ($1, $2, $3, $4, $5)`,
			m.Image, m.Project, m.Status, m.CreatedAt.UnixMicro(), m.UpdatedAt.UnixMicro())
		if db.IsUnique(err) {
			return fault.New(fault.Conflict, "Member %s is duplicated for image %s", m.Project, m.Image)
		}
		if err != nil {
			return fmt.Errorf("insert image member: %w", err)
		}
		return nil
	})
}

// member reads one member, or reports sql.ErrNoRows.
func (s store) member(ctx context.Context, id, project string) (Member, error) {
	row := s.db.QueryRowContext(ctx, `SELECT `+memberColumns+` FROM image_members WHERE image_id = $1 AND member = $2`, id, project)
	return scanMember(row)
}

func scanMember(row db.Row) (Member, error) {
	var m Member
	var created, updated int64
	if err := row.Scan(&m.Image, &m.Project, &m.Status, &created, &updated); err != nil {
		return Member{}, fmt.Errorf("scan image member: %w", err)
	}
	m.CreatedAt, m.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return m, nil
}

func (s store) members(ctx context.Context, id string) ([]Member, error) {
	members, err := db.Collect(ctx, s.db, scanMember,
		`SELECT `+memberColumns+` FROM image_members WHERE image_id = $1 ORDER BY member`, id)
	if err != nil {
		return nil, fmt.Errorf("select image members: %w", err)
	}
	return members, nil
}

func (s store) updateMember(ctx context.Context, m Member) (bool, error) {
	return affected(s.db.ExecContext(ctx, `UPDATE image_members SET status = $1, updated_at = $2 WHERE image_id = $3 AND member = $4`,
		m.Status, m.UpdatedAt.UnixMicro(), m.Image, m.Project))
}

func (s store) deleteMember(ctx context.Context, id, project string) (bool, error) {
	return affected(s.db.ExecContext(ctx, `DELETE FROM image_members WHERE image_id = $1 AND member = $2`, id, project))
}
