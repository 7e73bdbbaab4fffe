package identity

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) groupRoutes() {
	a.handle("GET /v3/groups", "list_groups", reader, a.listGroups)
	a.handle("POST /v3/groups", "create_group", admin, a.createGroup)
	a.handle("GET /v3/groups/{group}", "get_group", reader, a.showGroup)
	a.handle("PATCH /v3/groups/{group}", "update_group", admin, a.updateGroup)
	a.handle("DELETE /v3/groups/{group}", "delete_group", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.DeleteGroup(r.Context(), r.PathValue("group")))
	})
	a.handle("GET /v3/groups/{group}/users", "list_users_in_group", reader, a.listMembers)
	member := "/v3/groups/{group}/users/{user}"
	a.handle("PUT "+member, "add_user_to_group", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.AddToGroup(r.Context(), r.PathValue("group"), r.PathValue("user")))
	})
	a.handle("GET "+member, "check_user_in_group", self, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.InGroup(r.Context(), r.PathValue("group"), r.PathValue("user")))
	})
	a.handle("DELETE "+member, "remove_user_from_group", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.RemoveFromGroup(r.Context(), r.PathValue("group"), r.PathValue("user")))
	})
}

func groupBody(r *http.Request, g Group) object {
	return withExtra(object{
		"id": g.ID, "name": g.Name, "domain_id": g.DomainID, "description": g.Description,
		"links": selfLink(r, "/groups/"+g.ID),
	}, g.Extra)
}

// applyGroup takes the members that may be set and changed.
func applyGroup(m *members, g *Group) error {
	m.text("name", &g.Name)
	m.textOrNull("description", &g.Description)
	g.Extra = m.rest(g.Extra)
	return m.err()
}

func (a *api) listGroups(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	groups, err := a.s.Groups(r.Context(), GroupFilter{Name: query.Get("name"), DomainID: query.Get("domain_id")})
	if err != nil {
		return err
	}
	return writeList(w, r, "groups", bodies(r, groups, groupBody), "name", "domain_id")
}

func (a *api) createGroup(w http.ResponseWriter, r *http.Request) error {
	m, err := readMembers(w, r, "group")
	if err != nil {
		return err
	}
	var g Group
	m.requiredText("name", &g.Name)
	m.textOrNull("domain_id", &g.DomainID)
	delete(m.raw, "id") // chosen by us
	if err := applyGroup(m, &g); err != nil {
		return err
	}
	if g.DomainID == "" {
		g.DomainID = ownDomain(r)
	}
	g, err = a.s.CreateGroup(r.Context(), g)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, object{"group": groupBody(r, g)})
}

func (a *api) showGroup(w http.ResponseWriter, r *http.Request) error {
	g, err := a.s.Group(r.Context(), r.PathValue("group"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"group": groupBody(r, g)})
}

func (a *api) updateGroup(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("group")
	m, err := readMembers(w, r, "group")
	if err != nil {
		return err
	}
	g, err := a.s.UpdateGroup(r.Context(), id, func(g *Group) error {
		m.fixed("id", id)
		m.fixed("domain_id", g.DomainID)
		return applyGroup(m, g)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"group": groupBody(r, g)})
}

func (a *api) listMembers(w http.ResponseWriter, r *http.Request) error {
	users, err := a.s.GroupMembers(r.Context(), r.PathValue("group"))
	if err != nil {
		return err
	}
	return writeList(w, r, "users", bodies(r, users, userBody), "name", "enabled")
}
