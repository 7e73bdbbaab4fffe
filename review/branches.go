package review

import (
	"context"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// repo is the repository of a project that exists.
func (s *Service) repo(ctx context.Context, caller *Account, project string) (*git.Repo, error) {
	p, err := s.Project(ctx, caller, project)
	if err != nil {
		return nil, err
	}
	return s.repos.Repo(p.Name), nil
}

// Head is the ref that the project's HEAD names, e.g. refs/heads/main.
func (s *Service) Head(ctx context.Context, caller *Account, project string) (string, error) {
	repo, err := s.repo(ctx, caller, project)
	if err != nil {
		return "", err
	}
	return repo.Head(ctx)
}

// SetHead lets HEAD name another existing branch; administrators may.
func (s *Service) SetHead(ctx context.Context, caller *Account, project, branch string) error {
	if err := administrator(caller, "set HEAD"); err != nil {
		return err
	}
	repo, err := s.repo(ctx, caller, project)
	if err != nil {
		return err
	}
	b, err := s.Branch(ctx, caller, project, branch)
	if err != nil {
		return err
	}
	defer s.locks.lock(project)()
	old, err := repo.Head(ctx)
	if err != nil || old == b.Ref {
		return err
	}
	if err := repo.SetHead(ctx, b.Ref); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		a := announcement{Type: "project-head-updated", Name: project, OldHead: old, NewHead: b.Ref, CreatedOn: t.at.Unix()}
		return t.record(ctx, Event{Type: a.Type, Project: project}, a)
	})
}

// Branches lists a project's branches by name.
func (s *Service) Branches(ctx context.Context, caller *Account, project string) ([]Branch, error) {
	return s.refs(ctx, caller, project, "refs/heads")
}

// Tags lists a project's tags by name.
func (s *Service) Tags(ctx context.Context, caller *Account, project string) ([]Branch, error) {
	return s.refs(ctx, caller, project, "refs/tags")
}

func (s *Service) refs(ctx context.Context, caller *Account, project, prefix string) ([]Branch, error) {
	repo, err := s.repo(ctx, caller, project)
	if err != nil {
		return nil, err
	}
	refs, err := repo.Refs(ctx, prefix)
	if err != nil {
		return nil, err
	}
	branches := make([]Branch, len(refs))
	for i, r := range refs {
		branches[i] = Branch{Ref: r.Name, Revision: r.Hash}
	}
	return branches, nil
}

// Branch is a branch by its short or full name, or fault.NotFound.
func (s *Service) Branch(ctx context.Context, caller *Account, project, name string) (Branch, error) {
	repo, err := s.repo(ctx, caller, project)
	if err != nil {
		return Branch{}, err
	}
	ref, err := branchRef(name)
	if err != nil {
		return Branch{}, err
	}
	tip, err := repo.Tip(ref)
	if err == nil && tip == "" {
		err = fault.New(fault.NotFound, "Not found: %s", name)
	}
	return Branch{Ref: ref, Revision: tip}, err
}

// CreateBranch makes a branch at a revision ("" for HEAD's); administrators
// may. A branch that exists is fault.Conflict.
func (s *Service) CreateBranch(ctx context.Context, caller *Account, project, branch, revision string) (Branch, error) {
	if err := administrator(caller, "create branch"); err != nil {
		return Branch{}, err
	}
	repo, err := s.repo(ctx, caller, project)
	if err != nil {
		return Branch{}, err
	}
	ref, err := branchRef(branch)
	if err != nil {
		return Branch{}, err
	}
	if revision == "" {
		revision = "HEAD"
	}
	hash, err := repo.Resolve(ctx, revision)
	if err != nil {
		return Branch{}, err
	}
	if hash == "" {
		return Branch{}, fault.New(fault.BadRequest, "invalid revision %q", revision)
	}
	b := Branch{Ref: ref, Revision: hash}
	return b, s.moveBranch(ctx, caller, project, git.Update{Ref: ref, Old: git.Zero, New: hash})
}

// DeleteBranch deletes a branch without open changes that is not HEAD's;
// administrators may.
func (s *Service) DeleteBranch(ctx context.Context, caller *Account, project, branch string) error {
	if err := administrator(caller, "delete branch"); err != nil {
		return err
	}
	b, err := s.Branch(ctx, caller, project, branch)
	if err != nil {
		return err
	}
	head, err := s.Head(ctx, caller, project)
	if err != nil {
		return err
	}
	if head == b.Ref {
		return fault.New(fault.Conflict, "not allowed to delete HEAD")
	}
	open, err := selectChange(ctx, s.db, `WHERE c.project = $1 AND c.branch = $2 AND c.status = 'NEW'`, project, b.Name())
	if err != nil {
		return err
	}
	if open != nil {
		return fault.New(fault.Conflict, "branch %s has open changes", b.Ref)
	}
	return s.moveBranch(ctx, caller, project, git.Update{Ref: b.Ref, Old: b.Revision, New: git.Zero})
}

// moveBranch updates one ref and announces it.
func (s *Service) moveBranch(ctx context.Context, by *Account, project string, u git.Update) error {
	defer s.locks.lock(project)()
	if u.Old == git.Zero {
		tip, err := s.repos.Repo(project).Tip(u.Ref)
		if err != nil {
			return err
		}
		if tip != "" {
			return fault.New(fault.Conflict, "branch \"%s\" already exists", u.Ref)
		}
	}
	return s.writeRefs(ctx, project, []git.Update{u}, func(t *tx) error {
		return s.announceRef(ctx, t, by, RefUpdateAttribute{OldRev: u.Old, NewRev: u.New, RefName: u.Ref, Project: project})
	})
}

// shortBranch is a branch's name without refs/heads/.
func shortBranch(ref string) string { return strings.TrimPrefix(ref, headsPrefix) }
