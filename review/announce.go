package review

import (
	"context"
	"fmt"
)

// announceChange records an event of a change; patchSet may be nil. The change
// is as it is after what happened.
func (s *Service) announceChange(ctx context.Context, t *tx, c *Change, patchSet *PatchSet, a announcement) error {
	a.Change = s.ChangeAttribute(c)
	if patchSet != nil {
		a.Change.CommitMessage = patchSet.Message
		a.PatchSet = patchSet.Attribute()
	}
	a.Project = c.Project
	a.RefName = headsPrefix + c.Branch
	a.ChangeKey = &changeKey{c.ID}
	a.CreatedOn = t.at.Unix()
	return t.record(ctx, Event{Type: a.Type, Project: c.Project, Ref: a.RefName, Change: c.Number}, a)
}

// announceRef records that a branch or tag was moved.
func (s *Service) announceRef(ctx context.Context, t *tx, by *Account, u RefUpdateAttribute) error {
	a := announcement{Type: "ref-updated", Submitter: by.Attribute(), RefUpdate: &u, CreatedOn: t.at.Unix()}
	return t.record(ctx, Event{Type: a.Type, Project: u.Project, Ref: u.RefName}, a)
}

// announceProject records that a project was made.
func (s *Service) announceProject(ctx context.Context, t *tx, name, head string) error {
	a := announcement{Type: "project-created", Name: name, HeadName: head, CreatedOn: t.at.Unix()}
	return t.record(ctx, Event{Type: a.Type, Project: name}, a)
}

// currentPatchSet reads the current patch set of a change.
func currentPatchSet(ctx context.Context, q querier, c *Change) (*PatchSet, error) {
	return patchSetOf(ctx, q, c.Number, c.PatchSet)
}

func patchSetOf(ctx context.Context, q querier, change int64, number int) (*PatchSet, error) {
	sets, err := selectPatchSets(ctx, q, `WHERE p.change = $1 AND p.number = $2`, change, number)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("change %d has no patch set %d", change, number)
	}
	return &sets[0], nil
}
