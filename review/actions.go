package review

import (
	"context"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Action says whether the caller may do something now; if not, why.
type Action struct {
	Enabled bool
	Reason  string
}

// Actions are what can be done to a change.
type Actions struct {
	Submit, Abandon, Restore, Rebase Action
	Edit                             Action // topic, hashtags, message, WIP, private
	Vote                             Action
}

// actionOf is the action that an error forbids; internal errors are returned.
func actionOf(err error) (Action, error) {
	if err == nil {
		return Action{Enabled: true}, nil
	}
	if fault.KindOf(err) == fault.Internal {
		return Action{}, err
	}
	return Action{Reason: err.Error()}, nil
}

// Actions says what the caller may do to a change now. That it merges without
// a conflict is not asked of git here.
func (s *Service) Actions(ctx context.Context, caller *Account, c *Change) (Actions, error) {
	open := func(err error) error {
		if err == nil && !c.Open() {
			err = conflictOf(c)
		}
		return err
	}
	restore := mayEdit(caller, c, "restore")
	if restore == nil && c.Status != StatusAbandoned {
		restore = conflictOf(c)
	}
	submit := open(maySubmit(caller))
	if submit == nil {
		_, _, submit = s.chain(ctx, caller, c.Number)
	}
	rebase := open(mayEdit(caller, c, "rebase"))
	if rebase == nil {
		var err error
		if rebase, err = s.rebaseable(ctx, caller, c); err != nil {
			return Actions{}, err
		}
	}
	var actions Actions
	for _, a := range []struct {
		action *Action
		err    error
	}{
		{&actions.Submit, submit},
		{&actions.Abandon, open(mayEdit(caller, c, "abandon"))},
		{&actions.Restore, restore},
		{&actions.Rebase, rebase},
		{&actions.Edit, mayEdit(caller, c, "edit")},
		{&actions.Vote, open(registered(caller))},
	} {
		var err error
		if *a.action, err = actionOf(a.err); err != nil {
			return Actions{}, fmt.Errorf("actions of change %d: %w", c.Number, err)
		}
	}
	return actions, nil
}

// rebaseable says why there is nothing to rebase, nil if there is.
func (s *Service) rebaseable(ctx context.Context, caller *Account, c *Change) (forbidden, err error) {
	p, err := currentPatchSet(ctx, s.db, c)
	if err != nil {
		return nil, err
	}
	if len(p.Parents) != 1 {
		return fault.New(fault.Conflict, "Cannot rebase a change with %d parents", len(p.Parents)), nil
	}
	onto, err := s.rebaseTarget(ctx, caller, c, p, "")
	if err != nil && fault.KindOf(err) == fault.Internal {
		return nil, err
	}
	if err == nil && onto == p.Parents[0] {
		err = fault.New(fault.Conflict, "Change is already up to date.")
	}
	return err, nil
}
