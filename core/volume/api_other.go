package volume

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) otherRoutes() map[string]methods {
	return map[string]methods{
		"/v3/types":                            {"GET": a.listTypes},
		"/v3/types/{id}":                       {"GET": a.showType},
		"/v3/types/{id}/extra_specs":           {"GET": a.showExtraSpecs},
		"/v3/os-availability-zone":             {"GET": a.listZones},
		"/v3/extensions":                       {"GET": a.listExtensions},
		"/v3/limits":                           {"GET": a.showLimits},
		"/v3/os-hosts":                         {"GET": a.listHosts},
		"/v3/os-hosts/{host}":                  {"GET": a.showHost},
		"/v3/os-quota-sets/{project}":          {"GET": a.showQuotas, "PUT": a.setQuotas, "DELETE": a.resetQuotas},
		"/v3/os-quota-sets/{project}/defaults": {"GET": a.showDefaultQuotas},
	}
}

// defaultType is the one volume type.
var defaultType = map[string]any{
	"id": DefaultTypeID, "name": DefaultType, "description": "Default Volume Type", "is_public": true,
	"os-volume-type-access:is_public": true, "qos_specs_id": nil, "extra_specs": map[string]string{},
}

func (a *api) listTypes(w http.ResponseWriter, _ request) error {
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"volume_types": []any{defaultType}})
}

func checkType(r request) error {
	if id := r.PathValue("id"); id != "default" && id != DefaultTypeID {
		return fault.New(fault.NotFound, "Volume type %s could not be found.", id)
	}
	return nil
}

func (a *api) showType(w http.ResponseWriter, r request) error {
	if err := checkType(r); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"volume_type": defaultType})
}

func (a *api) showExtraSpecs(w http.ResponseWriter, r request) error {
	if err := checkType(r); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"extra_specs": map[string]string{}})
}

func (a *api) listZones(w http.ResponseWriter, _ request) error {
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"availabilityZoneInfo": []map[string]any{
		{"zoneName": Zone, "zoneState": map[string]bool{"available": true}},
	}})
}

// extensions are the parts of the API that were extensions once, by alias.
var extensions = [][2]string{
	{"os-admin-actions", "AdminActions"}, {"os-availability-zone", "AvailabilityZones"}, {"os-hosts", "Hosts"}, {"os-quota-sets", "Quotas"},
	{"os-vol-host-attr", "VolumeHostAttribute"}, {"os-vol-image-meta", "VolumeImageMetadata"}, {"os-vol-tenant-attr", "VolumeTenantAttribute"},
	{"os-volume-actions", "VolumeActions"}, {"os-extended-snapshot-attributes", "ExtendedSnapshotAttributes"},
}

func (a *api) listExtensions(w http.ResponseWriter, _ request) error {
	views := make([]map[string]any, len(extensions))
	for i, extension := range extensions {
		views[i] = map[string]any{
			"alias": extension[0], "name": extension[1], "description": extension[1], "links": []any{}, "updated": "2012-06-19T00:00:00+00:00",
		}
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"extensions": views})
}

// service is the name of the one host in lists of hosts.
const service = "gatehouse@files"

func (a *api) listHosts(w http.ResponseWriter, r request) error {
	if !r.caller.Admin {
		return notAuthorized("volume_extension:hosts")
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"hosts": []map[string]any{{
		"host_name": service, "service": "cinder-volume", "zone": Zone, "service-status": "available", "service-state": "enabled",
		"last-update": timestamp(now()),
	}}})
}

func (a *api) showHost(w http.ResponseWriter, r request) error {
	if !r.caller.Admin {
		return notAuthorized("volume_extension:hosts")
	}
	if r.PathValue("host") != service {
		return fault.New(fault.NotFound, "Host %.80s could not be found.", r.PathValue("host"))
	}
	total, err := a.s.store.total(r.Context())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"host": []map[string]any{{"resource": map[string]string{
		"host": service, "project": "(total)", "volume_count": strconv.Itoa(total.Volumes), "total_volume_gb": strconv.Itoa(total.VolumeGB),
		"snapshot_count": strconv.Itoa(total.Snapshots), "total_snapshot_gb": strconv.Itoa(total.SnapshotGB),
	}}}})
}

