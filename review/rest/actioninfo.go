package rest

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/review"
)

// actionInfo is Gerrit's ActionInfo: a call that a client may offer.
type actionInfo struct {
	Method  string `json:"method"`
	Label   string `json:"label"`
	Title   string `json:"title,omitempty"`
	Enabled bool   `json:"enabled,omitempty"`
}

func action(label string, a review.Action) actionInfo {
	return actionInfo{Method: http.MethodPost, Label: label, Title: a.Reason, Enabled: a.Enabled}
}

func (s *Server) describeActions(c *call, info *changeInfo, d *review.Detail, o options) error {
	if !o["CHANGE_ACTIONS"] {
		return nil
	}
	actions, err := s.service.Actions(c.ctx(), c.caller, &d.Change)
	if err != nil {
		return err
	}
	info.Actions = changeActions(actions)
	return nil
}

func changeActions(a review.Actions) map[string]actionInfo {
	out := map[string]actionInfo{}
	if a.Abandon.Enabled {
		out["abandon"] = action("Abandon", a.Abandon)
	}
	if a.Restore.Enabled {
		out["restore"] = action("Restore", a.Restore)
	}
	return out
}

// revisionActions keeps a submission that is not possible yet: clients show
// it, greyed out, with its reason.
func revisionActions(a review.Actions) map[string]actionInfo {
	out := map[string]actionInfo{"submit": action("Submit", a.Submit)}
	if a.Rebase.Enabled {
		out["rebase"] = action("Rebase", a.Rebase)
	}
	return out
}
