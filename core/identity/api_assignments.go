package identity

import (
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
		return writeList(w, r, "roles", a.roleBodies(r, roles))
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
	names := &namer{s: a.s, r: r, wanted: asks(r, "include_names"), seen: map[string]object{}}
	all := make([]object, 0, len(assignments))
	for _, one := range assignments {
		all = append(all, names.assignment(one))
	}
	if names.err != nil {
		return names.err
	}
	return writeList(w, r, "role_assignments", all)
}

// namer renders assignments, with the names of what they are about if wanted.
type namer struct {
	s      *Service
	r      *http.Request
	wanted bool
	seen   map[string]object // by id
	err    error
}

func (n *namer) assignment(a Assignment) object {
	path, scope, who := "", object{}, object{}
	switch t := a.target(); t.kind {
	case onSystem:
		path, scope = "/system", object{"system": object{"all": true}}
	case onDomain:
		path, scope = "/domains/"+t.id, object{"domain": n.project(t.id)}
	default:
		path, scope = "/projects/"+t.id, object{"project": n.project(t.id)}
	}
	body := object{"scope": scope, "role": n.role(a.RoleID)}
	if a.GroupID != "" {
		path += "/groups/" + a.GroupID
		who = n.group(a.GroupID)
		body["group"] = who
	} else {
		path += "/users/" + a.UserID
		who = n.user(a.UserID)
		body["user"] = who
	}
	path += "/roles/" + a.RoleID
	if a.Inherited {
		scope["OS-INHERIT:inherited_to"] = "projects"
		path = "/OS-INHERIT" + path + "/inherited_to_projects"
	}
	body["links"] = object{"assignment": httpapi.Base(n.r) + "/v3" + path}
	return body
}

// named renders {"id", "name", "domain"} with what look finds, once per id.
func (n *namer) named(id string, look func() (name, domainID string, err error)) object {
	if !n.wanted {
		return object{"id": id}
	}
	if o, ok := n.seen[id]; ok {
		return o
	}
	name, domainID, err := look()
	if err != nil && !fault.Is(err, fault.NotFound) && n.err == nil {
		n.err = err
	}
	o := object{"id": id, "name": name}
	if domainID != "" {
		o["domain"] = n.project(domainID)
	}
	n.seen[id] = o
	return o
}

func (n *namer) project(id string) object {
	return n.named(id, func() (string, string, error) {
		p, err := n.s.Project(n.r.Context(), id)
		return p.Name, p.DomainID, err
	})
}

func (n *namer) user(id string) object {
	return n.named(id, func() (string, string, error) {
		u, err := n.s.User(n.r.Context(), id)
		return u.Name, u.DomainID, err
	})
}

func (n *namer) group(id string) object {
	return n.named(id, func() (string, string, error) {
		g, err := n.s.Group(n.r.Context(), id)
		return g.Name, g.DomainID, err
	})
}

func (n *namer) role(id string) object {
	return n.named(id, func() (string, string, error) {
		role, err := n.s.Role(n.r.Context(), id)
		return role.Name, role.DomainID, err
	})
}
