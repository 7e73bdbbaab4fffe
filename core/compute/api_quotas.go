package compute

import (
	"maps"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// routeQuotas registers the limits of projects.
// See https://docs.openstack.org/api-ref/compute/#quota-sets-os-quota-sets
func (a *api) routeQuotas() {
	a.handle("GET /limits", reader, a.showLimits)
	a.handle("GET /os-quota-sets/{project}", reader, a.showQuota)
	a.handle("GET /os-quota-sets/{project}/defaults", reader, a.showDefaultQuota)
	a.handle("GET /os-quota-sets/{project}/detail", reader, a.showQuotaDetail)
	a.handle("PUT /os-quota-sets/{project}", admin, a.setQuota)
	a.handle("DELETE /os-quota-sets/{project}", admin, a.deleteQuota)
	a.handle("GET /os-quota-class-sets/{class}", admin, a.showQuotaClass)
}

// unlimited is shown for what nothing here has a limit of.
const unlimited = -1

// quota are limits as the API shows them: those that are enforced, and those
// that a microversion's schema wants, which are not.
func (r *request) quota(q Quotas) object {
	o := object{
		"instances": q.Instances, "cores": q.Cores, "ram": q.RAMMB, "key_pairs": q.KeyPairs, "metadata_items": q.MetadataItems,
		"server_groups": unlimited, "server_group_members": unlimited,
	}
	if !r.since(36) {
		addNetworkQuota(o)
	}
	if !r.since(57) {
		for _, name := range []string{"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"} {
			o[name] = 0
		}
	}
	return o
}

// addNetworkQuota adds what Nova showed when it still did the network.
func addNetworkQuota(o object) {
	for _, name := range []string{"fixed_ips", "floating_ips", "security_groups", "security_group_rules"} {
		o[name] = unlimited
	}
}

// quotaProject is the project that the path names: one's own, or any for an
// administrator.
func (r *request) quotaProject() (string, error) {
	project := r.PathValue("project")
	if project != r.caller.ProjectID && !r.caller.Admin {
		return "", fault.New(fault.Forbidden, "Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.")
	}
	return project, nil
}

func (a *api) answerQuota(r *request, project string, q Quotas) error {
	view := r.quota(q)
	if project != "" {
		view["id"] = project
	}
	return r.json(http.StatusOK, object{"quota_set": view})
}

func (a *api) showQuota(r *request) error {
	project, err := r.quotaProject()
	if err != nil {
		return err
	}
	quota, err := a.service.Quota(r.Context(), project)
	if err != nil {
		return err
	}
	return a.answerQuota(r, project, quota)
}

func (a *api) showDefaultQuota(r *request) error {
	return a.answerQuota(r, r.PathValue("project"), a.service.DefaultQuota())
}

func (a *api) showQuotaDetail(r *request) error {
	project, err := r.quotaProject()
	if err != nil {
		return err
	}
	quota, err := a.service.Quota(r.Context(), project)
	if err != nil {
		return err
	}
	usage, err := a.service.Usage(r.Context(), project)
	if err != nil {
		return err
	}
	used := map[string]int{"instances": usage.Instances, "cores": usage.Cores, "ram": usage.RAMMB}
	view := object{"id": project}
	for name, limit := range r.quota(quota) {
		view[name] = object{"limit": limit, "in_use": used[name], "reserved": 0}
	}
	return r.json(http.StatusOK, object{"quota_set": view})
}

func (a *api) setQuota(r *request) error {
	var body map[string]any
	if err := r.body("quota_set", &body); err != nil {
		return err
	}
	force := false
	if value, given := body["force"]; given {
		force = value == true || value == "true" || value == "True"
		delete(body, "force")
	}
	delete(body, "tenant_id")
	shown, limits := r.quota(Quotas{}), map[string]int{}
	enforced := (&Quotas{}).resources()
	for name, value := range body {
		if _, known := shown[name]; !known {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute quota_set. Additional properties are not allowed ('%s' was unexpected)", name)
		}
		limit, err := number(name, value, -1)
		if err != nil {
			return err
		}
		switch {
		case enforced[name] != nil:
			limits[name] = limit
		case limit != shown[name]:
			return fault.New(fault.BadRequest, "There is no quota of %s to set.", name)
		}
	}
	project := r.PathValue("project")
	if err := a.service.SetQuota(r.Context(), project, limits, force); err != nil {
		return err
	}
	quota, err := a.service.Quota(r.Context(), project)
	if err != nil {
		return err
	}
	return a.answerQuota(r, "", quota)
}

func (a *api) deleteQuota(r *request) error {
	return r.accepted(a.service.ResetQuota(r.Context(), r.PathValue("project")))
}

func (a *api) showQuotaClass(r *request) error {
	view := r.quota(a.service.DefaultQuota())
	view["id"] = r.PathValue("class")
	if !r.since(50) {
		delete(view, "server_groups")
		delete(view, "server_group_members")
		addNetworkQuota(view) // longer than in a project's
	}
	return r.json(http.StatusOK, object{"quota_class_set": view})
}

func (a *api) showLimits(r *request) error {
	project := r.caller.ProjectID
	for _, name := range []string{"tenant_id", "project_id"} {
		if other := r.URL.Query().Get(name); other != "" && r.caller.Admin {
			project = other
		}
	}
	quota, err := a.service.Quota(r.Context(), project)
	if err != nil {
		return err
	}
	usage, err := a.service.Usage(r.Context(), project)
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"limits": object{"rate": []object{}, "absolute": r.limits(quota, usage)}})
}

func (r *request) limits(q Quotas, used Usage) object {
	absolute := object{
		"maxTotalInstances": q.Instances, "maxTotalCores": q.Cores, "maxTotalRAMSize": q.RAMMB,
		"maxTotalKeypairs": q.KeyPairs, "maxServerMeta": q.MetadataItems,
		"maxServerGroups": unlimited, "maxServerGroupMembers": unlimited,
		"totalInstancesUsed": used.Instances, "totalCoresUsed": used.Cores, "totalRAMUsed": used.RAMMB, "totalServerGroupsUsed": 0,
	}
	if !r.since(36) {
		maps.Copy(absolute, object{
			"maxTotalFloatingIps": unlimited, "maxSecurityGroups": unlimited, "maxSecurityGroupRules": unlimited,
			"totalFloatingIpsUsed": 0, "totalSecurityGroupsUsed": 0,
		})
	}
	if !r.since(39) {
		absolute["maxImageMeta"] = q.MetadataItems
	}
	if !r.since(57) {
		absolute["maxPersonality"], absolute["maxPersonalitySize"] = 0, 0
	}
	return absolute
}
