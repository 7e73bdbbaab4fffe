package rest

import (
	"fmt"
	"slices"

	"github.com/gatehouse-dev/gatehouse/review"
)

// labelInfo is Gerrit's LabelInfo.
type labelInfo struct {
	Approved     *accountInfo      `json:"approved,omitempty"`
	Rejected     *accountInfo      `json:"rejected,omitempty"`
	Recommended  *accountInfo      `json:"recommended,omitempty"`
	Disliked     *accountInfo      `json:"disliked,omitempty"`
	Blocking     bool              `json:"blocking,omitempty"`
	Optional     bool              `json:"optional,omitempty"`
	All          []approvalInfo    `json:"all,omitempty"`
	Values       map[string]string `json:"values,omitempty"`
	Value        int               `json:"value,omitempty"`
	DefaultValue *int              `json:"default_value,omitempty"`
}

// approvalInfo is a vote, or that a reviewer has none.
type approvalInfo struct {
	accountInfo

	Value     int         `json:"value"`
	Date      *timestamp  `json:"date,omitempty"`
	Tag       string      `json:"tag,omitempty"`
	Permitted *valueRange `json:"permitted_voting_range,omitempty"`
}

type valueRange struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

type requirementInfo struct {
	Name        string                   `json:"name"`
	Description string                   `json:"description,omitempty"`
	Status      review.RequirementStatus `json:"status"`
	Legacy      bool                     `json:"is_legacy"`
	Submittable expressionInfo           `json:"submittability_expression_result"`
}

type expressionInfo struct {
	Expression string   `json:"expression"`
	Fulfilled  bool     `json:"fulfilled"`
	Status     string   `json:"status"`
	Passing    []string `json:"passing_atoms,omitempty"`
	Failing    []string `json:"failing_atoms,omitempty"`
}

type submitRecord struct {
	Rule   string        `json:"rule_name"`
	Status string        `json:"status"`
	Labels []recordLabel `json:"labels,omitempty"`
}

type recordLabel struct {
	Label  string       `json:"label"`
	Status string       `json:"status"`
	By     *accountInfo `json:"applied_by,omitempty"`
}

// describeLabels adds votes, what the caller may vote, and what is still
// needed for a submission.
func (s *Server) describeLabels(c *call, info *changeInfo, d *review.Detail, o options) {
	detailed := o["DETAILED_ACCOUNTS"]
	if o.any("LABELS", "DETAILED_LABELS") {
		info.Labels = map[string]labelInfo{}
		for _, label := range s.service.Labels(d.Project) {
			info.Labels[label.Name] = describeLabel(label, d, o["DETAILED_LABELS"], detailed)
		}
		info.SubmitRecords = []submitRecord{record(d, info.Labels)}
	}
	if o["DETAILED_LABELS"] {
		info.Reviewers = reviewersByState(d.Reviewers, detailed)
		if c.caller != nil {
			info.PermittedLabels = permitted(s.service.Permitted(c.caller, &d.Change))
			info.RemovableReviewer = s.removable(c, d, detailed)
		}
	}
	if o["SUBMIT_REQUIREMENTS"] {
		info.SubmitRequired = requirements(d.Requirements)
	}
	if o["SUBMITTABLE"] {
		info.Submittable = new(submittable(d))
	}
}

func submittable(d *review.Detail) bool {
	return d.Open() && !d.WIP && !slices.ContainsFunc(d.Requirements, func(r review.Requirement) bool {
		return r.Status == review.Unsatisfied
	})
}

func describeLabel(label review.Label, d *review.Detail, all, detailed bool) labelInfo {
	votes := d.CurrentVotes(label.Name)
	info := labelInfo{DefaultValue: new(0), Optional: !required(d, label.Name)}
	for _, vote := range votes {
		by := account(vote.Account, detailed)
		switch {
		case vote.Value == label.Max():
			info.Approved = &by
		case vote.Value == label.Min():
			info.Rejected, info.Blocking = &by, required(d, label.Name)
		case vote.Value > 0:
			info.Recommended, info.Value = &by, vote.Value
		default:
			info.Disliked, info.Value = &by, vote.Value
		}
	}
	if info.Rejected != nil {
		info.Value = label.Min()
	} else if info.Approved != nil {
		info.Value = label.Max()
	}
	if !all {
		return info
	}
	info.Values = map[string]string{}
	for _, value := range label.Values {
		info.Values[signed(value.Value)] = value.Text
	}
	info.All = approvals(votes, d.Reviewers, detailed)
	return info
}

