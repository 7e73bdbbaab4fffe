package review

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// tx is a write transaction: rows and the events that tell of them.
type tx struct {
	*sql.Tx
	at     time.Time // of all that is written
	span   span      // of the events recorded so far
	events *hub
}

// exec runs a statement; what says what it was for.
func (t *tx) exec(ctx context.Context, what, query string, args ...any) error {
	if _, err := t.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// write runs f in a transaction and, after it, lets readers see its events.
func (s *Service) write(ctx context.Context, f func(t *tx) error) error {
	return s.writeRefs(ctx, "", nil, f)
}

// writeRefs is write together with ref updates of one project, whose lock the
// caller holds: both happen or neither (see the package's comment).
func (s *Service) writeRefs(ctx context.Context, project string, updates []git.Update, f func(t *tx) error) error {
	var refs *git.Transaction
	if len(updates) > 0 {
		if err := s.finishRefs(ctx, project); err != nil {
			return err
		}
		var err error
		if refs, err = s.repos.Repo(project).Prepare(ctx, updates); err != nil {
			return refsFault(err)
		}
	}
	t := &tx{at: now(), events: &s.events}
	err := db.InTx(ctx, s.db, func(inner *sql.Tx) error {
		t.Tx = inner
		if err := f(t); err != nil {
			return err
		}
		return recordRefs(ctx, t, project, updates)
	})
	defer s.events.release(&t.span, err == nil)
	if refs == nil {
		return orFull(err)
	}
	if err != nil {
		refs.Abort()
		return orFull(err)
	}
	if err := refs.Commit(); err != nil {
		s.log.WarnContext(ctx, "ref update failed after its transaction; trying again", "project", project, "err", err)
		return s.finishRefs(context.WithoutCancel(ctx), project)
	}
	return s.forgetRefs(context.WithoutCancel(ctx), project)
}

// refsFault is what the caller hears if refs cannot be locked.
func refsFault(err error) error {
	if err = orFull(err); fault.Is(err, fault.NoSpace) {
		return err
	}
	if errors.Is(err, git.ErrRefs) {
		return fmt.Errorf("%w: %w", fault.New(fault.Conflict, "failed to lock: the branch was updated meanwhile, try again"), err)
	}
	return err
}

func recordRefs(ctx context.Context, t *tx, project string, updates []git.Update) error {
	for _, u := range updates {
		if err := t.exec(ctx, "record ref update",
			`INSERT INTO ref_updates (project, ref, old, new) VALUES ($1, $2, $3, $4)`, project, u.Ref, u.Old, u.New); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) forgetRefs(ctx context.Context, project string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM ref_updates WHERE project = $1`, project); err != nil {
		return fmt.Errorf("forget ref updates of %s: %w", project, err)
	}
	return nil
}

// finishRefs carries out the ref updates of a project that were decided and
// then interrupted.
func (s *Service) finishRefs(ctx context.Context, project string) error {
	updates, err := s.decidedRefs(ctx, project)
	if err != nil || len(updates) == 0 {
		return err
	}
	if err := s.repos.Repo(project).Apply(ctx, updates); err != nil {
		return fmt.Errorf("carry out ref updates of %s: %w", project, err)
	}
	return s.forgetRefs(ctx, project)
}

func (s *Service) decidedRefs(ctx context.Context, project string) ([]git.Update, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT ref, old, new FROM ref_updates WHERE project = $1 ORDER BY id`, project)
	if err != nil {
		return nil, fmt.Errorf("select ref updates of %s: %w", project, err)
	}
	return collect(rows, func(u *git.Update) []any { return []any{&u.Ref, &u.Old, &u.New} })
}

// recover finishes what a crash interrupted: the repositories of projects
// that exist only in the database, and decided ref updates.
func (s *Service) recover(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT project FROM ref_updates`)
	if err != nil {
		return fmt.Errorf("select interrupted ref updates: %w", err)
	}
	projects, err := collect(rows, func(p *string) []any { return []any{p} })
	if err != nil {
		return err
	}
	for _, p := range projects {
		if err := s.finishRefs(ctx, p); err != nil {
			return err
		}
		s.log.InfoContext(ctx, "carried out interrupted ref updates", "project", p)
	}
	return s.events.open(ctx, s.db)
}

// collect reads all rows into values; fields are where Scan puts the columns.
func collect[T any](rows *sql.Rows, fields func(*T) []any) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := rows.Scan(fields(&v)...); err != nil {
			return nil, fmt.Errorf("scan row: %w", err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return all, nil
}

// reserve takes n numbers that nobody else gets and returns the first.
func (s *Service) reserve(ctx context.Context, counter string, n int) (int64, error) {
	var last int64
	err := s.db.QueryRowContext(ctx, `UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value`, n, counter).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("reserve %d of %s: %w", n, counter, err)
	}
	return last - int64(n) + 1, nil
}

// timeColumn scans a column of microseconds since 1970.
type timeColumn time.Time

// Scan implements sql.Scanner.
func (c *timeColumn) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", value)
	}
	*c = timeColumn(fromMicros(n))
	return nil
}
