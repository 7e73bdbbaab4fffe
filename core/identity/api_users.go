package identity

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) userRoutes() {
	a.handle("GET /v3/users", "list_users", reader, a.listUsers)
	a.handle("POST /v3/users", "create_user", admin, a.createUser)
	a.handle("GET /v3/users/{user}", "get_user", self, a.showUser)
	a.handle("PATCH /v3/users/{user}", "update_user", admin, a.updateUser)
	a.handle("DELETE /v3/users/{user}", "delete_user", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.DeleteUser(r.Context(), r.PathValue("user")))
	})
	// The original password is the proof: it needs no token.
	a.HandlePublic("POST /v3/users/{user}/password", a.changePassword)
	a.handle("GET /v3/users/{user}/projects", "list_user_projects", self, a.listUserProjects)
	a.handle("GET /v3/users/{user}/groups", "list_groups_for_user", self, a.listUserGroups)
}

func userBody(r *http.Request, u User) object {
	body := object{
		"id": u.ID, "name": u.Name, "domain_id": u.DomainID, "enabled": u.Enabled,
		"password_expires_at": nil, "options": withExtra(object{}, u.Options), "links": selfLink(r, "/users/"+u.ID),
	}
	if u.DefaultProjectID != "" {
		body["default_project_id"] = u.DefaultProjectID
	}
	return withExtra(body, u.Extra)
}

// applyUser takes the members that may be set and changed.
func applyUser(m *members, u *User) error {
	m.text("name", &u.Name)
	m.flag("enabled", &u.Enabled)
	m.textOrNull("default_project_id", &u.DefaultProjectID)
	m.options(&u.Options, userOptions)
	delete(m.raw, "password_expires_at") // read-only
	u.Extra = m.rest(u.Extra)
	switch u.Extra["description"].(type) {
	case nil, string:
	default:
		m.fail("Invalid input for field 'description': it is not of type 'string'.")
	}
	return m.err()
}

func (a *api) listUsers(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	users, err := a.s.Users(r.Context(), UserFilter{Name: query.Get("name"), DomainID: query.Get("domain_id")})
	if err != nil {
		return err
	}
	return writeList(w, r, "users", bodies(r, users, userBody), "name", "domain_id", "enabled")
}

func (a *api) createUser(w http.ResponseWriter, r *http.Request) error {
	m, err := readMembers(w, r, "user")
	if err != nil {
		return err
	}
	u := User{Enabled: true}
	var password string
	m.requiredText("name", &u.Name)
	m.textOrNull("domain_id", &u.DomainID)
	m.textOrNull("password", &password)
	delete(m.raw, "id") // chosen by us
	if err := applyUser(m, &u); err != nil {
		return err
	}
	if u.DomainID == "" {
		u.DomainID = ownDomain(r)
	}
	u, err = a.s.CreateUser(r.Context(), u, password)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, object{"user": userBody(r, u)})
}

func (a *api) showUser(w http.ResponseWriter, r *http.Request) error {
	u, err := a.s.User(r.Context(), r.PathValue("user"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"user": userBody(r, u)})
}

func (a *api) updateUser(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("user")
	m, err := readMembers(w, r, "user")
	if err != nil {
		return err
	}
	var password string
	m.textOrNull("password", &password)
	u, err := a.s.UpdateUser(r.Context(), id, password, func(u *User) error {
		m.fixed("id", id)
		m.fixed("domain_id", u.DomainID)
		return applyUser(m, u)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"user": userBody(r, u)})
}

func (a *api) changePassword(w http.ResponseWriter, r *http.Request) error {
	m, err := readMembers(w, r, "user")
	if err != nil {
		return err
	}
	var original, password string
	m.requiredText("original_password", &original)
	m.requiredText("password", &password)
	if err := m.err(); err != nil {
		return err
	}
	return noContent(w, a.s.ChangePassword(r.Context(), r.PathValue("user"), original, password))
}

func (a *api) listUserProjects(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("user")
	if _, err := a.s.User(r.Context(), id); err != nil {
		return err
	}
	projects, err := a.s.UserProjects(r.Context(), id)
	if err != nil {
		return err
	}
	return writeList(w, r, "projects", bodies(r, projects, projectBody), "name", "domain_id", "enabled")
}

func (a *api) listUserGroups(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("user")
	if _, err := a.s.User(r.Context(), id); err != nil {
		return err
	}
	groups, err := a.s.Groups(r.Context(), GroupFilter{UserID: id})
	if err != nil {
		return err
	}
	return writeList(w, r, "groups", bodies(r, groups, groupBody), "name")
}
