package rest

import (
	"net/url"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/review"
)

// changeInfo is Gerrit's ChangeInfo.
type changeInfo struct {
	ID                string                                 `json:"id"`
	TripletID         string                                 `json:"triplet_id"`
	Project           string                                 `json:"project"`
	Branch            string                                 `json:"branch"`
	Topic             string                                 `json:"topic,omitempty"`
	Hashtags          []string                               `json:"hashtags"`
	ChangeID          string                                 `json:"change_id"`
	Subject           string                                 `json:"subject"`
	Status            review.Status                          `json:"status"`
	Created           timestamp                              `json:"created"`
	Updated           timestamp                              `json:"updated"`
	Submitted         *timestamp                             `json:"submitted,omitempty"`
	Submitter         *accountInfo                           `json:"submitter,omitempty"`
	Starred           bool                                   `json:"starred,omitempty"`
	SubmitType        string                                 `json:"submit_type,omitempty"`
	Mergeable         *bool                                  `json:"mergeable,omitempty"`
	Submittable       *bool                                  `json:"submittable,omitempty"`
	Insertions        int                                    `json:"insertions"`
	Deletions         int                                    `json:"deletions"`
	TotalComments     int                                    `json:"total_comment_count"`
	Unresolved        int                                    `json:"unresolved_comment_count"`
	HasReviewStarted  bool                                   `json:"has_review_started,omitempty"`
	Private           bool                                   `json:"is_private,omitempty"`
	WIP               bool                                   `json:"work_in_progress,omitempty"`
	Number            int64                                  `json:"_number"`
	Owner             accountInfo                            `json:"owner"`
	Actions           map[string]actionInfo                  `json:"actions,omitempty"`
	Requirements      []struct{}                             `json:"requirements"`
	SubmitRecords     []submitRecord                         `json:"submit_records,omitempty"`
	SubmitRequired    []requirementInfo                      `json:"submit_requirements,omitempty"`
	Labels            map[string]labelInfo                   `json:"labels,omitempty"`
	PermittedLabels   map[string][]string                    `json:"permitted_labels,omitempty"`
	RemovableReviewer []accountInfo                          `json:"removable_reviewers,omitempty"`
	Reviewers         map[review.ReviewerState][]accountInfo `json:"reviewers,omitempty"`
	Messages          []messageInfo                          `json:"messages,omitempty"`
	CurrentNumber     int                                    `json:"current_revision_number"`
	CurrentRevision   string                                 `json:"current_revision,omitempty"`
	Revisions         map[string]*revisionInfo               `json:"revisions,omitempty"`
	MoreChanges       bool                                   `json:"_more_changes,omitempty"`
	VirtualNumber     int64                                  `json:"virtual_id_number"`
}

type messageInfo struct {
	ID         string       `json:"id"`
	Tag        string       `json:"tag,omitempty"`
	Author     *accountInfo `json:"author,omitempty"`
	RealAuthor *accountInfo `json:"real_author,omitempty"`
	Date       timestamp    `json:"date"`
	Message    string       `json:"message"`
	Revision   int          `json:"_revision_number"`
}

// wants is what the options need of the domain.
func (o options) wants() review.Want {
	want := review.WantCurrent | review.WantComments
	if o.any("ALL_REVISIONS", "MESSAGES") {
		want |= review.WantPatchSets
	}
	if o.any("LABELS", "DETAILED_LABELS", "SUBMITTABLE", "SUBMIT_REQUIREMENTS") {
		want |= review.WantVotes | review.WantReviewers | review.WantRequirements
	}
	if o.any("MESSAGES") {
		want |= review.WantMessages
	}
	if o.any("CURRENT_FILES", "ALL_FILES") {
		want |= review.WantFiles
	}
	return want
}

// infos describes changes, in their order, as far as o asks.
func (s *Server) infos(c *call, changes []review.Change, o options) ([]*changeInfo, error) {
	details, err := s.service.Details(c.ctx(), changes, o.wants())
	if err != nil {
		return nil, err
	}
	starred := map[int64]bool{}
	if c.caller != nil {
		if starred, err = s.service.Starred(c.ctx(), c.caller); err != nil {
			return nil, err
		}
	}
	out := make([]*changeInfo, len(details))
	for i := range details {
		if out[i], err = s.info(c, &details[i], o); err != nil {
			return nil, err
		}
		out[i].Starred = starred[details[i].Number]
	}
	return out, nil
}

// one describes a single change.
func (s *Server) one(c *call, change *review.Change, o options) (*changeInfo, error) {
	infos, err := s.infos(c, []review.Change{*change}, o)
	if err != nil {
		return nil, err
	}
	return infos[0], nil
}

func (s *Server) info(c *call, d *review.Detail, o options) (*changeInfo, error) {
	detailed := o["DETAILED_ACCOUNTS"]
	info := &changeInfo{
		ID:        url.QueryEscape(d.Project) + "~" + strconv.FormatInt(d.Number, 10),
		TripletID: url.QueryEscape(d.Project) + "~" + url.QueryEscape(d.Branch) + "~" + d.ID,
		Project:   d.Project, Branch: d.Branch, Topic: d.Topic, Hashtags: orEmpty(d.Hashtags),
		ChangeID: d.ID, Subject: d.Subject, Status: d.Status,
		Created: timestamp(d.Created), Updated: timestamp(d.Updated), Submitted: maybe(d.Submitted),
		TotalComments: len(d.Comments), Unresolved: unresolved(d.Comments), HasReviewStarted: !d.WIP,
		Private: d.Private, WIP: d.WIP, Number: d.Number, VirtualNumber: d.Number,
		Owner: account(d.Owner, detailed), Requirements: []struct{}{}, CurrentNumber: d.PatchSet,
	}
	if d.Submitter != nil {
		info.Submitter = new(account(*d.Submitter, detailed))
	}
	if current := d.Current(); current != nil {
		info.Insertions, info.Deletions = current.Insertions, current.Deletions
	}
	if o["MESSAGES"] {
		info.Messages = messages(d.Messages, detailed)
	}
	s.describeLabels(c, info, d, o)
	if err := s.describeActions(c, info, d, o); err != nil {
		return nil, err
	}
	return info, s.describeRevisions(c, info, d, o)
}

func messages(list []review.Message, detailed bool) []messageInfo {
	infos := make([]messageInfo, len(list))
	for i, m := range list {
		infos[i] = messageInfo{ID: m.ID, Tag: m.Tag, Date: timestamp(m.Created), Message: m.Text, Revision: m.PatchSet}
		if m.Author != nil {
			infos[i].Author = new(account(*m.Author, detailed))
			infos[i].RealAuthor = infos[i].Author
		}
	}
	return infos
}

// unresolved counts the threads whose last comment leaves them open.
func unresolved(comments []review.Comment) int {
	answered := map[string]bool{}
	for _, comment := range comments {
		answered[comment.InReplyTo] = true
	}
	n := 0
	for _, comment := range comments {
		if comment.Unresolved && !answered[comment.ID] {
			n++
		}
	}
	return n
}

// orEmpty is list, but never null in JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
