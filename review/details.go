package review

import (
	"context"
	"strings"
)

// Want says what Details loads besides the changes.
type Want uint

// What can be wanted.
const (
	WantCurrent      Want = 1 << iota // the current patch set
	WantPatchSets                     // all patch sets
	WantFiles                         // the files of the loaded patch sets
	WantVotes                         // on all patch sets
	WantMessages                      //
	WantReviewers                     //
	WantRequirements                  //
	WantComments                      // the published comments on files
)

// Detail is a change with what was wanted of it.
type Detail struct {
	Change
	PatchSets    []PatchSet     // ascending
	Files        map[int][]File // by patch set, sorted by path
	Votes        []Vote
	Messages     []Message // oldest first
	Reviewers    []ReviewerEntry
	Requirements []Requirement
	Comments     []Comment
}

// Current is the current patch set, or nil if it was not wanted.
func (d *Detail) Current() *PatchSet { return d.Get(d.PatchSet) }

// Get is a patch set by number, or nil if it is not loaded.
func (d *Detail) Get(number int) *PatchSet {
	for i := range d.PatchSets {
		if d.PatchSets[i].Number == number {
			return &d.PatchSets[i]
		}
	}
	return nil
}

// CurrentVotes are the votes on the current patch set under a label; "" for
// all labels.
func (d *Detail) CurrentVotes(label string) []Vote {
	var votes []Vote
	for _, v := range d.Votes {
		if v.PatchSet == d.PatchSet && (label == "" || v.Label == label) {
			votes = append(votes, v)
		}
	}
	return votes
}

// Details loads what is wanted of changes that the caller may see: those that
// Change, FindChange or Search returned.
func (s *Service) Details(ctx context.Context, changes []Change, want Want) ([]Detail, error) {
	details := make([]Detail, len(changes))
	byNumber := make(map[int64]*Detail, len(changes))
	numbers := make([]int64, len(changes))
	for i, c := range changes {
		details[i].Change = c
		byNumber[c.Number] = &details[i]
		numbers[i] = c.Number
	}
	for chunk := range chunks(numbers) {
		if err := s.load(ctx, byNumber, chunk, want); err != nil {
			return nil, err
		}
	}
	if want&WantRequirements != 0 {
		return details, s.loadRequirements(ctx, details)
	}
	return details, nil
}

// Detail is Details for one change.
func (s *Service) Detail(ctx context.Context, c *Change, want Want) (*Detail, error) {
	all, err := s.Details(ctx, []Change{*c}, want)
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

func (s *Service) load(ctx context.Context, byNumber map[int64]*Detail, numbers []int64, want Want) error {
	condition, args := inList("change", numbers)
	if want&(WantPatchSets|WantCurrent) != 0 {
		if err := s.loadPatchSets(ctx, byNumber, condition, args, want); err != nil {
			return err
		}
	}
	if want&(WantVotes|WantRequirements) != 0 {
		votes, err := selectVotes(ctx, s.db, "WHERE "+condition, args...)
		if err != nil {
			return err
		}
		for _, v := range votes {
			byNumber[v.Change].Votes = append(byNumber[v.Change].Votes, v)
		}
	}
	if want&WantMessages != 0 {
		messages, err := selectMessages(ctx, s.db, "WHERE "+condition, args...)
		if err != nil {
			return err
		}
		for _, m := range messages {
			byNumber[m.Change].Messages = append(byNumber[m.Change].Messages, m)
		}
	}
	if want&WantReviewers != 0 {
		reviewers, err := selectReviewers(ctx, s.db, "WHERE "+condition, args...)
		if err != nil {
			return err
		}
		for _, r := range reviewers {
			byNumber[r.Change].Reviewers = append(byNumber[r.Change].Reviewers, r)
		}
	}
	if want&WantComments != 0 {
		comments, err := selectComments(ctx, s.db, "WHERE draft = 0 AND "+condition, args...)
		if err != nil {
			return err
		}
		for _, c := range comments {
			byNumber[c.Change].Comments = append(byNumber[c.Change].Comments, c)
		}
	}
	return nil
}

func (s *Service) loadPatchSets(ctx context.Context, byNumber map[int64]*Detail, condition string, args []any, want Want) error {
	current := ""
	if want&WantPatchSets == 0 {
		current = ` AND %.number = (SELECT patch_set FROM changes c WHERE c.number = %.change)`
	}
	sets, err := selectPatchSets(ctx, s.db, "WHERE p."+condition+strings.ReplaceAll(current, "%", "p")+" ORDER BY p.change, p.number", args...)
	if err != nil {
		return err
	}
	for _, p := range sets {
		byNumber[p.Change].PatchSets = append(byNumber[p.Change].PatchSets, p)
	}
	if want&WantFiles == 0 {
		return nil
	}
	if current != "" {
		current = ` AND files.patch_set = (SELECT patch_set FROM changes c WHERE c.number = files.change)`
	}
	files, err := selectFiles(ctx, s.db, "WHERE files."+condition+current, args...)
	if err != nil {
		return err
	}
	for _, f := range files {
		d := byNumber[f.change]
		if d.Files == nil {
			d.Files = map[int][]File{}
		}
		d.Files[f.patchSet] = append(d.Files[f.patchSet], f.File)
	}
	return nil
}

func (s *Service) loadRequirements(ctx context.Context, details []Detail) error {
	type branch struct{ project, name string }
	gated := map[branch]bool{}
	for i := range details {
		d := &details[i]
		b := branch{d.Project, d.Branch}
		if _, known := gated[b]; !known {
			var err error
			if gated[b], err = s.gated(ctx, b.project, b.name); err != nil {
				return err
			}
		}
		d.Requirements = requirements(d.CurrentVotes(""), gated[b])
	}
	return nil
}
