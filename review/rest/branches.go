package rest

import (
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) branchRoutes() {
	s.project("GET /projects/{project}/branches", s.listBranches)
	s.project("GET /projects/{project}/branches/{branch}", s.getBranch)
	s.project("PUT /projects/{project}/branches/{branch}", s.putBranch)
	s.project("DELETE /projects/{project}/branches/{branch}", s.deleteBranch)
	s.project("POST /projects/{project}/branches/{branch}/delete", s.deleteBranch)
	s.project("GET /projects/{project}/tags", s.listTags)
	s.project("GET /projects/{project}/tags/{tag}", s.getTag)
}

// refInfo is Gerrit's BranchInfo and TagInfo.
type refInfo struct {
	Ref       string `json:"ref"`
	Revision  string `json:"revision"`
	CanDelete bool   `json:"can_delete,omitempty"`
}

func refInfos(list []review.Branch, m string) []refInfo {
	infos := []refInfo{}
	for _, b := range list {
		if strings.Contains(strings.ToLower(b.Name()), strings.ToLower(m)) {
			infos = append(infos, refInfo{Ref: b.Ref, Revision: b.Revision})
		}
	}
	return infos
}

// listBranches begins with HEAD, whose revision is the branch's name.
func (s *Server) listBranches(c *call, p *review.Project) (any, error) {
	branches, err := s.service.Branches(c.ctx(), c.caller, p.Name)
	if err != nil {
		return nil, err
	}
	head, err := s.service.Head(c.ctx(), c.caller, p.Name)
	if err != nil {
		return nil, err
	}
	all := append([]review.Branch{{Ref: "HEAD", Revision: strings.TrimPrefix(head, "refs/heads/")}}, branches...)
	return s.page(c, refInfos(all, c.r.URL.Query().Get("m")))
}

// page cuts a list as n= and S= ask for.
func (s *Server) page(c *call, list []refInfo) (any, error) {
	start, err := c.number("S", "start")
	if err != nil {
		return nil, err
	}
	limit, err := c.number("n", "limit")
	if err != nil {
		return nil, err
	}
	list = list[min(start, len(list)):]
	if limit > 0 {
		list = list[:min(limit, len(list))]
	}
	return list, nil
}

func (s *Server) getBranch(c *call, p *review.Project) (any, error) {
	if c.arg("branch") == "HEAD" {
		head, err := s.service.Head(c.ctx(), c.caller, p.Name)
		return refInfo{Ref: "HEAD", Revision: strings.TrimPrefix(head, "refs/heads/")}, err
	}
	branch, err := s.service.Branch(c.ctx(), c.caller, p.Name, c.arg("branch"))
	if err != nil {
		return nil, err
	}
	return refInfo{Ref: branch.Ref, Revision: branch.Revision}, nil
}

func (s *Server) putBranch(c *call, p *review.Project) (any, error) {
	var input struct {
		Ref      string `json:"ref"`
		Revision string `json:"revision"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(c.arg("branch"), "refs/heads/")
	if input.Ref != "" && strings.TrimPrefix(input.Ref, "refs/heads/") != name {
		return nil, fault.New(fault.BadRequest, "ref must match URL")
	}
	branch, err := s.service.CreateBranch(c.ctx(), c.caller, p.Name, name, input.Revision)
	if err != nil {
		return nil, c.onlyCreate(err)
	}
	return created{refInfo{Ref: branch.Ref, Revision: branch.Revision, CanDelete: true}}, nil
}

func (s *Server) deleteBranch(c *call, p *review.Project) (any, error) {
	return noContent{}, s.service.DeleteBranch(c.ctx(), c.caller, p.Name, strings.TrimPrefix(c.arg("branch"), "refs/heads/"))
}

func (s *Server) listTags(c *call, p *review.Project) (any, error) {
	tags, err := s.service.Tags(c.ctx(), c.caller, p.Name)
	if err != nil {
		return nil, err
	}
	return s.page(c, refInfos(tags, c.r.URL.Query().Get("m")))
}

func (s *Server) getTag(c *call, p *review.Project) (any, error) {
	tags, err := s.service.Tags(c.ctx(), c.caller, p.Name)
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		if tag.Name() == strings.TrimPrefix(c.arg("tag"), "refs/tags/") {
			return refInfo{Ref: tag.Ref, Revision: tag.Revision}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "Not found: %s", c.arg("tag"))
}
