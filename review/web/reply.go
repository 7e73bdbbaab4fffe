package web

import (
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// postChange does to a change what the pressed button, named "do", says.
func (s *Site) postChange(v *visit) error {
	if _, err := v.needCaller(); err != nil {
		return err
	}
	where, ok := parsePlace(v.r.PathValue("rest"))
	if !ok {
		return fault.New(fault.NotFound, "There is no such page.")
	}
	change, err := s.service.Change(v.ctx(), v.caller, where.number)
	if err != nil {
		return err
	}
	if err := s.act(v, change); err != nil {
		return err
	}
	return v.redirect(changeURL(change.Project, change.Number))
}

func (s *Site) act(v *visit, change *review.Change) error {
	form, number := v.r.PostForm, change.Number
	message := strings.TrimSpace(strings.ReplaceAll(form.Get("message"), "\r\n", "\n"))
	var err error
	switch form.Get("do") {
	case "reply":
		return s.reply(v, change, message)
	case "submit":
		_, err = s.service.Submit(v.ctx(), v.caller, number)
	case "abandon":
		_, err = s.service.Abandon(v.ctx(), v.caller, number, message)
	case "restore":
		_, err = s.service.Restore(v.ctx(), v.caller, number, message)
	case "rebase":
		_, err = s.service.Rebase(v.ctx(), v.caller, number, "")
	case "wip", "ready":
		_, err = s.service.SetWIP(v.ctx(), v.caller, number, form.Get("do") == "wip", message)
	case "topic":
		_, err = s.service.SetTopic(v.ctx(), v.caller, number, strings.TrimSpace(form.Get("topic")))
	case "star", "unstar":
		err = s.service.SetStar(v.ctx(), v.caller, number, form.Get("do") == "star")
	case "add-reviewer":
		_, err = s.service.AddReviewers(v.ctx(), v.caller, number,
			review.ReviewerInput{Account: strings.TrimSpace(form.Get("reviewer")), State: review.Reviewer})
	default:
		err = fault.New(fault.BadRequest, "The form says nothing to do.")
	}
	return err
}

// reply sends a message and votes. Only the labels whose vote differs from
// what it was when the page was made are sent, so that a vote cast elsewhere
// meanwhile is not taken back.
func (s *Site) reply(v *visit, change *review.Change, message string) error {
	patchSet, err := strconv.Atoi(v.r.PostForm.Get("patchset"))
	if err != nil {
		return fault.New(fault.BadRequest, "The form names no patch set.")
	}
	input := review.ReviewInput{Message: message, Labels: map[string]int{}, StrictLabels: true}
	for name := range v.r.PostForm {
		label, ok := strings.CutPrefix(name, "label:")
		if !ok {
			continue
		}
		value, err := strconv.Atoi(v.r.PostForm.Get(name))
		if err != nil {
			return fault.New(fault.BadRequest, "%s: there is no vote %q.", label, v.r.PostForm.Get(name))
		}
		if v.r.PostForm.Get("was:"+label) != strconv.Itoa(value) {
			input.Labels[label] = value
		}
	}
	if message == "" && len(input.Labels) == 0 {
		return fault.New(fault.BadRequest, "There is neither a message nor a new vote to send.")
	}
	_, err = s.service.Review(v.ctx(), v.caller, change.Number, patchSet, input)
	return err
}
