package compute

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// routeKeypairs registers keypairs.
// See https://docs.openstack.org/api-ref/compute/#keypairs-keypairs
func (a *api) routeKeypairs() {
	a.handle("GET /os-keypairs", reader, a.listKeypairs)
	a.handle("POST /os-keypairs", writer, a.createKeypair)
	a.handle("GET /os-keypairs/{name}", reader, a.showKeypair)
	a.handle("DELETE /os-keypairs/{name}", writer, a.deleteKeypair)
}

// keypair is a keypair as lists show it.
func (r *request) keypair(k Keypair) object {
	o := object{"name": k.Name, "public_key": k.PublicKey, "fingerprint": k.Fingerprint}
	if r.since(2) {
		o["type"] = k.Type
	}
	return o
}

// owner is whose keypairs the request is about: an administrator may name
// another user from 2.10 on.
func (r *request) owner() (string, error) {
	user := r.URL.Query().Get("user_id")
	switch {
	case user == "" || user == r.caller.UserID || !r.since(10):
		return r.caller.UserID, nil
	case !r.caller.Admin:
		return "", fault.New(fault.Forbidden, "Policy doesn't allow os_compute_api:os-keypairs to be performed.")
	}
	return user, nil
}

func (a *api) listKeypairs(r *request) error {
	user, err := r.owner()
	if err != nil {
		return err
	}
	pairs, err := a.service.Keypairs(r.Context(), user)
	if err != nil {
		return err
	}
	next := ""
	if r.since(35) {
		if pairs, next, err = page(r, pairs, func(k Keypair) string { return k.Name }); err != nil {
			return err
		}
	}
	list := []object{}
	for _, k := range pairs {
		list = append(list, object{"keypair": r.keypair(k)})
	}
	answer := object{"keypairs": list}
	if next != "" {
		answer["keypairs_links"] = r.next(next)
	}
	return r.json(http.StatusOK, answer)
}

var (
	keypairName      = regexp.MustCompile(`^[a-zA-Z0-9 _-]+$`)
	keypairNameSince = regexp.MustCompile(`^[a-zA-Z0-9 _.@-]+$`) // 2.92
)

type keypairBody struct {
	Name      string  `json:"name"`
	PublicKey *string `json:"public_key"`
	Type      *string `json:"type"`
	UserID    *string `json:"user_id"`
}

func (a *api) createKeypair(r *request) error {
	var body keypairBody
	if err := r.body("keypair", &body); err != nil {
		return err
	}
	k, err := body.keypair(r)
	if err != nil {
		return err
	}
	private := ""
	if body.PublicKey != nil {
		k, err = a.service.ImportKeypair(r.Context(), k)
	} else {
		k, private, err = a.service.GenerateKeypair(r.Context(), k)
	}
	if err != nil {
		return err
	}
	view := r.keypair(k)
	view["user_id"] = k.UserID
	if private != "" {
		view["private_key"] = private
	}
	status := http.StatusOK
	if r.since(2) {
		status = http.StatusCreated
	}
	return r.json(status, object{"keypair": view})
}

// keypair checks what a keypair is to be made of.
func (b keypairBody) keypair(r *request) (Keypair, error) {
	k := Keypair{UserID: r.caller.UserID, Name: strings.TrimSpace(b.Name), Type: "ssh"}
	form := keypairName
	if r.since(92) {
		form = keypairNameSince
	}
	if err := checkName("name", b.Name); err != nil {
		return k, err
	}
	if !form.MatchString(k.Name) {
		return k, fault.New(fault.BadRequest, "Keypair data is invalid: Keypair name contains unsafe characters")
	}
	if b.PublicKey != nil {
		k.PublicKey = *b.PublicKey
	} else if r.since(92) {
		return k, fault.New(fault.BadRequest, "Invalid input for field/attribute keypair. 'public_key' is a required property")
	}
	if b.Type != nil {
		if !r.since(2) {
			return k, fault.New(fault.BadRequest, "Additional properties are not allowed ('type' was unexpected)")
		}
		if *b.Type != "ssh" && *b.Type != "x509" {
			return k, fault.New(fault.BadRequest, "Invalid input for field/attribute type. Value: %s. It is not one of ['ssh', 'x509']", *b.Type)
		}
		k.Type = *b.Type
	}
	if b.UserID != nil {
		if !r.since(10) {
			return k, fault.New(fault.BadRequest, "Additional properties are not allowed ('user_id' was unexpected)")
		}
		if *b.UserID != k.UserID && !r.caller.Admin {
			return k, fault.New(fault.Forbidden, "Policy doesn't allow os_compute_api:os-keypairs:create to be performed.")
		}
		k.UserID = *b.UserID
	}
	return k, nil
}

func (a *api) showKeypair(r *request) error {
	user, err := r.owner()
	if err != nil {
		return err
	}
	k, err := a.service.Keypair(r.Context(), user, r.PathValue("name"))
	if err != nil {
		return err
	}
	view := r.keypair(k)
	view["id"], view["user_id"] = k.ID, k.UserID
	view["created_at"], view["updated_at"], view["deleted_at"] = k.CreatedAt.Format(microTime), nil, nil
	view["deleted"] = false
	return r.json(http.StatusOK, object{"keypair": view})
}

func (a *api) deleteKeypair(r *request) error {
	user, err := r.owner()
	if err != nil {
		return err
	}
	if err := a.service.DeleteKeypair(r.Context(), user, r.PathValue("name")); err != nil {
		return err
	}
	if r.since(2) {
		return r.empty(http.StatusNoContent)
	}
	return r.empty(http.StatusAccepted)
}
