package compute

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

//go:embed migrations/*.sql
var migrations embed.FS

// store holds every query.
type store struct{ db *sql.DB }

func openStore(ctx context.Context, file string) (*store, error) {
	schema, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	handle, err := db.Open(ctx, file, schema)
	if err != nil {
		return nil, err
	}
	return &store{handle}, nil
}

func (s *store) close() error { return s.db.Close() }

// querier is the database, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// row is one row of a result.
type row interface{ Scan(dest ...any) error }

// collect reads the rows of a query, given as QueryContext returns them.
func collect[T any](rows *sql.Rows, err error, scan func(row) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// micros is a time as the database keeps it: microseconds since 1970, 0 for
// the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// jsonColumn reads and writes a value as a column of JSON.
type jsonColumn[T any] struct{ v *T }

func (c jsonColumn[T]) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("column of JSON is a %T", src)
	}
	return json.Unmarshal([]byte(text), c.v)
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// ifNone makes of sql.ErrNoRows what the caller is told.
func ifNone(err, none error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return none
	}
	return err
}

// mustChange reports none if a statement changed nothing.
func mustChange(result sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return none
	}
	return err
}
