package review

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

// rule is a submit requirement before it is applied to a change: the label
// must have its highest value and must not have its lowest.
type rule struct {
	label       string
	description string
	veto        bool // the lowest value blocks
	gated       bool // applies only to gated branches
}

// rules are those of every project.
var rules = []rule{
	{CodeReview, "A reviewer approves the change, and none vetoes it", true, false},
	{Verified, "The gate has tested the change", true, true},
	{Workflow, "The change is approved for the gate", false, true},
}

func (r rule) expression() string {
	e := fmt.Sprintf("label:%s=MAX", r.label)
	if r.veto {
		e += fmt.Sprintf(" AND -label:%s=MIN", r.label)
	}
	return e
}

// apply evaluates the rule over the votes on a change's current patch set.
func (r rule) apply(votes []Vote, gated bool) Requirement {
	label := labelNamed(r.label)
	q := Requirement{Name: r.label, Description: r.description, Label: r.label, Submittable: r.expression(), Status: Satisfied}
	if r.gated && !gated {
		q.Status = NotApplicable
		return q
	}
	var approved bool
	var vetoes []string
	for _, v := range votes {
		switch {
		case v.Label != r.label:
		case v.Value == label.Max():
			approved = true
		case v.Value == label.Min() && r.veto:
			vetoes = append(vetoes, v.Account.Name())
		}
	}
	q.note(fmt.Sprintf("label:%s=MAX", r.label), approved)
	if r.veto {
		q.note(fmt.Sprintf("label:%s=MIN", r.label), len(vetoes) > 0)
	}
	switch {
	case len(vetoes) > 0:
		q.Vetoed = true
		q.Status, q.Reason = Unsatisfied, fmt.Sprintf("%s %+d by %s blocks it", r.label, label.Min(), strings.Join(vetoes, ", "))
	case !approved:
		q.Status, q.Reason = Unsatisfied, fmt.Sprintf("needs %s %+d", r.label, label.Max())
	}
	return q
}

// note files an atom of the expression under what holds or what does not.
func (q *Requirement) note(atom string, holds bool) {
	if holds {
		q.Passing = append(q.Passing, atom)
	} else {
		q.Failing = append(q.Failing, atom)
	}
}

func labelNamed(name string) *Label {
	for i := range labels {
		if labels[i].Name == name {
			return &labels[i]
		}
	}
	return nil
}

// requirements evaluates all rules for a change with these votes on its
// current patch set.
func requirements(votes []Vote, gated bool) []Requirement {
	all := make([]Requirement, len(rules))
	for i, r := range rules {
		all[i] = r.apply(votes, gated)
	}
	return all
}

// Requirements are the submit requirements of a change as they stand.
func (s *Service) Requirements(ctx context.Context, c *Change) ([]Requirement, error) {
	votes, err := selectVotes(ctx, s.db, `WHERE change = $1 AND patch_set = $2`, c.Number, c.PatchSet)
	if err != nil {
		return nil, err
	}
	gated, err := s.gated(ctx, c.Project, c.Branch)
	return requirements(votes, gated), err
}

// gates remembers which commits hold the gate's file.
type gates struct {
	mu     sync.Mutex
	byHash map[string]bool // by project and commit
}

const maxGates = 4096

// gated reports whether the branch's tip holds the gate's file.
func (s *Service) gated(ctx context.Context, project, branch string) (bool, error) {
	repo := s.repos.Repo(project)
	tip, err := repo.Tip(headsPrefix + branch)
	if err != nil || tip == "" {
		return false, err
	}
	key := project + "\x00" + tip
	s.gates.mu.Lock()
	has, known := s.gates.byHash[key]
	s.gates.mu.Unlock()
	if known {
		return has, nil
	}
	if has, err = hasFile(ctx, repo, tip, s.config.GateFile); err != nil {
		return false, err
	}
	s.gates.mu.Lock()
	defer s.gates.mu.Unlock()
	if s.gates.byHash == nil || len(s.gates.byHash) >= maxGates {
		s.gates.byHash = map[string]bool{}
	}
	s.gates.byHash[key] = has
	return has, nil
}

func hasFile(ctx context.Context, repo *git.Repo, commit, path string) (bool, error) {
	entry, err := repo.Entry(ctx, commit, path)
	return entry != nil && entry.Type == "blob", err
}
