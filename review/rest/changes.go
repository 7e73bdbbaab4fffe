package rest

import (
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) changeRoutes() {
	s.handle("GET /changes", s.listChanges)
	s.change("GET /changes/{id}", s.getChange)
	s.change("GET /changes/{id}/detail", s.getDetail)
	s.change("GET /changes/{id}/messages", s.listMessages)
	s.change("GET /changes/{id}/topic", s.getTopic)
	s.change("PUT /changes/{id}/topic", s.putTopic)
	s.change("DELETE /changes/{id}/topic", s.deleteTopic)
	s.change("GET /changes/{id}/hashtags", s.getHashtags)
	s.change("POST /changes/{id}/hashtags", s.postHashtags)
	s.change("POST /changes/{id}/abandon", s.abandon)
	s.change("POST /changes/{id}/restore", s.restore)
	s.change("POST /changes/{id}/rebase", s.rebase)
	s.change("POST /changes/{id}/submit", s.submit)
	s.change("POST /changes/{id}/ready", s.setWIP(false))
	s.change("POST /changes/{id}/wip", s.setWIP(true))
	s.change("POST /changes/{id}/private", s.setPrivate(true))
	s.change("DELETE /changes/{id}/private", s.setPrivate(false))
	s.change("GET /changes/{id}/submitted_together", s.submittedTogether)
	s.change("GET /changes/{id}/message", s.getCommitMessage)
	s.change("PUT /changes/{id}/message", s.putCommitMessage)
	s.change("GET /changes/{id}/edit", func(*call, *review.Change) (any, error) { return noContent{}, nil })
	s.change("GET /changes/{id}/check", s.getChange)
	s.change("POST /changes/{id}/index", func(*call, *review.Change) (any, error) { return noContent{}, nil })
	s.reviewerRoutes()
	s.commentRoutes()
}

// change registers a route below a change, which the handler is given.
func (s *Server) change(pattern string, h func(c *call, change *review.Change) (any, error)) {
	s.handle(pattern, func(c *call) (any, error) {
		change, err := s.service.FindChange(c.ctx(), c.caller, c.segments[1])
		if err != nil {
			return nil, err
		}
		return h(c, change)
	})
}

// listChanges answers one query with a list, several with a list of lists.
func (s *Server) listChanges(c *call) (any, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	queries := c.r.URL.Query()["q"]
	if len(queries) == 0 {
		queries = []string{"status:open"}
	}
	lists := make([][]*changeInfo, len(queries))
	for i, text := range queries {
		if lists[i], err = s.search(c, text, o); err != nil {
			return nil, err
		}
	}
	if len(lists) == 1 {
		return lists[0], nil
	}
	return lists, nil
}

func (s *Server) search(c *call, text string, o options) ([]*changeInfo, error) {
	query, err := s.compile(c.ctx(), c.caller, text)
	if err != nil {
		return nil, err
	}
	limit, err := c.number("n", "limit")
	if err != nil {
		return nil, err
	}
	if query.Limit == 0 || limit > 0 && limit < query.Limit {
		query.Limit = limit
	}
	if query.Start, err = c.number("S", "start"); err != nil {
		return nil, err
	}
	changes, more, err := s.service.Search(c.ctx(), c.caller, query)
	if err != nil {
		return nil, err
	}
	infos, err := s.infos(c, changes, o)
	if err != nil {
		return nil, err
	}
	if more && len(infos) > 0 {
		infos[len(infos)-1].MoreChanges = true
	}
	return infos, nil
}

func (s *Server) getChange(c *call, change *review.Change) (any, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	return s.one(c, change, o)
}

func (s *Server) getDetail(c *call, change *review.Change) (any, error) {
	o, err := c.options("LABELS", "DETAILED_LABELS", "DETAILED_ACCOUNTS", "MESSAGES", "SUBMITTABLE", "SUBMIT_REQUIREMENTS")
	if err != nil {
		return nil, err
	}
	return s.one(c, change, o)
}

// again answers with a change as it is now.
func (s *Server) again(c *call, number int64) (any, error) {
	change, err := s.service.Change(c.ctx(), c.caller, number)
	if err != nil {
		return nil, err
	}
	return s.getChange(c, change)
}

func (s *Server) listMessages(c *call, change *review.Change) (any, error) {
	d, err := s.service.Detail(c.ctx(), change, review.WantMessages)
	if err != nil {
		return nil, err
	}
	return messages(d.Messages, true), nil
}

