package review

import (
	"context"
	"fmt"
	"io"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

// Fetch is a git client reading from a project.
type Fetch struct {
	Project   string
	Protocol  string // the client's GIT_PROTOCOL, e.g. "version=2"; "" for none
	Stateless bool   // over HTTP: one request at a time
	Advertise bool   // over HTTP: only what the server has
	Stdin     io.Reader
	Stdout    io.Writer
}

// UploadPack serves a fetch by git's upload-pack. Changes that the caller may
// not see are not shown. A client that goes away is an error.
func (s *Service) UploadPack(ctx context.Context, caller *Account, f Fetch) error {
	repo, err := s.repo(ctx, caller, f.Project)
	if err != nil {
		return err
	}
	hidden, err := s.hiddenRefs(ctx, caller, f.Project)
	if err != nil {
		return err
	}
	var args []string
	for _, ref := range hidden {
		args = append(args, "-c", "uploadpack.hideRefs="+ref)
	}
	args = append(args, "upload-pack", "--strict", "--timeout=600")
	if f.Stateless {
		args = append(args, "--stateless-rpc")
	}
	if f.Advertise {
		args = append(args, "--http-backend-info-refs")
	}
	cmd := repo.Command(ctx, append(args, ".")...)
	if f.Protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+f.Protocol)
	}
	if err := git.Run(cmd, f.Stdin, f.Stdout); err != nil {
		return fmt.Errorf("serve fetch of %s: %w", f.Project, err)
	}
	return nil
}

// hiddenRefs are the refs of a project's changes that the caller may not see.
func (s *Service) hiddenRefs(ctx context.Context, caller *Account, project string) ([]string, error) {
	condition := visibleCondition("$2", caller.admin())
	//nolint:gosec // G202: the condition is made of constants
	rows, err := s.db.QueryContext(ctx, `SELECT c.number FROM changes c
		WHERE c.project = $1 AND c.private = 1 AND NOT `+condition,
		project, caller.id())
	if err != nil {
		return nil, fmt.Errorf("select hidden changes: %w", err)
	}
	numbers, err := collect(rows, func(n *int64) []any { return []any{n} })
	refs := make([]string, len(numbers))
	for i, n := range numbers {
		refs[i] = fmt.Sprintf("%s%02d/%d", changesPrefix, n%100, n)
	}
	return refs, err
}

// PushRefs are the refs that a client which pushes to the project is shown:
// branches and tags. Whoever is not logged in may not push.
func (s *Service) PushRefs(ctx context.Context, caller *Account, project string) ([]git.Ref, error) {
	if err := registered(caller); err != nil {
		return nil, err
	}
	repo, err := s.repo(ctx, caller, project)
	if err != nil {
		return nil, err
	}
	return repo.Refs(ctx, "refs/heads", "refs/tags")
}
