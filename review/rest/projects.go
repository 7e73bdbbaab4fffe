package rest

import (
	"net/url"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) projectRoutes() {
	s.handle("GET /projects", s.listProjects)
	s.handle("PUT /projects/{project}", s.putProject)
	s.project("GET /projects/{project}", func(_ *call, p *review.Project) (any, error) { return s.describeProject(p), nil })
	s.project("GET /projects/{project}/description", func(_ *call, p *review.Project) (any, error) { return p.Description, nil })
	s.project("PUT /projects/{project}/description", s.putDescription)
	s.project("DELETE /projects/{project}/description", s.deleteDescription)
	s.project("GET /projects/{project}/parent", func(_ *call, p *review.Project) (any, error) { return p.Parent, nil })
	s.project("GET /projects/{project}/HEAD", s.getHead)
	s.project("PUT /projects/{project}/HEAD", s.putHead)
	s.project("GET /projects/{project}/config", s.getConfig)
	s.project("GET /projects/{project}/labels", s.listLabels)
	s.branchRoutes()
}

// project registers a route below a project, which the handler is given.
func (s *Server) project(pattern string, h func(c *call, p *review.Project) (any, error)) {
	s.handle(pattern, func(c *call) (any, error) {
		project, err := s.service.Project(c.ctx(), c.caller, c.arg("project"))
		if err != nil {
			return nil, err
		}
		return h(c, project)
	})
}

// projectInfo is Gerrit's ProjectInfo. A list, which is keyed by name, has no
// names in it.
type projectInfo struct {
	ID          string            `json:"id"`
	Name        string            `json:"name,omitempty"`
	Parent      string            `json:"parent,omitempty"`
	Description string            `json:"description,omitempty"`
	State       string            `json:"state"`
	Branches    map[string]string `json:"branches,omitempty"`
	WebLinks    []struct{}        `json:"web_links,omitempty"`
}

func (s *Server) describeProject(p *review.Project) projectInfo {
	return projectInfo{
		ID: url.QueryEscape(p.Name), Name: p.Name, Parent: p.Parent, Description: p.Description, State: "ACTIVE",
	}
}

func (s *Server) listProjects(c *call) (any, error) {
	query := c.r.URL.Query()
	filter := review.ProjectFilter{Prefix: query.Get("p"), Substring: query.Get("m"), Regex: query.Get("r")}
	var err error
	if filter.Limit, err = c.number("n", "limit"); err != nil {
		return nil, err
	}
	if filter.Start, err = c.number("S", "start"); err != nil {
		return nil, err
	}
	projects, err := s.service.Projects(c.ctx(), c.caller, filter)
	if err != nil {
		return nil, err
	}
	infos := map[string]projectInfo{}
	for i := range projects {
		info := s.describeProject(&projects[i])
		info.Name = ""
		if !c.has("d") {
			info.Description = ""
		}
		if !c.has("t") {
			info.Parent = ""
		}
		if err := s.addBranches(c, &info, projects[i].Name, query["b"]); err != nil {
			return nil, err
		}
		infos[projects[i].Name] = info
	}
	return infos, nil
}

// addBranches adds the tips of the branches that are asked for by b=.
func (s *Server) addBranches(c *call, info *projectInfo, project string, names []string) error {
	for _, name := range names {
		branch, err := s.service.Branch(c.ctx(), c.caller, project, name)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Branches == nil {
			info.Branches = map[string]string{}
		}
		info.Branches[name] = branch.Revision
	}
	return nil
}

func (s *Server) putProject(c *call) (any, error) {
	if _, err := c.needCaller(); err != nil {
		return nil, err
	}
	var input struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Parent      string   `json:"parent"`
		SubmitType  string   `json:"submit_type"`
		Branches    []string `json:"branches"`
		EmptyCommit bool     `json:"create_empty_commit"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	name := c.arg("project")
	if input.Name != "" && input.Name != name {
		return nil, fault.New(fault.BadRequest, "name must match URL")
	}
	project, err := s.service.CreateProject(c.ctx(), c.caller, review.NewProject{
		Name: name, Description: input.Description, Parent: input.Parent, SubmitType: input.SubmitType,
		Branches: input.Branches, EmptyCommit: input.EmptyCommit,
	})
	if err != nil {
		return nil, c.onlyCreate(err)
	}
	return created{s.describeProject(project)}, nil
}

func (s *Server) putDescription(c *call, p *review.Project) (any, error) {
	var input struct {
		Description string `json:"description"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	if err := s.service.SetDescription(c.ctx(), c.caller, p.Name, input.Description); err != nil {
		return nil, err
	}
	if input.Description == "" {
		return noContent{}, nil
	}
	return input.Description, nil
}

func (s *Server) deleteDescription(c *call, p *review.Project) (any, error) {
	return noContent{}, s.service.SetDescription(c.ctx(), c.caller, p.Name, "")
}

func (s *Server) getHead(c *call, p *review.Project) (any, error) {
	return s.service.Head(c.ctx(), c.caller, p.Name)
}

func (s *Server) putHead(c *call, p *review.Project) (any, error) {
	var input struct {
		Ref string `json:"ref"`
	}
	if err := c.read(&input); err != nil {
		return nil, err
	}
	ref := input.Ref
	if !strings.HasPrefix(ref, "refs/") {
		ref = "refs/heads/" + ref
	}
	if err := s.service.SetHead(c.ctx(), c.caller, p.Name, ref); err != nil {
		return nil, err
	}
	return ref, nil
}

type inherited struct {
	Value      bool   `json:"value"`
	Configured string `json:"configured_value"`
	Inherited  bool   `json:"inherited_value"`
}

// getConfig tells what clients look for in a project's configuration.
func (s *Server) getConfig(_ *call, p *review.Project) (any, error) {
	no := inherited{Configured: "INHERIT"}
	return map[string]any{
		"description":                p.Description,
		"submit_type":                p.SubmitType,
		"state":                      "ACTIVE",
		"use_contributor_agreements": no, "use_signed_off_by": no, "create_new_change_for_all_not_in_target": no,
		"require_change_id":   inherited{Value: true, Configured: "TRUE"},
		"default_submit_type": map[string]string{"value": p.SubmitType, "configured_value": p.SubmitType, "inherited_value": "MERGE_IF_NECESSARY"},
		"commentlinks":        map[string]any{}, "plugin_config": map[string]any{}, "actions": map[string]any{},
	}, nil
}

type labelDefinition struct {
	Name          string            `json:"name"`
	ProjectName   string            `json:"project_name"`
	Function      string            `json:"function"`
	Values        map[string]string `json:"values"`
	DefaultValue  int               `json:"default_value"`
	CopyCondition string            `json:"copy_condition,omitempty"`
	CanOverride   bool              `json:"can_override"`
}

// listLabels describes the labels. None has a function of its own: what a
// submission needs is said by the submit requirements.
func (s *Server) listLabels(c *call, p *review.Project) (any, error) {
	labels := s.service.Labels(p.Name)
	infos := make([]labelDefinition, len(labels))
	for i, label := range labels {
		infos[i] = labelDefinition{
			Name: label.Name, ProjectName: "All-Projects", Function: "NoBlock", Values: map[string]string{},
			CopyCondition: label.CopyCondition(),
		}
		for _, value := range label.Values {
			infos[i].Values[signed(value.Value)] = value.Text
		}
	}
	return infos, nil
}
