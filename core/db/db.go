// Package db opens a service's database and brings its schema up to date.
//
// The embedded default is SQLite in WAL mode, one file per service. Queries
// are written once for SQLite and PostgreSQL: $1 parameters, numbered in the
// order in which they first appear, and RETURNING.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
)

// Open opens the SQLite database in file, making it and its directory where
// they are missing, and applies the migrations found in the root of schema
// (goose: NNNNN_name.sql, numbered from 00001). The file is readable by its
// owner only. An empty file name opens a database in memory that lives as
// long as the handle.
//
// Several readers run beside one writer; a writer waits up to ten seconds for
// another. A transaction takes the write lock when it begins, so that it
// cannot fail half-way for another writer's sake.
func Open(ctx context.Context, file string, schema fs.FS) (*sql.DB, error) {
	if file != "" {
		if err := touch(file); err != nil {
			return nil, err
		}
	}
	handle, err := sql.Open("sqlite3", dsn(file))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	if file == "" {
		// Every connection to ":memory:" would be a database of its own.
		handle.SetMaxOpenConns(1)
	} else {
		handle.SetMaxOpenConns(8)
		handle.SetMaxIdleConns(8)
	}
	if err := migrate(ctx, handle, schema); err != nil {
		_ = handle.Close()
		return nil, fmt.Errorf("migrate database %s: %w", file, err)
	}
	return handle, nil
}

func touch(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make directory of database: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return f.Close()
}

func dsn(file string) string {
	options := url.Values{
		"_busy_timeout": {"10000"},
		"_foreign_keys": {"on"},
		"_txlock":       {"immediate"},
	}
	if file == "" {
		return ":memory:?" + options.Encode()
	}
	options.Set("_journal_mode", "WAL")
	options.Set("_synchronous", "NORMAL")
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: options.Encode()}).String()
}

func migrate(ctx context.Context, handle *sql.DB, schema fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, handle, schema, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// IsUnique reports whether err says that a row exists already: a violated
// primary key or unique constraint.
func IsUnique(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) &&
		(e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}

// IsFull reports whether err says that the database's disk is full.
func IsFull(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrFull
}

// InTx runs f in a transaction: committed if f returns nil, else rolled back.
// In memory there is one connection: f must use tx only, never the handle.
func InTx(ctx context.Context, handle *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := handle.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}
