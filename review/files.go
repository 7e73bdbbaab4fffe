package review

import (
	"context"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

type fileRow struct {
	File
	change   int64
	patchSet int
}

// selectFiles reads what patch sets change; rest begins with WHERE.
func selectFiles(ctx context.Context, q querier, rest string, args ...any) ([]fileRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT change, patch_set, path, old_path, status, insertions, deletions, is_binary
		FROM files `+rest+` ORDER BY change, patch_set, path`, args...)
	if err != nil {
		return nil, fmt.Errorf("select files: %w", err)
	}
	return collect(rows, func(f *fileRow) []any {
		return []any{&f.change, &f.patchSet, &f.Path, &f.OldPath, &f.Status, &f.Insertions, &f.Deletions, &f.Binary}
	})
}

// changedFiles lists what a commit changes against its first parent.
func changedFiles(ctx context.Context, repo *git.Repo, c git.Commit) ([]File, error) {
	from := ""
	if len(c.Parents) > 0 {
		from = c.Parents[0]
	}
	return filesBetween(ctx, repo, from, c.Hash)
}

func filesBetween(ctx context.Context, repo *git.Repo, from, to string) ([]File, error) {
	changes, err := repo.Changes(ctx, from, to)
	if err != nil {
		return nil, err
	}
	files := make([]File, len(changes))
	for i, c := range changes {
		files[i] = File(c)
	}
	return files, nil
}

// Base is what a patch set is compared with. The zero Base is its first parent.
type Base struct {
	PatchSet int // another patch set of the change
	Parent   int // or the parent of that number, from 1
}

// commit is the commit a patch set is compared with, "" for the empty tree.
func (s *Service) baseCommit(ctx context.Context, p *PatchSet, base Base) (string, error) {
	if base.PatchSet > 0 {
		sets, err := selectPatchSets(ctx, s.db, `WHERE p.change = $1 AND p.number = $2`, p.Change, base.PatchSet)
		if err != nil {
			return "", err
		}
		if len(sets) == 0 {
			return "", fault.New(fault.NotFound, "Not found: %d", base.PatchSet)
		}
		return sets[0].Revision, nil
	}
	parent := max(base.Parent, 1)
	if parent > len(p.Parents) {
		if base.Parent > 1 {
			return "", fault.New(fault.BadRequest, "invalid parent number: %d", base.Parent)
		}
		return "", nil
	}
	return p.Parents[parent-1], nil
}

// Files lists what a patch set changes against a base, by path. p is one that
// PatchSet or Details returned.
func (s *Service) Files(ctx context.Context, project string, p *PatchSet, base Base) ([]File, error) {
	if base == (Base{}) {
		rows, err := selectFiles(ctx, s.db, `WHERE change = $1 AND patch_set = $2`, p.Change, p.Number)
		files := make([]File, len(rows))
		for i, r := range rows {
			files[i] = r.File
		}
		return files, err
	}
	from, err := s.baseCommit(ctx, p, base)
	if err != nil {
		return nil, err
	}
	return filesBetween(ctx, s.repos.Repo(project), from, p.Revision)
}

// Content is a file of a patch set, or of its base if old is set, at most
// MaxDiff bytes of it, and its mode; fault.NotFound if there is none.
func (s *Service) Content(ctx context.Context, project string, p *PatchSet, base Base, old bool, path string) ([]byte, string, error) {
	if path == PathCommitMessage {
		text, err := s.messageFile(ctx, project, p, base, old)
		return []byte(text), "100644", err
	}
	commit := p.Revision
	if old {
		var err error
		if commit, err = s.baseCommit(ctx, p, base); err != nil {
			return nil, "", err
		}
	}
	repo := s.repos.Repo(project)
	var entry *git.Entry
	if commit != "" {
		var err error
		if entry, err = repo.Entry(ctx, commit, path); err != nil {
			return nil, "", err
		}
	}
	if entry == nil || entry.Type == "tree" {
		return nil, "", fault.New(fault.NotFound, "Not found: %s", path)
	}
	if entry.Type == "commit" { // a submodule
		return []byte("Subproject commit " + entry.Hash + "\n"), entry.Mode, nil
	}
	content, err := repo.Blob(ctx, entry.Hash, MaxDiff)
	return content, entry.Mode, err
}

// Patch is the patch set as git format-patch writes it. A patch of more than
// MaxDiff bytes is fault.TooLarge.
func (s *Service) Patch(ctx context.Context, project string, p *PatchSet) ([]byte, error) {
	patch, cut, err := s.repos.Repo(project).FormatPatch(ctx, p.Revision, MaxDiff)
	if err == nil && cut {
		err = fault.New(fault.TooLarge, "the patch is larger than %d bytes: git fetch it", MaxDiff)
	}
	return patch, err
}