func (s *Server) getTopic(_ *call, change *review.Change) (any, error) { return change.Topic, nil }

func (s *Server) putTopic(c *call, change *review.Change) (any, error) {
	var input struct {
		Topic string `json:"topic"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if _, err := s.service.SetTopic(c.ctx(), c.caller, change.Number, input.Topic); err != nil {
		return nil, err
	}
	if input.Topic == "" {
		return noContent{}, nil
	}
	return input.Topic, nil
}

func (s *Server) deleteTopic(c *call, change *review.Change) (any, error) {
	_, err := s.service.SetTopic(c.ctx(), c.caller, change.Number, "")
	return noContent{}, err
}

func (s *Server) getHashtags(_ *call, change *review.Change) (any, error) {
	return orEmpty(change.Hashtags), nil
}

func (s *Server) postHashtags(c *call, change *review.Change) (any, error) {
	var input struct {
		Add    []string `json:"add"`
		Remove []string `json:"remove"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	tags, err := s.service.SetHashtags(c.ctx(), c.caller, change.Number, input.Add, input.Remove)
	return orEmpty(tags), err
}

// messageInput is the body of a call that takes words with it.
type messageInput struct {
	Message string `json:"message"`
}

func (s *Server) abandon(c *call, change *review.Change) (any, error) {
	var input messageInput
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if _, err := s.service.Abandon(c.ctx(), c.caller, change.Number, input.Message); err != nil {
		return nil, err
	}
	return s.again(c, change.Number)
}

func (s *Server) restore(c *call, change *review.Change) (any, error) {
	var input messageInput
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if _, err := s.service.Restore(c.ctx(), c.caller, change.Number, input.Message); err != nil {
		return nil, err
	}
	return s.again(c, change.Number)
}

func (s *Server) rebase(c *call, change *review.Change) (any, error) {
	var input struct {
		Base *string `json:"base"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	base := ""
	if input.Base != nil {
		base = *input.Base
	}
	if _, err := s.service.Rebase(c.ctx(), c.caller, change.Number, base); err != nil {
		return nil, err
	}
	return s.again(c, change.Number)
}

func (s *Server) submit(c *call, change *review.Change) (any, error) {
	if err := c.read(&struct{}{}); err != nil {
		return nil, err
	}
	if _, err := s.service.Submit(c.ctx(), c.caller, change.Number); err != nil {
		return nil, err
	}
	return s.again(c, change.Number)
}

func (s *Server) setWIP(wip bool) func(*call, *review.Change) (any, error) {
	return func(c *call, change *review.Change) (any, error) {
		var input messageInput
		if err := c.read(&input); err != nil {
			return nil, err
		}
		_, err := s.service.SetWIP(c.ctx(), c.caller, change.Number, wip, input.Message)
		return "", err
	}
}

func (s *Server) setPrivate(private bool) func(*call, *review.Change) (any, error) {
	return func(c *call, change *review.Change) (any, error) {
		var input messageInput
		if err := c.read(&input); err != nil {
			return nil, err
		}
		if _, err := s.service.SetPrivate(c.ctx(), c.caller, change.Number, private, input.Message); err != nil {
			return nil, err
		}
		if private {
			return created{""}, nil
		}
		return noContent{}, nil
	}
}

func (s *Server) submittedTogether(c *call, change *review.Change) (any, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	changes, err := s.service.SubmittedTogether(c.ctx(), c.caller, change)
	if err != nil {
		return nil, err
	}
	infos, err := s.infos(c, changes, o)
	if err != nil {
		return nil, err
	}
	if o["NON_VISIBLE_CHANGES"] {
		return map[string]any{"changes": infos, "non_visible_changes": 0}, nil
	}
	return infos, nil
}

func (s *Server) getCommitMessage(c *call, change *review.Change) (any, error) {
	ps, err := s.service.PatchSet(c.ctx(), c.caller, change.Number, "current")
	if err != nil {
		return nil, err
	}
	return map[string]string{"subject": subject(ps.Message), "full_message": ps.Message}, nil
}

func (s *Server) putCommitMessage(c *call, change *review.Change) (any, error) {
	var input messageInput
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if _, err := s.service.SetMessage(c.ctx(), c.caller, change.Number, input.Message); err != nil {
		return nil, err
	}
	return content{mediaType: "text/plain; charset=UTF-8", bytes: []byte("ok")}, nil
}
