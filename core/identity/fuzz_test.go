package identity_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/core/identity"
)

// FuzzRequests sends any path and body as an administrator: nothing may end in
// a server error.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][3]string{
		{"POST", "/v3/auth/tokens", `{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": {"system": {"all": true}}}}`},
		{"POST", "/v3/auth/tokens", `{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "x", "secret": "y"}}}}`},
		{"POST", "/v3/users", `{"user": {"name": "a", "domain_id": null, "enabled": true, "options": {"multi_factor_auth_rules": [["password"]]}}}`},
		{"POST", "/v3/projects", `{"project": {"name": "a", "parent_id": "default", "tags": ["a"], "is_domain": true}}`},
		{"PATCH", "/v3/domains/default", `{"domain": {"enabled": false, "name": "x"}}`},
		{"PUT", "/v3/projects/default/tags/a", ``},
		{"GET", "/v3/role_assignments?effective&include_names&scope.project.id=x", ``},
		{"GET", "/v3/projects?name__contains=a&tags=a,b", ``},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	s := open(f, "")
	h, token := s.Handler(), login(f, s, "admin", adminPassword, "admin")
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://cloud"+identity.Prefix+target, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(r.URL.Path, identity.Prefix) {
			return // no server would see it
		}
		r.Header.Set("X-Auth-Token", token)
		r.Header.Set("X-Subject-Token", token+"x")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code >= 500 {
			t.Errorf("%s %s %s: %d %s", method, target, body, w.Code, w.Body)
		}
	})
}
