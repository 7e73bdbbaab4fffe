package identity

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) catalogRoutes() {
	a.handle("GET /v3/auth/catalog", "get_auth_catalog", anyone, a.showCatalog)
	a.handle("GET /v3/services", "list_services", reader, a.listServices)
	a.handle("GET /v3/services/{service}", "get_service", reader, a.showService)
	a.handle("GET /v3/endpoints", "list_endpoints", reader, a.listEndpoints)
	a.handle("GET /v3/endpoints/{endpoint}", "get_endpoint", reader, a.showEndpoint)
	a.handle("GET /v3/regions", "list_regions", anyone, a.listRegions)
	a.handle("GET /v3/regions/{region}", "get_region", anyone, a.showRegion)
}

// catalog is the list of services as a token on the project, if any, has it.
func (a *api) catalog(r *http.Request, projectID string) []object {
	catalog := []object{}
	for _, service := range a.s.Services() {
		endpoints := []object{}
		if service.Visible(projectID) {
			for _, e := range a.s.Endpoints(service, httpapi.Origin(r), projectID) {
				endpoints = append(endpoints, object{
					"id": e.ID, "interface": e.Interface, "region": e.Region, "region_id": e.Region, "url": e.URL,
				})
			}
		}
		catalog = append(catalog, object{"id": service.ID(), "type": service.Type, "name": service.Name, "endpoints": endpoints})
	}
	return catalog
}

func (a *api) showCatalog(w http.ResponseWriter, r *http.Request) error {
	caller := httpapi.CallerFrom(r.Context())
	if caller.ProjectID == "" && caller.DomainID == "" && !caller.System {
		return fault.New(fault.Forbidden, "The token has no scope, and so no catalog.")
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{
		"catalog": a.catalog(r, caller.ProjectID), "links": object{"self": requestURL(r)},
	})
}

func serviceBody(r *http.Request, c CatalogService) object {
	return object{
		"id": c.ID(), "type": c.Type, "name": c.Name, "description": "", "enabled": true,
		"links": selfLink(r, "/services/"+c.ID()),
	}
}

func (a *api) listServices(w http.ResponseWriter, r *http.Request) error {
	return writeList(w, r, "services", bodies(r, a.s.Services(), serviceBody), "type", "name")
}

func (a *api) showService(w http.ResponseWriter, r *http.Request) error {
	c, err := a.s.service(r.PathValue("service"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"service": serviceBody(r, c)})
}

func (a *api) endpoints(r *http.Request) []object {
	var all []object
	for _, c := range a.s.Services() {
		for _, e := range a.s.Endpoints(c, httpapi.Origin(r), "") {
			all = append(all, object{
				"id": e.ID, "service_id": e.ServiceID, "interface": e.Interface, "url": e.URL,
				"region": e.Region, "region_id": e.Region, "enabled": true, "links": selfLink(r, "/endpoints/"+e.ID),
			})
		}
	}
	return all
}

func (a *api) listEndpoints(w http.ResponseWriter, r *http.Request) error {
	return writeList(w, r, "endpoints", a.endpoints(r), "service_id", "interface", "region_id", "region")
}

func (a *api) showEndpoint(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("endpoint")
	for _, e := range a.endpoints(r) {
		if e["id"] == id {
			return httpapi.WriteJSON(w, http.StatusOK, object{"endpoint": e})
		}
	}
	return notFoundNamed("endpoint", id)
}

func (a *api) region(r *http.Request) object {
	id := a.s.config.Region
	return object{"id": id, "description": "", "parent_region_id": nil, "links": selfLink(r, "/regions/"+id)}
}

func (a *api) listRegions(w http.ResponseWriter, r *http.Request) error {
	return writeList(w, r, "regions", []object{a.region(r)}, "parent_region_id")
}

func (a *api) showRegion(w http.ResponseWriter, r *http.Request) error {
	if id := r.PathValue("region"); id != a.s.config.Region {
		return notFoundNamed("region", id)
	}
	return httpapi.WriteJSON(w, http.StatusOK, object{"region": a.region(r)})
}

func notFoundNamed(what, id string) error {
	return fault.New(fault.NotFound, "Could not find %s: %s.", what, id)
}
