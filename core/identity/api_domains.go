package identity

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) domainRoutes() {
	a.handle("GET /v3/domains", "list_domains", reader, a.listDomains)
	a.handle("POST /v3/domains", "create_domain", admin, a.createDomain)
	a.handle("GET /v3/domains/{domain}", "get_domain", inDomain, a.showDomain)
	a.handle("PATCH /v3/domains/{domain}", "update_domain", admin, a.updateDomain)
	a.handle("DELETE /v3/domains/{domain}", "delete_domain", admin, func(w http.ResponseWriter, r *http.Request) error {
		return noContent(w, a.s.DeleteDomain(r.Context(), r.PathValue("domain")))
	})
}

func renderDomain(r *http.Request, d Project) object {
	return withExtra(object{
		"id": d.ID, "name": d.Name, "description": d.Description, "enabled": d.Enabled,
		"tags": tags(d), "options": withExtra(object{}, d.Options), "links": selfLink(r, "/domains/"+d.ID),
	}, d.Extra)
}

func tags(p Project) []string {
	if p.Tags == nil {
		return []string{}
	}
	return p.Tags
}

func (a *api) listDomains(w http.ResponseWriter, r *http.Request) error {
	domains, err := a.s.Projects(r.Context(), ProjectFilter{IsDomain: true, Name: r.URL.Query().Get("name")})
	if err != nil {
		return err
	}
	return writeList(w, r, "domains", bodies(r, domains, renderDomain), "name", "enabled")
}

func (a *api) createDomain(w http.ResponseWriter, r *http.Request) error {
	m, err := readMembers(w, r, "domain")
	if err != nil {
		return err
	}
	d := Project{IsDomain: true, Enabled: true}
	m.requiredText("name", &d.Name)
	if err := applyProject(m, &d); err != nil {
		return err
	}
	d, err = a.s.CreateProject(r.Context(), d)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, object{"domain": renderDomain(r, d)})
}

func (a *api) showDomain(w http.ResponseWriter, r *http.Request) error {
	d, err := a.s.Domain(r.Context(), r.PathValue("domain"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"domain": renderDomain(r, d)})
}

func (a *api) updateDomain(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("domain")
	m, err := readMembers(w, r, "domain")
	if err != nil {
		return err
	}
	if _, err := a.s.Domain(r.Context(), id); err != nil {
		return err
	}
	d, err := a.s.UpdateProject(r.Context(), id, func(d *Project) error {
		m.fixed("id", id)
		return applyProject(m, d)
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"domain": renderDomain(r, d)})
}
