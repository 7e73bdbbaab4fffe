package rest

import (
	"encoding/base64"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) revisionRoutes() {
	s.onRevision("GET /changes/{id}/revisions/{rev}/commit", s.getCommit)
	s.onRevision("GET /changes/{id}/revisions/{rev}/review", s.getReview)
	s.onRevision("POST /changes/{id}/revisions/{rev}/review", s.postReview)
	s.onRevision("POST /changes/{id}/revisions/{rev}/submit", s.submitRevision)
	s.onRevision("POST /changes/{id}/revisions/{rev}/rebase", func(c *call, r revision) (any, error) { return s.rebase(c, r.change) })
	s.onRevision("GET /changes/{id}/revisions/{rev}/related", s.getRelated)
	s.onRevision("GET /changes/{id}/revisions/{rev}/actions", s.getActions)
	s.onRevision("GET /changes/{id}/revisions/{rev}/mergeable", s.getMergeable)
	s.onRevision("GET /changes/{id}/revisions/{rev}/submit_type", s.getSubmitType)
	s.onRevision("GET /changes/{id}/revisions/{rev}/patch", s.getPatch)
	s.fileRoutes()
}

// revision is a patch set and the change it belongs to.
type revision struct {
	change   *review.Change
	patchSet *review.PatchSet
}

// current reports whether the revision is the change's latest.
func (r revision) current() bool { return r.patchSet.Number == r.change.PatchSet }

// onRevision registers a route below a revision, which the handler is given.
func (s *Server) onRevision(pattern string, h func(c *call, r revision) (any, error)) {
	s.change(pattern, func(c *call, change *review.Change) (any, error) {
		ps, err := s.service.PatchSet(c.ctx(), c.caller, change.Number, c.arg("rev"))
		if err != nil {
			return nil, err
		}
		return h(c, revision{change, ps})
	})
}

func (s *Server) getCommit(_ *call, r revision) (any, error) { return commit(r.patchSet), nil }

func (s *Server) getReview(c *call, r revision) (any, error) {
	o, err := c.options("LABELS", "DETAILED_LABELS", "DETAILED_ACCOUNTS", "ALL_REVISIONS", "ALL_COMMITS")
	if err != nil {
		return nil, err
	}
	info, err := s.one(c, r.change, o)
	if err != nil {
		return nil, err
	}
	info.Revisions = map[string]*revisionInfo{r.patchSet.Revision: info.Revisions[r.patchSet.Revision]}
	return info, nil
}

func (s *Server) submitRevision(c *call, r revision) (any, error) {
	if !r.current() {
		return nil, fault.New(fault.Conflict, "revision %s is not current revision", r.patchSet.Revision)
	}
	return s.submit(c, r.change)
}

type relatedInfo struct {
	Project         string        `json:"project"`
	ChangeID        string        `json:"change_id,omitempty"`
	Commit          commitInfo    `json:"commit"`
	Number          int64         `json:"_change_number,omitempty"`
	Revision        int           `json:"_revision_number,omitempty"`
	CurrentRevision int           `json:"_current_revision_number,omitempty"`
	Status          review.Status `json:"status,omitempty"`
	Submittable     bool          `json:"submittable,omitempty"`
}

func (s *Server) getRelated(c *call, r revision) (any, error) {
	list, err := s.service.Related(c.ctx(), c.caller, r.change, r.patchSet)
	if err != nil {
		return nil, err
	}
	infos := make([]relatedInfo, len(list))
	for i, related := range list {
		infos[i] = relatedInfo{
			Project: related.Change.Project, ChangeID: related.Change.ID, Number: related.Change.Number,
			Revision: related.PatchSet.Number, CurrentRevision: related.Change.PatchSet, Status: related.Change.Status,
			Commit: commitInfo{Commit: related.PatchSet.Revision, Author: person(related.PatchSet.Author), Subject: subject(related.PatchSet.Message)},
		}
		for _, parent := range related.PatchSet.Parents {
			infos[i].Commit.Parents = append(infos[i].Commit.Parents, commitInfo{Commit: parent})
		}
	}
	return map[string][]relatedInfo{"changes": infos}, nil
}

func (s *Server) getActions(c *call, r revision) (any, error) {
	if !r.current() {
		return map[string]actionInfo{}, nil
	}
	actions, err := s.service.Actions(c.ctx(), c.caller, r.change)
	if err != nil {
		return nil, err
	}
	return revisionActions(actions), nil
}

type mergeableInfo struct {
	SubmitType string `json:"submit_type"`
	Strategy   string `json:"strategy"`
	Mergeable  bool   `json:"mergeable"`
}

func (s *Server) getMergeable(c *call, r revision) (any, error) {
	if !r.change.Open() {
		return nil, fault.New(fault.Conflict, "change is %s", strings.ToLower(string(r.change.Status)))
	}
	mergeable, err := s.service.Mergeable(c.ctx(), r.change, r.patchSet)
	if err != nil {
		return nil, err
	}
	project, err := s.service.Project(c.ctx(), c.caller, r.change.Project)
	if err != nil {
		return nil, err
	}
	return mergeableInfo{SubmitType: project.SubmitType, Strategy: "recursive", Mergeable: mergeable}, nil
}

func (s *Server) getSubmitType(c *call, r revision) (any, error) {
	project, err := s.service.Project(c.ctx(), c.caller, r.change.Project)
	if err != nil {
		return nil, err
	}
	return project.SubmitType, nil
}

func (s *Server) getPatch(c *call, r revision) (any, error) {
	patch, err := s.service.Patch(c.ctx(), r.change.Project, r.patchSet)
	if err != nil {
		return nil, err
	}
	name := r.patchSet.Revision[:7] + ".diff"
	if c.has("download") {
		c.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.base64"`)
	}
	if c.has("raw") {
		return content{"text/plain; charset=UTF-8", patch}, nil
	}
	return content{"application/mbox", []byte(base64.StdEncoding.EncodeToString(patch))}, nil
}
