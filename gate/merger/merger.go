// Package merger makes the states that the gate tests: it keeps a bare mirror
// of every project, merges changes onto a branch and onto each other the way
// the review server will, and proves afterwards that the server did.
//
// Merging is done by `git merge-tree --write-tree`
// (https://git-scm.com/docs/git-merge-tree), which needs git 2.38 and neither
// index nor work tree.
package merger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// ErrNoBranch is reported for a branch that the server does not have.
var ErrNoBranch = errors.New("branch not found")

// ErrTooLarge is reported for a file over the limit.
var ErrTooLarge = errors.New("file is too large")

// ConflictError is the error of a change that does not merge.
type ConflictError struct {
	Change  string   // which one
	Files   []string // where
	Message string   // what git says
}

func (c *ConflictError) Error() string {
	return fmt.Sprintf("change %s does not merge: conflict in %s", c.Change, strings.Join(c.Files, ", "))
}

// Config says where the mirrors are and where projects come from.
type Config struct {
	// Dir holds a bare repository for each project.
	Dir string
	// Git is the git program; empty: git, looked up in the path.
	Git string
	// Remote is the URL of a project and the git configuration to fetch it.
	Remote func(project string) (url string, config map[string]string)
	// Env is added to the environment of git: NAME=value.
	Env []string
}

// Merger merges. Its methods may be called concurrently; fetches of one
// project wait for each other.
type Merger struct {
	config Config

	mu    sync.Mutex
	locks map[string]*sync.Mutex
}

// New prepares to merge; it touches nothing yet.
func New(c Config) *Merger {
	if c.Git == "" {
		c.Git = "git"
	}
	return &Merger{config: c, locks: map[string]*sync.Mutex{}}
}

// Pick is a change to merge.
type Pick struct {
	Name     string // for errors: 12,3
	Ref      string
	Revision string
}

// State is a merged state, kept in the mirror for good.
type State struct {
	// Tip is the branch's commit that the state is built on.
	Tip string
	// Commit is the state, Tree its tree. Commit is the change itself where
	// the merge is a fast-forward.
	Commit, Tree string
	// Files are those that the last change changes.
	Files []string
}

// Merge fetches the branch as it is now and merges the picks onto it, one
// after the other, as a server does that merges if necessary. With
// fastForward set it refuses what needs a merge commit. Its error is a
// *ConflictError if a change does not merge.
func (m *Merger) Merge(ctx context.Context, project, branch string, picks []Pick, fastForward bool) (State, error) {
	r, unlock, err := m.open(ctx, project)
	if err != nil {
		return State{}, err
	}
	defer unlock()
	if err := r.fetch(ctx, branch, picks); err != nil {
		return State{}, err
	}
	tip, err := r.revParse(ctx, "refs/heads/"+branch+"^{commit}")
	if err != nil {
		return State{}, err
	}
	s := State{Tip: tip, Commit: tip}
	before := tip
	for _, p := range picks {
		before = s.Commit
		if s.Commit, err = r.merge(ctx, s.Commit, p, fastForward); err != nil {
			return State{}, err
		}
	}
	if s.Tree, err = r.revParse(ctx, s.Commit+"^{tree}"); err != nil {
		return State{}, err
	}
	if s.Files, err = r.changed(ctx, before, s.Commit); err != nil {
		return State{}, err
	}
	// A reference keeps the state from being collected: a recorded build can
	// be run again.
	if _, err := r.git(ctx, "update-ref", "refs/gatehouse/"+s.Commit, s.Commit); err != nil {
		return State{}, err
	}
	return s, nil
}

// Tip fetches a branch and returns its commit and tree.
func (m *Merger) Tip(ctx context.Context, project, branch string) (commit, tree string, err error) {
	r, unlock, err := m.open(ctx, project)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if err := r.fetch(ctx, branch, nil); err != nil {
		return "", "", err
	}
	if commit, err = r.revParse(ctx, "refs/heads/"+branch+"^{commit}"); err != nil {
		return "", "", err
	}
	tree, err = r.revParse(ctx, commit+"^{tree}")
	return commit, tree, err
}

// ErrNotMerged is reported for a revision that a branch does not have.
var ErrNotMerged = errors.New("not merged")

// maxWalk bounds how far back Merged looks for a merge, in commits.
const maxWalk = 1000

