package rest

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) starRoutes() {
	s.own("GET /accounts/{account}/starred.changes", s.listStars)
	s.own("PUT /accounts/{account}/starred.changes/{id}", s.setStar(true))
	s.own("DELETE /accounts/{account}/starred.changes/{id}", s.setStar(false))
}

// own registers a route that only the account itself may use.
func (s *Server) own(pattern string, h func(c *call) (any, error)) {
	s.account(pattern, func(c *call, a *review.Account) (any, error) {
		caller, err := c.needCaller()
		if err != nil {
			return nil, err
		}
		if caller.ID != a.ID {
			return nil, fault.New(fault.Forbidden, "not allowed to see or change stars of another account")
		}
		return h(c)
	})
}

func (s *Server) listStars(c *call) (any, error) {
	query, err := s.compile(c.ctx(), c.caller, "is:starred")
	if err != nil {
		return nil, err
	}
	changes, _, err := s.service.Search(c.ctx(), c.caller, query)
	if err != nil {
		return nil, err
	}
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	return s.infos(c, changes, o)
}

func (s *Server) setStar(starred bool) func(c *call) (any, error) {
	return func(c *call) (any, error) {
		change, err := s.service.FindChange(c.ctx(), c.caller, c.segments[3])
		if err != nil {
			return nil, err
		}
		return noContent{}, s.service.SetStar(c.ctx(), c.caller, change.Number, starred)
	}
}

// groupInfo is Gerrit's GroupInfo. The groups are the site's own: they have no
// other id than their name.
type groupInfo struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Options struct{} `json:"options"`
}

func groupInfos(names []string) []groupInfo {
	infos := make([]groupInfo, len(names))
	for i, name := range names {
		infos[i] = groupInfo{ID: "global%3A" + strings.ReplaceAll(name, " ", "-"), Name: name}
	}
	return infos
}
