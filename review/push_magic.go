package review

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

// upload is a commit that a push to refs/for/ makes a patch set of.
type upload struct {
	commit git.Commit
	id     string    // its Change-Id
	change *Change   // nil: a new change
	prior  *PatchSet // the change's current patch set before
	kind   Kind
	files  []File
	number int64 // of the change
}

// patchSet is the number of the patch set that the upload becomes.
func (u *upload) patchSet() int {
	if u.change == nil {
		return 1
	}
	return u.change.PatchSet + 1
}

// magic carries out a push to refs/for/BRANCH.
func (r *receiver) magic(ctx context.Context, u git.Update) error {
	if u.New == git.Zero {
		return refuse("cannot delete from %s", magicPrefix)
	}
	target, suffix, _ := strings.Cut(strings.TrimPrefix(u.Ref, magicPrefix), "%")
	options, refused := parseOptions(suffix, r.push.Options)
	if refused != nil {
		return refused
	}
	branch := shortBranch(target)
	uploads, err := r.uploads(ctx, branch, u.New)
	if err != nil {
		return err
	}
	reviewers, err := r.reviewers(ctx, options)
	if err != nil {
		return err
	}
	if err := r.allowLabels(options); err != nil {
		return err
	}
	return r.store(ctx, branch, uploads, options, reviewers)
}

// uploads finds what is new between the branches and the tip, oldest first,
// and checks every commit of it.
func (r *receiver) uploads(ctx context.Context, branch, tip string) ([]*upload, error) {
	if err := r.checkBranch(ctx, branch, tip); err != nil {
		return nil, err
	}
	limit := r.s.config.MaxBatch
	commits, err := r.repo.Log(ctx, []string{tip}, []string{"--branches"}, limit)
	if err != nil {
		return nil, err
	}
	if len(commits) == 0 {
		return nil, refuse("no new changes")
	}
	if len(commits) > limit {
		return nil, refuse("the number of pushed changes in a batch exceeds the max limit %d", limit)
	}
	if err := r.checkImplicitMerges(ctx, branch, commits); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var uploads []*upload
	for i := range commits {
		up, err := r.upload(ctx, branch, &commits[i])
		if err != nil {
			return nil, err
		}
		if seen[up.id] {
			return nil, refuse("same Change-Id in multiple changes.\n" +
				"Squash the commits with the same Change-Id or ensure Change-Ids are unique for each commit")
		}
		seen[up.id] = true
		if up.prior == nil || up.prior.Revision != up.commit.Hash {
			uploads = append(uploads, up)
		}
	}
	if len(uploads) == 0 {
		return nil, refuse("commit(s) already exists (as current patchset)")
	}
	return uploads, nil
}

// checkBranch refuses branches that do not exist, unless it is HEAD's and the
// project is empty, and commits that have nothing in common with it.
func (r *receiver) checkBranch(ctx context.Context, branch, tip string) error {
	ref, err := branchRef(branch)
	if err != nil {
		return refuse("branch %s not found", branch)
	}
	target, err := r.repo.Tip(ref)
	if err != nil {
		return err
	}
	if target == "" {
		heads, err := r.repo.Refs(ctx, "refs/heads")
		if err != nil {
			return err
		}
		head, err := r.repo.Head(ctx)
		if err == nil && (len(heads) > 0 || head != ref) {
			return refuse("branch %s not found", branch)
		}
		return err
	}
	base, err := r.repo.MergeBase(ctx, target, tip)
	if err == nil && base == "" {
		return refuse("no common ancestry")
	}
	return err
}

// checkImplicitMerges refuses a push whose commits stand on another branch's
// commits that the target lacks: submitting it would merge them unasked.
func (r *receiver) checkImplicitMerges(ctx context.Context, branch string, commits []git.Commit) error {
	if len(commits[len(commits)-1].Parents) != 1 {
		return nil // the tip is a merge: what it brings is asked for
	}
	pushed := map[string]bool{}
	var parents []string
	for _, c := range commits {
		pushed[c.Hash] = true
	}
	for _, c := range commits {
		for _, p := range c.Parents {
			if !pushed[p] && !slices.Contains(parents, p) {
				parents = append(parents, p)
			}
		}
	}
	target, err := r.repo.Tip(headsPrefix + branch)
	if err != nil || target == "" || slices.Equal(parents, []string{target}) {
		return err
	}
	implied, err := r.repo.Log(ctx, parents, []string{target}, 10)
	if err != nil || len(implied) == 0 {
		return err
	}
	var b strings.Builder
	for _, c := range implied {
		fmt.Fprintf(&b, "ERROR: Implicit Merge of %s %s\n", c.Hash[:7], c.Subject())
	}
	return &refusal{reason: "implicit merges detected", text: b.String()}
}

