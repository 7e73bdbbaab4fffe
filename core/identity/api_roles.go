package identity

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) roleRoutes() {
	a.handle("GET /v3/roles", "list_roles", reader, a.listRoles)
	a.handle("POST /v3/roles", "create_role", admin, a.createRole)
	a.handle("GET /v3/roles/{role}", "get_role", reader, a.showRole)
	a.handle("PATCH /v3/roles/{role}", "update_role", admin, a.updateRole)
	a.handle("DELETE /v3/roles/{role}", "delete_role", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.DeleteRole(r.Context(), r.PathValue("role")))
	})
	a.handle("GET /v3/role_inferences", "list_role_inference_rules", reader, a.listImplications)
	a.handle("GET /v3/roles/{role}/implies", "list_implied_roles", reader, a.listImplied)
	implied := "/v3/roles/{role}/implies/{implied}"
	a.handle("GET "+implied, "get_implied_role", reader, a.showImplied)
	a.handle("PUT "+implied, "create_implied_role", admin, a.addImplied)
	a.handle("DELETE "+implied, "delete_implied_role", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.Unimply(r.Context(), r.PathValue("role"), r.PathValue("implied")))
	})
}

func roleBody(r *http.Request, role Role) object {
	body := object{
		"id": role.ID, "name": role.Name, "domain_id": nil, "description": nil,
		"options": withExtra(object{}, role.Options), "links": selfLink(r, "/roles/"+role.ID),
	}
	if role.DomainID != "" {
		body["domain_id"] = role.DomainID
	}
	if role.Description != "" {
		body["description"] = role.Description
	}
	return withExtra(body, role.Extra)
}

// applyRole takes the members that may be set and changed.
func applyRole(m *members, role *Role) error {
	m.text("name", &role.Name)
	m.textOrNull("description", &role.Description)
	m.options(&role.Options, resourceOptions)
	role.Extra = m.rest(role.Extra)
	return m.err()
}

func (a *api) listRoles(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	roles, err := a.s.Roles(r.Context(), RoleFilter{Name: query.Get("name"), DomainID: query.Get("domain_id")})
	if err != nil {
		return err
	}
	return writeList(w, r, "roles", bodies(r, roles, roleBody), "name")
}

func (a *api) createRole(w http.ResponseWriter, r *http.Request) error {
	m, err := readMembers(w, r, "role")
	if err != nil {
		return err
	}
	var role Role
	m.requiredText("name", &role.Name)
	m.textOrNull("domain_id", &role.DomainID)
	delete(m.raw, "id") // chosen by us
	if err := applyRole(m, &role); err != nil {
		return err
	}
	role, err = a.s.CreateRole(r.Context(), role)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, object{"role": roleBody(r, role)})
}

func (a *api) showRole(w http.ResponseWriter, r *http.Request) error {
	role, err := a.s.Role(r.Context(), r.PathValue("role"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"role": roleBody(r, role)})
}

func (a *api) updateRole(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("role")
	m, err := readMembers(w, r, "role")
	if err != nil {
		return err
	}
	role, err := a.s.UpdateRole(r.Context(), id, func(role *Role) error {
		m.fixed("id", id)
		m.fixed("domain_id", role.DomainID)
		return applyRole(m, role)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"role": roleBody(r, role)})
}

func roleLink(r *http.Request, role Role) object {
	return object{"id": role.ID, "name": role.Name, "description": role.Description, "links": selfLink(r, "/roles/"+role.ID)}
}

// inferences groups implications, which come in order, by prior role.
func inferences(r *http.Request, all []Implication) []object {
	grouped := []object{}
	for i, one := range all {
		if i == 0 || one.Prior.ID != all[i-1].Prior.ID {
			grouped = append(grouped, object{"prior_role": roleLink(r, one.Prior), "implies": []object{}})
		}
		last := grouped[len(grouped)-1]
		implies, _ := last["implies"].([]object)
		last["implies"] = append(implies, roleLink(r, one.Implied))
	}
	return grouped
}

func (a *api) listImplications(w http.ResponseWriter, r *http.Request) error {
	all, err := a.s.Implications(r.Context(), "")
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"role_inferences": inferences(r, all), "links": selfLink(r, "/role_inferences")})
}

func (a *api) listImplied(w http.ResponseWriter, r *http.Request) error {
	prior, err := a.s.Role(r.Context(), r.PathValue("role"))
	if err != nil {
		return err
	}
	all, err := a.s.Implications(r.Context(), prior.ID)
	if err != nil {
		return err
	}
	inference := object{"prior_role": roleLink(r, prior), "implies": []object{}}
	if grouped := inferences(r, all); len(grouped) > 0 {
		inference = grouped[0]
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"role_inference": inference, "links": selfLink(r, "/roles/"+prior.ID+"/implies")})
}

func writeImplied(w http.ResponseWriter, r *http.Request, status int, i Implication) error {
	return httpapi.WriteJSON(w, status, object{
		"role_inference": object{"prior_role": roleLink(r, i.Prior), "implies": roleLink(r, i.Implied)},
		"links":          selfLink(r, "/roles/"+i.Prior.ID+"/implies/"+i.Implied.ID),
	})
}

func (a *api) showImplied(w http.ResponseWriter, r *http.Request) error {
	i, err := a.s.Implication(r.Context(), r.PathValue("role"), r.PathValue("implied"))
	if err != nil {
		return err
	}
	return writeImplied(w, r, http.StatusOK, i)
}

func (a *api) addImplied(w http.ResponseWriter, r *http.Request) error {
	i, err := a.s.Imply(r.Context(), r.PathValue("role"), r.PathValue("implied"))
	if err != nil {
		return err
	}
	return writeImplied(w, r, http.StatusCreated, i)
}
