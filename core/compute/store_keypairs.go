package compute

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

const keypairColumns = `id, user_id, name, type, public_key, fingerprint, created_at`

func scanKeypair(r db.Row) (k Keypair, err error) {
	var created int64
	err = r.Scan(&k.ID, &k.UserID, &k.Name, &k.Type, &k.PublicKey, &k.Fingerprint, &created)
	k.CreatedAt = fromMicros(created)
	return k, err
}

func (s *store) insertKeypair(ctx context.Context, k Keypair, limit int) (id int64, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM keypairs WHERE user_id = $1`, k.UserID).Scan(&n); err != nil {
			return err
		}
		if limit >= 0 && n >= limit {
			return fault.New(fault.OverQuota, "Quota exceeded, too many key pairs.")
		}
		const insert = `INSERT INTO keypairs (user_id, name, type, public_key, fingerprint, created_at)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`
		return tx.QueryRowContext(ctx, insert, k.UserID, k.Name, k.Type, k.PublicKey, k.Fingerprint, micros(k.CreatedAt)).Scan(&id)
	})
	if db.IsUnique(err) {
		return 0, fault.New(fault.Conflict, "Key pair '%s' already exists.", k.Name)
	}
	if err != nil {
		return 0, fmt.Errorf("insert keypair: %w", err)
	}
	return id, nil
}

func (s *store) keypairs(ctx context.Context, user string) ([]Keypair, error) {
	return db.Collect(ctx, s.db, scanKeypair, `SELECT `+keypairColumns+` FROM keypairs WHERE user_id = $1 ORDER BY name`, user)
}

func (s *store) keypair(ctx context.Context, user, name string) (Keypair, error) {
	k, err := scanKeypair(s.db.QueryRowContext(ctx,
		`SELECT `+keypairColumns+` FROM keypairs WHERE user_id = $1 AND name = $2`, user, name))
	return k, ifNone(err, keypairNotFound(user, name))
}

func (s *store) deleteKeypair(ctx context.Context, user, name string) error {
	result, err := s.db.ExecContext(ctx, `DELETE FROM keypairs WHERE user_id = $1 AND name = $2`, user, name)
	return mustChange(result, err, keypairNotFound(user, name))
}
