package compute

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

func insertAction(ctx context.Context, q db.Querier, a Action) error {
	const insert = `INSERT INTO actions (server_id, request_id, name, user_id, project_id, started_at, finished_at, failure)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	_, err := q.ExecContext(ctx, insert,
		a.ServerID, a.RequestID, a.Name, a.UserID, a.ProjectID, micros(a.StartedAt), micros(a.FinishedAt), a.Failure)
	if err != nil {
		return fmt.Errorf("insert action: %w", err)
	}
	return nil
}

func scanAction(r db.Row) (a Action, err error) {
	var started, finished int64
	err = r.Scan(&a.ID, &a.ServerID, &a.RequestID, &a.Name, &a.UserID, &a.ProjectID, &started, &finished, &a.Failure)
	a.StartedAt, a.FinishedAt = fromMicros(started), fromMicros(finished)
	return a, err
}

func (s *store) actions(ctx context.Context, server string) ([]Action, error) {
	list, err := db.Collect(ctx, s.db, scanAction, `SELECT id, server_id, request_id, name, user_id, project_id, started_at, finished_at, failure
		FROM actions WHERE server_id = $1 ORDER BY id DESC`, server)
	if err != nil {
		return nil, fmt.Errorf("select actions: %w", err)
	}
	return list, nil
}

// finishActions ends the actions of a name that go on with a server.
func (s *store) finishActions(ctx context.Context, server, name, failure string, at time.Time) error {
	_, err := s.db.ExecContext(ctx, `UPDATE actions SET finished_at = $1, failure = $2
		WHERE server_id = $3 AND name = $4 AND finished_at = 0`, micros(at), failure, server, name)
	return err
}
