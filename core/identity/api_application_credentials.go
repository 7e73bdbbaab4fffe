package identity

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) applicationCredentialRoutes() {
	all := "/v3/users/{user}/application_credentials"
	a.handle("GET "+all, "list_application_credentials", self, a.listCredentials)
	// Not even an administrator makes one for another user.
	a.handle("POST "+all, "create_application_credential", owner, a.createCredential)
	a.handle("GET "+all+"/{credential}", "get_application_credential", self, a.showCredential)
	a.handle("DELETE "+all+"/{credential}", "delete_application_credential", adminOrOwner, a.deleteCredential)
}

// owner is the user in the path.
func owner(c httpapi.Caller, r *http.Request) bool { return r.PathValue("user") == c.UserID }

func adminOrOwner(c httpapi.Caller, r *http.Request) bool { return admin(c, r) || owner(c, r) }

// unrestricted is the caller's token, unless that comes from an application
// credential which may not manage others.
func (a *api) unrestricted(r *http.Request, action string) (*Token, error) {
	t, err := a.s.Token(r.Context(), r.Header.Get("X-Auth-Token"))
	if err != nil {
		return nil, refuse(err)
	}
	if t.Credential != nil && !t.Credential.Unrestricted {
		return nil, forbidden(action)
	}
	return t, nil
}

func credentialBody(r *http.Request, c ApplicationCredential) object {
	roles := make([]object, 0, len(c.Roles))
	for _, role := range c.Roles {
		roles = append(roles, object{"id": role.ID, "name": role.Name, "domain_id": nil})
	}
	body := object{
		"id": c.ID, "name": c.Name, "description": nil, "user_id": c.UserID, "project_id": c.ProjectID, "roles": roles,
		"unrestricted": c.Unrestricted, "expires_at": nil, "system": nil,
		"links": selfLink(r, "/users/"+c.UserID+"/application_credentials/"+c.ID),
	}
	if c.Description != "" {
		body["description"] = c.Description
	}
	if !c.ExpiresAt.IsZero() {
		body["expires_at"] = strings.TrimSuffix(microseconds(c.ExpiresAt), "Z")
	}
	return body
}

func (a *api) listCredentials(w http.ResponseWriter, r *http.Request) error {
	user := r.PathValue("user")
	if _, err := a.s.User(r.Context(), user); err != nil {
		return err
	}
	credentials, err := a.s.ApplicationCredentials(r.Context(), user, r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	return writeList(w, r, "application_credentials", bodies(r, credentials, credentialBody), "name")
}

func (a *api) createCredential(w http.ResponseWriter, r *http.Request) error {
	t, err := a.unrestricted(r, "create_application_credential")
	if err != nil {
		return err
	}
	m, err := readMembers(w, r, "application_credential")
	if err != nil {
		return err
	}
	c, secret, err := newCredential(m)
	if err != nil {
		return err
	}
	c, secret, err = a.s.CreateApplicationCredential(r.Context(), t, c, secret)
	if err != nil {
		return err
	}
	body := credentialBody(r, c)
	body["secret"] = secret
	return httpapi.WriteJSON(w, http.StatusCreated, object{"application_credential": body})
}

// newCredential reads what an application credential is to be.
func newCredential(m *members) (c ApplicationCredential, secret string, err error) {
	var expires string
	var roles []struct{ ID, Name string }
	m.requiredText("name", &c.Name)
	m.textOrNull("description", &c.Description)
	m.textOrNull("secret", &secret)
	m.textOrNull("expires_at", &expires)
	m.flag("unrestricted", &c.Unrestricted)
	if _, ok := m.raw["roles"]; ok {
		m.take("roles", "array", &roles)
	}
	// They would have to be enforced by every service.
	if rules, ok := m.raw["access_rules"]; ok && !isNull(rules) && string(rules) != "[]" {
		m.fail("Access rules are not supported.")
	}
	for _, role := range roles {
		c.Roles = append(c.Roles, Role{ID: role.ID, Name: role.Name})
	}
	if expires != "" {
		c.ExpiresAt, err = time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(expires, "Z")) // a fraction is allowed
		if err != nil {
			m.fail("Invalid input for field 'expires_at': '%s' is not a time.", expires)
		}
	}
	return c, secret, m.err()
}

func (a *api) showCredential(w http.ResponseWriter, r *http.Request) error {
	c, err := a.s.ApplicationCredential(r.Context(), r.PathValue("user"), r.PathValue("credential"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"application_credential": credentialBody(r, c)})
}

func (a *api) deleteCredential(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.unrestricted(r, "delete_application_credential"); err != nil {
		return err
	}
	return noContent(w, a.s.DeleteApplicationCredential(r.Context(), r.PathValue("user"), r.PathValue("credential")))
}

// credentialRequest is the part of an authentication request that proves an
// application credential.
type credentialRequest struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Secret *string  `json:"secret"`
	User   *refBody `json:"user"`
}

func (b *credentialRequest) ref() (*ApplicationCredentialRef, error) {
	if b == nil || b.Secret == nil {
		return nil, malformed("secret in application_credential")
	}
	if b.ID != "" {
		return &ApplicationCredentialRef{ID: b.ID, Secret: *b.Secret}, nil
	}
	if b.Name == "" || b.User == nil || b.User.ref() == nil {
		return nil, malformed("id, or name and user, in application_credential")
	}
	user := b.User.ref()
	return &ApplicationCredentialRef{Name: b.Name, UserID: user.ID, User: *user, Secret: *b.Secret}, nil
}

// credentialOf is how a token tells the application credential it came from.
func credentialOf(c ApplicationCredential) object {
	return object{"id": c.ID, "name": c.Name, "restricted": !c.Unrestricted}
}
