package review

import (
	"context"
	"strings"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

// direct carries out a push to a branch or tag; administrators may create and
// fast-forward. Open changes of the branch that the push brings are closed.
func (r *receiver) direct(ctx context.Context, u git.Update) error {
	verb := "update"
	switch {
	case u.New == git.Zero:
		return refuse("prohibited by Gerrit: not permitted: delete")
	case u.Old == git.Zero:
		verb = "create"
	}
	if !r.caller.Admin {
		refused := refuse("prohibited by Gerrit: not permitted: %s", verb)
		refused.text = "ERROR: branch " + u.Ref + ":\nTo push into this reference you need 'Push' rights.\n" +
			"User: " + r.caller.Username + "\n" +
			"Push for review instead: git push REMOTE HEAD:" + magicPrefix + shortBranch(u.Ref) + "\n"
		return refused
	}
	if u.Old != git.Zero {
		forward, err := r.repo.IsAncestor(ctx, u.Old, u.New)
		if err != nil {
			return err
		}
		if !forward || strings.HasPrefix(u.Ref, tagsPrefix) {
			return refuse("prohibited by Gerrit: not permitted: force update")
		}
	}
	current, err := r.repo.Tip(u.Ref)
	if err != nil {
		return err
	}
	if current == "" {
		current = git.Zero
	}
	if current != u.Old {
		return refuse("failed to lock")
	}
	landed, err := r.landed(ctx, u)
	if err != nil {
		return err
	}
	if err := r.release(); err != nil {
		return err
	}
	updates := []git.Update{u}
	for _, l := range landed {
		if l.again != nil {
			updates = append(updates, git.Update{Ref: patchSetRef(l.change.Number, l.change.PatchSet+1), Old: git.Zero, New: l.again.commit.Hash})
		}
	}
	return r.s.writeRefs(ctx, r.project.Name, updates, func(t *tx) error {
		ref := RefUpdateAttribute{OldRev: u.Old, NewRev: u.New, RefName: u.Ref, Project: r.project.Name}
		if err := r.s.announceRef(ctx, t, r.caller, ref); err != nil {
			return err
		}
		for _, l := range landed {
			if err := r.close(ctx, t, l, u.New); err != nil {
				return err
			}
		}
		return nil
	})
}

// landing is an open change that a direct push brings into its branch.
type landing struct {
	change *Change
	again  *newPatchSet // the commit that landed, if it is not the current patch set
}

// landed finds the open changes that the commits of a push to a branch belong
// to, by commit or by Change-Id.
func (r *receiver) landed(ctx context.Context, u git.Update) ([]landing, error) {
	if !strings.HasPrefix(u.Ref, headsPrefix) {
		return nil, nil
	}
	open, err := selectChanges(ctx, r.s.db, `WHERE c.project = $1 AND c.branch = $2 AND c.status = 'NEW'`, r.project.Name, shortBranch(u.Ref))
	if err != nil || len(open) == 0 {
		return nil, err
	}
	var exclude []string
	if u.Old != git.Zero {
		exclude = []string{u.Old}
	} else {
		exclude = []string{"--branches"}
	}
	const most = 10000 // changes closed by one push
	commits, err := r.repo.Log(ctx, []string{u.New}, exclude, most)
	if err != nil {
		return nil, err
	}
	byID := map[string]*Change{}
	for i := range open {
		byID[open[i].ID] = &open[i]
	}
	var landed []landing
	for i := range commits {
		id, refused := r.s.changeIDOf(r.caller, &commits[i])
		c := byID[id]
		if refused != nil || c == nil {
			continue
		}
		delete(byID, id)
		l, err := r.landing(ctx, c, &commits[i])
		if err != nil {
			return nil, err
		}
		landed = append(landed, l)
	}
	return landed, nil
}

func (r *receiver) landing(ctx context.Context, c *Change, commit *git.Commit) (landing, error) {
	l := landing{change: c}
	prior, err := currentPatchSet(ctx, r.s.db, c)
	if err != nil || prior.Revision == commit.Hash {
		return l, err
	}
	again := &newPatchSet{change: c, commit: *commit, uploader: r.caller}
	if again.kind, err = kindOf(ctx, r.repo, prior, commit); err != nil {
		return l, err
	}
	again.files, err = changedFiles(ctx, r.repo, *commit)
	l.again = again
	return l, err
}

// close marks a change as merged by the push.
func (r *receiver) close(ctx context.Context, t *tx, l landing, tip string) error {
	c := l.change
	if l.again != nil {
		var err error
		if c, _, err = r.s.addPatchSet(ctx, t, *l.again); err != nil {
			return err
		}
	}
	text := "Change has been successfully pushed."
	return r.s.markMerged(ctx, t, r.caller, c, tip, text)
}
