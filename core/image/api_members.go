package image

import (
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

func (h *api) members(w http.ResponseWriter, r *http.Request) error {
	members, err := h.service.Members(r.Context(), caller(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	views := make([]map[string]any, len(members))
	for i, m := range members {
		views[i] = memberView(m)
	}
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"members": views, "schema": "/v2/schemas/members"})
}

func (h *api) addMember(w http.ResponseWriter, r *http.Request) error {
	var body struct{ Member string }
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.Member == "" || len(body.Member) > maxName {
		return fault.New(fault.BadRequest, `Expected a member in the form: {"member": "image_id"}`)
	}
	member, err := h.service.AddMember(r.Context(), caller(r), r.PathValue("id"), body.Member)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, memberView(member))
}

func (h *api) member(w http.ResponseWriter, r *http.Request) error {
	member, err := h.service.Member(r.Context(), caller(r), r.PathValue("id"), r.PathValue("member"))
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, memberView(member))
}

func (h *api) setMember(w http.ResponseWriter, r *http.Request) error {
	var body struct{ Status string }
	if err := httpapi.ReadJSON(w, r, &body); err != nil {
		return err
	}
	member, err := h.service.SetMember(r.Context(), caller(r), r.PathValue("id"), r.PathValue("member"), body.Status)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, memberView(member))
}

func (h *api) removeMember(w http.ResponseWriter, r *http.Request) error {
	if err := h.service.RemoveMember(r.Context(), caller(r), r.PathValue("id"), r.PathValue("member")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func memberView(m Member) map[string]any {
	return map[string]any{
		"image_id": m.Image, "member_id": m.Project, "status": m.Status,
		"created_at": timestamp(m.CreatedAt), "updated_at": timestamp(m.UpdatedAt), "schema": "/v2/schemas/member",
	}
}
