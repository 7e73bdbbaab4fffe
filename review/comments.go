package review

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// checkComment refuses what cannot be a comment, and puts defaults in.
func checkComment(c *Comment, most int) error {
	switch {
	case c.Path == "" || len(c.Path) > 4096 || strings.ContainsRune(c.Path, 0):
		return fault.New(fault.BadRequest, "path must be non-empty")
	case strings.TrimSpace(c.Message) == "":
		return fault.New(fault.BadRequest, "comment without a message")
	case len(c.Message) > most:
		return fault.New(fault.BadRequest, "comment is longer than %d bytes", most)
	case c.Line < 0:
		return fault.New(fault.BadRequest, "line must be 0 or more")
	}
	r := c.Range
	if r != (Range{}) && (r.StartLine < 1 || r.EndLine < r.StartLine || r.StartChar < 0 || r.EndChar < 0 ||
		r.StartLine == r.EndLine && r.EndChar < r.StartChar) {
		return fault.New(fault.BadRequest, "Range (%d:%d - %d:%d) is not valid", r.StartLine, r.StartChar, r.EndLine, r.EndChar)
	}
	switch c.Side {
	case SideRevision, SideParent:
	case "":
		c.Side = SideRevision
	default:
		return fault.New(fault.BadRequest, "side must be REVISION or PARENT, not %q", c.Side)
	}
	if r != (Range{}) && c.Line == 0 {
		c.Line = r.EndLine
	}
	return nil
}

// publishComments publishes the comments of a review, and the drafts if asked.
func publishComments(ctx context.Context, t *tx, caller *Account, c *Change, p *PatchSet, in ReviewInput, messageID string) ([]Comment, error) {
	published, err := publishDrafts(ctx, t, caller, c, p, in, messageID)
	if err != nil {
		return nil, err
	}
	for _, comment := range in.Comments {
		if err := checkComment(&comment, maxRobotMessage); err != nil { // checkTexts knows the real bound
			return nil, err
		}
		if err := checkReply(ctx, t, c, comment.InReplyTo); err != nil {
			return nil, err
		}
		comment.ID, comment.Change, comment.PatchSet = newID(), c.Number, p.Number
		comment.Author, comment.Updated, comment.Tag, comment.MessageID = *caller, t.at, in.Tag, messageID
		if err := insertComment(ctx, t, &comment, false); err != nil {
			return nil, err
		}
		published = append(published, comment)
	}
	return published, nil
}

// checkReply refuses an answer to a comment that the change does not have.
func checkReply(ctx context.Context, q querier, c *Change, id string) error {
	if id == "" {
		return nil
	}
	found, err := selectComments(ctx, q, `WHERE change = $1 AND id = $2 AND draft = 0`, c.Number, id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.BadRequest, "Invalid inReplyTo, comment %s not found", id)
	}
	return err
}

func publishDrafts(ctx context.Context, t *tx, caller *Account, c *Change, p *PatchSet, in ReviewInput, messageID string) ([]Comment, error) {
	condition, args := `WHERE change = $1 AND author = $2 AND draft = 1`, []any{c.Number, caller.ID}
	switch in.Drafts {
	case KeepDrafts, "":
		return nil, nil
	case PublishDrafts:
		condition += ` AND patch_set = $3`
		args = append(args, p.Number)
	case PublishDraftsOfWhole:
	default:
		return nil, fault.New(fault.BadRequest, "drafts must be KEEP, PUBLISH or PUBLISH_ALL_REVISIONS, not %q", in.Drafts)
	}
	drafts, err := selectComments(ctx, t, condition, args...)
	if err != nil {
		return nil, err
	}
	for i := range drafts {
		d := &drafts[i]
		d.Updated, d.Tag, d.MessageID = t.at, in.Tag, messageID
		if err := t.exec(ctx, "publish draft", `UPDATE comments SET draft = 0, updated = $1, tag = $2, message_id = $3 WHERE id = $4`,
			micros(t.at), d.Tag, d.MessageID, d.ID); err != nil {
			return nil, err
		}
	}
	return drafts, nil
}

// Comments lists the published comments of a change; patchSet 0 means all.
func (s *Service) Comments(ctx context.Context, caller *Account, number int64, patchSet int) ([]Comment, error) {
	if _, err := s.Change(ctx, caller, number); err != nil {
		return nil, err
	}
	return selectComments(ctx, s.db, `WHERE change = $1 AND ($2 = 0 OR patch_set = $2) AND draft = 0`, number, patchSet)
}

// Drafts lists the caller's own drafts of a change; patchSet 0 means all.
func (s *Service) Drafts(ctx context.Context, caller *Account, number int64, patchSet int) ([]Comment, error) {
	if err := registered(caller); err != nil {
		return nil, err
	}
	if _, err := s.Change(ctx, caller, number); err != nil {
		return nil, err
	}
	return selectComments(ctx, s.db, `WHERE change = $1 AND ($2 = 0 OR patch_set = $2) AND author = $3 AND draft = 1`, number, patchSet, caller.ID)
}

// SaveDraft saves a comment that only the caller sees, on the change and patch
// set it names; with an ID it replaces that draft.
func (s *Service) SaveDraft(ctx context.Context, caller *Account, c Comment) (Comment, error) {
	if err := registered(caller); err != nil {
		return c, err
	}
	if err := checkComment(&c, maxMessage); err != nil {
		return c, err
	}
	err := s.write(ctx, func(t *tx) error {
		change, err := visibleChange(ctx, t, caller, c.Change)
		if err != nil {
			return err
		}
		if _, err := patchSetOf(ctx, t, c.Change, c.PatchSet); err != nil {
			return changeNotFound(fmt.Sprint(c.PatchSet))
		}
		if err := checkReply(ctx, t, change, c.InReplyTo); err != nil {
			return err
		}
		c.Author, c.Updated, c.MessageID = *caller, t.at, ""
		if c.ID == "" {
			c.ID = newID()
		} else if err := deleteDraft(ctx, t, caller, c.Change, c.ID); err != nil {
			return err
		}
		return insertComment(ctx, t, &c, true)
	})
	return c, err
}

// DeleteDraft deletes one of the caller's drafts.
func (s *Service) DeleteDraft(ctx context.Context, caller *Account, number int64, id string) error {
	if err := registered(caller); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error { return deleteDraft(ctx, t, caller, number, id) })
}

func deleteDraft(ctx context.Context, t *tx, caller *Account, number int64, id string) error {
	result, err := t.ExecContext(ctx, `DELETE FROM comments WHERE id = $1 AND change = $2 AND author = $3 AND draft = 1`, id, number, caller.ID)
	if err != nil {
		return fmt.Errorf("delete draft: %w", err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return changeNotFound(id)
	}
	return nil
}
