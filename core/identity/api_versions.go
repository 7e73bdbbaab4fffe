package identity

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) versionRoutes() {
	a.HandlePublic("GET /{$}", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Location", httpapi.Base(r)+"/v3/")
		return httpapi.WriteJSON(w, http.StatusMultipleChoices, object{"versions": object{"values": []object{version(r)}}})
	})
	a.HandlePublic("GET /v3", func(w http.ResponseWriter, r *http.Request) error {
		return httpapi.WriteJSON(w, http.StatusOK, object{"version": version(r)})
	})
}

// version is that of Keystone's Zed release.
func version(r *http.Request) object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links": []object{{"rel": "self", "href": httpapi.Base(r) + "/v3/"}},
		"media-types": []object{{
			"base": "application/json", "type": "application/vnd.openstack.identity-v3+json",
		}},
	}
}
