package volume

import (
	"maps"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// readMetadata reads {"metadata": {…}}, readItem {"meta": {key: value}}.
func readMetadata(w http.ResponseWriter, r request) (metadata, error) {
	var m metadata
	err := readObject(w, r, "metadata", &m)
	return m, err
}

func readItem(w http.ResponseWriter, r request) (key, value string, err error) {
	var m metadata
	if err := readObject(w, r, "meta", &m); err != nil {
		return "", "", err
	}
	key = r.PathValue("key")
	value, ok := m[key]
	if !ok || len(m) != 1 {
		return "", "", fault.New(fault.BadRequest, "Request body and URI mismatch: the body must set %.80q, and nothing else.", key)
	}
	return key, value, nil
}

func writeMetadata(w http.ResponseWriter, m map[string]string) error {
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"metadata": m})
}

func writeItem(w http.ResponseWriter, key, value string) error {
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{"meta": map[string]string{key: value}})
}

func (a *api) showMetadata(w http.ResponseWriter, r request) error {
	v, err := a.s.Get(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeMetadata(w, viewMetadata(v))
}

func (a *api) addMetadata(w http.ResponseWriter, r request) error {
	added, err := readMetadata(w, r)
	if err != nil {
		return err
	}
	v, err := a.s.Update(r.Context(), r.caller, r.PathValue("id"), func(v *Volume) error {
		maps.Copy(v.Metadata, added)
		return checkItems(v.Metadata)
	})
	if err != nil {
		return err
	}
	return writeMetadata(w, v.Metadata)
}

func (a *api) replaceMetadata(w http.ResponseWriter, r request) error {
	all, err := readMetadata(w, r)
	if err != nil {
		return err
	}
	v, err := a.s.Update(r.Context(), r.caller, r.PathValue("id"), func(v *Volume) error {
		v.Metadata = all
		return nil
	})
	if err != nil {
		return err
	}
	return writeMetadata(w, v.Metadata)
}

func (a *api) showItem(w http.ResponseWriter, r request) error {
	v, err := a.s.Get(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := viewMetadata(v)[key]
	if !ok {
		return noItem(v.ID, key)
	}
	return writeItem(w, key, value)
}

func noItem(id, key string) error {
	return fault.New(fault.NotFound, "Volume %s has no metadata with key %.80s.", id, key)
}

func (a *api) setItem(w http.ResponseWriter, r request) error {
	key, value, err := readItem(w, r)
	if err != nil {
		return err
	}
	_, err = a.s.Update(r.Context(), r.caller, r.PathValue("id"), func(v *Volume) error {
		v.Metadata[key] = value
		return checkItems(v.Metadata)
	})
	if err != nil {
		return err
	}
	return writeItem(w, key, value)
}

func (a *api) deleteItem(w http.ResponseWriter, r request) error {
	_, err := a.s.Update(r.Context(), r.caller, r.PathValue("id"), func(v *Volume) error {
		if _, ok := v.Metadata[r.PathValue("key")]; !ok {
			return noItem(v.ID, r.PathValue("key"))
		}
		delete(v.Metadata, r.PathValue("key"))
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
