package identity

import (
	"context"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) assignmentRoutes() {
	for _, on := range []string{"/projects/{project}", "/domains/{domain}", "/system"} {
		for _, who := range []string{"/users/{user}", "/groups/{group}"} {
			list := on + who + "/roles"
			a.grantRoutes("/v3"+list, "/v3"+list+"/{role}", false)
			if on != "/system" {
				inherit := "/v3/OS-INHERIT" + list
				a.grantRoutes(inherit+"/inherited_to_projects", inherit+"/{role}/inherited_to_projects", true)
			}
		}
	}
	a.handle("GET /v3/role_assignments", "list_role_assignments", reader, a.listAssignments)
}

// grantRoutes registers the routes of one kind of assignment.
func (a *api) grantRoutes(list, one string, inherited bool) {
	named := func(r *http.Request) Assignment {
		return Assignment{
			UserID: r.PathValue("user"), GroupID: r.PathValue("group"),
			ProjectID: r.PathValue("project"), DomainID: r.PathValue("domain"),
			System: r.PathValue("project") == "" && r.PathValue("domain") == "",
			RoleID: r.PathValue("role"), Inherited: inherited,
		}
	}
	a.handle("GET "+list, "list_grants", reader, func(w http.ResponseWriter, r *http.Request) error {
		roles, err := a.s.RolesAssigned(r.Context(), named(r))
		if err != nil {
			return err
		}
		return writeList(w, r, "roles", bodies(r, roles, roleBody))
	})
	a.handle("GET "+one, "check_grant", reader, func(w http.ResponseWriter, r *http.Request) error { // and HEAD
		return noContent(w, a.s.Granted(r.Context(), named(r)))
	})
	a.handle("PUT "+one, "create_grant", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.Grant(r.Context(), named(r)))
	})
	a.handle("DELETE "+one, "revoke_grant", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.Revoke(r.Context(), named(r)))
	})
}

// assignmentFilter reads the query of a list of assignments.
func assignmentFilter(r *http.Request) (f Assignment, effective bool, err error) {
	query := r.URL.Query()
	f = Assignment{
		UserID: query.Get("user.id"), GroupID: query.Get("group.id"), RoleID: query.Get("role.id"),
		ProjectID: query.Get("scope.project.id"), DomainID: query.Get("scope.domain.id"),
		System: query.Has("scope.system"), Inherited: query.Get("scope.OS-INHERIT:inherited_to") == "projects",
	}
	effective = asks(r, "effective")
	targets := 0
	for _, set := range []bool{f.ProjectID != "", f.DomainID != "", f.System} {
		if set {
			targets++
		}
	}
	switch {
	case targets > 1:
		err = fault.New(fault.BadRequest, "Specify a domain or project or system, not more than one.")
	case f.UserID != "" && f.GroupID != "":
		err = fault.New(fault.BadRequest, "Specify a user or group, not both.")
	case effective && f.GroupID != "":
		err = fault.New(fault.BadRequest, "Combining effective and group filter will always result in an empty list.")
	}
	return f, effective, err
}

func (a *api) listAssignments(w http.ResponseWriter, r *http.Request) error {
	f, effective, err := assignmentFilter(r)
	if err != nil {
		return err
	}
	list := a.s.Assignments
	if effective {
		list = a.s.EffectiveAssignments
	}
	assignments, err := list(r.Context(), f)
	if err != nil {
		return err
	}
	if f.ProjectID != "" && asks(r, "include_subtree") {
		below, err := a.s.Subtree(r.Context(), f.ProjectID)
		if err != nil {
			return err
		}
		for _, p := range below {
			f.ProjectID = p.ID
			found, err := list(r.Context(), f)
			if err != nil {
				return err
			}
			assignments = append(assignments, found...)
		}
	}
	names := &namer{s: a.s, wanted: asks(r, "include_names"), seen: map[string]object{}}
	all := make([]object, 0, len(assignments))
	for _, one := range assignments {
		body, err := names.assignment(r, one)
		if err != nil {
			return err
		}
		all = append(all, body)
	}
	return writeList(w, r, "role_assignments", all)
}

// namer renders assignments, with the names of what they are about if wanted.
type namer struct {
	s      *Service
	wanted bool
	seen   map[string]object // by id
}

func (n *namer) assignment(r *http.Request, a Assignment) (object, error) {
	ctx := r.Context()
	scope, path, err := n.scope(ctx, a)
	if err != nil {
		return nil, err
	}
	role, err := n.named(ctx, n.role, a.RoleID)
	if err != nil {
		return nil, err
	}
	kind, actor := a.actor()
	look := n.user
	if kind == "group" {
		look = n.group
	}
	who, err := n.named(ctx, look, actor)
	if err != nil {
		return nil, err
	}
	path += "/" + kind + "s/" + actor + "/roles/" + a.RoleID
	if a.Inherited {
		path = "/OS-INHERIT" + path + "/inherited_to_projects"
	}
	return object{
		"scope": scope, "role": role, kind: who,
		"links": object{"assignment": httpapi.Base(r) + "/v3" + path},
	}, nil
}

// scope renders an assignment's target, and the path that leads to it.
func (n *namer) scope(ctx context.Context, a Assignment) (scope object, path string, err error) {
	t := a.target()
	if t.kind == onSystem {
		return object{"system": object{"all": true}}, "/system", nil
	}
	project, err := n.named(ctx, n.project, t.id)
	if err != nil {
		return nil, "", err
	}
	scope = object{t.kind: project}
	if a.Inherited {
		scope["OS-INHERIT:inherited_to"] = "projects"
	}
	return scope, "/" + t.kind + "s/" + t.id, nil
}

// lookup finds the name and the domain of what has an id.
type lookup func(ctx context.Context, id string) (name, domainID string, err error)

// named renders {"id"}, or with names {"id", "name", "domain"}. Each id is
// looked up once; what was removed meanwhile has no name.
func (n *namer) named(ctx context.Context, look lookup, id string) (object, error) {
	if !n.wanted {
		return object{"id": id}, nil
	}
	if o, ok := n.seen[id]; ok {
		return o, nil
	}
	name, domainID, err := look(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	o := object{"id": id, "name": name}
	if domainID != "" {
		domain, err := n.named(ctx, n.project, domainID)
		if err != nil {
			return nil, err
		}
		o["domain"] = domain
	}
	n.seen[id] = o
	return o, nil
}

func (n *namer) project(ctx context.Context, id string) (name, domainID string, err error) {
	p, err := n.s.Project(ctx, id)
	return p.Name, p.DomainID, err
}

func (n *namer) user(ctx context.Context, id string) (name, domainID string, err error) {
	u, err := n.s.User(ctx, id)
	return u.Name, u.DomainID, err
}

func (n *namer) group(ctx context.Context, id string) (name, domainID string, err error) {
	g, err := n.s.Group(ctx, id)
	return g.Name, g.DomainID, err
}

func (n *namer) role(ctx context.Context, id string) (name, domainID string, err error) {
	role, err := n.s.Role(ctx, id)
	return role.Name, role.DomainID, err
}
