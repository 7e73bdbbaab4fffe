package rest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/rest"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@laptop"

func TestKeysAreTakenAsText(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 2 { // git-review's suite adds its key again and again
		made := ok[object](s.call("ann", "POST /a/accounts/self/sshkeys", publicKey+"\n"), 201)
		assert.InDelta(t, 1, made["seq"], 0)
		assert.Equal(t, "ssh-ed25519", made["algorithm"])
	}
	assert.Equal(t, http.StatusBadRequest, s.call("ann", "POST /a/accounts/self/sshkeys", "ssh-rsa nonsense").status)
	list := ok[[]object](s.call("ann", "GET /a/accounts/self/sshkeys/", ""), 200)
	require.Len(t, list, 1)
	assert.Equal(t, publicKey, list[0]["ssh_public_key"])
	assert.Equal(t, http.StatusForbidden, s.call("bob", "GET /a/accounts/ann/sshkeys", "").status)
	assert.Equal(t, 200, s.call("ann", "GET /a/accounts/self/sshkeys/1", "").status)
	assert.Equal(t, 204, s.call("ann", "DELETE /a/accounts/self/sshkeys/1", "").status)
	assert.Equal(t, 404, s.call("ann", "GET /a/accounts/self/sshkeys/1", "").status)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.call("bob", "PUT /a/accounts/zoe", "{}").fails(http.StatusForbidden, "create account not permitted")
	made := ok[object](s.call("admin", "PUT /a/accounts/zoe", `{"name":"Zoe","email":"zoe@example.com","ssh_key":"`+publicKey+`","http_password":"open sesame"}`), 201)
	assert.Equal(t, "zoe", made["username"])
	assert.Equal(t, 409, s.call("admin", "PUT /a/accounts/zoe", "{}").status)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.api+"/a/accounts/self/detail", nil)
	require.NoError(t, err)
	r.SetBasicAuth("zoe", "open sesame")
	detail := ok[object](s.send(r), 200)
	assert.Equal(t, "Zoe", detail["name"])
	assert.NotEmpty(t, detail["registered_on"])

	for _, name := range []string{"zoe", "zoe@example.com", "Zoe <zoe@example.com>"} {
		assert.Equal(t, "zoe", ok[object](s.call("", "GET /accounts/"+url.PathEscape(name), ""), 200)["username"], name)
	}
	assert.Equal(t, 404, s.call("", "GET /accounts/nobody", "").status)
	assert.Equal(t, "zoe", ok[[]object](s.call("bob", "GET /a/accounts/?suggest&q=zo", ""), 200)[0]["username"])

	password := ok[string](s.call("bob", "PUT /a/accounts/self/password.http", `{"generate":true}`), 200)
	r.SetBasicAuth("bob", password)
	assert.Equal(t, "bob", ok[object](s.send(r), 200)["username"])
	assert.Equal(t, 204, s.call("bob", "DELETE /a/accounts/self/password.http", "").status)

	assert.Equal(t, "Robert", ok[string](s.call("bob", "PUT /a/accounts/self/name", `{"name":"Robert"}`), 200))
	assert.Equal(t, 403, s.call("bob", "PUT /a/accounts/self/emails/ann@example.com", "").status, "nobody has proved that it is bob's")
	assert.Equal(t, 201, s.call("admin", "PUT /a/accounts/bob/emails/rob@example.com", "").status)
	assert.Len(t, ok[[]object](s.call("bob", "GET /a/accounts/self/emails", ""), 200), 2)
	assert.Equal(t, true, ok[object](s.call("admin", "GET /a/accounts/self/capabilities", ""), 200)["administrateServer"])
	assert.Nil(t, ok[object](s.call("bob", "GET /a/accounts/self/capabilities", ""), 200)["administrateServer"])
	assert.Len(t, ok[[]object](s.call("admin", "GET /a/accounts/self/groups/", ""), 200), 3)
}

func TestStars(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	assert.Equal(t, 204, s.call("bob", "PUT /a/accounts/self/starred.changes/1", "{}").status)
	assert.Equal(t, true, ok[object](s.call("bob", "GET /a/changes/1", ""), 200)["starred"])
	assert.Nil(t, ok[object](s.call("ann", "GET /a/changes/1", ""), 200)["starred"])
	assert.Len(t, ok[[]object](s.call("bob", "GET /a/accounts/self/starred.changes", ""), 200), 1)
	assert.Equal(t, http.StatusForbidden, s.call("ann", "PUT /a/accounts/bob/starred.changes/1", "").status)
	assert.Equal(t, 204, s.call("bob", "DELETE /a/accounts/self/starred.changes/1", "{}").status)
	assert.Empty(t, ok[[]object](s.call("bob", "GET /a/changes/?q=is:starred", ""), 200))
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	info := ok[struct{ Change map[string]any }](s.call("", "GET /config/server/info", ""), 200)
	assert.Equal(t, false, info.Change["submit_whole_topic"])
	assert.Equal(t, 403, s.call("bob", "GET /a/config/server/summary", "").status)
	assert.Equal(t, 200, s.call("admin", "GET /a/config/server/summary", "").status)
	assert.Contains(t, ok[object](s.call("bob", "GET /a/groups/", ""), 200), "Service Users")
	hook := s.call("", "GET /tools/hooks/commit-msg", "")
	assert.Equal(t, 200, hook.status)
	assert.Equal(t, string(review.CommitMsgHook), hook.body)
}

func TestEventsOfAWhileAgo(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	s.call("", "GET /plugins/events-log/events/", "").fails(http.StatusForbidden, "Authentication required")
	assert.Equal(t, 200, s.call("ann", "GET /a/plugins/events-log/", "").status)
	all := s.call("ann", "GET /a/plugins/events-log/events/?t1=2020-01-01+00:00:00", "")
	assert.Equal(t, 200, all.status)
	lines := strings.Split(strings.TrimSpace(all.body), "\n")
	assert.Contains(t, lines[len(lines)-1], `"type":"patchset-created"`)
	assert.Empty(t, s.call("ann", "GET /a/plugins/events-log/events/?t2=2020-01-01+00:00:00", "").body)
	s.call("ann", "GET /a/plugins/events-log/events/?t1=soon", "").fails(http.StatusBadRequest, "Invalid date: soon")
}

func TestMatchKnowsTheAPIsPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/changes/": true, "/a/changes/1": true, "/config/server/version": true, "/tools/hooks/commit-msg": true,
		"/": false, "/c/p/+/1": false, "/login": false, "/changesome": false,
	} {
		assert.Equal(t, want, rest.Match(path), path)
	}
}
