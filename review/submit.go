package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// Submit merges a change and its unmerged ancestors into the branch: all of
// them must be submittable. The branch goes forward to the change's commit if
// it can, else a merge commit is made. What forbids it is fault.Conflict, with
// a line for each change.
func (s *Service) Submit(ctx context.Context, caller *Account, number int64) (*Change, error) {
	if err := maySubmit(caller); err != nil {
		return nil, err
	}
	seen, err := s.Change(ctx, caller, number)
	if err != nil {
		return nil, err
	}
	defer s.locks.lock(seen.Project)()
	chain, tip, err := s.chain(ctx, caller, number)
	if err != nil {
		return nil, err
	}
	repo := s.repos.Repo(seen.Project)
	last := chain[len(chain)-1]
	merged, err := s.merge(ctx, repo, caller, chain, tip)
	if conflict, ok := errors.AsType[*git.ConflictError](err); ok {
		return nil, submitFault(len(chain), fmt.Sprintf("Change %d: Change could not be merged due to a path conflict in %s.\n\n"+
			"Please rebase the change locally and upload the rebased commit for review.", number, strings.Join(conflict.Files, ", ")))
	}
	if err != nil {
		return nil, err
	}
	update := git.Update{Ref: headsPrefix + last.change.Branch, Old: tip, New: merged}
	var updates []git.Update
	if merged != tip {
		updates = append(updates, update)
	}
	err = s.writeRefs(ctx, seen.Project, updates, func(t *tx) error {
		return s.recordSubmission(ctx, t, caller, chain, updates, merged)
	})
	if err != nil {
		return nil, err
	}
	return s.Change(ctx, caller, number)
}

// link is a change of a chain, with its current patch set.
type link struct {
	change   *Change
	patchSet *PatchSet
}

// chain is a change preceded by its unmerged ancestors, the oldest first, and
// the branch's tip (git.Zero if it does not exist). The changes are open and
// submittable; otherwise fault.Conflict says what is missing.
func (s *Service) chain(ctx context.Context, caller *Account, number int64) ([]link, string, error) {
	c, err := visibleChange(ctx, s.db, caller, number)
	if err != nil {
		return nil, "", err
	}
	if !c.Open() {
		return nil, "", conflictOf(c)
	}
	tip, err := s.repos.Repo(c.Project).Tip(headsPrefix + c.Branch)
	if err != nil {
		return nil, "", err
	}
	chain, err := s.ancestors(ctx, caller, c, tip)
	if err != nil {
		return nil, "", err
	}
	if tip == "" {
		tip = git.Zero
	}
	return chain, tip, s.submittable(ctx, s.db, chain)
}

// ancestors is the change preceded by those its commit stands on and the
// branch lacks.
func (s *Service) ancestors(ctx context.Context, caller *Account, c *Change, tip string) ([]link, error) {
	p, err := currentPatchSet(ctx, s.db, c)
	if err != nil {
		return nil, err
	}
	self := link{c, p}
	if slices.Equal(p.Parents, []string{tip}) {
		return []link{self}, nil // the common case, without asking git
	}
	var exclude []string
	if tip != "" {
		exclude = []string{tip}
	}
	commits, err := s.repos.Repo(c.Project).Log(ctx, []string{p.Revision}, exclude, s.config.MaxBatch)
	if err != nil {
		return nil, err
	}
	if len(commits) > s.config.MaxBatch {
		return nil, submitFault(1, fmt.Sprintf("Change %d: depends on more than %d unmerged commits", c.Number, s.config.MaxBatch))
	}
	var chain []link
	for i := range commits {
		if commits[i].Hash == p.Revision {
			continue
		}
		l, err := s.linkOf(ctx, caller, c, p, commits[i].Hash)
		if err != nil {
			return nil, err
		}
		chain = append(chain, l)
	}
	return append(chain, self), nil
}

