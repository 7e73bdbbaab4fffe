package volume

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// action is something that can be done to a volume: POST …/action with a body
// of {"os-name": {…}}.
type action struct {
	status int
	admin  string // the policy, if it is for administrators only
	do     func(a *api, r request, id string, body json.RawMessage) (answer any, err error)
}

// See https://docs.openstack.org/api-ref/block-storage/v3/#volume-actions-volumes-action
var actions = map[string]action{
	"os-reserve":              {status: http.StatusAccepted, do: change((*Volume).reserve)},
	"os-unreserve":            {status: http.StatusAccepted, do: change((*Volume).unreserve)},
	"os-begin_detaching":      {status: http.StatusAccepted, do: change((*Volume).beginDetaching)},
	"os-roll_detaching":       {status: http.StatusAccepted, do: change((*Volume).rollDetaching)},
	"os-attach":               {status: http.StatusAccepted, do: (*api).attach},
	"os-detach":               {status: http.StatusAccepted, do: (*api).detach},
	"os-extend":               {status: http.StatusAccepted, do: (*api).extend},
	"os-set_bootable":         {status: http.StatusOK, do: (*api).setBootable},
	"os-update_readonly_flag": {status: http.StatusAccepted, do: (*api).setReadOnly},
	"os-show_image_metadata":  {status: http.StatusOK, do: (*api).showImageMetadata},
	"os-set_image_metadata":   {status: http.StatusOK, do: (*api).setImageMetadata},
	"os-unset_image_metadata": {status: http.StatusOK, do: (*api).unsetImageMetadata},
	"os-reset_status":         {http.StatusAccepted, "volume_extension:volume_admin_actions:reset_status", (*api).resetStatus},
	"os-force_detach":         {http.StatusAccepted, "volume_extension:volume_admin_actions:force_detach", (*api).detach},
	"os-force_delete":         {http.StatusAccepted, "volume_extension:volume_admin_actions:force_delete", (*api).forceDelete},
}

func (a *api) volumeAction(w http.ResponseWriter, r request) error {
	id := r.PathValue("id")
	if _, err := a.s.Get(r.Context(), r.caller, id); err != nil {
		return err
	}
	name, arguments, err := readAction(w, r)
	if err != nil {
		return err
	}
	action, ok := actions[name]
	if !ok {
		return noAction(name)
	}
	if action.admin != "" && !r.caller.Admin {
		return notAuthorized(action.admin)
	}
	answer, err := action.do(a, r, id, arguments)
	if err != nil {
		return err
	}
	if answer != nil {
		return httpapi.WriteJSON(w, action.status, answer)
	}
	w.WriteHeader(action.status)
	return nil
}

// readAction reads the body of a request for an action on a volume or snapshot.
func readAction(w http.ResponseWriter, r request) (name string, arguments json.RawMessage, err error) {
	var body map[string]json.RawMessage
	if err := httpapi.ReadJSON(w, r.Request, &body); err != nil {
		return "", nil, err
	}
	if len(body) != 1 {
		return "", nil, fault.New(fault.BadRequest, "Malformed request body: exactly one action is required.")
	}
	for one := range body {
		name = one
	}
	return name, body[name], nil
}

func noAction(name string) error {
	return fault.New(fault.BadRequest, "There is no such action: %.80s", name)
}

// change is an action that has no arguments.
func change(f func(*Volume) error) func(*api, request, string, json.RawMessage) (any, error) {
	return func(a *api, r request, id string, _ json.RawMessage) (any, error) {
		_, err := a.s.Update(r.Context(), r.caller, id, f)
		return nil, err
	}
}

func (a *api) attach(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct {
		Server string `json:"instance_uuid"`
		Host   string `json:"host_name"`
		Device string `json:"mountpoint"`
		Mode   string
	}
	if err := decode("os-attach", arguments, &body); err != nil {
		return nil, err
	}
	switch {
	case body.Server == "" && body.Host == "":
		return nil, fault.New(fault.BadRequest, "Invalid request to attach volume to an invalid target")
	case body.Server != "" && uuid.Validate(body.Server) != nil:
		return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute instance_uuid. Value: %.80s. It is not a UUID.", body.Server)
	case body.Device == "" || len(body.Device)+len(body.Host) > maxText:
		return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute mountpoint: it is required, and at most %d characters long.", maxText)
	case !slices.Contains([]string{"", "ro", "rw"}, body.Mode):
		return nil, fault.New(fault.BadRequest, "Invalid request to attach volume with an invalid mode. Attaching mode should be 'rw' or 'ro'")
	}
	_, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error {
		return v.claim(Attachment{ServerID: body.Server, Host: body.Host, Device: body.Device})
	})
	return nil, err
}

