package identity

import (
	"net/http"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) tokenRoutes() {
	a.HandlePublic("POST /v3/auth/tokens", a.issueToken)
	a.Handle("GET /v3/auth/tokens", a.showToken) // and HEAD
	a.Handle("DELETE /v3/auth/tokens", a.revokeToken)
	a.handle("GET /v3/auth/projects", "get_auth_projects", anyone, a.authProjects)
	a.handle("GET /v3/auth/domains", "get_auth_domains", anyone, a.authDomains)
	a.handle("GET /v3/auth/system", "get_auth_system", anyone, a.authSystem)
}

// authRequest is the body of POST /v3/auth/tokens.
type authRequest struct {
	Auth *struct {
		Identity *struct {
			Methods  []string `json:"methods"`
			Password *struct {
				User *struct {
					refBody
					Password *string `json:"password"`
				} `json:"user"`
			} `json:"password"`
			Token *struct {
				ID string `json:"id"`
			} `json:"token"`
			Credential *credentialRequest `json:"application_credential"`
		} `json:"identity"`
		Scope scopeBody `json:"scope"`
	} `json:"auth"`
}

type refBody struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"`
	Domain *domainBody `json:"domain"`
}

type domainBody struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// ref reports nil if it names nothing.
func (b *refBody) ref() *Ref {
	switch {
	case b.ID != "":
		return &Ref{ID: b.ID}
	case b.Name != "" && b.Domain != nil && (b.Domain.ID != "" || b.Domain.Name != ""):
		return &Ref{Name: b.Name, DomainID: b.Domain.ID, DomainName: b.Domain.Name}
	default:
		return nil
	}
}

// credentials checks the form of what a client proves itself by.
func (b *authRequest) credentials() (Credentials, error) {
	var c Credentials
	if b.Auth == nil || b.Auth.Identity == nil {
		return c, malformed("identity in auth")
	}
	if len(b.Auth.Identity.Methods) == 0 {
		return c, malformed("methods in identity")
	}
	for _, method := range b.Auth.Identity.Methods {
		switch method {
		case "password":
			p := b.Auth.Identity.Password
			if p == nil || p.User == nil {
				return c, malformed("user in password")
			}
			ref := p.User.ref()
			if ref == nil || p.User.Password == nil {
				return c, malformed("a user's id, or name and domain, and a password in user")
			}
			c.Password = &PasswordCredentials{UserID: ref.ID, User: *ref, Password: *p.User.Password}
		case "token":
			if b.Auth.Identity.Token == nil || b.Auth.Identity.Token.ID == "" {
				return c, malformed("id in token")
			}
			c.Token = b.Auth.Identity.Token.ID
		case "application_credential":
			ref, err := b.Auth.Identity.Credential.ref()
			if err != nil {
				return c, err
			}
			c.Credential = ref
		default:
			return c, fault.New(fault.Unauthorized, "Attempted to authenticate with an unsupported method.")
		}
	}
	return c, nil
}

func malformed(what string) error {
	return fault.New(fault.BadRequest, "Expecting to find %s. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.", what)
}

func (a *api) issueToken(w http.ResponseWriter, r *http.Request) error {
	var body authRequest
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	credentials, err := body.credentials()
	if err != nil {
		return err
	}
	scope, err := body.Auth.Scope.scope()
	if err != nil {
		return err
	}
	id, token, err := a.s.Authenticate(r.Context(), credentials, scope)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", id)
	return httpapi.WriteJSON(w, http.StatusCreated, a.tokenBody(r, token))
}

// subject is the token that a request is about. Those of others are for
// administrators.
func (a *api) subject(r *http.Request, action string, allowed policy) (string, *Token, error) {
	id := r.Header.Get("X-Subject-Token")
	if id == "" {
		return "", nil, fault.New(fault.BadRequest, "X-Subject-Token is missing.")
	}
	token, err := a.s.Token(r.Context(), id)
	if err != nil {
		return "", nil, err
	}
	caller := httpapi.CallerFrom(r.Context())
	if token.User.ID != caller.UserID && !allowed(caller, r) {
		return "", nil, forbidden(action)
	}
	return id, token, nil
}

func (a *api) showToken(w http.ResponseWriter, r *http.Request) error {
	id, token, err := a.subject(r, "validate_token", reader)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", id)
	return httpapi.WriteJSON(w, http.StatusOK, a.tokenBody(r, token))
}

func (a *api) revokeToken(w http.ResponseWriter, r *http.Request) error {
	id, _, err := a.subject(r, "revoke_token", admin)
	if err != nil {
		return err
	}
	return noContent(w, a.s.RevokeToken(r.Context(), id))
}

// microseconds is the form of Keystone's times.
func microseconds(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (a *api) tokenBody(r *http.Request, t *Token) object {
	body := object{
		"methods":    t.Methods,
		"user":       withDomain(object{"password_expires_at": nil}, t.User.ID, t.User.Name, t.UserDomain),
		"audit_ids":  t.AuditIDs,
		"expires_at": microseconds(t.ExpiresAt),
		"issued_at":  microseconds(t.IssuedAt),
	}
	projectID := ""
	switch {
	case t.Project != nil:
		projectID = t.Project.ID
		body["project"] = withDomain(object{}, t.Project.ID, t.Project.Name, t.ProjectDomain)
		body["is_domain"] = false
	case t.Domain != nil:
		body["domain"] = object{"id": t.Domain.ID, "name": t.Domain.Name}
	case t.System:
		body["system"] = object{"all": true}
	default:
		return object{"token": body}
	}
	if t.Credential != nil {
		body["application_credential"] = credentialOf(*t.Credential)
	}
	roles := make([]object, 0, len(t.Roles))
	for _, role := range t.Roles {
		roles = append(roles, object{"id": role.ID, "name": role.Name})
	}
	body["roles"] = roles
	if !r.URL.Query().Has("nocatalog") {
		body["catalog"] = a.catalog(r, projectID)
	}
	return object{"token": body}
}

func withDomain(o object, id, name string, domain Project) object {
	o["id"], o["name"] = id, name
	o["domain"] = object{"id": domain.ID, "name": domain.Name}
	return o
}

func (a *api) authProjects(w http.ResponseWriter, r *http.Request) error {
	projects, err := a.s.UserProjects(r.Context(), httpapi.CallerFrom(r.Context()).UserID)
	if err != nil {
		return err
	}
	return writeList(w, r, "projects", bodies(r, projects, projectBody))
}

func (a *api) authDomains(w http.ResponseWriter, r *http.Request) error {
	domains, err := a.s.UserDomains(r.Context(), httpapi.CallerFrom(r.Context()).UserID)
	if err != nil {
		return err
	}
	return writeList(w, r, "domains", bodies(r, domains, renderDomain))
}

func (a *api) authSystem(w http.ResponseWriter, r *http.Request) error {
	user := httpapi.CallerFrom(r.Context()).UserID
	held, err := a.s.EffectiveAssignments(r.Context(), Assignment{UserID: user, System: true})
	if err != nil {
		return err
	}
	system := []object{}
	if len(held) > 0 {
		system = append(system, object{"all": true})
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"system": system, "links": object{"self": requestURL(r)}})
}
