package identity

import (
	"context"
	"database/sql"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

const applicationCredentialColumns = `id, user_id, project_id, name, description, secret_hash, role_ids, unrestricted, expires_at` //nolint:gosec // column names

func scanApplicationCredential(row db.Row) (ApplicationCredential, error) {
	var c ApplicationCredential
	var expires int64
	err := row.Scan(&c.ID, &c.UserID, &c.ProjectID, &c.Name, &c.Description, &c.secretHash, jsonColumn{&c.roleIDs}, &c.Unrestricted, &expires)
	if expires != 0 {
		c.ExpiresAt = time.UnixMicro(expires).UTC()
	}
	return c, err
}

func insertApplicationCredential(ctx context.Context, q db.Querier, c ApplicationCredential) error {
	var expires int64
	if !c.ExpiresAt.IsZero() {
		expires = c.ExpiresAt.UnixMicro()
	}
	_, err := q.ExecContext(ctx,
		`INSERT INTO application_credentials (`+applicationCredentialColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		c.ID, c.UserID, c.ProjectID, c.Name, c.Description, c.secretHash, toJSON(c.roleIDs), c.Unrestricted, expires)
	return duplicate(err, "application_credential", c.Name, "")
}

func selectApplicationCredential(ctx context.Context, q db.Querier, id string) (ApplicationCredential, error) {
	c, err := scanApplicationCredential(q.QueryRowContext(ctx,
		`SELECT `+applicationCredentialColumns+` FROM application_credentials WHERE id = $1`, id))
	if err != nil {
		return ApplicationCredential{}, notFound(err, "Application Credential", id)
	}
	return c, nil
}

func selectApplicationCredentials(ctx context.Context, q db.Querier, userID, name string) ([]ApplicationCredential, error) {
	return db.Collect(ctx, q, scanApplicationCredential,
		`SELECT `+applicationCredentialColumns+` FROM application_credentials
		WHERE user_id = $1 AND ($2 = '' OR name = $2) ORDER BY name`, userID, name)
}

func deleteApplicationCredential(ctx context.Context, tx *sql.Tx, userID, id string) error {
	result, err := tx.ExecContext(ctx, `DELETE FROM application_credentials WHERE user_id = $1 AND id = $2`, userID, id)
	return exactlyOne(result, err, "Application Credential", id)
}
