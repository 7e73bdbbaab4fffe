package review

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

// store writes the uploads: their refs, rows and events, all or none.
func (r *receiver) store(ctx context.Context, branch string, uploads []*upload, o *pushOptions, reviewers []ReviewerEntry) error {
	fresh := 0
	for _, up := range uploads {
		if up.change == nil {
			fresh++
		} else {
			up.number = up.change.Number
		}
	}
	if fresh > 0 {
		number, err := r.s.reserve(ctx, "change", fresh)
		if err != nil {
			return err
		}
		for _, up := range uploads {
			if up.change == nil {
				up.number = number
				number++
			}
		}
	}
	var updates []git.Update
	for _, up := range uploads {
		updates = append(updates, git.Update{Ref: patchSetRef(up.number, up.patchSet()), Old: git.Zero, New: up.commit.Hash})
	}
	if err := r.release(); err != nil {
		return err
	}
	var lines []reportLine
	err := r.s.writeRefs(ctx, r.project.Name, updates, func(t *tx) error {
		for _, up := range uploads {
			line, err := r.storeOne(ctx, t, branch, up, o, reviewers)
			if err != nil {
				return err
			}
			lines = append(lines, line)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.report.lines = append(r.report.lines, lines...)
	r.report.made += fresh
	r.report.update += len(uploads) - fresh
	for _, up := range uploads {
		r.warn(up)
	}
	return nil
}

// longSubject is the length from which a subject is warned about: git log and
// mail show about as much.
const longSubject = 50

// warn adds what deserves attention but is no reason to refuse.
func (r *receiver) warn(up *upload) {
	short := up.commit.Hash[:7]
	if utf8.RuneCountInString(up.commit.Subject()) > longSubject {
		r.report.warnings = append(r.report.warnings,
			fmt.Sprintf("commit %s: warning: subject >%d characters; use shorter first paragraph", short, longSubject))
	}
	switch up.kind {
	case NoChange:
		r.report.warnings = append(r.report.warnings,
			fmt.Sprintf("warning: no changes between prior commit %s and new commit %s", up.prior.Revision[:7], short))
	case NoCodeChange:
		r.report.warnings = append(r.report.warnings, fmt.Sprintf("warning: %s: no files changed, message updated", short))
	case Rework, TrivialRebase:
	}
}

func (r *receiver) storeOne(ctx context.Context, t *tx, branch string, up *upload, o *pushOptions, reviewers []ReviewerEntry) (reportLine, error) {
	c, p, err := r.s.addPatchSet(ctx, t, newPatchSet{
		change: up.change, project: r.project.Name, branch: branch, id: up.id, number: up.number,
		commit: up.commit, kind: up.kind, files: up.files, uploader: r.caller, description: o.message,
		message: "", options: o,
	})
	if err != nil {
		return reportLine{}, err
	}
	if err := r.storeOptions(ctx, t, c, p, o, reviewers); err != nil {
		return reportLine{}, err
	}
	line := reportLine{url: r.s.ChangeURL(c.Project, c.Number), subject: c.Subject, number: c.Number, fresh: up.change == nil}
	if c.Private {
		line.marks += " [PRIVATE]"
	}
	if c.WIP {
		line.marks += " [WIP]"
	}
	if line.fresh {
		line.marks += " [NEW]"
	}
	return line, nil
}

// storeOptions carries out what the options ask for besides the patch set.
func (r *receiver) storeOptions(ctx context.Context, t *tx, c *Change, p *PatchSet, o *pushOptions, reviewers []ReviewerEntry) error {
	for _, e := range reviewers {
		if e.Account.ID == c.Owner.ID {
			continue
		}
		if _, err := r.s.putReviewer(ctx, t, r.caller, c, p, e.Account, e.State); err != nil {
			return err
		}
	}
	if len(o.hashtags) > 0 {
		if err := r.s.changeHashtags(ctx, t, r.caller, c, o.hashtags, nil); err != nil {
			return err
		}
	}
	if len(o.labels) == 0 {
		return nil
	}
	_, err := r.s.publish(ctx, t, r.caller, c, p, ReviewInput{Labels: o.labels})
	return err
}

// newPatchSet is a commit that is about to become a change's next patch set,
// or the first of a new change.
type newPatchSet struct {
	change      *Change // nil: a new one of the five fields that follow
	project     string
	branch      string
	id          string
	number      int64
	commit      git.Commit
	kind        Kind
	files       []File
	uploader    *Account
	description string
	message     string       // of the history; "" says "Uploaded patch set N."
	options     *pushOptions // nil outside of a push
}

// addPatchSet writes the rows of a patch set, keeps the votes that stay, and
// announces it. The patch set's ref is the caller's to make in the same
// transaction.
func (s *Service) addPatchSet(ctx context.Context, t *tx, n newPatchSet) (*Change, *PatchSet, error) {
	if n.options == nil {
		n.options = &pushOptions{}
	}
	c := n.change
	if c == nil {
		c = &Change{Number: n.number, Project: n.project, Branch: n.branch, ID: n.id, Owner: *n.uploader, Status: StatusNew,
			PatchSet: 1, Subject: n.commit.Subject(), Topic: n.options.topic, WIP: n.options.wip, Private: n.options.private,
			Created: t.at, Updated: t.at}
		if err := insertChange(ctx, t, c); err != nil {
			return nil, nil, err
		}
	} else {
		updated := *c
		c = &updated
		if err := s.advance(ctx, t, c, n); err != nil {
			return nil, nil, err
		}
	}
	p := &PatchSet{Change: c.Number, Number: c.PatchSet, Revision: n.commit.Hash, Tree: n.commit.Tree, Parents: n.commit.Parents,
		Kind: n.kind, Uploader: *n.uploader, Author: Ident(n.commit.Author), Committer: Ident(n.commit.Committer),
		Message: n.commit.Message, Description: n.description}
	if err := insertPatchSet(ctx, t, p, n.files); err != nil {
		return nil, nil, err
	}
	lost, err := copyVotes(ctx, t, c, n.kind)
	if err != nil {
		return nil, nil, err
	}
	if err := addMessage(ctx, t, c, n.uploader, "autogenerated:gerrit:newPatchSet", n.history(p, lost)); err != nil {
		return nil, nil, err
	}
	a := announcement{Type: "patchset-created", Uploader: n.uploader.Attribute()}
	return c, p, s.announceChange(ctx, t, c, p, a)
}

// history is what the change's history says of the patch set.
func (n *newPatchSet) history(p *PatchSet, lost []Vote) string {
	text := n.message
	if text == "" {
		text = fmt.Sprintf("Uploaded patch set %d.", p.Number)
		switch {
		case p.Number == 1:
		case n.kind == TrivialRebase:
			text = fmt.Sprintf("Uploaded patch set %d: Patch Set %d was rebased.", p.Number, p.Number-1)
		case n.kind == NoCodeChange:
			text = fmt.Sprintf("Uploaded patch set %d: Commit message was updated.", p.Number)
		case n.kind == NoChange:
			text = fmt.Sprintf("Uploaded patch set %d: New patch set was added with same tree, parent, and commit message as Patch Set %d.",
				p.Number, p.Number-1)
		}
	}
	if n.description != "" {
		text += "\n\n" + n.description
	}
	if len(lost) > 0 {
		var votes []string
		for _, v := range lost {
			votes = append(votes, fmt.Sprintf("* %s%+d by %s", v.Label, v.Value, v.Account.Name()))
		}
		text += "\n\nOutdated Votes:\n" + strings.Join(votes, "\n")
	}
	return text
}

// advance updates a change that gets another patch set.
func (s *Service) advance(ctx context.Context, t *tx, c *Change, n newPatchSet) error {
	before := *c
	c.PatchSet++
	c.Subject = n.commit.Subject()
	if n.options.topic != "" {
		c.Topic = n.options.topic
	}
	c.WIP = (c.WIP || n.options.wip) && !n.options.ready
	c.Private = (c.Private || n.options.private) && !n.options.removePrivate
	err := t.exec(ctx, "advance change", `UPDATE changes SET patch_set = $1, subject = $2, topic = $3, wip = $4, private = $5
		WHERE number = $6`, c.PatchSet, c.Subject, c.Topic, c.WIP, c.Private, c.Number)
	if err != nil {
		return err
	}
	by := n.uploader.Attribute()
	if c.Topic != before.Topic {
		if err := s.announceChange(ctx, t, c, nil, announcement{Type: "topic-changed", Changer: by, OldTopic: &before.Topic}); err != nil {
			return err
		}
	}
	if c.WIP != before.WIP {
		if err := s.announceChange(ctx, t, c, nil, announcement{Type: "wip-state-changed", Changer: by}); err != nil {
			return err
		}
	}
	if c.Private != before.Private {
		return s.announceChange(ctx, t, c, nil, announcement{Type: "private-state-changed", Changer: by})
	}
	return nil
}

// copyVotes gives the current patch set the votes on the one before that its
// kind keeps, and returns those that it does not.
func copyVotes(ctx context.Context, t *tx, c *Change, kind Kind) (lost []Vote, err error) {
	if c.PatchSet == 1 {
		return nil, nil
	}
	votes, err := selectVotes(ctx, t, `WHERE change = $1 AND patch_set = $2`, c.Number, c.PatchSet-1)
	if err != nil {
		return nil, err
	}
	for _, v := range votes {
		label := labelNamed(v.Label)
		if label == nil || !label.keeps(v.Value, kind) {
			lost = append(lost, v)
			continue
		}
		v.PatchSet, v.Copied = c.PatchSet, true
		if err := putVote(ctx, t, v); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// signed is a vote's value as texts show it: +1, 0, -1.
func signed(value int) string {
	if value > 0 {
		return "+" + strconv.Itoa(value)
	}
	return strconv.Itoa(value)
}
