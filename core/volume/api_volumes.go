package volume

import (
	"maps"
	"net/http"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) volumeRoutes() map[string]methods {
	notes := notes{
		of: "Volume",
		read: func(r request) (map[string]string, error) {
			v, err := a.s.Get(r.Context(), r.caller, r.PathValue("id"))
			return viewMetadata(v), err
		},
		change: func(r request, f func(map[string]string) (map[string]string, error)) (map[string]string, error) {
			v, err := a.s.Update(r.Context(), r.caller, r.PathValue("id"), func(v *Volume) (err error) {
				v.Metadata, err = f(v.Metadata)
				return err
			})
			return v.Metadata, err
		},
	}
	return map[string]methods{
		"/v3/volumes":                     {"GET": a.listVolumes(summary), "POST": a.createVolume},
		"/v3/volumes/detail":              {"GET": a.listVolumes(detail)},
		"/v3/volumes/{id}":                {"GET": a.showVolume, "PUT": a.updateVolume, "DELETE": a.deleteVolume},
		"/v3/volumes/{id}/action":         {"POST": a.volumeAction},
		"/v3/volumes/{id}/metadata":       notes.all(),
		"/v3/volumes/{id}/metadata/{key}": notes.one(),
	}
}

// createBody is the volume of a create request.
type createBody struct {
	Name, Description  text
	DisplayName        text `json:"display_name"`
	DisplayDescription text `json:"display_description"`
	Size               count
	Metadata           metadata
	VolumeType         string `json:"volume_type"`
	AvailabilityZone   string `json:"availability_zone"`
	ImageRef           string `json:"imageRef"`
	ImageID            string `json:"image_id"`
	SnapshotID         string `json:"snapshot_id"`
	SourceID           string `json:"source_volid"`
	BackupID           string `json:"backup_id"`
	GroupID            string `json:"group_id"`
	ConsistencyGroupID string `json:"consistencygroup_id"`
	Multiattach        flag
}

func (a *api) createVolume(w http.ResponseWriter, r request) error {
	var body createBody
	if err := readObject(w, r, "volume", &body); err != nil {
		return err
	}
	if body.ImageRef == "" {
		body.ImageRef = body.ImageID
	}
	if err := body.check(); err != nil {
		return err
	}
	v, err := a.s.Create(r.Context(), r.caller, Volume{
		Name: body.Name.or(body.DisplayName).s, Description: body.Description.or(body.DisplayDescription).s, SizeGB: body.Size.n,
		Metadata: body.Metadata, ImageID: body.ImageRef, SnapshotID: body.SnapshotID, SourceID: body.SourceID,
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusAccepted, map[string]any{"volume": viewVolume(r, v)})
}

// check refuses what no volume here can be.
func (b createBody) check() error {
	sources := 0
	for name, id := range map[string]string{"imageRef": b.ImageRef, "snapshot_id": b.SnapshotID, "source_volid": b.SourceID} {
		if id == "" {
			continue
		}
		sources++
		if uuid.Validate(id) != nil {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Value: %.80s. It is not a UUID.", name, id)
		}
	}
	switch {
	case sources > 1:
		return fault.New(fault.BadRequest, "Invalid input received: a volume is made from one of image, snapshot and volume.")
	case sources == 0 && !b.Size.set:
		return fault.New(fault.BadRequest, "Invalid input received: Invalid volume size provided for create request: None "+
			"(size argument must be an integer (or string representation of an integer) and greater than zero).")
	case b.VolumeType != "" && b.VolumeType != DefaultType && b.VolumeType != DefaultTypeID:
		return fault.New(fault.NotFound, "Volume type with name %.80s could not be found.", b.VolumeType)
	case b.AvailabilityZone != "" && b.AvailabilityZone != Zone:
		return fault.New(fault.BadRequest, "Invalid input received: Availability zone '%.80s' is invalid.", b.AvailabilityZone)
	case b.BackupID != "":
		return fault.New(fault.NotFound, "Backup %.80s could not be found.", b.BackupID)
	case b.GroupID+b.ConsistencyGroupID != "":
		return fault.New(fault.NotFound, "Group %.80s could not be found.", b.GroupID+b.ConsistencyGroupID)
	case b.Multiattach.is:
		return fault.New(fault.BadRequest, "A volume cannot be attached to several servers here.")
	}
	return nil
}

func (a *api) showVolume(w http.ResponseWriter, r request) error {
	v, err := a.s.Get(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"volume": detail(r, v)})
}

func (a *api) updateVolume(w http.ResponseWriter, r request) error {
	var body struct {
		Name, Description  text
		DisplayName        text      `json:"display_name"`
		DisplayDescription text      `json:"display_description"`
		Metadata           *metadata // nil: as it is
	}
	// An unknown volume is told before a bad body, as Cinder does.
	if _, err := a.s.Get(r.Context(), r.caller, r.PathValue("id")); err != nil {
		return err
	}
	if err := readObject(w, r, "volume", &body); err != nil {
		return err
	}
	v, err := a.s.Update(r.Context(), r.caller, r.PathValue("id"), func(v *Volume) error {
		if name := body.Name.or(body.DisplayName); name.set {
			v.Name = name.s
		}
		if description := body.Description.or(body.DisplayDescription); description.set {
			v.Description = description.s
		}
		if body.Metadata != nil {
			v.Metadata = *body.Metadata
		}
		return nil
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"volume": viewVolume(r, v)})
}

