package review

import (
	"context"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// AddReviewers adds accounts to a change, or moves them between reviewer and
// CC, and returns their entries.
func (s *Service) AddReviewers(ctx context.Context, caller *Account, number int64, in ...ReviewerInput) ([]ReviewerEntry, error) {
	if err := registered(caller); err != nil {
		return nil, err
	}
	var entries []ReviewerEntry
	err := s.write(ctx, func(t *tx) error {
		c, err := visibleChange(ctx, t, caller, number)
		if err != nil {
			return err
		}
		p, err := currentPatchSet(ctx, t, c)
		if err != nil {
			return err
		}
		for _, r := range in {
			a, err := findAccount(ctx, t, caller, r.Account)
			if err != nil {
				return err
			}
			if r.State == "" {
				r.State = Reviewer
			}
			entry, err := s.putReviewer(ctx, t, caller, c, p, *a, r.State)
			if err != nil {
				return err
			}
			entries = append(entries, entry)
		}
		return nil
	})
	return entries, err
}

// RemoveReviewer takes an account and its votes off a change: the account
// itself may, the owner and administrators.
func (s *Service) RemoveReviewer(ctx context.Context, caller *Account, number, account int64) error {
	if err := registered(caller); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		c, err := visibleChange(ctx, t, caller, number)
		if err != nil {
			return err
		}
		p, err := currentPatchSet(ctx, t, c)
		if err != nil {
			return err
		}
		return s.dropReviewer(ctx, t, caller, c, p, account)
	})
}

// changeReviewer carries out a reviewer input of a review.
func (s *Service) changeReviewer(ctx context.Context, t *tx, caller *Account, c *Change, p *PatchSet, in ReviewerInput) error {
	a, err := findAccount(ctx, t, caller, in.Account)
	if err != nil {
		return err
	}
	switch in.State {
	case Removed:
		return s.dropReviewer(ctx, t, caller, c, p, a.ID)
	case Reviewer, CC, "":
	default:
		return fault.New(fault.BadRequest, "state must be REVIEWER, CC or REMOVED, not %q", in.State)
	}
	if in.State == "" {
		in.State = Reviewer
	}
	_, err = s.putReviewer(ctx, t, caller, c, p, *a, in.State)
	return err
}

// putReviewer puts an account on the list and announces it if it is new there.
func (s *Service) putReviewer(ctx context.Context, t *tx, by *Account, c *Change, p *PatchSet, a Account, state ReviewerState) (ReviewerEntry, error) {
	entry := ReviewerEntry{Change: c.Number, Account: a, State: state, Added: t.at}
	if !a.Active {
		return entry, fault.New(fault.BadRequest, "Account '%s' is inactive", a.Name())
	}
	known, err := selectReviewers(ctx, t, `WHERE change = $1 AND account = $2`, c.Number, a.ID)
	if err != nil || len(known) > 0 && known[0].State == state {
		return entry, err
	}
	err = t.exec(ctx, "put reviewer", `INSERT INTO reviewers (change, account, state, added) VALUES ($1, $2, $3, $4)
		ON CONFLICT (change, account) DO UPDATE SET state = excluded.state`, c.Number, a.ID, state, micros(t.at))
	if err != nil || state != Reviewer {
		return entry, err
	}
	return entry, s.announceChange(ctx, t, c, p, announcement{Type: "reviewer-added", Reviewer: a.Attribute(), Adder: by.Attribute()})
}

func (s *Service) dropReviewer(ctx context.Context, t *tx, by *Account, c *Change, p *PatchSet, account int64) error {
	if by.ID != account && mayEdit(by, c, "") != nil {
		return fault.New(fault.Forbidden, "remove reviewer not permitted")
	}
	known, err := selectReviewers(ctx, t, `WHERE change = $1 AND account = $2`, c.Number, account)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		return fault.New(fault.NotFound, "Not found: %d", account)
	}
	if err := t.exec(ctx, "drop votes", `DELETE FROM votes WHERE change = $1 AND patch_set = $2 AND account = $3`,
		c.Number, c.PatchSet, account); err != nil {
		return err
	}
	if err := t.exec(ctx, "drop reviewer", `DELETE FROM reviewers WHERE change = $1 AND account = $2`, c.Number, account); err != nil {
		return err
	}
	text := fmt.Sprintf("Removed reviewer %s.", known[0].Account.Name())
	if err := addMessage(ctx, t, c, by, "", text); err != nil {
		return err
	}
	return s.announceChange(ctx, t, c, p, announcement{Type: "reviewer-deleted", Reviewer: known[0].Account.Attribute(),
		Remover: by.Attribute(), Comment: text})
}
