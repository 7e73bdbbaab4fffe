// Package git keeps bare repositories and lets the git program work on them:
// refs, merges, diffs, transport. Commits it makes itself are written in
// process, with go-git.
//
// The program runs with an environment of its own, so that no configuration
// of the machine or of a user counts, and with hooks switched off: nothing
// that somebody pushed is ever run.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Store is a folder of bare repositories. Its methods may be called
// concurrently.
type Store struct {
	program string
	dir     string
	env     []string
}

// settings hold for every run of git. The receiving of packs is bounded by
// review/receive, not here.
var settings = [][2]string{
	{"core.hooksPath", "/dev/null"},
	{"core.fsmonitor", "false"},
	{"core.logAllRefUpdates", "false"},
	{"core.quotePath", "false"},
	{"core.attributesFile", "/dev/null"},
	{"core.excludesFile", "/dev/null"},
	{"diff.renames", "true"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"protocol.allow", "never"}, // it never fetches
	{"safe.directory", "*"},
	{"transfer.fsckObjects", "true"},
	{"uploadpack.allowFilter", "true"},
	{"uploadpack.allowReachableSHA1InWant", "true"},
}

// OpenStore opens the repositories in dir, making it if it is missing.
// program is the git program, a path or a name found in the PATH; it must be
// 2.38 or newer, for merge-tree --write-tree.
//
// No other process may use dir: locks of refs that a crash left are removed.
func OpenStore(ctx context.Context, program, dir string) (*Store, error) {
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("git is needed (Debian: apt install git): %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil { // git runs elsewhere
		return nil, fmt.Errorf("directory of repositories: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of repositories: %w", err)
	}
	env := []string{
		"PATH=" + filepath.Dir(program) + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
		fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings)),
	}
	for i, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	s := &Store{program: program, dir: dir, env: env}
	if err := s.removeLocks(); err != nil {
		return nil, err
	}
	return s, nil
}

// removeLocks removes the lock files of refs and the quarantines; whoever made
// them is dead.
func (s *Store) removeLocks() error {
	return filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("look for locks: %w", err)
		}
		if d.IsDir() {
			if d.Name() != "objects" || filepath.Ext(filepath.Dir(path)) != ".git" {
				return nil
			}
			if err := removeQuarantines(path); err != nil {
				return err
			}
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".lock") {
			//nolint:gosec // G122: nobody but this server writes there
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove stale lock: %w", err)
			}
		}
		return nil
	})
}

func removeQuarantines(objects string) error {
	left, err := filepath.Glob(filepath.Join(objects, quarantinePrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for quarantines: %w", err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove quarantine: %w", err)
		}
	}
	return nil
}

// Repo is the repository of that name, which need not exist. The name must be
// clean: the caller checks it.
func (s *Store) Repo(name string) *Repo {
	return &Repo{store: s, path: filepath.Join(s.dir, filepath.FromSlash(name)+".git")}
}

// Create makes a bare repository whose HEAD is the ref head. A repository that
// exists already is left as it is, but for its HEAD.
func (s *Store) Create(ctx context.Context, name, head string) (*Repo, error) {
	r := s.Repo(name)
	if err := os.MkdirAll(r.path, 0o700); err != nil {
		return nil, fmt.Errorf("make repository %s: %w", name, err)
	}
	if _, err := r.run(ctx, nil, "init", "-q", "--bare", "--template=", "."); err != nil {
		return nil, fmt.Errorf("make repository %s: %w", name, err)
	}
	return r, r.SetHead(ctx, head)
}

// Repo is a bare repository.
type Repo struct {
	store      *Store
	path       string
	quarantine string   // holds objects/, where new objects go instead of the repository's; or ""
	alternates []string // where objects are then looked for besides
}

// Path is the repository's directory.
func (r *Repo) Path() string { return r.path }

// Error is a failed run of git.
type Error struct {
	Args   []string
	Status int // exit status, -1 if it was killed
	Stderr string
}

func (e *Error) Error() string {
	return fmt.Sprintf("git %s: exit status %d: %s", strings.Join(e.Args, " "), e.Status, strings.TrimSpace(e.Stderr))
}

// Command prepares a run of git in the repository. When ctx ends git is asked
// to end, and is killed if it does not within five seconds. Further variables
// of the environment may be added to Env.
func (r *Repo) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.store.program, args...)
	cmd.Dir = r.path
	cmd.Env = append(append([]string(nil), r.store.env...), "GIT_DIR=.")
	if r.quarantine != "" {
		cmd.Env = append(cmd.Env,
			"GIT_OBJECT_DIRECTORY="+filepath.Join(r.quarantine, "objects"),
			"GIT_ALTERNATE_OBJECT_DIRECTORIES="+strings.Join(r.alternates, ":"))
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs git and returns its standard output; a status other than 0 is an
// *Error.
func (r *Repo) run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	var stdout bytes.Buffer
	err := r.pipe(ctx, stdin, &stdout, args...)
	return stdout.Bytes(), err
}

func (r *Repo) pipe(ctx context.Context, stdin io.Reader, stdout io.Writer, args ...string) error {
	err := Run(r.Command(ctx, args...), stdin, stdout)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Run runs a command that Command made; a status other than 0 is an *Error.
func Run(cmd *exec.Cmd, stdin io.Reader, stdout io.Writer) error {
	stderr := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &Error{Args: cmd.Args[1:], Status: exit.ExitCode(), Stderr: stderr.String()}
	}
	if err != nil {
		return fmt.Errorf("run git %s: %w", cmd.Args[1], err)
	}
	return nil
}

// status is the exit status that err tells of, or -1.
func status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return -1
}

// tail keeps the last few kilobytes of what is written to it.
type tail struct{ buf []byte }

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }

// Maintain packs loose objects and refs if there are many. What nothing
// reaches is kept for two weeks, so that a push that is being received loses
// nothing.
func (r *Repo) Maintain(ctx context.Context) error {
	_, err := r.run(ctx, nil, "-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")
	return err
}
