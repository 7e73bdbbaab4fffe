package db

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"strconv"
	"strings"
)

// Migrations is the directory "migrations" that a service embeds, as Open
// wants it.
func Migrations(embedded embed.FS) fs.FS {
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return dir
}

// Querier is a database or a transaction.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Row is a *sql.Row, or a *sql.Rows at one of its rows.
type Row interface{ Scan(dest ...any) error }

// Collect reads all rows of a query, each with scan. The connection is free
// again when it returns: a database in memory has only one.
func Collect[T any](ctx context.Context, q Querier, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// Changed reports whether a statement changed any row. It takes what
// ExecContext returns.
func Changed(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Parameters is "($first, …)" with n parameters, for an IN.
func Parameters(first, n int) string {
	marks := make([]string, n)
	for i := range marks {
		marks[i] = "$" + strconv.Itoa(first+i)
	}
	return "(" + strings.Join(marks, ", ") + ")"
}
