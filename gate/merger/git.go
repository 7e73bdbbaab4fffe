package merger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// repository is the mirror of one project.
type repository struct {
	*Merger
	project string
	dir     string
}

// fetch brings the branch up to date, and the picks that are not here yet.
func (r *repository) fetch(ctx context.Context, branch string, picks []Pick) error {
	url, config := r.config.Remote(r.project)
	head := "refs/heads/" + branch
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--end-of-options", url, "+" + head + ":" + head}
	for _, p := range picks {
		if _, err := r.revParse(ctx, p.Revision+"^{commit}"); err != nil {
			args = append(args, "+"+p.Ref+":"+p.Ref)
		}
	}
	err := r.streamEnv(ctx, configEnv(config), io.Discard, args...)
	if failed, ok := errors.AsType[*gitError](err); ok && strings.Contains(failed.stderr, "couldn't find remote ref "+head) {
		return fmt.Errorf("%w: %s in %s", ErrNoBranch, branch, r.project)
	}
	return err
}

// configEnv hands configuration to git where no list of processes shows it.
func configEnv(config map[string]string) []string {
	env := []string{"GIT_CONFIG_COUNT=" + strconv.Itoa(len(config))}
	for i, key := range slices.Sorted(maps.Keys(config)) {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, config[key]))
	}
	return env
}

// merge returns the commit that holds both: one of the two where it has the
// other already, else a merge commit.
func (r *repository) merge(ctx context.Context, onto string, p Pick, fastForward bool) (string, error) {
	base, err := r.git(ctx, "merge-base", onto, p.Revision)
	if err != nil {
		if failed, ok := errors.AsType[*gitError](err); ok && failed.status == 1 {
			return "", &ConflictError{Change: p.Name, Message: "its history has nothing in common with the branch's"}
		}
		return "", err
	}
	switch {
	case base == p.Revision:
		return onto, nil
	case base == onto:
		return p.Revision, nil
	case fastForward:
		return "", &ConflictError{Change: p.Name, Message: "the project merges by fast-forward only, and the branch has moved on: rebase the change"}
	}
	tree, err := r.mergeTree(ctx, onto, p)
	if err != nil {
		return "", err
	}
	// The same merge gives the same commit: its time is that of the change.
	when, err := r.git(ctx, "show", "--no-patch", "--format=%ct", p.Revision)
	if err != nil {
		return "", err
	}
	env := []string{
		"GIT_AUTHOR_NAME=Gatehouse", "GIT_AUTHOR_EMAIL=gate@gatehouse.invalid", "GIT_AUTHOR_DATE=" + when + " +0000",
		"GIT_COMMITTER_NAME=Gatehouse", "GIT_COMMITTER_EMAIL=gate@gatehouse.invalid", "GIT_COMMITTER_DATE=" + when + " +0000",
	}
	return r.gitEnv(ctx, env, "commit-tree", tree, "-p", onto, "-p", p.Revision, "-m", "Merge change "+p.Name)
}

// isAncestor reports whether commit is descendant or has it behind it. A
// commit that is not here is behind none.
func (r *repository) isAncestor(ctx context.Context, commit, descendant string) (bool, error) {
	_, err := r.git(ctx, "merge-base", "--is-ancestor", commit, descendant)
	if failed, ok := errors.AsType[*gitError](err); ok && (failed.status == 1 || failed.status == 128) {
		return false, nil
	}
	return err == nil, err
}

func (r *repository) mergeTree(ctx context.Context, onto string, p Pick) (string, error) {
	var out bytes.Buffer
	err := r.stream(ctx, &out, "merge-tree", "--write-tree", "--name-only", onto, p.Revision)
	// Output: the tree, then, after a conflict, the files, an empty line, and
	// what there is to say.
	tree, rest, _ := strings.Cut(strings.TrimRight(out.String(), "\n"), "\n")
	if err == nil {
		return tree, nil
	}
	if failed, ok := errors.AsType[*gitError](err); !ok || failed.status != 1 {
		return "", err
	}
	files, message, _ := strings.Cut(rest, "\n\n")
	return "", &ConflictError{Change: p.Name, Files: slices.Compact(strings.Split(files, "\n")), Message: message}
}

// changed lists the files that differ between two commits.
func (r *repository) changed(ctx context.Context, from, to string) ([]string, error) {
	out, err := r.git(ctx, "diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), nil
}

func (r *repository) revParse(ctx context.Context, name string) (string, error) {
	return r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
}

// git runs git in the mirror and returns its output without the last newline.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	return r.gitEnv(ctx, nil, args...)
}

func (r *repository) gitEnv(ctx context.Context, env []string, args ...string) (string, error) {
	var out bytes.Buffer
	err := r.streamEnv(ctx, env, &out, args...)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func (r *repository) stream(ctx context.Context, out io.Writer, args ...string) error {
	return r.streamEnv(ctx, nil, out, args...)
}

func (r *repository) streamEnv(ctx context.Context, env []string, out io.Writer, args ...string) error {
	return r.run(ctx, env, out, append([]string{"--git-dir=" + r.dir}, args...)...)
}

// gitError is a run of git that did not end well.
type gitError struct {
	command string
	status  int
	stderr  string
	err     error
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: %v: %s", e.command, e.err, strings.TrimSpace(e.stderr))
}

func (e *gitError) Unwrap() error { return e.err }

func (r *repository) run(ctx context.Context, env []string, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, r.config.Git, args...)
	cmd.Env = slices.Concat([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	}, r.config.Env, env)
	stderr := &head{limit: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("git %s: %w", verb(args), ctx.Err())
	}
	failed := &gitError{command: verb(args), stderr: string(stderr.kept), err: err}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		failed.status = exit.ExitCode()
	}
	return failed
}

// verb is what git was to do, for errors.
func verb(args []string) string {
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			return a
		}
	}
	return ""
}

// head keeps the first bytes written to it and lets the rest go by.
type head struct {
	kept  []byte
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.limit-len(h.kept))]...)
	return len(p), nil
}
