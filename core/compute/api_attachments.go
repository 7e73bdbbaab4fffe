package compute

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// routeAttachments registers a server's volumes.
// See https://docs.openstack.org/api-ref/compute/#servers-with-volume-attachments-servers-os-volume-attachments
func (a *api) routeAttachments() {
	a.handle("GET /servers/{id}/os-volume_attachments", reader, a.listAttachments)
	a.handle("POST /servers/{id}/os-volume_attachments", writer, a.attachVolume)
	a.handle("GET /servers/{id}/os-volume_attachments/{volume}", reader, a.showAttachment)
	a.handle("DELETE /servers/{id}/os-volume_attachments/{volume}", writer, a.detachVolume)
}

func (r *request) attachment(v Attachment) object {
	o := object{"serverId": v.ServerID, "volumeId": v.VolumeID, "device": v.Device}
	if r.since(70) {
		o["tag"] = orNull(v.Tag)
	}
	if r.since(79) {
		o["delete_on_termination"] = v.DeleteOnTermination
	}
	if r.since(89) {
		o["attachment_id"], o["bdm_uuid"] = v.ID, v.ID
	} else {
		o["id"] = v.VolumeID
	}
	return o
}

func (a *api) listAttachments(r *request) error {
	attachments, err := a.service.Attachments(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	attachments, _, err = page(r, attachments, func(v Attachment) string { return v.VolumeID })
	if err != nil {
		return err
	}
	list := []object{}
	for _, v := range attachments {
		list = append(list, r.attachment(v))
	}
	return r.json(http.StatusOK, object{"volumeAttachments": list})
}

func (a *api) showAttachment(r *request) error {
	id, volume := r.PathValue("id"), r.PathValue("volume")
	attachments, err := a.service.Attachments(r.Context(), r.caller, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(attachments, func(v Attachment) bool { return v.VolumeID == volume })
	if i < 0 {
		return attachmentNotFound(id, volume)
	}
	return r.json(http.StatusOK, object{"volumeAttachment": r.attachment(attachments[i])})
}

// deviceForm are the names that a disk may be asked to have.
var deviceForm = regexp.MustCompile(`^/dev/[a-z]+[0-9]*$`)

func (a *api) attachVolume(r *request) error {
	var body struct {
		VolumeID            string   `json:"volumeId"`
		Device              *string  `json:"device"`
		Tag                 *string  `json:"tag"`                   // since 2.49
		DeleteOnTermination *boolean `json:"delete_on_termination"` // since 2.79
	}
	if err := r.body("volumeAttachment", &body); err != nil {
		return err
	}
	if uuid.Validate(body.VolumeID) != nil {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute volumeId. Value: %s. It is not a 'uuid'", body.VolumeID)
	}
	v := Attachment{ServerID: r.PathValue("id"), VolumeID: body.VolumeID}
	if err := r.checkSince("tag", body.Tag != nil, 49); err != nil {
		return err
	}
	if err := r.checkSince("delete_on_termination", body.DeleteOnTermination != nil, 79); err != nil {
		return err
	}
	if body.Tag != nil {
		v.Tag = *body.Tag
	}
	if body.DeleteOnTermination != nil && bool(*body.DeleteOnTermination) {
		return fault.New(fault.BadRequest, "Volumes are not deleted with servers: delete_on_termination must be false.")
	}
	if body.Device != nil && *body.Device != "" && *body.Device != "auto" {
		if !deviceForm.MatchString(*body.Device) {
			return fault.New(fault.BadRequest, "The supplied device path (%s) is invalid.", *body.Device)
		}
		v.Device = *body.Device
	}
	v, err := a.service.AttachVolume(r.Context(), r.caller, v)
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"volumeAttachment": r.attachment(v)})
}

func (a *api) detachVolume(r *request) error {
	return r.accepted(a.service.DetachVolume(r.Context(), r.caller, r.PathValue("id"), r.PathValue("volume")))
}
