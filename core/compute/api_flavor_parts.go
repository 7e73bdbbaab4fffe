package compute

import (
	"maps"
	"math"
	"net/http"
	"regexp"
	"strconv"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// flavorIDForm are Nova's characters for a flavor's id.
var flavorIDForm = regexp.MustCompile(`^[a-zA-Z0-9. _-]{1,255}$`)

// specKeyForm are Nova's characters for an extra spec's key.
var specKeyForm = regexp.MustCompile(`^[a-zA-Z0-9_:. -]{1,255}$`)

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// number checks a number of at least minimum that stands in a body as such or
// as a string; absent or empty it is zero.
func number(name string, value any, minimum int) (int, error) {
	n := 0
	var err error
	switch v := value.(type) {
	case nil:
	case int:
		n = v
	case float64:
		n, err = strconv.Atoi(formatNumber(v))
	case string:
		if v != "" {
			n, err = strconv.Atoi(v)
		}
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || n < minimum || n > math.MaxInt32 {
		return 0, fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Value: %v. It must be an integer from %d to %d",
			name, value, minimum, math.MaxInt32)
	}
	return n, nil
}

// factor checks the rxtx_factor, a positive number; absent it is 1.
func factor(value any) (float64, error) {
	n := 1.0
	var err error
	switch v := value.(type) {
	case nil:
	case float64:
		n = v
	case string:
		n, err = strconv.ParseFloat(v, 64)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || !(n > 0 && n <= math.MaxFloat32) {
		return 0, fault.New(fault.BadRequest, "Invalid input for field/attribute rxtx_factor. Value: %v", value)
	}
	return n, nil
}

func (a *api) flavorAction(r *request) error {
	var body struct {
		Add    *struct{ Tenant string } `json:"addTenantAccess"`
		Remove *struct{ Tenant string } `json:"removeTenantAccess"`
	}
	if err := httpapi.ReadJSON(r.w, r.Request, &body); err != nil {
		return err
	}
	id := r.PathValue("id")
	var err error
	switch {
	case body.Add != nil && body.Add.Tenant != "":
		err = a.service.AddFlavorAccess(r.Context(), id, body.Add.Tenant)
	case body.Remove != nil && body.Remove.Tenant != "":
		err = a.service.RemoveFlavorAccess(r.Context(), id, body.Remove.Tenant)
	default:
		err = fault.New(fault.BadRequest, "There is no such action.")
	}
	if err != nil {
		return err
	}
	return a.showFlavorAccess(r)
}

func (a *api) showFlavorAccess(r *request) error {
	id := r.PathValue("id")
	projects, err := a.service.FlavorAccess(r.Context(), id)
	if err != nil {
		return err
	}
	list := []object{}
	for _, project := range projects {
		list = append(list, object{"flavor_id": id, "tenant_id": project})
	}
	return r.json(http.StatusOK, object{"flavor_access": list})
}

func (a *api) listExtraSpecs(r *request) error {
	f, err := a.service.Flavor(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"extra_specs": f.ExtraSpecs})
}

func (a *api) createExtraSpecs(r *request) error {
	var specs map[string]any
	if err := r.body("extra_specs", &specs); err != nil {
		return err
	}
	checked, err := checkSpecs(specs)
	if err != nil {
		return err
	}
	_, err = a.service.ChangeFlavor(r.Context(), r.PathValue("id"), func(f *Flavor) error {
		maps.Copy(f.ExtraSpecs, checked)
		return nil
	})
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"extra_specs": checked})
}

func checkSpecs(specs map[string]any) (map[string]string, error) {
	checked := map[string]string{}
	for key, value := range specs {
		switch v := value.(type) {
		case string:
			checked[key] = v
		case float64:
			checked[key] = formatNumber(v)
		default:
			return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute %s. Value: %v", key, value)
		}
		if !specKeyForm.MatchString(key) || len(checked[key]) > 255 {
			return nil, fault.New(fault.BadRequest, "Invalid input for field/attribute extra_specs. Value: %s", key)
		}
	}
	return checked, nil
}

func specNotFound(id, key string) error {
	return fault.New(fault.NotFound, "Flavor %s has no extra specs with key %s.", id, key)
}

func (a *api) showExtraSpec(r *request) error {
	f, err := a.service.Flavor(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := f.ExtraSpecs[key]
	if !ok {
		return specNotFound(f.ID, key)
	}
	return r.json(http.StatusOK, map[string]string{key: value})
}

func (a *api) updateExtraSpec(r *request) error {
	var specs map[string]any
	if err := httpapi.ReadJSON(r.w, r.Request, &specs); err != nil {
		return err
	}
	checked, err := checkSpecs(specs)
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := checked[key]
	if !ok || len(checked) != 1 {
		return fault.New(fault.BadRequest, "Request body and URI mismatch")
	}
	_, err = a.service.ChangeFlavor(r.Context(), r.PathValue("id"), func(f *Flavor) error {
		f.ExtraSpecs[key] = value
		return nil
	})
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, checked)
}

func (a *api) deleteExtraSpec(r *request) error {
	id, key := r.PathValue("id"), r.PathValue("key")
	_, err := a.service.ChangeFlavor(r.Context(), id, func(f *Flavor) error {
		if _, ok := f.ExtraSpecs[key]; !ok {
			return specNotFound(id, key)
		}
		delete(f.ExtraSpecs, key)
		return nil
	})
	if err != nil {
		return err
	}
	return r.empty(http.StatusOK)
}
