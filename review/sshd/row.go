package sshd

import (
	"context"

	"github.com/gatehouse-dev/gatehouse/review"
)

// row is a change as the query's options ask for it.
func (ss *session) row(ctx context.Context, o *options, d *review.Detail) (*review.ChangeAttribute, error) {
	row := ss.service.ChangeAttribute(&d.Change)
	if current := d.Current(); current != nil {
		if o.has("commit-message") {
			row.CommitMessage = current.Message
		}
		if o.has("current-patch-set") {
			row.Parents = current.Parents
			row.CurrentPatchSet = patchSet(o, d, current, true)
		}
	}
	if o.has("patch-sets") || o.has("all-approvals") {
		for i := range d.PatchSets {
			row.PatchSets = append(row.PatchSets, *patchSet(o, d, &d.PatchSets[i], o.has("all-approvals")))
		}
	}
	for _, m := range d.Messages {
		reviewer := m.Author.Attribute()
		if reviewer == nil {
			reviewer = &review.AccountAttribute{Name: "Gatehouse Code Review"}
		}
		row.Comments = append(row.Comments, review.MessageAttribute{Timestamp: m.Created.Unix(), Reviewer: reviewer, Message: m.Text})
	}
	for _, r := range d.Reviewers {
		row.AllReviewers = append(row.AllReviewers, *r.Account.Attribute())
	}
	if o.has("submit-records") {
		row.SubmitRecords = []review.SubmitRecordAttribute{submitRecord(d)}
	}
	if !o.has("dependencies") {
		return row, nil
	}
	dependsOn, neededBy, err := ss.service.Dependencies(ctx, ss.caller, &d.Change)
	if err != nil {
		return nil, err
	}
	row.DependsOn, row.NeededBy = dependencies(dependsOn), dependencies(neededBy)
	return row, nil
}

func patchSet(o *options, d *review.Detail, p *review.PatchSet, votes bool) *review.PatchSetAttribute {
	a := p.Attribute()
	for _, v := range d.Votes {
		if votes && v.PatchSet == p.Number {
			a.Approvals = append(a.Approvals, v.Attribute())
		}
	}
	if o.has("comments") {
		for _, c := range d.Comments {
			if c.PatchSet == p.Number {
				a.Comments = append(a.Comments, review.PatchSetCommentAttribute{File: c.Path, Line: c.Line, Reviewer: c.Author.Attribute(), Message: c.Message})
			}
		}
	}
	if !o.has("files") {
		return a
	}
	a.Files = []review.FileAttribute{{File: review.PathCommitMessage, Type: "ADDED"}}
	for _, f := range d.Files[p.Number] {
		a.Files = append(a.Files, f.Attribute())
	}
	return a
}

func dependencies(related []review.Related) []review.DependencyAttribute {
	var all []review.DependencyAttribute
	for _, r := range related {
		all = append(all, review.DependencyAttribute{ID: r.Change.ID, Number: r.Change.Number, Revision: r.PatchSet.Revision,
			Ref: r.PatchSet.Ref(), IsCurrentPatchSet: r.PatchSet.Number == r.Change.PatchSet})
	}
	return all
}

// submitRecord tells the submit requirements to clients from before there were
// any.
func submitRecord(d *review.Detail) review.SubmitRecordAttribute {
	record := review.SubmitRecordAttribute{Status: "OK"}
	for _, r := range d.Requirements {
		l := review.SubmitLabelAttribute{Label: r.Label, Status: "MAY"}
		switch r.Status {
		case review.Satisfied:
			l.Status = "OK"
		case review.Unsatisfied:
			record.Status = "NOT_READY"
			l.Status = "NEED"
			if r.Vetoed {
				l.Status = "REJECT"
			}
		case review.NotApplicable:
		}
		for _, v := range d.CurrentVotes(r.Label) {
			if l.Status == "OK" && v.Value > 0 || l.Status == "REJECT" && v.Value < 0 {
				l.By = v.Account.Attribute()
			}
		}
		record.Labels = append(record.Labels, l)
	}
	if !d.Open() {
		record.Status = "CLOSED"
	}
	return record
}
