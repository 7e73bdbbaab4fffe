package compute

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// routeFlavors registers flavors, their extra specs and who may use them.
// See https://docs.openstack.org/api-ref/compute/#flavors
func (a *api) routeFlavors() {
	a.handle("GET /flavors", reader, a.listFlavors)
	a.handle("GET /flavors/detail", reader, a.listFlavorDetails)
	a.handle("POST /flavors", admin, a.createFlavor)
	a.handle("GET /flavors/{id}", reader, a.showFlavor)
	a.handle("PUT /flavors/{id}", admin, a.updateFlavor)
	a.handle("DELETE /flavors/{id}", admin, a.deleteFlavor)
	a.handle("POST /flavors/{id}/action", admin, a.flavorAction)
	a.handle("GET /flavors/{id}/os-flavor-access", admin, a.showFlavorAccess)
	a.handle("GET /flavors/{id}/os-extra_specs", reader, a.listExtraSpecs)
	a.handle("POST /flavors/{id}/os-extra_specs", admin, a.createExtraSpecs)
	a.handle("GET /flavors/{id}/os-extra_specs/{key}", reader, a.showExtraSpec)
	a.handle("PUT /flavors/{id}/os-extra_specs/{key}", admin, a.updateExtraSpec)
	a.handle("DELETE /flavors/{id}/os-extra_specs/{key}", admin, a.deleteExtraSpec)
}

// flavor is a flavor as the API shows it.
func (r *request) flavor(f Flavor) object {
	o := object{
		"id": f.ID, "name": f.Name, "vcpus": f.VCPUs, "ram": f.MemoryMB, "disk": f.DiskGB, "swap": f.SwapMB,
		"OS-FLV-EXT-DATA:ephemeral": f.EphemeralGB, "OS-FLV-DISABLED:disabled": f.Disabled,
		"os-flavor-access:is_public": !f.Private, "rxtx_factor": f.RXTXFactor, "links": r.links("/flavors/" + f.ID),
	}
	if f.SwapMB == 0 && !r.since(75) {
		o["swap"] = ""
	}
	if r.since(55) {
		o["description"] = orNull(f.Description)
	}
	if r.since(61) {
		o["extra_specs"] = f.ExtraSpecs
	}
	return o
}

// orNull is text, or null if it is empty.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (a *api) listFlavors(r *request) error {
	return a.flavorList(r, func(f Flavor) object {
		o := object{"id": f.ID, "name": f.Name, "links": r.links("/flavors/" + f.ID)}
		if r.since(55) {
			o["description"] = orNull(f.Description)
		}
		return o
	})
}

func (a *api) listFlavorDetails(r *request) error { return a.flavorList(r, r.flavor) }

func (a *api) flavorList(r *request, view func(Flavor) object) error {
	flavors, err := a.pickFlavors(r)
	if err != nil {
		return err
	}
	flavors, next, err := page(r, flavors, func(f Flavor) string { return f.ID })
	if err != nil {
		return err
	}
	views := make([]object, len(flavors))
	for i, f := range flavors {
		views[i] = view(f)
	}
	answer := object{"flavors": views}
	if next != "" {
		answer["flavors_links"] = r.next(next)
	}
	return r.json(http.StatusOK, answer)
}

// flavorKeys compare flavors by what lists may be sorted by.
var flavorKeys = map[string]func(a, b Flavor) int{
	"":         func(a, b Flavor) int { return cmp.Compare(a.ID, b.ID) },
	"flavorid": func(a, b Flavor) int { return cmp.Compare(a.ID, b.ID) },
	"id":       func(a, b Flavor) int { return cmp.Compare(a.ID, b.ID) },
	"name":     func(a, b Flavor) int { return cmp.Compare(a.Name, b.Name) },
	"vcpus":    func(a, b Flavor) int { return cmp.Compare(a.VCPUs, b.VCPUs) },

	"memory_mb": func(a, b Flavor) int { return cmp.Compare(a.MemoryMB, b.MemoryMB) },
	"root_gb":   func(a, b Flavor) int { return cmp.Compare(a.DiskGB, b.DiskGB) },
}

