package review

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

// kindOf says how a commit differs from the patch set before it.
func kindOf(ctx context.Context, repo *git.Repo, prior *PatchSet, next *git.Commit) (Kind, error) {
	sameMessage := prior.Message == next.Message
	if prior.Tree == next.Tree && len(prior.Parents) == len(next.Parents) {
		same, err := sameTrees(ctx, repo, prior.Parents, next.Parents)
		if err != nil {
			return "", err
		}
		switch {
		case same && sameMessage:
			return NoChange, nil
		case same:
			return NoCodeChange, nil
		}
	}
	if !sameMessage || len(prior.Parents) != 1 || len(next.Parents) != 1 || prior.Parents[0] == next.Parents[0] {
		return Rework, nil
	}
	// Rebased by us as it was by its author, does it come out the same?
	scratch, discard, err := repo.Quarantine()
	if err != nil {
		return "", err
	}
	defer discard()
	tree, err := scratch.CherryPick(ctx, prior.commit(), next.Parents[0])
	if _, conflict := errors.AsType[*git.ConflictError](err); conflict {
		return Rework, nil
	}
	if err != nil {
		return "", err
	}
	if tree == next.Tree {
		return TrivialRebase, nil
	}
	return Rework, nil
}

// sameTrees reports whether commits have, one by one, the same trees.
func sameTrees(ctx context.Context, repo *git.Repo, a, b []string) (bool, error) {
	if slices.Equal(a, b) {
		return true, nil
	}
	commits, err := repo.Commits(ctx, append(slices.Clone(a), b...)...)
	if err != nil {
		return false, err
	}
	trees := map[string]string{}
	for _, c := range commits {
		trees[c.Hash] = c.Tree
	}
	for i := range a {
		if trees[a[i]] != trees[b[i]] {
			return false, nil
		}
	}
	return true, nil
}

// commit is the patch set as git has it.
func (p *PatchSet) commit() git.Commit {
	return git.Commit{Hash: p.Revision, Tree: p.Tree, Parents: p.Parents,
		Author: git.Ident(p.Author), Committer: git.Ident(p.Committer), Message: p.Message}
}

// keeps reports whether a vote of this value stays when a patch set of this
// kind follows.
func (l *Label) keeps(value int, kind Kind) bool {
	return slices.Contains(l.CopyKinds, kind) || l.CopyMin && value == l.Min()
}

// CopyCondition says the same in Gerrit's words.
func (l *Label) CopyCondition() string {
	var conditions []string
	for _, k := range l.CopyKinds {
		conditions = append(conditions, "changekind:"+string(k))
	}
	if l.CopyMin {
		conditions = append(conditions, "is:MIN")
	}
	return strings.Join(conditions, " OR ")
}
