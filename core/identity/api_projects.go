package identity

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) projectRoutes() {
	a.handle("GET /v3/projects", "list_projects", reader, a.listProjects)
	a.handle("POST /v3/projects", "create_project", admin, a.createProject)
	a.handle("GET /v3/projects/{project}", "get_project", inProject, a.showProject)
	a.handle("PATCH /v3/projects/{project}", "update_project", admin, a.updateProject)
	a.handle("DELETE /v3/projects/{project}", "delete_project", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.DeleteProject(r.Context(), r.PathValue("project")))
	})
	a.tagRoutes()
}

func projectBody(r *http.Request, p Project) object {
	body := object{
		"id": p.ID, "name": p.Name, "description": p.Description, "enabled": p.Enabled,
		"is_domain": p.IsDomain, "domain_id": p.DomainID, "parent_id": p.ParentID,
		"tags": tags(p), "options": withExtra(object{}, p.Options), "links": selfLink(r, "/projects/"+p.ID),
	}
	if p.IsDomain {
		body["domain_id"], body["parent_id"] = nil, nil
	}
	return withExtra(body, p.Extra)
}

// applyProject takes the members that may be set and changed.
func applyProject(m *members, p *Project) error {
	m.text("name", &p.Name)
	m.textOrNull("description", &p.Description)
	m.flag("enabled", &p.Enabled)
	m.take("tags", "array", &p.Tags)
	m.options(&p.Options, resourceOptions)
	p.Extra = m.rest(p.Extra)
	return m.err()
}

func (a *api) listProjects(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	projects, err := a.s.Projects(r.Context(), ProjectFilter{
		Name: query.Get("name"), DomainID: query.Get("domain_id"), ParentID: query.Get("parent_id"), IsDomain: asks(r, "is_domain"),
	})
	if err != nil {
		return err
	}
	projects = slices.DeleteFunc(projects, func(p Project) bool { return !taggedAs(r, p.Tags) })
	return writeList(w, r, "projects", bodies(r, projects, projectBody), "name", "domain_id", "parent_id", "enabled")
}

// taggedAs applies the query's filters on tags: tags (all of), tags-any, and
// their opposites.
func taggedAs(r *http.Request, tags []string) bool {
	has := func(tag string) bool { return slices.Contains(tags, tag) }
	for name, values := range r.URL.Query() {
		wanted := strings.Split(strings.Join(values, ","), ",")
		missing := slices.IndexFunc(wanted, func(tag string) bool { return !has(tag) }) >= 0
		ok := true
		switch name {
		case "tags":
			ok = !missing
		case "tags-any":
			ok = slices.ContainsFunc(wanted, has)
		case "not-tags":
			ok = missing
		case "not-tags-any":
			ok = !slices.ContainsFunc(wanted, has)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (a *api) createProject(w http.ResponseWriter, r *http.Request) error {
	m, err := readMembers(w, r, "project")
	if err != nil {
		return err
	}
	p := Project{Enabled: true}
	m.requiredText("name", &p.Name)
	m.textOrNull("domain_id", &p.DomainID)
	m.textOrNull("parent_id", &p.ParentID)
	m.flag("is_domain", &p.IsDomain)
	if err := applyProject(m, &p); err != nil {
		return err
	}
	if !p.IsDomain && p.DomainID == "" && p.ParentID == "" {
		p.DomainID = ownDomain(r)
	}
	p, err = a.s.CreateProject(r.Context(), p)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, object{"project": projectBody(r, p)})
}

// ownDomain is where a resource goes of which no domain was said: the domain
// that the caller's token is about.
func ownDomain(r *http.Request) string {
	caller := httpapi.CallerFrom(r.Context())
	for _, id := range []string{caller.DomainID, caller.ProjectDomainID} {
		if id != "" {
			return id
		}
	}
	return DefaultDomainID
}

func (a *api) showProject(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("project")
	p, err := a.s.Project(r.Context(), id)
	if err != nil {
		return err
	}
	body := projectBody(r, p)
	if err := a.addFamily(r, id, body); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"project": body})
}

// addFamily adds what the query asks for of the projects above and below.
func (a *api) addFamily(r *http.Request, id string, body object) error {
	query := r.URL.Query()
	if query.Has("parents_as_list") || query.Has("parents_as_ids") {
		parents, err := a.s.Parents(r.Context(), id)
		if err != nil {
			return err
		}
		if query.Has("parents_as_list") {
			body["parents"] = bodies(r, parents, wrapped)
		} else {
			var above object
			for _, p := range slices.Backward(parents) {
				above = object{p.ID: above}
			}
			body["parents"] = above
		}
	}
	if query.Has("subtree_as_list") || query.Has("subtree_as_ids") {
		below, err := a.s.Subtree(r.Context(), id)
		if err != nil {
			return err
		}
		if query.Has("subtree_as_list") {
			body["subtree"] = bodies(r, below, wrapped)
		} else {
			body["subtree"] = idTree(below, id)
		}
	}
	return nil
}

func wrapped(r *http.Request, p Project) object { return object{"project": projectBody(r, p)} }

// idTree nests the ids of the projects below one; nil if there are none.
func idTree(projects []Project, parent string) object {
	var tree object
	for _, p := range projects {
		if p.ParentID != parent {
			continue
		}
		if tree == nil {
			tree = object{}
		}
		tree[p.ID] = idTree(projects, p.ID)
	}
	return tree
}

func (a *api) updateProject(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("project")
	m, err := readMembers(w, r, "project")
	if err != nil {
		return err
	}
	p, err := a.s.UpdateProject(r.Context(), id, func(p *Project) error {
		m.fixed("id", id)
		m.fixed("domain_id", p.DomainID)
		m.fixed("parent_id", p.ParentID)
		isDomain := p.IsDomain
		m.flag("is_domain", &isDomain)
		if isDomain != p.IsDomain {
			return fault.New(fault.BadRequest, "Cannot change is_domain.")
		}
		return applyProject(m, p)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"project": projectBody(r, p)})
}
