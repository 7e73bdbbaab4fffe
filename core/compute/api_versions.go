package compute

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// routeVersions registers what needs no token: the API's versions.
func (a *api) routeVersions() {
	a.http.HandlePublic("GET /{$}", func(w http.ResponseWriter, r *http.Request) error {
		base := httpapi.Base(r)
		return httpapi.WriteJSON(w, http.StatusOK, object{"versions": []object{
			oldVersion(base), version(base),
		}})
	})
	document := func(describe func(base string, more ...object) object, media string) httpapi.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) error {
			v := describe(httpapi.Base(r), object{"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"})
			v["media-types"] = []object{{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=" + media}}
			return httpapi.WriteJSON(w, http.StatusOK, object{"version": v})
		}
	}
	for _, slash := range []string{"", "/{$}"} {
		a.http.HandlePublic("GET /v2.1"+slash, document(version, "2.1"))
		a.http.HandlePublic("GET /v2"+slash, document(oldVersion, "2"))
	}
}

func version(base string, more ...object) object {
	return object{
		"id": "v2.1", "status": "CURRENT", "version": highest.String(), "min_version": lowest.String(),
		"updated": "2013-07-23T11:33:21Z",
		"links":   append([]object{{"rel": "self", "href": base + "/v2.1/"}}, more...),
	}
}

// oldVersion describes what v2.1 is compatible with, and answered as.
func oldVersion(base string, more ...object) object {
	return object{
		"id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": "", "updated": "2011-01-21T11:33:21Z",
		"links": append([]object{{"rel": "self", "href": base + "/v2/"}}, more...),
	}
}

// writeNoRoute answers for paths that are none of the API's: by a page, as
// Nova's router does.
func writeNoRoute(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(http.StatusNotFound)
	const page = "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n" +
		"  The resource could not be found.<br /><br />\n </body>\n</html>\n"
	_, _ = w.Write([]byte(page)) // it fails if the client went away
}
