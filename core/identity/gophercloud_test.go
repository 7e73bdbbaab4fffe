package identity_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/catalog"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/identity"
)

// cloud serves a service, and logs gophercloud in.
type cloud struct{ url string }

func newCloud(t *testing.T) cloud {
	t.Helper()
	server := httptest.NewServer(open(t, "").Handler())
	t.Cleanup(server.Close)
	return cloud{server.URL + identity.Prefix}
}

func (c cloud) login(t *testing.T, name, pass, project string) (*gophercloud.ServiceClient, error) {
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{
		IdentityEndpoint: c.url, Username: name, Password: pass, DomainName: "Default", TenantName: project,
	})
	if err != nil {
		return nil, err
	}
	return openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
}

func (c cloud) admin(t *testing.T) *gophercloud.ServiceClient {
	t.Helper()
	client, err := c.login(t, "admin", adminPassword, "admin")
	require.NoError(t, err)
	return client
}

func TestGophercloudManagesUsersProjectsAndRoles(t *testing.T) {
	c := newCloud(t)
	ctx, admin := t.Context(), c.admin(t)

	p, err := projects.Create(ctx, admin, projects.CreateOpts{Name: "tea", Description: "party", Tags: []string{"mad"}}).Extract()
	require.NoError(t, err)
	assert.Regexp(t, "^[0-9a-f]{32}$", p.ID)
	assert.Equal(t, "default", p.DomainID)
	u, err := users.Create(ctx, admin, users.CreateOpts{
		Name: "alice", Password: "wonder", DefaultProjectID: p.ID, Extra: map[string]any{"email": "a@example.org"},
	}).Extract()
	require.NoError(t, err)
	assert.Equal(t, "a@example.org", u.Extra["email"])
	_, err = c.login(t, "alice", "wonder", "tea")
	require.True(t, gophercloud.ResponseCodeIs(err, http.StatusUnauthorized), "no role yet: %v", err)

	pages, err := roles.List(admin, roles.ListOpts{Name: "member"}).AllPages(ctx)
	require.NoError(t, err)
	found, err := roles.ExtractRoles(pages)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, roles.Assign(ctx, admin, found[0].ID, roles.AssignOpts{UserID: u.ID, ProjectID: p.ID}).ExtractErr())
	alice, err := c.login(t, "alice", "wonder", "tea")
	require.NoError(t, err)

	pages, err = users.ListProjects(alice, u.ID).AllPages(ctx)
	require.NoError(t, err)
	own, err := projects.ExtractProjects(pages)
	require.NoError(t, err)
	require.Len(t, own, 1)
	assert.Equal(t, []string{"mad"}, own[0].Tags)

	disabled := false
	_, err = users.Update(ctx, admin, u.ID, users.UpdateOpts{Enabled: &disabled}).Extract()
	require.NoError(t, err)
	_, err = users.Get(ctx, alice, u.ID).Extract()
	require.True(t, gophercloud.ResponseCodeIs(err, http.StatusUnauthorized), "got %v", err)

	require.NoError(t, users.Delete(ctx, admin, u.ID).ExtractErr())
	require.NoError(t, projects.Delete(ctx, admin, p.ID).ExtractErr())
	_, err = projects.Get(ctx, admin, p.ID).Extract()
	assert.True(t, gophercloud.ResponseCodeIs(err, http.StatusNotFound), "got %v", err)
}

func TestGophercloudReadsAndRevokesTokens(t *testing.T) {
	c := newCloud(t)
	ctx, admin := t.Context(), c.admin(t)
	other := c.admin(t)
	id := other.Token()

	result := tokens.Get(ctx, admin, id)
	user, err := result.ExtractUser()
	require.NoError(t, err)
	assert.Equal(t, "admin", user.Name)
	held, err := result.ExtractRoles()
	require.NoError(t, err)
	assert.Len(t, held, 3)
	entries, err := result.ExtractServiceCatalog()
	require.NoError(t, err)
	require.Len(t, entries.Entries, 3)
	project, err := result.ExtractProject()
	require.NoError(t, err)
	assert.Equal(t, "admin", project.Name)
	volume := entries.Entries[2].Endpoints[0]
	assert.Equal(t, c.url[:len(c.url)-len(identity.Prefix)]+"/volume/v3/"+project.ID, volume.URL)

	pages, err := catalog.List(admin).AllPages(ctx)
	require.NoError(t, err)
	listed, err := catalog.ExtractServiceCatalog(pages)
	require.NoError(t, err)
	assert.Equal(t, entries.Entries, listed)

	ok, err := tokens.Validate(ctx, admin, id)
	require.NoError(t, err)
	assert.True(t, ok)
	require.NoError(t, tokens.Revoke(ctx, admin, id).Err)
	ok, err = tokens.Validate(ctx, admin, id)
	require.NoError(t, err)
	assert.False(t, ok)
}

func TestGophercloudGivesRolesToGroups(t *testing.T) {
	c := newCloud(t)
	ctx, admin := t.Context(), c.admin(t)
	p, err := projects.Create(ctx, admin, projects.CreateOpts{Name: "tea"}).Extract()
	require.NoError(t, err)
	u, err := users.Create(ctx, admin, users.CreateOpts{Name: "alice", Password: "wonder"}).Extract()
	require.NoError(t, err)
	g, err := groups.Create(ctx, admin, groups.CreateOpts{Name: "guests"}).Extract()
	require.NoError(t, err)
	role, err := roles.Create(ctx, admin, roles.CreateOpts{Name: "pourer"}).Extract()
	require.NoError(t, err)
	require.NoError(t, users.AddToGroup(ctx, admin, g.ID, u.ID).ExtractErr())
	require.NoError(t, roles.Assign(ctx, admin, role.ID, roles.AssignOpts{GroupID: g.ID, ProjectID: p.ID}).ExtractErr())

	alice, err := c.login(t, "alice", "wonder", "tea")
	require.NoError(t, err)
	held, err := tokens.Get(ctx, alice, alice.Token()).ExtractRoles()
	require.NoError(t, err)
	require.Len(t, held, 1)
	assert.Equal(t, "pourer", held[0].Name)

	effective, names := true, true
	pages, err := roles.ListAssignments(admin, roles.ListAssignmentsOpts{
		UserID: u.ID, Effective: &effective, IncludeNames: &names,
	}).AllPages(ctx)
	require.NoError(t, err)
	all, err := roles.ExtractRoleAssignments(pages)
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, "alice", all[0].User.Name)
	assert.Equal(t, "tea", all[0].Scope.Project.Name)

	require.NoError(t, users.RemoveFromGroup(ctx, admin, g.ID, u.ID).ExtractErr())
	_, err = c.login(t, "alice", "wonder", "tea")
	assert.True(t, gophercloud.ResponseCodeIs(err, http.StatusUnauthorized), "got %v", err)
}