// required reports whether a submit requirement depends on the label.
func required(d *review.Detail, label string) bool {
	return slices.ContainsFunc(d.Requirements, func(r review.Requirement) bool {
		return r.Label == label && r.Status != review.NotApplicable
	})
}

// approvals lists the votes, then the reviewers who have not voted.
func approvals(votes []review.Vote, reviewers []review.ReviewerEntry, detailed bool) []approvalInfo {
	var all []approvalInfo
	voted := map[int64]bool{}
	for _, vote := range votes {
		voted[vote.Account.ID] = true
		all = append(all, approvalInfo{
			accountInfo: account(vote.Account, detailed), Value: vote.Value, Date: maybe(vote.Granted), Tag: vote.Tag,
		})
	}
	for _, r := range reviewers {
		if r.State == review.Reviewer && !voted[r.Account.ID] {
			all = append(all, approvalInfo{accountInfo: account(r.Account, detailed)})
		}
	}
	return all
}

// signed writes a value as labels do: "+1", " 0", "-1".
func signed(value int) string {
	if value == 0 {
		return " 0"
	}
	return fmt.Sprintf("%+d", value)
}

func permitted(values map[string][]int) map[string][]string {
	out := map[string][]string{}
	for label, list := range values {
		for _, value := range list {
			out[label] = append(out[label], signed(value))
		}
	}
	return out
}

func reviewersByState(list []review.ReviewerEntry, detailed bool) map[review.ReviewerState][]accountInfo {
	out := map[review.ReviewerState][]accountInfo{}
	for _, r := range list {
		out[r.State] = append(out[r.State], account(r.Account, detailed))
	}
	return out
}

// removable are the reviewers whom the caller may take off the change.
func (s *Server) removable(c *call, d *review.Detail, detailed bool) []accountInfo {
	out := []accountInfo{}
	for _, r := range d.Reviewers {
		if c.caller.Admin || c.caller.ID == d.Owner.ID || c.caller.ID == r.Account.ID {
			out = append(out, account(r.Account, detailed))
		}
	}
	return out
}

func requirements(list []review.Requirement) []requirementInfo {
	infos := []requirementInfo{}
	for _, r := range list {
		result := expressionInfo{Expression: r.Submittable, Passing: r.Passing, Failing: r.Failing}
		switch r.Status {
		case review.Satisfied:
			result.Fulfilled, result.Status = true, "PASS"
		case review.Unsatisfied:
			result.Status = "FAIL"
		default:
			result.Status = "NOT_EVALUATED"
		}
		infos = append(infos, requirementInfo{Name: r.Name, Description: r.Description, Status: r.Status, Submittable: result})
	}
	return infos
}

// record is the state of the submit requirements in the form that came before
// them, for clients that know no other.
func record(d *review.Detail, labels map[string]labelInfo) submitRecord {
	r := submitRecord{Rule: "gerrit~DefaultSubmitRule", Status: "NOT_READY"}
	switch {
	case !d.Open():
		r.Status = "CLOSED"
	case submittable(d):
		r.Status = "OK"
	}
	for _, requirement := range d.Requirements {
		if requirement.Label == "" || requirement.Status == review.NotApplicable {
			continue
		}
		label := labels[requirement.Label]
		entry := recordLabel{Label: requirement.Label, Status: "NEED"}
		switch {
		case label.Rejected != nil:
			entry.Status, entry.By = "REJECT", label.Rejected
		case requirement.Status == review.Satisfied:
			entry.Status, entry.By = "OK", label.Approved
		}
		r.Labels = append(r.Labels, entry)
	}
	return r
}
