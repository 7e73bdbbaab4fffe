package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func insertToken(ctx context.Context, q db.Querier, t *Token) error {
	on := t.target()
	_, err := q.ExecContext(ctx,
		`INSERT INTO tokens (hash, user_id, target_kind, target_id, methods, audit_ids, issued_at, expires_at, application_credential_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.hash, t.User.ID, on.kind, on.id, toJSON(t.Methods), toJSON(t.AuditIDs),
		t.IssuedAt.UnixMicro(), t.ExpiresAt.UnixMicro(), nullable(t.credentialID))
	return err
}

// selectToken reads a token and what it is worth. It reports fault.NotFound if
// that is nothing; expired ones may still be there.
func selectToken(ctx context.Context, q db.Querier, hash string) (*Token, error) {
	t := &Token{hash: hash}
	var userID string
	var on target
	var issued, expires int64
	err := q.QueryRowContext(ctx,
		`SELECT user_id, target_kind, target_id, methods, audit_ids, issued_at, expires_at, COALESCE(application_credential_id, '')
		FROM tokens WHERE hash = $1`, hash).
		Scan(&userID, &on.kind, &on.id, jsonColumn{&t.Methods}, jsonColumn{&t.AuditIDs}, &issued, &expires, &t.credentialID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoToken()
	}
	if err != nil {
		return nil, fmt.Errorf("select token: %w", err)
	}
	t.IssuedAt, t.ExpiresAt = time.UnixMicro(issued).UTC(), time.UnixMicro(expires).UTC()
	if err := t.load(ctx, q, userID, on); err != nil {
		if fault.Is(err, fault.NotFound) {
			return nil, errNoToken()
		}
		return nil, err
	}
	return t, nil
}

func deleteToken(ctx context.Context, q db.Querier, hash string) error {
	_, err := q.ExecContext(ctx, `DELETE FROM tokens WHERE hash = $1`, hash)
	return err
}

func deleteTokensOf(ctx context.Context, q db.Querier, userID string) error {
	_, err := q.ExecContext(ctx, `DELETE FROM tokens WHERE user_id = $1`, userID)
	return err
}

// deleteTokensIn revokes the tokens of a project or, for a domain, those of
// its users and projects.
func deleteTokensIn(ctx context.Context, q db.Querier, projectID string) error {
	_, err := q.ExecContext(ctx,
		`DELETE FROM tokens WHERE target_id = $1
			OR target_id IN (SELECT id FROM projects WHERE domain_id = $1)
			OR user_id IN (SELECT id FROM users WHERE domain_id = $1)`, projectID)
	return err
}

func deleteExpiredTokens(ctx context.Context, q db.Querier, now time.Time) error {
	_, err := q.ExecContext(ctx, `DELETE FROM tokens WHERE expires_at <= $1`, now.UnixMicro())
	return err
}
