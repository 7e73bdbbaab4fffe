// Package review is the review server's domain: changes, patch sets, votes,
// submission, projects and accounts, in Gerrit's words and by Gerrit's rules
// (https://gerrit-review.googlesource.com/Documentation/).
//
// The Service is what every door uses: review/rest, review/web, review/sshd
// and review/receive hold no rules of their own. Each method takes the account
// on whose behalf it acts, nil for nobody in particular, checks what that
// account may do, and returns a fault (core/fault) for what the caller can act
// on. What the account may not see is fault.NotFound.
//
// # State
//
// The database (review.db) is the truth about changes; a project's bare
// repository (git/NAME.git) holds the commits and the branches. An operation
// that moves refs holds its project's lock and goes in this order, so that
// both stores or neither show it, whatever dies:
//
//  1. the objects are in the repository, flushed (unreferenced, harmless);
//  2. git has locked the refs and checked their old values (update-ref prepare);
//  3. one transaction commits the rows, the events, and the ref updates
//     themselves (table ref_updates): this is the decision;
//  4. git carries the ref updates out and the rows of ref_updates go;
//  5. the events are released to readers.
//
// Killed before 3, nothing happened, and git drops its locks as its standard
// input ends. Killed after 3, New carries out what ref_updates holds before it
// returns.
package review

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config is what a Service is made of.
type Config struct {
	Dir       string // holds review.db and git/; made if missing
	Log       *slog.Logger
	Passwords Passwords
	// URL is where the pages are, without a slash at the end, e.g.
	// "http://127.0.0.1:8080": links in pushes, queries and events begin with it.
	URL string
	// SSH is the host and port of the SSH door as clients reach it.
	SSH string
	// GateFile makes a branch gated that holds it: Verified and Workflow are
	// then required. Default ".gate.yaml".
	GateFile string
	// DefaultBranch is that of projects made without branches. Default "master",
	// as Gerrit's: its clients count on it.
	DefaultBranch string
	// MaxBatch bounds the changes of one push. Default 100.
	MaxBatch int
	// Recheck is for how long what Passwords says of a user's standing is
	// believed, which is how long one who was disabled still gets in. Default 5
	// seconds; below 0 it is asked each time.
	Recheck time.Duration
	// Git is the git program. Default "git", found in the PATH.
	Git string
}

// Service is the review server's domain. Its methods may be called
// concurrently.
type Service struct {
	config    Config
	log       *slog.Logger
	db        *sql.DB
	repos     *git.Store
	locks     locks
	events    hub
	logins    logins
	standings standings
	gates     gates
}

// New opens the review server's state in config.Dir and finishes what a crash
// interrupted. Close it.
func New(ctx context.Context, config Config) (*Service, error) {
	if config.Dir == "" || config.Log == nil || config.Passwords == nil || config.URL == "" {
		return nil, errors.New("review: Dir, Log, Passwords and URL are required")
	}
	if config.GateFile == "" {
		config.GateFile = ".gate.yaml"
	}
	if config.DefaultBranch == "" {
		config.DefaultBranch = "master"
	}
	if config.MaxBatch == 0 {
		config.MaxBatch = 100
	}
	if config.Recheck == 0 {
		config.Recheck = 5 * time.Second
	}
	if config.Git == "" {
		config.Git = "git"
	}
	schema, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("review: migrations: %w", err)
	}
	repos, err := git.OpenStore(ctx, config.Git, filepath.Join(config.Dir, "git"))
	if err != nil {
		return nil, err
	}
	handle, err := db.Open(ctx, filepath.Join(config.Dir, "review.db"), schema)
	if err != nil {
		return nil, err
	}
	s := &Service{config: config, log: config.Log, db: handle, repos: repos}
	if err := s.recover(ctx); err != nil {
		_ = handle.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the database. No method may be running or called afterwards.
func (s *Service) Close() error { return s.db.Close() }

// URL is where the pages are, without a slash at the end.
func (s *Service) URL() string { return s.config.URL }

// SSH is the host and port of the SSH door as clients reach it.
func (s *Service) SSH() string { return s.config.SSH }

// ChangeURL is the address of a change's page.
func (s *Service) ChangeURL(project string, number int64) string {
	return fmt.Sprintf("%s/c/%s/+/%d", s.config.URL, project, number)
}

// now is the present to the microsecond, as the database keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// micros is t as the database keeps it; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the inverse of micros.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// locks has a mutex for each project that was ever locked.
type locks struct {
	mu   sync.Mutex
	held map[string]*sync.Mutex
}

// lock takes the project's lock and returns what releases it.
func (l *locks) lock(project string) func() {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*sync.Mutex{}
	}
	m := l.held[project]
	if m == nil {
		m = &sync.Mutex{}
		l.held[project] = m
	}
	l.mu.Unlock()
	m.Lock()
	return m.Unlock
}
