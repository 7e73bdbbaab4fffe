package git

import (
	"context"
	"fmt"
	"strings"
)

// ConflictError says that a merge needs people: the files that conflict.
type ConflictError struct{ Files []string }

func (e *ConflictError) Error() string { return "merge conflict in " + strings.Join(e.Files, ", ") }

// MergeTree merges two commits by three ways and returns the tree, or a
// *ConflictError.
func (r *Repo) MergeTree(ctx context.Context, ours, theirs string) (string, error) {
	out, err := r.run(ctx, nil, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
	if err != nil && status(err) != 1 {
		return "", err
	}
	parts := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if err == nil {
		return parts[0], nil
	}
	var files []string
	for _, f := range parts[1:] {
		if f != "" {
			files = append(files, f)
		}
	}
	return "", &ConflictError{Files: files}
}

// CherryPick applies what commit c changes against its only parent onto the
// commit onto, and returns the tree, or a *ConflictError.
func (r *Repo) CherryPick(ctx context.Context, c Commit, onto string) (string, error) {
	if len(c.Parents) != 1 {
		return "", fmt.Errorf("cherry-pick %s: it has %d parents", c.Hash, len(c.Parents))
	}
	target, err := r.Commits(ctx, onto)
	if err != nil {
		return "", err
	}
	// merge-tree has no --merge-base before git 2.40: a commit that has onto's
	// tree and c's parent makes that parent the base.
	graft, err := r.Write(Commit{Tree: target[0].Tree, Parents: c.Parents, Author: c.Author, Committer: c.Committer, Message: "base\n"})
	if err != nil {
		return "", err
	}
	return r.MergeTree(ctx, graft, c.Hash)
}