func (a *api) detach(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct {
		Attachment string `json:"attachment_id"`
	}
	if err := decode("os-detach", arguments, &body); err != nil {
		return nil, err
	}
	_, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error { return v.release(body.Attachment) })
	return nil, err
}

func (a *api) extend(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct {
		Size count `json:"new_size"`
	}
	if err := decode("os-extend", arguments, &body); err != nil {
		return nil, err
	}
	if !body.Size.set {
		return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute os-extend: 'new_size' is a required property")
	}
	return nil, a.s.Extend(r.Context(), r.caller, id, body.Size.n)
}

func (a *api) setBootable(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct{ Bootable flag }
	if err := decode("os-set_bootable", arguments, &body); err != nil {
		return nil, err
	}
	if !body.Bootable.set {
		return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute os-set_bootable: 'bootable' is a required property")
	}
	_, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error {
		v.Bootable = body.Bootable.is
		return nil
	})
	return nil, err
}

func (a *api) setReadOnly(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct{ ReadOnly flag }
	if err := decode("os-update_readonly_flag", arguments, &body); err != nil {
		return nil, err
	}
	if !body.ReadOnly.set {
		return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute os-update_readonly_flag: 'readonly' is a required property")
	}
	_, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error {
		if v.Status != Available {
			return invalid("Volume %s status must be available to update readonly flag, but current status is: %s.", id, v.Status)
		}
		v.ReadOnly = &body.ReadOnly.is
		return nil
	})
	return nil, err
}

func (a *api) showImageMetadata(r request, id string, _ json.RawMessage) (any, error) {
	v, err := a.s.Get(r.Context(), r.caller, id)
	return map[string]any{"metadata": v.ImageMetadata}, err
}

func (a *api) setImageMetadata(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct{ Metadata metadata }
	if err := decode("os-set_image_metadata", arguments, &body); err != nil {
		return nil, err
	}
	v, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error {
		maps.Copy(v.ImageMetadata, body.Metadata)
		return checkItems(v.ImageMetadata)
	})
	return map[string]any{"metadata": v.ImageMetadata}, err
}

func (a *api) unsetImageMetadata(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct{ Key string }
	if err := decode("os-unset_image_metadata", arguments, &body); err != nil {
		return nil, err
	}
	_, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error {
		if _, ok := v.ImageMetadata[body.Key]; !ok {
			return noItem("Volume", id, body.Key)
		}
		delete(v.ImageMetadata, body.Key)
		return nil
	})
	return nil, err
}

// resettable are the states that an administrator may set.
var resettable = []Status{
	Creating, Available, Deleting, Failed, FailedDelete, Attaching, Detaching, InUse, FailedExtend, "maintenance",
	"managing", "error_managing", "reserved", "backing-up", "restoring-backup", "error_restoring", "retyping", "uploading", "downloading",
}

func (a *api) resetStatus(r request, id string, arguments json.RawMessage) (any, error) {
	var body struct {
		Status          Status
		AttachStatus    string `json:"attach_status"`
		MigrationStatus string `json:"migration_status"`
	}
	if err := decode("os-reset_status", arguments, &body); err != nil {
		return nil, err
	}
	if body.Status == "" && body.AttachStatus == "" && body.MigrationStatus == "" {
		return nil, fault.New(fault.BadRequest, "Must specify 'status', 'attach_status' or 'migration_status' for update.")
	}
	if body.Status != "" && !slices.Contains(resettable, body.Status) {
		return nil, fault.New(fault.BadRequest, "Must specify a valid status: %.80s", body.Status)
	}
	if !slices.Contains([]string{"", "attached", "detached"}, body.AttachStatus) {
		return nil, fault.New(fault.BadRequest, "Must specify a valid attach_status: %.80s", body.AttachStatus)
	}
	_, err := a.s.Update(r.Context(), r.caller, id, func(v *Volume) error {
		if body.Status != "" {
			v.Status = body.Status
		}
		if body.AttachStatus == "detached" {
			v.Attachment = nil
		}
		return nil
	})
	return nil, err
}

func (a *api) forceDelete(r request, id string, _ json.RawMessage) (any, error) {
	return nil, a.s.Delete(r.Context(), r.caller, id, true)
}
