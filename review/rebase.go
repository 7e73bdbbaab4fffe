package review

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// Rebase makes a patch set that is the current one on another parent. base is
// a change ("7" or "7,2"), a commit, or "": then it is the current patch set
// of the change below, if that moved on, else the branch's tip. Owner and
// administrators may; fault.Conflict if there is a conflict or nothing to do.
func (s *Service) Rebase(ctx context.Context, caller *Account, number int64, base string) (*Change, error) {
	return s.amend(ctx, caller, number, "rebase", func(c *Change, p *PatchSet) (git.Commit, Kind, error) {
		commit := p.commit()
		if len(p.Parents) != 1 {
			return commit, "", fault.New(fault.Conflict, "Cannot rebase a change with %d parents", len(p.Parents))
		}
		onto, err := s.rebaseTarget(ctx, caller, c, p, base)
		if err != nil {
			return commit, "", err
		}
		if onto == p.Parents[0] {
			return commit, "", fault.New(fault.Conflict, "Change is already up to date.")
		}
		tree, err := s.repos.Repo(c.Project).CherryPick(ctx, commit, onto)
		if conflict, ok := errors.AsType[*git.ConflictError](err); ok {
			return commit, "", fault.New(fault.Conflict, "Change %d could not be rebased due to a conflict during merge.\n\nmerge conflict(s):\n%s",
				c.Number, strings.Join(conflict.Files, "\n"))
		}
		if err != nil {
			return commit, "", err
		}
		commit.Tree, commit.Parents = tree, []string{onto}
		return commit, TrivialRebase, nil
	})
}

// rebaseTarget is the commit to rebase onto.
func (s *Service) rebaseTarget(ctx context.Context, caller *Account, c *Change, p *PatchSet, base string) (string, error) {
	repo := s.repos.Repo(c.Project)
	if base != "" {
		return s.baseByName(ctx, caller, repo, c, base)
	}
	below, err := selectPatchSets(ctx, s.db, `JOIN changes c ON c.number = p.change
		WHERE p.revision = $1 AND c.project = $2 AND c.branch = $3 AND c.status = 'NEW'`, p.Parents[0], c.Project, c.Branch)
	if err != nil {
		return "", err
	}
	if len(below) > 0 {
		parent, err := visibleChange(ctx, s.db, caller, below[0].Change)
		if err != nil {
			return "", err
		}
		current, err := currentPatchSet(ctx, s.db, parent)
		if err != nil {
			return "", err
		}
		return current.Revision, nil
	}
	tip, err := repo.Tip(headsPrefix + c.Branch)
	if err == nil && tip == "" {
		err = fault.New(fault.Conflict, "branch %s does not exist", c.Branch)
	}
	return tip, err
}

func (s *Service) baseByName(ctx context.Context, caller *Account, repo *git.Repo, c *Change, base string) (string, error) {
	name, set, found := strings.Cut(base, ",")
	if !found {
		set = "current"
	}
	if number, err := strconv.ParseInt(name, 10, 64); err == nil && len(name) < 40 {
		if number == c.Number {
			return "", fault.New(fault.Conflict, "cannot rebase change onto itself")
		}
		other, err := s.Change(ctx, caller, number)
		if err == nil && other.Project == c.Project && other.Branch == c.Branch {
			p, err := s.PatchSet(ctx, caller, number, set)
			if err != nil {
				return "", err
			}
			return p.Revision, s.checkCycle(ctx, repo, c, p.Revision)
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return "", err
		}
		if err == nil {
			return "", fault.New(fault.Conflict, "base change is targeting wrong branch: %s,%s%s", other.Project, headsPrefix, other.Branch)
		}
	}
	hash, err := repo.Resolve(ctx, base)
	if err != nil {
		return "", err
	}
	if _, number := strconv.ParseInt(name, 10, 64); hash == "" && number == nil {
		return "", fault.New(fault.Unprocessable, "Base change not found: %s", base)
	}
	if hash == "" {
		return "", fault.New(fault.Conflict, "base revision is missing from the destination branch: %s", base)
	}
	contained, err := repo.IsAncestor(ctx, hash, headsPrefix+c.Branch)
	if err == nil && !contained {
		err = fault.New(fault.Conflict, "base revision is missing from the destination branch: %s", base)
	}
	return hash, err
}

// checkCycle refuses a base that stands on the change itself.
func (s *Service) checkCycle(ctx context.Context, repo *git.Repo, c *Change, base string) error {
	p, err := currentPatchSet(ctx, s.db, c)
	if err != nil {
		return err
	}
	cycle, err := repo.IsAncestor(ctx, p.Revision, base)
	if err == nil && cycle {
		err = fault.New(fault.Conflict, "base change %s is a descendant of the current change - recursion not allowed", base)
	}
	return err
}

// SetMessage makes a patch set with another commit message, which must have
// the change's Change-Id. Owner and administrators may.
func (s *Service) SetMessage(ctx context.Context, caller *Account, number int64, message string) (*Change, error) {
	message = strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n")) + "\n"
	if len(message) > maxRobotMessage || strings.ContainsRune(message, 0) {
		return nil, fault.New(fault.BadRequest, "commit message is too long, or holds NUL")
	}
	return s.amend(ctx, caller, number, "edit commit message", func(c *Change, p *PatchSet) (git.Commit, Kind, error) {
		commit := p.commit()
		if strings.TrimSpace(p.Message)+"\n" == message {
			return commit, "", fault.New(fault.Conflict, "new and existing commit message are the same")
		}
		commit.Message = message
		id, refused := s.changeIDOf(caller, &commit)
		if refused != nil {
			return commit, "", fault.New(fault.Conflict, "%s", refused.reason)
		}
		if id != c.ID {
			return commit, "", fault.New(fault.Conflict, "wrong Change-Id footer")
		}
		return commit, NoCodeChange, nil
	})
}

// amend makes the next patch set of an open change from the commit that f
// makes of the current one. The caller becomes its committer.
func (s *Service) amend(ctx context.Context, caller *Account, number int64, what string,
	f func(c *Change, p *PatchSet) (git.Commit, Kind, error)) (*Change, error) {
	seen, err := s.Change(ctx, caller, number)
	if err != nil {
		return nil, err
	}
	if err := mayEdit(caller, seen, what); err != nil {
		return nil, err
	}
	defer s.locks.lock(seen.Project)()
	c, err := s.Change(ctx, caller, number) // again, now that nobody changes it
	if err != nil {
		return nil, err
	}
	if !c.Open() {
		return nil, conflictOf(c)
	}
	p, err := currentPatchSet(ctx, s.db, c)
	if err != nil {
		return nil, err
	}
	commit, kind, err := f(c, p)
	if err != nil {
		return nil, err
	}
	commit.Committer = s.ident(caller)
	repo := s.repos.Repo(c.Project)
	if commit.Hash, err = repo.Write(commit); err != nil {
		return nil, err
	}
	n := newPatchSet{change: c, commit: commit, kind: kind, uploader: caller}
	if n.files, err = changedFiles(ctx, repo, commit); err != nil {
		return nil, err
	}
	ref := git.Update{Ref: patchSetRef(c.Number, c.PatchSet+1), Old: git.Zero, New: commit.Hash}
	err = s.writeRefs(ctx, c.Project, []git.Update{ref}, func(t *tx) error {
		c, _, err = s.addPatchSet(ctx, t, n)
		return err
	})
	return c, err
}