func (a *api) showLimits(w http.ResponseWriter, r request) error {
	project := r.caller.Project
	if other := r.URL.Query().Get("project_id"); other != "" && r.caller.Admin {
		project = other
	}
	quotas, used, err := a.s.Quotas(r.Context(), project)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"limits": map[string]any{"rate": []any{}, "absolute": map[string]int{
		"maxTotalVolumes": quotas.Volumes, "maxTotalSnapshots": quotas.Snapshots, "maxTotalVolumeGigabytes": quotas.Gigabytes,
		"totalVolumesUsed": used.Volumes, "totalSnapshotsUsed": used.Snapshots, "totalGigabytesUsed": used.Gigabytes(),
		"maxTotalBackups": quotas.Backups, "maxTotalBackupGigabytes": quotas.BackupGigabytes, "totalBackupsUsed": 0, "totalBackupGigabytesUsed": 0,
	}}})
}

// viewQuotas lists all quotas as Cinder does, with those of the one type.
func viewQuotas(q Quotas, project string) map[string]any {
	view := map[string]any{"volumes_" + DefaultType: -1, "snapshots_" + DefaultType: -1, "gigabytes_" + DefaultType: -1}
	for name, limit := range q.resources() {
		view[name] = *limit
	}
	if project != "" {
		view["id"] = project
	}
	return view
}

// withUsage turns each limit into the limit and what is used of it.
func withUsage(view map[string]any, used Usage) map[string]any {
	inUse := map[string]int{"volumes": used.Volumes, "snapshots": used.Snapshots, "gigabytes": used.Gigabytes()}
	for name, n := range inUse {
		inUse[name+"_"+DefaultType] = n
	}
	for name, limit := range view {
		if name != "id" {
			view[name] = map[string]any{"limit": limit, "in_use": inUse[name], "reserved": 0}
		}
	}
	return view
}

func (a *api) showQuotas(w http.ResponseWriter, r request) error {
	project := r.PathValue("project")
	if !r.caller.Admin && project != r.caller.Project {
		return notAuthorized("volume_extension:quotas:show")
	}
	quotas, used, err := a.s.Quotas(r.Context(), project)
	if err != nil {
		return err
	}
	view := viewQuotas(quotas, project)
	var usage flag
	if err := usage.UnmarshalJSON([]byte(r.URL.Query().Get("usage"))); err == nil && usage.is {
		view = withUsage(view, used)
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"quota_set": view})
}

func (a *api) showDefaultQuotas(w http.ResponseWriter, r request) error {
	project := r.PathValue("project")
	if !r.caller.Admin && project != r.caller.Project {
		return notAuthorized("volume_extension:quotas:show")
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"quota_set": viewQuotas(a.s.config.Quotas, project)})
}

func (a *api) setQuotas(w http.ResponseWriter, r request) error {
	if !r.caller.Admin {
		return notAuthorized("volume_extension:quotas:update")
	}
	var body map[string]json.RawMessage
	if err := readObject(w, r, "quota_set", &body); err != nil {
		return err
	}
	limits := map[string]int{}
	for name, value := range body {
		if name == "tenant_id" || name == "force" || name == "skip_validation" {
			continue
		}
		var limit json.Number
		if err := decode(name, value, &limit); err != nil {
			return err
		}
		n, err := limit.Int64()
		if err != nil || n > maxSize {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %.80s: %.80s is not a limit.", name, limit)
		}
		limits[name] = int(n)
	}
	quotas, err := a.s.SetQuotas(r.Context(), r.PathValue("project"), limits)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"quota_set": viewQuotas(quotas, "")})
}

func (a *api) resetQuotas(w http.ResponseWriter, r request) error {
	if !r.caller.Admin {
		return notAuthorized("volume_extension:quotas:delete")
	}
	if err := a.s.ResetQuotas(r.Context(), r.PathValue("project")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
