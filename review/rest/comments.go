package rest

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) commentRoutes() {
	s.change("GET /changes/{id}/comments", s.changeComments)
	s.change("GET /changes/{id}/robotcomments", func(*call, *review.Change) (any, error) { return map[string]any{}, nil })
	s.change("GET /changes/{id}/drafts", s.changeDrafts)
	s.onRevision("GET /changes/{id}/revisions/{rev}/comments", s.revisionComments)
	s.onRevision("GET /changes/{id}/revisions/{rev}/drafts", s.revisionDrafts)
	s.onRevision("PUT /changes/{id}/revisions/{rev}/drafts", s.createDraft)
	s.onDraft("GET /changes/{id}/revisions/{rev}/drafts/{draft}", s.getDraft)
	s.onDraft("PUT /changes/{id}/revisions/{rev}/drafts/{draft}", s.updateDraft)
	s.onDraft("DELETE /changes/{id}/revisions/{rev}/drafts/{draft}", s.deleteDraft)
}

// commentInfo is Gerrit's CommentInfo.
type commentInfo struct {
	ID              string       `json:"id"`
	Path            string       `json:"path,omitempty"`
	PatchSet        int          `json:"patch_set"`
	Side            review.Side  `json:"side,omitempty"`
	Line            int          `json:"line,omitempty"`
	Range           *rangeInfo   `json:"range,omitempty"`
	InReplyTo       string       `json:"in_reply_to,omitempty"`
	Message         string       `json:"message"`
	Updated         timestamp    `json:"updated"`
	Author          *accountInfo `json:"author,omitempty"`
	Tag             string       `json:"tag,omitempty"`
	Unresolved      bool         `json:"unresolved"`
	ChangeMessageID string       `json:"change_message_id,omitempty"`
}

func comment(k review.Comment) commentInfo {
	info := commentInfo{
		ID: k.ID, PatchSet: k.PatchSet, Line: k.Line, InReplyTo: k.InReplyTo, Message: k.Message,
		Updated: timestamp(k.Updated), Author: new(account(k.Author, true)), Tag: k.Tag,
		Unresolved: k.Unresolved, ChangeMessageID: k.MessageID,
	}
	if k.Side == review.SideParent {
		info.Side = k.Side
	}
	if k.Range != (review.Range{}) {
		info.Range = new(rangeInfo(k.Range))
	}
	return info
}

// byPath groups comments under the paths they are about.
func byPath(list []review.Comment) map[string][]commentInfo {
	out := map[string][]commentInfo{}
	for _, k := range list {
		out[k.Path] = append(out[k.Path], comment(k))
	}
	return out
}

func (s *Server) changeComments(c *call, change *review.Change) (any, error) {
	d, err := s.service.Detail(c.ctx(), change, review.WantComments)
	if err != nil {
		return nil, err
	}
	return byPath(d.Comments), nil
}

func (s *Server) revisionComments(c *call, r revision) (any, error) {
	d, err := s.service.Detail(c.ctx(), r.change, review.WantComments)
	if err != nil {
		return nil, err
	}
	return byPath(slices.DeleteFunc(d.Comments, func(k review.Comment) bool { return k.PatchSet != r.patchSet.Number })), nil
}

func (s *Server) changeDrafts(c *call, change *review.Change) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	list, err := s.service.Drafts(c.ctx(), c.caller, change.Number, 0)
	return byPath(list), err
}

func (s *Server) revisionDrafts(c *call, r revision) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	list, err := s.service.Drafts(c.ctx(), c.caller, r.change.Number, r.patchSet.Number)
	return byPath(list), err
}

// onDraft registers a route below one of the caller's drafts.
func (s *Server) onDraft(pattern string, h func(c *call, draft review.Comment) (any, error)) {
	s.onRevision(pattern, func(c *call, r revision) (any, error) {
		if _, err := c.needCaller(); err != nil {
			return nil, err
		}
		drafts, err := s.service.Drafts(c.ctx(), c.caller, r.change.Number, r.patchSet.Number)
		if err != nil {
			return nil, err
		}
		for _, draft := range drafts {
			if draft.ID == c.arg("draft") {
				return h(c, draft)
			}
		}
		return nil, fault.New(fault.NotFound, "Not found: %s", c.arg("draft"))
	})
}

func (s *Server) getDraft(_ *call, draft review.Comment) (any, error) {
	info := comment(draft)
	info.Path = draft.Path
	return info, nil
}

func (s *Server) createDraft(c *call, r revision) (any, error) {
	caller, err := c.needCaller()
	if err != nil {
		return nil, err
	}
	info, err := s.saveDraft(c, review.Comment{Change: r.change.Number, PatchSet: r.patchSet.Number, Author: *caller})
	return created{info}, err
}

func (s *Server) updateDraft(c *call, draft review.Comment) (any, error) {
	return s.saveDraft(c, draft)
}

// saveDraft stores a draft with what the request's body says of it.
func (s *Server) saveDraft(c *call, draft review.Comment) (any, error) {
	var input commentInput
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if input.ID != "" && input.ID != draft.ID {
		return nil, fault.New(fault.BadRequest, "id must match URL")
	}
	if input.Path != "" {
		draft.Path = input.Path
	}
	fresh := input.domain(draft.Path)
	draft.Side, draft.Line, draft.Range = fresh.Side, fresh.Line, fresh.Range
	draft.InReplyTo, draft.Message, draft.Tag = fresh.InReplyTo, fresh.Message, fresh.Tag
	if input.Unresolved != nil {
		draft.Unresolved = fresh.Unresolved
	}
	saved, err := s.service.SaveDraft(c.ctx(), c.caller, draft)
	if err != nil {
		return nil, err
	}
	return s.getDraft(c, saved)
}

func (s *Server) deleteDraft(c *call, draft review.Comment) (any, error) {
	return noContent{}, s.service.DeleteDraft(c.ctx(), c.caller, draft.Change, draft.ID)
}
