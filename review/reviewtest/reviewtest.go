// Package reviewtest is a review server in a temporary directory, for tests
// that talk to it with real clients.
package reviewtest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/githttp"
)

// Password is every user's.
const Password = "secret"

// Users are whom the server knows: an administrator, the gate's service user,
// two who are neither.
var Users = map[string]review.User{
	"admin": {Username: "admin", FullName: "Administrator", Email: "admin@example.com", Admin: true},
	"gate":  {Username: "gate", FullName: "Gate", Email: "gate@example.com", Service: true},
	"ann":   {Username: "ann", FullName: "Ann Author", Email: "ann@example.com"},
	"bob":   {Username: "bob", FullName: "Bob Reviewer", Email: "bob@example.com"},
}

// Directory is where a site's users and their passwords are kept.
type Directory struct {
	mu    sync.Mutex
	users map[string]review.User
}

// Know makes the directory know a user, or know it differently.
func (d *Directory) Know(user review.User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[user.Username] = user
}

// Forget deletes a user.
func (d *Directory) Forget(username string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.users, username)
}

// Verify implements review.Passwords.
func (d *Directory) Verify(ctx context.Context, username, password string) (review.User, error) {
	user, err := d.Standing(ctx, username)
	if err != nil || user.Disabled || password != Password {
		return review.User{}, fault.New(fault.Unauthorized, "wrong password")
	}
	return user, nil
}

// Standing implements review.Standings.
func (d *Directory) Standing(_ context.Context, username string) (review.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	user, ok := d.users[username]
	if !ok {
		return review.User{}, fault.New(fault.NotFound, "no user %s", username)
	}
	return user, nil
}

// Site is a running review server: its service, and git over HTTP.
type Site struct {
	*review.Service

	People *Directory // Users, to begin with; asked at each use of an account
	Dir    string
	URL    string // of the HTTP server, e.g. http://127.0.0.1:4711
}

// Start starts a site that ends with the test.
func Start(tb testing.TB) *Site {
	tb.Helper()
	return StartIn(tb, tb.TempDir())
}

// StartIn starts a site on a directory that may hold another's state.
func StartIn(tb testing.TB, dir string) *Site {
	tb.Helper()
	log := slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	site, end, err := Open(tb.Context(), dir, log)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, end()) })
	return site
}

// Open starts a site outside of a test; end ends it.
func Open(ctx context.Context, dir string, log *slog.Logger) (site *Site, end func() error, err error) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	people := &Directory{users: maps.Clone(Users)}
	service, err := review.New(ctx, review.Config{
		Dir: dir, Log: log, Passwords: people, Recheck: -1, URL: server.URL, SSH: "127.0.0.1:29418",
	})
	if err != nil {
		server.Close()
		return nil, nil, err
	}
	end = func() error {
		server.Close()
		return service.Close()
	}
	for _, name := range slices.Sorted(maps.Keys(Users)) {
		if _, err := service.Login(ctx, name, Password); err != nil { // which makes the account
			return nil, nil, errors.Join(err, end())
		}
	}
	mux.Handle("/", githttp.New(service, log))
	return &Site{Service: service, People: people, Dir: dir, URL: server.URL}, end, nil
}

// Account logs a user in.
func (s *Site) Account(tb testing.TB, username string) *review.Account {
	tb.Helper()
	a, err := s.Login(tb.Context(), username, Password)
	require.NoError(tb, err)
	return a
}

// Project makes a project with a first commit on main.
func (s *Site) Project(tb testing.TB, name string) {
	tb.Helper()
	_, err := s.CreateProject(tb.Context(), s.Account(tb, "admin"), review.NewProject{Name: name, Branches: []string{"main"}, EmptyCommit: true})
	require.NoError(tb, err)
}

// Clone clones a project as a user, with the server's commit-msg hook.
func (s *Site) Clone(tb testing.TB, username, project string) *Clone {
	tb.Helper()
	return CloneFrom(tb, strings.Replace(s.URL, "http://", "http://"+username+":"+Password+"@", 1)+"/"+project, username)
}

// CloneFrom is Clone from any address.
func CloneFrom(tb testing.TB, address, username string) *Clone {
	tb.Helper()
	c := &Clone{tb: tb, Dir: filepath.Join(tb.TempDir(), "clone"), user: Users[username]}
	require.NoError(tb, os.MkdirAll(c.Dir, 0o700))
	c.Git("clone", "-q", address, ".")
	hook := filepath.Join(c.Dir, ".git", "hooks", "commit-msg")
	require.NoError(tb, os.MkdirAll(filepath.Dir(hook), 0o700))
	require.NoError(tb, os.WriteFile(hook, review.CommitMsgHook, 0o700)) //nolint:gosec // git runs it
	return c
}

// Clone is a user's working copy.
type Clone struct {
	tb   testing.TB
	Dir  string
	user review.User
}

// Git runs git, which must succeed, and returns its output without the spaces
// around it.
func (c *Clone) Git(args ...string) string {
	c.tb.Helper()
	out, err := c.Try(args...)
	require.NoError(c.tb, err, "git %s: %s", strings.Join(args, " "), out)
	return out
}

// GitAs is Git with another user as author and committer.
func (c *Clone) GitAs(username string, args ...string) string {
	c.tb.Helper()
	other := *c
	other.user = Users[username]
	return other.Git(args...)
}

// Try runs git and returns what it printed, on either stream.
func (c *Clone) Try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.tb.Context(), "git", args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), //nolint:forbidigo // a test's git runs as the tester's would
		"HOME="+c.Dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "TERM=dumb",
		"GIT_AUTHOR_NAME="+c.user.FullName, "GIT_AUTHOR_EMAIL="+c.user.Email,
		"GIT_COMMITTER_NAME="+c.user.FullName, "GIT_COMMITTER_EMAIL="+c.user.Email)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Commit writes a file and commits it; the hook adds a Change-Id.
func (c *Clone) Commit(file, content, message string) {
	c.tb.Helper()
	c.Write(file, content)
	c.Git("commit", "-q", "-m", message)
}

// Amend writes a file and puts it into the last commit.
func (c *Clone) Amend(file, content string) {
	c.tb.Helper()
	c.Write(file, content)
	c.Git("commit", "-q", "--amend", "--no-edit")
}

// Write writes a file and adds it to the index.
func (c *Clone) Write(file, content string) {
	c.tb.Helper()
	path := filepath.Join(c.Dir, file)
	require.NoError(c.tb, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(c.tb, os.WriteFile(path, []byte(content), 0o600))
	c.Git("add", "--", file)
}
