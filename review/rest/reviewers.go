package rest

import (
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) reviewerRoutes() {
	s.change("GET /changes/{id}/reviewers", s.listReviewers)
	s.change("POST /changes/{id}/reviewers", s.postReviewer)
	s.change("GET /changes/{id}/suggest_reviewers", s.suggestReviewers)
	s.onReviewer("GET /changes/{id}/reviewers/{account}", s.getReviewer)
	s.onReviewer("DELETE /changes/{id}/reviewers/{account}", s.deleteReviewer)
	s.onReviewer("POST /changes/{id}/reviewers/{account}/delete", s.deleteReviewer)
	s.onReviewer("GET /changes/{id}/reviewers/{account}/votes", s.listVotes)
	s.onReviewer("DELETE /changes/{id}/reviewers/{account}/votes/{label}", s.deleteVote)
	s.onReviewer("POST /changes/{id}/reviewers/{account}/votes/{label}/delete", s.deleteVote)
}

// onReviewer registers a route below somebody who is on a change's list of
// reviewers.
func (s *Server) onReviewer(pattern string, h func(c *call, d *review.Detail, r review.ReviewerEntry) (any, error)) {
	s.change(pattern, func(c *call, change *review.Change) (any, error) {
		account, err := s.service.FindAccount(c.ctx(), c.caller, c.arg("account"))
		if err != nil {
			return nil, err
		}
		d, err := s.votes(c, change)
		if err != nil {
			return nil, err
		}
		for _, entry := range d.Reviewers {
			if entry.Account.ID == account.ID {
				return h(c, d, entry)
			}
		}
		return nil, fault.New(fault.NotFound, "Not found: %s", c.arg("account"))
	})
}

func (s *Server) votes(c *call, change *review.Change) (*review.Detail, error) {
	return s.service.Detail(c.ctx(), change, review.WantVotes|review.WantReviewers)
}

// reviewerInfo is an account and its votes ("+1", " 0") by label.
type reviewerInfo struct {
	accountInfo

	Approvals map[string]string    `json:"approvals"`
	State     review.ReviewerState `json:"state,omitempty"`
}

func reviewer(r review.ReviewerEntry, votes []review.Vote) reviewerInfo {
	info := reviewerInfo{accountInfo: account(r.Account, true), Approvals: map[string]string{}, State: r.State}
	for _, vote := range votes {
		if vote.Account.ID == r.Account.ID {
			info.Approvals[vote.Label] = signed(vote.Value)
		}
	}
	return info
}

func (s *Server) listReviewers(c *call, change *review.Change) (any, error) {
	d, err := s.votes(c, change)
	if err != nil {
		return nil, err
	}
	infos := make([]reviewerInfo, len(d.Reviewers))
	for i, entry := range d.Reviewers {
		infos[i] = reviewer(entry, d.CurrentVotes(""))
	}
	return infos, nil
}

func (s *Server) getReviewer(_ *call, d *review.Detail, r review.ReviewerEntry) (any, error) {
	return []reviewerInfo{reviewer(r, d.CurrentVotes(""))}, nil
}

// reviewerInput is Gerrit's ReviewerInput.
type reviewerInput struct {
	Reviewer string               `json:"reviewer"`
	State    review.ReviewerState `json:"state"`
}

func (i reviewerInput) domain() review.ReviewerInput {
	state := i.State
	if state == "" {
		state = review.Reviewer
	}
	return review.ReviewerInput{Account: i.Reviewer, State: state}
}

// addReviewerResult is Gerrit's ReviewerResult: an unknown account is told in
// it, not by the status.
type addReviewerResult struct {
	Input     string         `json:"input"`
	Error     string         `json:"error,omitempty"`
	Reviewers []reviewerInfo `json:"reviewers,omitempty"`
	CCs       []reviewerInfo `json:"ccs,omitempty"`
}

func (s *Server) postReviewer(c *call, change *review.Change) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	var input reviewerInput
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if input.Reviewer == "" {
		return nil, fault.New(fault.BadRequest, "missing reviewer field")
	}
	result := addReviewerResult{Input: input.Reviewer}
	added, err := s.service.AddReviewers(c.ctx(), c.caller, change.Number, input.domain())
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.BadRequest) || fault.Is(err, fault.Unprocessable) {
		result.Error = err.Error()
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range added {
		if entry.State == review.CC {
			result.CCs = append(result.CCs, reviewer(entry, nil))
		} else {
			result.Reviewers = append(result.Reviewers, reviewer(entry, nil))
		}
	}
	return result, nil
}

func (s *Server) deleteReviewer(c *call, d *review.Detail, r review.ReviewerEntry) (any, error) {
	return noContent{}, s.service.RemoveReviewer(c.ctx(), c.caller, d.Number, r.Account.ID)
}

func (s *Server) listVotes(_ *call, d *review.Detail, r review.ReviewerEntry) (any, error) {
	votes := map[string]int{}
	for _, vote := range d.CurrentVotes("") {
		if vote.Account.ID == r.Account.ID {
			votes[vote.Label] = vote.Value
		}
	}
	return votes, nil
}

func (s *Server) deleteVote(c *call, d *review.Detail, r review.ReviewerEntry) (any, error) {
	return noContent{}, s.service.DeleteVote(c.ctx(), c.caller, d.Number, r.Account.ID, c.arg("label"))
}

type suggestedReviewer struct {
	Account accountInfo `json:"account"`
	Count   int         `json:"count"`
}

func (s *Server) suggestReviewers(c *call, _ *review.Change) (any, error) {
	accounts, err := s.suggest(c)
	if err != nil {
		return nil, err
	}
	out := make([]suggestedReviewer, len(accounts))
	for i, a := range accounts {
		out[i] = suggestedReviewer{Account: account(a, true), Count: 1}
	}
	return out, nil
}

// suggest finds the accounts that q=TEXT may mean.
func (s *Server) suggest(c *call) ([]review.Account, error) {
	limit, err := c.number("n", "limit")
	if err != nil {
		return nil, err
	}
	if limit == 0 || limit > 100 {
		limit = 10
	}
	return s.service.SuggestAccounts(c.ctx(), c.caller, c.r.URL.Query().Get("q"), limit)
}