// linkOf finds the open change of which an ancestor's commit is the current
// patch set; Gerrit's words say why there is none.
func (s *Service) linkOf(ctx context.Context, caller *Account, c *Change, p *PatchSet, commit string) (link, error) {
	fail := func(format string, args ...any) (link, error) {
		return link{}, submitFault(1, fmt.Sprintf("Change %d: Commit %s depends on commit %s", c.Number, p.Revision, commit)+fmt.Sprintf(format, args...))
	}
	sets, err := selectPatchSets(ctx, s.db, `JOIN changes c ON c.number = p.change
		WHERE p.revision = $1 AND c.project = $2 AND c.branch = $3 ORDER BY p.number DESC`, commit, c.Project, c.Branch)
	if err != nil {
		return link{}, err
	}
	if len(sets) == 0 {
		return fail(" which cannot be merged. It is not under review on branch %s.", c.Branch)
	}
	ancestor, err := visibleChange(ctx, s.db, caller, sets[0].Change)
	if fault.Is(err, fault.NotFound) {
		return fail(" which cannot be merged. Is the change of this commit not visible to '%s'?", caller.Username)
	}
	if err != nil {
		return link{}, err
	}
	switch {
	case !ancestor.Open():
		return fail(" of change %d which is %s.", ancestor.Number, strings.ToLower(string(ancestor.Status)))
	case ancestor.PatchSet != sets[0].Number:
		return fail(", which is outdated patch set %d of change %d. The latest patch set is %d.",
			sets[0].Number, ancestor.Number, ancestor.PatchSet)
	}
	return link{ancestor, &sets[0]}, nil
}

