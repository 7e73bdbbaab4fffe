package volume

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (a *api) snapshotRoutes() map[string]methods {
	notes := notes{
		of: "Snapshot",
		read: func(r request) (map[string]string, error) {
			one, err := a.s.Snapshot(r.Context(), r.caller, r.PathValue("id"))
			return one.Metadata, err
		},
		change: func(r request, f func(map[string]string) (map[string]string, error)) (map[string]string, error) {
			one, err := a.s.UpdateSnapshot(r.Context(), r.caller, r.PathValue("id"), func(one *Snapshot) (err error) {
				one.Metadata, err = f(one.Metadata)
				return err
			})
			return one.Metadata, err
		},
	}
	return map[string]methods{
		"/v3/snapshots":                     {"GET": a.listSnapshots(viewSnapshot), "POST": a.createSnapshot},
		"/v3/snapshots/detail":              {"GET": a.listSnapshots(detailSnapshot)},
		"/v3/snapshots/{id}":                {"GET": a.showSnapshot, "PUT": a.updateSnapshot, "DELETE": a.deleteSnapshot},
		"/v3/snapshots/{id}/action":         {"POST": a.snapshotAction},
		"/v3/snapshots/{id}/metadata":       notes.all(),
		"/v3/snapshots/{id}/metadata/{key}": notes.one(),
	}
}

func (a *api) createSnapshot(w http.ResponseWriter, r request) error {
	var body struct {
		Volume             json.RawMessage `json:"volume_id"`
		Name, Description  text
		DisplayName        text `json:"display_name"`
		DisplayDescription text `json:"display_description"`
		Metadata           metadata
		Force              flag // no snapshot is made of a volume in use, forced or not
	}
	if err := readObject(w, r, "snapshot", &body); err != nil {
		return err
	}
	volume, err := volumeOf(body.Volume)
	if err != nil {
		return err
	}
	snapshot, err := a.s.CreateSnapshot(r.Context(), r.caller, Snapshot{
		VolumeID: volume, Name: body.Name.or(body.DisplayName).s, Description: body.Description.or(body.DisplayDescription).s,
		Metadata: body.Metadata,
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusAccepted, map[string]any{"snapshot": viewSnapshot(r, snapshot)})
}

// volumeOf reads the id of a snapshot's volume. It must be there; null is an
// id too, of no volume, as in Cinder.
func volumeOf(value json.RawMessage) (string, error) {
	var id *string
	if err := json.Unmarshal(value, &id); err != nil || id != nil && uuid.Validate(*id) != nil {
		return "", fault.New(fault.BadRequest, "Invalid input for field/attribute volume_id. Value: %.80s. It is not a UUID.", value)
	}
	if id == nil {
		return "", notFound("None")
	}
	return *id, nil
}

func (a *api) showSnapshot(w http.ResponseWriter, r request) error {
	snapshot, err := a.s.Snapshot(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"snapshot": detailSnapshot(r, snapshot)})
}

func (a *api) updateSnapshot(w http.ResponseWriter, r request) error {
	var body struct {
		Name, Description  text
		DisplayName        text `json:"display_name"`
		DisplayDescription text `json:"display_description"`
	}
	if _, err := a.s.Snapshot(r.Context(), r.caller, r.PathValue("id")); err != nil {
		return err
	}
	if err := readObject(w, r, "snapshot", &body); err != nil {
		return err
	}
	snapshot, err := a.s.UpdateSnapshot(r.Context(), r.caller, r.PathValue("id"), func(one *Snapshot) error {
		if name := body.Name.or(body.DisplayName); name.set {
			one.Name = name.s
		}
		if description := body.Description.or(body.DisplayDescription); description.set {
			one.Description = description.s
		}
		return nil
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"snapshot": viewSnapshot(r, snapshot)})
}

func (a *api) deleteSnapshot(w http.ResponseWriter, r request) error {
	if err := a.s.DeleteSnapshot(r.Context(), r.caller, r.PathValue("id"), false); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// snapshotAction does what administrators can do to a snapshot besides:
// POST …/action with a body of {"os-name": {…}}.
func (a *api) snapshotAction(w http.ResponseWriter, r request) error {
	id := r.PathValue("id")
	if _, err := a.s.Snapshot(r.Context(), r.caller, id); err != nil {
		return err
	}
	name, arguments, err := readAction(w, r)
	if err != nil {
		return err
	}
	if err := a.actOnSnapshot(r, id, name, arguments); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *api) actOnSnapshot(r request, id, name string, arguments json.RawMessage) error {
	if !slices.Contains([]string{"os-force_delete", "os-reset_status", "os-update_snapshot_status"}, name) {
		return noAction(name)
	}
	if !r.caller.Admin {
		return notAuthorized("volume_extension:snapshot_admin_actions:" + strings.TrimPrefix(name, "os-"))
	}
	if name == "os-force_delete" {
		return a.s.DeleteSnapshot(r.Context(), r.caller, id, true)
	}
	var body struct{ Status Status }
	if err := decode(name, arguments, &body); err != nil {
		return err
	}
	if !slices.Contains([]Status{Creating, Available, Deleting, Failed, FailedDelete}, body.Status) {
		return fault.New(fault.BadRequest, "Must specify a valid status: %.80s", body.Status)
	}
	_, err := a.s.UpdateSnapshot(r.Context(), r.caller, id, func(one *Snapshot) error {
		one.Status = body.Status
		return nil
	})
	return err
}

func (a *api) listSnapshots(view func(request, Snapshot) map[string]any) handler {
	return func(w http.ResponseWriter, r request) error {
		filter, err := readFilter(r)
		if err != nil {
			return err
		}
		snapshots, total, err := a.s.Snapshots(r.Context(), filter)
		if err != nil {
			return err
		}
		views, last := make([]map[string]any, len(snapshots)), ""
		for i, one := range snapshots {
			views[i], last = view(r, one), one.ID
		}
		return writeList(w, r, "snapshots", r.URL.Path[len("/v3"):], views, filter, last, total)
	}
}

// viewSnapshot is a snapshot as plain lists, and answers to changes, show it.
// See https://docs.openstack.org/api-ref/block-storage/v3/#volume-snapshots-snapshots
func viewSnapshot(r request, one Snapshot) map[string]any {
	view := map[string]any{
		"id": one.ID, "name": httpapi.OrNull(one.Name), "description": httpapi.OrNull(one.Description), "volume_id": one.VolumeID, "status": one.Status,
		"size": one.SizeGB, "metadata": orEmpty(one.Metadata), "created_at": timestamp(one.CreatedAt), "updated_at": timestamp(one.UpdatedAt),
	}
	if r.version.AtLeast(14) {
		view["group_snapshot_id"] = nil
	}
	if r.version.AtLeast(41) {
		view["user_id"] = one.UserID
	}
	if r.version.AtLeast(65) {
		view["consumes_quota"] = true
	}
	return view
}

func detailSnapshot(r request, one Snapshot) map[string]any {
	view := viewSnapshot(r, one)
	view["os-extended-snapshot-attributes:project_id"] = one.ProjectID
	view["os-extended-snapshot-attributes:progress"] = "0%"
	if one.Status == Available {
		view["os-extended-snapshot-attributes:progress"] = "100%"
	}
	return view
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
