// Package store keeps what the gate must not forget: the state of its queues,
// and the history of build sets and builds. It holds every query of the gate.
package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver
	"github.com/pressly/goose/v3"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the gate's database. Its methods may be called concurrently.
type Store struct{ db *sql.DB }

// Open opens the database in file, making it where missing, for its owner only
// (SQLite gives the files beside it the same mode). An empty name opens one in
// memory.
func Open(ctx context.Context, file string) (*Store, error) {
	options := url.Values{"_busy_timeout": {"10000"}, "_foreign_keys": {"on"}, "_txlock": {"immediate"}}
	dsn := ":memory:?" + options.Encode()
	if file != "" {
		if err := makePrivate(file); err != nil {
			return nil, fmt.Errorf("make database %s: %w", file, err)
		}
		options.Set("_journal_mode", "WAL")
		options.Set("_synchronous", "NORMAL")
		dsn = (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: options.Encode()}).String()
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	if file == "" {
		db.SetMaxOpenConns(1) // each connection would be a database of its own
	}
	if err := migrate(ctx, db); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("migrate database %s: %w", file, err)
	}
	return &Store{db: db}, nil
}

// makePrivate sees to it that a file exists that its owner alone can read.
func makePrivate(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close()) // an older gate made it for all
}

func migrate(ctx context.Context, db *sql.DB) error {
	schema, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, schema, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Meta returns a named value, setting it to the result of initial if it was
// never set.
func (s *Store) Meta(ctx context.Context, name string, initial func() string) (string, error) {
	var value string
	err := s.db.QueryRowContext(ctx, `
		INSERT INTO meta (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = value RETURNING value`, name, initial()).Scan(&value)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}

// State returns the stored state of the queues, or nil if none was stored.
func (s *Store) State(ctx context.Context) (*queue.State, error) {
	var data []byte
	err := s.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'state'`).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // no state is a state of its own, not an error
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var state queue.State
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return &state, nil
}

// SaveState stores the state of the queues, wholly or not at all.
func (s *Store) SaveState(ctx context.Context, state *queue.State) error {
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("store state: %w", err)
	}
	_, err = s.db.ExecContext(ctx, `
		INSERT INTO meta (name, value) VALUES ('state', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, data)
	if err != nil {
		return fmt.Errorf("store state: %w", err)
	}
	return nil
}

// micros is how times are stored; the zero time is 0.
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