// submittable fails unless every change of the chain is.
func (s *Service) submittable(ctx context.Context, q querier, chain []link) error {
	last := chain[len(chain)-1].change
	gated, err := s.gated(ctx, last.Project, last.Branch)
	if err != nil {
		return err
	}
	var problems []string
	for _, l := range chain {
		votes, err := selectVotes(ctx, q, `WHERE change = $1 AND patch_set = $2`, l.change.Number, l.change.PatchSet)
		if err != nil {
			return err
		}
		if problem := problemOf(l.change, requirements(votes, gated)); problem != "" {
			problems = append(problems, fmt.Sprintf("Change %d: %s", l.change.Number, problem))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return submitFault(len(chain), problems...)
}

// problemOf says why a change cannot be submitted, "" if it can.
func problemOf(c *Change, all []Requirement) string {
	if c.WIP {
		return fmt.Sprintf("Change %d is work in progress", c.Number)
	}
	var problems []string
	for _, r := range all {
		if r.Status == Unsatisfied {
			problems = append(problems, fmt.Sprintf("submit requirement '%s' is unsatisfied.", r.Name))
		}
	}
	return strings.Join(problems, " ")
}

func submitFault(changes int, problems ...string) error {
	noun := "change"
	if changes > 1 {
		noun = "changes"
	}
	return fault.New(fault.Conflict, "Failed to submit %d %s due to the following problems:\n%s", changes, noun, strings.Join(problems, "\n"))
}

// merge makes what the branch's tip becomes, or a *git.ConflictError.
func (s *Service) merge(ctx context.Context, repo *git.Repo, by *Account, chain []link, tip string) (string, error) {
	last := chain[len(chain)-1].patchSet
	if tip == git.Zero {
		return last.Revision, nil
	}
	if len(chain) == 1 && slices.Equal(last.Parents, []string{tip}) {
		return last.Revision, nil // the common case, without asking git
	}
	for _, pair := range [][3]string{{tip, last.Revision, last.Revision}, {last.Revision, tip, tip}} {
		contained, err := repo.IsAncestor(ctx, pair[0], pair[1])
		if err != nil {
			return "", err
		}
		if contained {
			return pair[2], nil // forward to it, or it is there already
		}
	}
	tree, err := repo.MergeTree(ctx, tip, last.Revision)
	if err != nil {
		return "", err
	}
	ident := s.ident(by)
	return repo.Write(git.Commit{Tree: tree, Parents: []string{tip, last.Revision}, Author: ident, Committer: ident, Message: mergeMessage(chain)})
}

// ident is an account as author or committer, now.
func (s *Service) ident(a *Account) git.Ident {
	email := a.Email
	if email == "" {
		email = a.Username + "@" + "gatehouse.invalid"
	}
	return git.Ident{Name: a.Name(), Email: email, When: time.Now().UTC().Truncate(time.Second)}
}

// mergeMessage is Gerrit's message of a merge commit.
func mergeMessage(chain []link) string {
	if len(chain) == 1 {
		c := chain[0].change
		text := fmt.Sprintf("Merge %q", c.Subject)
		if c.Branch != "master" && c.Branch != "main" {
			text += " into " + c.Branch
		}
		return text + "\n"
	}
	var ids, subjects []string
	for _, l := range slices.Backward(chain) {
		ids = append(ids, l.change.ID[:9])
		subjects = append(subjects, "  "+l.change.Subject)
	}
	return "Merge changes " + strings.Join(ids, ",") + "\n\n* changes:\n" + strings.Join(subjects, "\n") + "\n"
}

// recordSubmission writes that a chain was merged, if it still may be.
func (s *Service) recordSubmission(ctx context.Context, t *tx, by *Account, chain []link, updates []git.Update, merged string) error {
	for i, l := range chain {
		c, err := visibleChange(ctx, t, by, l.change.Number)
		if err != nil {
			return err
		}
		if !c.Open() || c.PatchSet != l.change.PatchSet {
			return fault.New(fault.Conflict, "change %d was modified meanwhile, try again", c.Number)
		}
		chain[i].change = c
	}
	if err := s.submittable(ctx, t, chain); err != nil {
		return err
	}
	for _, u := range updates {
		ref := RefUpdateAttribute{OldRev: u.Old, NewRev: u.New, RefName: u.Ref, Project: chain[0].change.Project}
		if err := s.announceRef(ctx, t, by, ref); err != nil {
			return err
		}
	}
	for _, l := range chain {
		if err := s.markMerged(ctx, t, by, l.change, merged, "Change has been successfully merged"); err != nil {
			return err
		}
	}
	return nil
}

// markMerged closes a change whose commit the branch, now at tip, holds.
func (s *Service) markMerged(ctx context.Context, t *tx, by *Account, c *Change, tip, text string) error {
	c.Status, c.Submitted, c.Submitter, c.MergedAs, c.WIP = StatusMerged, t.at, by, tip, false
	err := t.exec(ctx, "mark merged", `UPDATE changes SET status = 'MERGED', submitted = $1, submitter = $2, merged_as = $3, wip = 0
		WHERE number = $4`, micros(t.at), by.ID, tip, c.Number)
	if err != nil {
		return err
	}
	if err := addMessage(ctx, t, c, by, "autogenerated:gerrit:merged", text); err != nil {
		return err
	}
	p, err := currentPatchSet(ctx, t, c)
	if err != nil {
		return err
	}
	return s.announceChange(ctx, t, c, p, announcement{Type: "change-merged", Submitter: by.Attribute(), NewRev: tip})
}

// SubmittedTogether lists the changes that a submission of this one would
// merge, it among them, the newest first; none if it is the only one or cannot
// be submitted for what it stands on.
func (s *Service) SubmittedTogether(ctx context.Context, caller *Account, c *Change) ([]Change, error) {
	if !c.Open() {
		return nil, nil
	}
	tip, err := s.repos.Repo(c.Project).Tip(headsPrefix + c.Branch)
	if err != nil {
		return nil, err
	}
	chain, err := s.ancestors(ctx, caller, c, tip)
	if fault.Is(err, fault.Conflict) || err == nil && len(chain) == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(chain))
	for i, l := range chain {
		changes[len(chain)-1-i] = *l.change
	}
	return changes, nil
}

// Mergeable reports whether a patch set merges into its branch as it is now.
func (s *Service) Mergeable(ctx context.Context, c *Change, p *PatchSet) (bool, error) {
	repo := s.repos.Repo(c.Project)
	tip, err := repo.Tip(headsPrefix + c.Branch)
	if err != nil || tip == "" || slices.Equal(p.Parents, []string{tip}) {
		return err == nil, err
	}
	scratch, discard, err := repo.Quarantine()
	if err != nil {
		return false, err
	}
	defer discard()
	_, err = scratch.MergeTree(ctx, tip, p.Revision)
	if _, conflict := errors.AsType[*git.ConflictError](err); conflict {
		return false, nil
	}
	return err == nil, err
}