func (a *api) deleteVolume(w http.ResponseWriter, r request) error {
	var cascade flag
	if r.URL.Query().Has("cascade") {
		if err := cascade.UnmarshalJSON([]byte(r.URL.Query().Get("cascade"))); err != nil {
			return err
		}
	}
	var err error
	if id := r.PathValue("id"); cascade.is {
		err = a.s.DeleteWithSnapshots(r.Context(), r.caller, id)
	} else {
		err = a.s.Delete(r.Context(), r.caller, id, false)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *api) listVolumes(view func(request, Volume) map[string]any) handler {
	return func(w http.ResponseWriter, r request) error {
		filter, err := readFilter(r)
		if err != nil {
			return err
		}
		if zone, ok := filter.Is["availability_zone"]; ok && zone != Zone {
			filter.Is["id"] = "" // there is nothing in other zones
		}
		volumes, total, err := a.s.List(r.Context(), filter)
		if err != nil {
			return err
		}
		views, last := make([]map[string]any, len(volumes)), ""
		for i, v := range volumes {
			views[i], last = view(r, v), v.ID
		}
		path := r.URL.Path[len("/v3"):]
		return writeList(w, r, "volumes", path, views, filter, last, total)
	}
}

// summary is a volume as plain lists show it.
func summary(r request, v Volume) map[string]any {
	return map[string]any{"id": v.ID, "name": httpapi.OrNull(v.Name), "links": r.links("volumes", v.ID)}
}

// viewVolume is a volume as the answer to its creation shows it. What later
// microversions added must not be in answers of earlier ones.
// See https://docs.openstack.org/api-ref/block-storage/v3/#show-a-volume-s-details
func viewVolume(r request, v Volume) map[string]any {
	bootable := "false"
	if v.Bootable {
		bootable = "true"
	}
	view := map[string]any{
		"id": v.ID, "name": httpapi.OrNull(v.Name), "description": httpapi.OrNull(v.Description), "size": v.SizeGB, "status": v.Status,
		"bootable": bootable, "encrypted": false, "multiattach": false, "availability_zone": Zone, "volume_type": DefaultType,
		"snapshot_id": httpapi.OrNull(v.SnapshotID), "source_volid": httpapi.OrNull(v.SourceID), "user_id": v.UserID,
		"metadata": viewMetadata(v), "attachments": viewAttachments(r, v), "links": r.links("volumes", v.ID),
		"created_at": timestamp(v.CreatedAt), "updated_at": timestamp(v.UpdatedAt),
		"consistencygroup_id": nil, "replication_status": nil, "migration_status": nil,
	}
	for _, added := range []struct {
		minor int
		name  string
		value any
		admin bool
	}{
		{13, "group_id", nil, false}, {21, "provider_id", nil, true}, {48, "service_uuid", nil, false}, {48, "shared_targets", false, false},
		{61, "cluster_name", nil, true}, {63, "volume_type_id", DefaultTypeID, false}, {65, "consumes_quota", true, false},
	} {
		if r.version.AtLeast(added.minor) && (r.caller.Admin || !added.admin) {
			view[added.name] = added.value
		}
	}
	return view
}

// detail is a volume as it is shown by itself and in detailed lists.
func detail(r request, v Volume) map[string]any {
	view := viewVolume(r, v)
	view["os-vol-tenant-attr:tenant_id"] = v.ProjectID
	if len(v.ImageMetadata) > 0 {
		view["volume_image_metadata"] = v.ImageMetadata
	}
	if r.caller.Admin {
		view["os-vol-host-attr:host"] = host
		view["os-vol-mig-status-attr:migstat"] = nil
		view["os-vol-mig-status-attr:name_id"] = nil
	}
	return view
}

// host is where all volumes are, as administrators see it: host@backend#pool.
const host = "gatehouse@files#files"

// viewMetadata adds to what users noted whether the volume is read-only, once
// somebody said.
func viewMetadata(v Volume) map[string]string {
	view := map[string]string{}
	maps.Copy(view, v.Metadata)
	if v.ReadOnly != nil {
		view["readonly"] = "False"
		if *v.ReadOnly {
			view["readonly"] = "True"
		}
	}
	return view
}

func viewAttachments(r request, v Volume) []map[string]any {
	if v.Attachment == nil || v.Attachment.AttachedAt.IsZero() {
		return []map[string]any{}
	}
	a := v.Attachment
	view := map[string]any{
		"id": v.ID, "volume_id": v.ID, "attachment_id": a.ID, "server_id": httpapi.OrNull(a.ServerID), "device": httpapi.OrNull(a.Device),
		"host_name": nil, "attached_at": timestamp(a.AttachedAt),
	}
	if r.caller.Admin {
		view["host_name"] = httpapi.OrNull(a.Host)
	}
	return []map[string]any{view}
}
