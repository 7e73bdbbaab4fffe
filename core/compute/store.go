package compute

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

//go:embed migrations/*.sql
var migrations embed.FS

// store holds every query.
type store struct{ db *sql.DB }

func openStore(ctx context.Context, file string) (*store, error) {
	handle, err := db.Open(ctx, file, db.Migrations(migrations))
	if err != nil {
		return nil, err
	}
	return &store{handle}, nil
}

func (s *store) close() error { return s.db.Close() }

func scanText(r db.Row) (text string, err error) {
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
