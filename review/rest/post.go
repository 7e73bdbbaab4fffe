package rest

import (
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// reviewInput is Gerrit's ReviewInput.
type reviewInput struct {
	Message       string                    `json:"message"`
	Tag           string                    `json:"tag"`
	Labels        map[string]int            `json:"labels"`
	StrictLabels  bool                      `json:"strict_labels"`
	Comments      map[string][]commentInput `json:"comments"`
	RobotComments map[string][]commentInput `json:"robot_comments"`
	Drafts        review.DraftHandling      `json:"drafts"`
	Reviewers     []reviewerInput           `json:"reviewers"`
	Ready         bool                      `json:"ready"`
	WIP           bool                      `json:"work_in_progress"`
}

type commentInput struct {
	ID         string      `json:"id"`
	Path       string      `json:"path"`
	Side       review.Side `json:"side"`
	Line       int         `json:"line"`
	Range      *rangeInfo  `json:"range"`
	InReplyTo  string      `json:"in_reply_to"`
	Message    string      `json:"message"`
	Unresolved *bool       `json:"unresolved"`
	Tag        string      `json:"tag"`
}

type rangeInfo struct {
	StartLine int `json:"start_line"`
	StartChar int `json:"start_character"`
	EndLine   int `json:"end_line"`
	EndChar   int `json:"end_character"`
}

// reviewResult is Gerrit's ReviewResult.
type reviewResult struct {
	Labels map[string]int `json:"labels,omitempty"`
	Ready  bool           `json:"ready,omitempty"`
}

func (s *Server) postReview(c *call, r revision) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	var input reviewInput
	if err := c.read(&input); err != nil {
		return nil, err
	}
	in := review.ReviewInput{
		Message: input.Message, Tag: input.Tag, Labels: input.Labels, StrictLabels: input.StrictLabels,
		Drafts: input.Drafts, Ready: input.Ready, WIP: input.WIP,
	}
	for _, byPath := range []map[string][]commentInput{input.Comments, input.RobotComments} {
		comments, err := commentsOf(byPath)
		if err != nil {
			return nil, err
		}
		in.Comments = append(in.Comments, comments...)
	}
	for _, reviewer := range input.Reviewers {
		in.Reviewers = append(in.Reviewers, reviewer.domain())
	}
	votes, err := s.service.Review(c.ctx(), c.caller, r.change.Number, r.patchSet.Number, in)
	if err != nil {
		return nil, err
	}
	return reviewResult{Labels: votes, Ready: input.Ready}, nil
}

// commentsOf is the comments in the order of their paths.
func commentsOf(byPath map[string][]commentInput) ([]review.Comment, error) {
	var comments []review.Comment
	paths := make([]string, 0, len(byPath))
	for path := range byPath {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		for _, input := range byPath[path] {
			if input.Path != "" && input.Path != path {
				return nil, fault.New(fault.BadRequest, "path %s of a comment differs from its key %s", input.Path, path)
			}
			comments = append(comments, input.domain(path))
		}
	}
	return comments, nil
}

func (i commentInput) domain(path string) review.Comment {
	comment := review.Comment{
		Path: path, Side: i.Side, Line: i.Line, InReplyTo: i.InReplyTo, Message: i.Message, Tag: i.Tag,
		Unresolved: i.Unresolved != nil && *i.Unresolved,
	}
	if i.Range != nil {
		comment.Range = review.Range(*i.Range)
		comment.Line = i.Range.EndLine
	}
	return comment
}