// Merged fetches a branch and returns the commit by which it got the
// revision, and that commit's tree: what the branch was right after the merge.
// It reports ErrNotMerged if the branch does not have the revision.
func (m *Merger) Merged(ctx context.Context, project, branch, revision string) (commit, tree string, err error) {
	r, unlock, err := m.open(ctx, project)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if err := r.fetch(ctx, branch, nil); err != nil {
		return "", "", err
	}
	out, err := r.git(ctx, "log", "--first-parent", "--format=%H %T", "--max-count="+strconv.Itoa(maxWalk), "refs/heads/"+branch)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(out) {
		var c, t string
		if _, err := fmt.Sscan(line, &c, &t); err != nil {
			return "", "", fmt.Errorf("read log of %s: %w", project, err)
		}
		if has, err := r.isAncestor(ctx, revision, c); err != nil {
			return "", "", err
		} else if !has {
			break
		}
		commit, tree = c, t
	}
	if commit == "" {
		return "", "", fmt.Errorf("%s in branch %s of %s: %w", revision, branch, project, ErrNotMerged)
	}
	return commit, tree, nil
}

// ReadFile returns a regular file of a commit. It reports fs.ErrNotExist if
// there is none, ErrTooLarge if it has more than limit bytes.
func (m *Merger) ReadFile(ctx context.Context, project, commit, path string, limit int64) ([]byte, error) {
	r := m.repository(project)
	entry, err := r.git(ctx, "ls-tree", "--format=%(objecttype) %(objectmode) %(objectsize)", commit, "--", path)
	if err != nil {
		return nil, err
	}
	if entry == "" {
		return nil, fmt.Errorf("%s in %s: %w", path, commit, fs.ErrNotExist)
	}
	var kind string
	var mode, size int64
	if _, err := fmt.Sscanf(entry, "%s %o %d", &kind, &mode, &size); err != nil || kind != "blob" || mode>>12 != 0o10 {
		return nil, fmt.Errorf("%s in %s is no regular file: %w", path, commit, fs.ErrInvalid)
	}
	if size > limit {
		return nil, fmt.Errorf("%s in %s: %w", path, commit, ErrTooLarge)
	}
	var out bytes.Buffer
	err = r.stream(ctx, &out, "cat-file", "blob", commit+":"+path)
	return out.Bytes(), err
}

// Archive writes the whole tree of a commit to w, as tar. Nothing in the tree
// changes what is written.
func (m *Merger) Archive(ctx context.Context, project, commit string, w io.Writer) error {
	return m.repository(project).stream(ctx, w, "archive", "--format=tar", commit)
}

func (m *Merger) repository(project string) *repository {
	// A project's name may hold slashes; one that climbs is made harmless.
	name := filepath.Clean("/" + project)
	return &repository{Merger: m, project: project, dir: filepath.Join(m.config.Dir, name) + ".git"}
}

// open locks a project's mirror, making it where missing.
func (m *Merger) open(ctx context.Context, project string) (*repository, func(), error) {
	r := m.repository(project)
	m.mu.Lock()
	lock, known := m.locks[r.dir]
	if !known {
		lock = new(sync.Mutex)
		m.locks[r.dir] = lock
	}
	m.mu.Unlock()
	lock.Lock()
	if !known {
		if err := r.init(ctx); err != nil {
			m.mu.Lock()
			delete(m.locks, r.dir)
			m.mu.Unlock()
			lock.Unlock()
			return nil, nil, err
		}
	}
	return r, lock.Unlock, nil
}

// init makes the mirror, or mends one that a killed git left locked.
func (r *repository) init(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(r.dir, "info", "attributes")); err == nil {
		return removeLocks(r.dir)
	}
	if err := os.MkdirAll(filepath.Dir(r.dir), 0o700); err != nil {
		return fmt.Errorf("make mirror of %s: %w", r.project, err)
	}
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("make mirror of %s: %w", r.project, err)
	}
	if err := r.run(ctx, nil, io.Discard, "init", "--quiet", "--bare", "--template=", r.dir); err != nil {
		return err
	}
	// What is tested is the tree, not what its attributes make of it in an
	// archive. The mirror's own attributes come before those of the tree.
	attributes := filepath.Join(r.dir, "info", "attributes")
	if err := os.MkdirAll(filepath.Dir(attributes), 0o700); err != nil {
		return fmt.Errorf("make mirror of %s: %w", r.project, err)
	}
	if err := os.WriteFile(attributes, []byte("* -export-ignore -export-subst -text -eol -ident -filter -working-tree-encoding\n"), 0o600); err != nil {
		return fmt.Errorf("make mirror of %s: %w", r.project, err)
	}
	return nil
}

// removeLocks removes what a git that was killed left behind. The mirror is
// this process's alone.
func removeLocks(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open mirror: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "objects":
			return fs.SkipDir
		case strings.HasSuffix(path, ".lock"):
			return root.Remove(path)
		default:
			return nil
		}
	})
}
