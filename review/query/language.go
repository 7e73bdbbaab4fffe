package query

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// Language is the search language of one review server.
type Language struct {
	labels []Label
	now    func() time.Time
}

// New makes the language of a server with these labels. now is the clock that
// age: is measured by.
func New(labels []review.Label, now func() time.Time) *Language {
	l := &Language{now: now}
	for _, label := range labels {
		l.labels = append(l.labels, Label{Name: label.Name, Min: label.Min(), Max: label.Max()})
	}
	return l
}

// Compile turns a query that caller (nil: nobody in particular) asks into one
// for review.Service.Search. limit:N sets its Limit. What is wrong with the
// query is fault.BadRequest.
func (l *Language) Compile(_ context.Context, caller *review.Account, text string) (review.Query, error) {
	env := Env{Now: l.now(), Labels: l.labels}
	if caller != nil {
		env.Self = caller.ID
	}
	expr, err := Parse(text)
	if err != nil {
		return review.Query{}, badRequest(err)
	}
	condition, err := Compile(expr, env)
	if err != nil {
		return review.Query{}, badRequest(err)
	}
	return review.Query{Where: condition.Where, Args: condition.Args, Limit: condition.Limit}, nil
}

func badRequest(err error) error {
	if wrong, ok := errors.AsType[*Error](err); ok {
		return fault.New(fault.BadRequest, "%s", wrong.Message)
	}
	return err
}