// upload checks one commit and finds its change.
func (r *receiver) upload(ctx context.Context, branch string, c *git.Commit) (*upload, error) {
	id, refused := r.s.changeIDOf(r.caller, c)
	if refused != nil {
		return nil, refused
	}
	up := &upload{commit: *c, id: id, kind: Rework}
	var err error
	up.change, err = selectChange(ctx, r.s.db, `WHERE c.project = $1 AND c.branch = $2 AND c.change_id = $3`, r.project.Name, branch, id)
	if err != nil {
		return nil, err
	}
	if up.change != nil {
		if err := r.checkReplacement(ctx, up); err != nil {
			return nil, err
		}
	}
	if up.prior != nil && up.prior.Revision == c.Hash {
		return up, nil
	}
	if err := r.checkPeople(ctx, c); err != nil {
		return nil, err
	}
	if up.prior != nil {
		if up.kind, err = kindOf(ctx, r.repo, up.prior, c); err != nil {
			return nil, err
		}
	}
	up.files, err = changedFiles(ctx, r.repo, *c)
	return up, err
}

// checkReplacement reads the change's current patch set and refuses what
// cannot follow it.
func (r *receiver) checkReplacement(ctx context.Context, up *upload) error {
	var err error
	if up.prior, err = currentPatchSet(ctx, r.s.db, up.change); err != nil {
		return err
	}
	if up.prior.Revision == up.commit.Hash {
		return nil
	}
	if !up.change.Open() {
		return refuse("change %s closed", r.s.ChangeURL(up.change.Project, up.change.Number))
	}
	if up.change.Private && mayEdit(r.caller, up.change, "") != nil {
		if _, err := r.s.Change(ctx, r.caller, up.change.Number); err != nil {
			return refuse("prohibited by Gerrit: not permitted: create change")
		}
	}
	older, err := selectPatchSets(ctx, r.s.db, `WHERE p.change = $1 AND p.revision = $2`, up.change.Number, up.commit.Hash)
	if err == nil && len(older) > 0 {
		return refuse("commit(s) already exists (as patchset %d of change %d)", older[0].Number, up.change.Number)
	}
	return err
}

// checkPeople refuses a committer that the uploader is not. Whoever is
// registered may forge the author (the specification's row 27).
func (r *receiver) checkPeople(ctx context.Context, c *git.Commit) error {
	if r.caller.Admin {
		return nil
	}
	emails, err := selectEmails(ctx, r.s.db, r.caller.ID)
	if err != nil {
		return err
	}
	for _, e := range emails {
		if strings.EqualFold(e, c.Committer.Email) {
			return nil
		}
	}
	refused := refuse("commit %s: invalid committer", c.Hash[:7])
	var b strings.Builder
	fmt.Fprintf(&b, "ERROR: commit %s: email address %s is not registered in your account, and you lack 'forge committer' permission.\n",
		c.Hash[:7], c.Committer.Email)
	if len(emails) == 0 {
		b.WriteString("You have not registered any email addresses.\n")
	} else {
		b.WriteString("The following addresses are currently registered:\n")
		for _, e := range emails {
			fmt.Fprintf(&b, "   %s\n", e)
		}
	}
	if len(emails) > 0 {
		fmt.Fprintf(&b, "To push it as yourself, run\n  git -c user.email=%s commit --amend --reset-author --no-edit\n", emails[0])
	}
	b.WriteString("To have another address registered, ask an administrator of this server.\n\n")
	refused.text = b.String()
	return refused
}

// reviewers finds the accounts that the options name.
func (r *receiver) reviewers(ctx context.Context, o *pushOptions) ([]ReviewerEntry, error) {
	var entries []ReviewerEntry
	for _, list := range []struct {
		names []string
		state ReviewerState
	}{{o.reviewers, Reviewer}, {o.cc, CC}} {
		for _, name := range list.names {
			a, err := r.s.FindAccount(ctx, r.caller, name)
			if err != nil {
				return nil, refuse("%s does not identify a registered user or group", name)
			}
			entries = append(entries, ReviewerEntry{Account: *a, State: list.state})
		}
	}
	return entries, nil
}

// allowLabels refuses votes beyond the caller's range.
func (r *receiver) allowLabels(o *pushOptions) error {
	for name, value := range o.labels {
		if lowest, highest := voteRange(r.caller, labelNamed(name)); value < lowest || value > highest {
			return refuse("applying label %q: %d is restricted", name, value)
		}
	}
	return nil
}