// pickFlavors are the flavors that the query picks, in its order.
func (a *api) pickFlavors(r *request) ([]Flavor, error) {
	query := r.URL.Query()
	public, isBool := parseBool(query.Get("is_public"))
	if text := query.Get("is_public"); text != "" && !isBool && !strings.EqualFold(text, "none") {
		return nil, fault.New(fault.BadRequest, "Invalid is_public filter [%s]", text)
	}
	asked := query.Has("is_public") && r.caller.Admin
	flavors, err := a.service.Flavors(r.Context(), r.caller, asked)
	if err != nil {
		return nil, err
	}
	minRAM, err := queryInt(query, "minRam")
	if err != nil {
		return nil, err
	}
	minDisk, err := queryInt(query, "minDisk")
	if err != nil {
		return nil, err
	}
	compare, ok := flavorKeys[query.Get("sort_key")]
	if !ok {
		return nil, fault.New(fault.BadRequest, "Sort key supplied is invalid: %s", query.Get("sort_key"))
	}
	flavors = slices.DeleteFunc(flavors, func(f Flavor) bool {
		return f.MemoryMB < minRAM || f.DiskGB < minDisk || f.Disabled && !r.caller.Admin || asked && isBool && f.Private == public
	})
	slices.SortStableFunc(flavors, compare)
	if query.Get("sort_dir") == "desc" {
		slices.Reverse(flavors)
	}
	return flavors, nil
}

// flavorBody is what a flavor is made of. Absent numbers are nil.
type flavorBody struct {
	Name        string   `json:"name"`
	ID          any      `json:"id"`
	RAM         *integer `json:"ram"`
	VCPUs       *integer `json:"vcpus"`
	Disk        *integer `json:"disk"`
	Ephemeral   integer  `json:"OS-FLV-EXT-DATA:ephemeral"`
	Swap        any      `json:"swap"`
	RXTXFactor  any      `json:"rxtx_factor"`
	Public      *boolean `json:"os-flavor-access:is_public"`
	Description *string  `json:"description"`
}

func (a *api) createFlavor(r *request) error {
	var body flavorBody
	if err := r.body("flavor", &body); err != nil {
		return err
	}
	f, err := body.flavor(r)
	if err != nil {
		return err
	}
	if err := a.service.CreateFlavor(r.Context(), f); err != nil {
		return err
	}
	f.ExtraSpecs = map[string]string{}
	return r.json(http.StatusOK, object{"flavor": r.flavor(f)})
}

// flavor checks what a flavor is to be made of.
func (b flavorBody) flavor(r *request) (Flavor, error) {
	f := Flavor{Name: strings.TrimSpace(b.Name), EphemeralGB: int(b.Ephemeral), Private: b.Public != nil && !bool(*b.Public)}
	if err := checkName("name", b.Name); err != nil {
		return f, err
	}
	var err error
	if f.ID, err = flavorID(b.ID); err != nil {
		return f, err
	}
	if f.SwapMB, err = number("swap", b.Swap, 0); err != nil {
		return f, err
	}
	if f.RXTXFactor, err = factor(b.RXTXFactor); err != nil {
		return f, err
	}
	for _, size := range []struct {
		name    string
		from    *integer
		to      *int
		minimum int
	}{{"ram", b.RAM, &f.MemoryMB, 1}, {"vcpus", b.VCPUs, &f.VCPUs, 1}, {"disk", b.Disk, &f.DiskGB, 0}, {"ephemeral", &b.Ephemeral, &f.EphemeralGB, 0}} {
		if size.from == nil {
			return f, fault.New(fault.BadRequest, "Invalid input for field/attribute flavor. '%s' is a required property", size.name)
		}
		if *size.to, err = number(size.name, int(*size.from), size.minimum); err != nil {
			return f, err
		}
	}
	if b.Description != nil {
		if !r.since(55) {
			return f, fault.New(fault.BadRequest, "Additional properties are not allowed ('description' was unexpected)")
		}
		f.Description = *b.Description
	}
	return f, nil
}

// flavorID is the id that a flavor is to have: of its own, if none is asked for.
func flavorID(asked any) (string, error) {
	switch id := asked.(type) {
	case nil:
		return uuid.NewString(), nil
	case float64:
		return formatNumber(id), nil
	case string:
		if id == "auto" || id == "" {
			return uuid.NewString(), nil
		}
		if flavorIDForm.MatchString(id) && strings.TrimSpace(id) == id {
			return id, nil
		}
	}
	return "", fault.New(fault.BadRequest, "Invalid input for field/attribute id. Value: %v", asked)
}

func (a *api) showFlavor(r *request) error {
	f, err := a.service.Flavor(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"flavor": r.flavor(f)})
}

func (a *api) updateFlavor(r *request) error {
	if !r.since(55) {
		return errNoResource
	}
	var body struct {
		Description *string `json:"description"`
	}
	if err := r.body("flavor", &body); err != nil {
		return err
	}
	f, err := a.service.ChangeFlavor(r.Context(), r.PathValue("id"), func(f *Flavor) error {
		f.Description = ""
		if body.Description != nil {
			f.Description = *body.Description
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"flavor": r.flavor(f)})
}

func (a *api) deleteFlavor(r *request) error {
	if err := a.service.DeleteFlavor(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return r.empty(http.StatusAccepted)
}
