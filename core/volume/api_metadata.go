package volume

import (
	"maps"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// notes answers for the metadata that users note of volumes, or of snapshots.
type notes struct {
	of   string // "Volume" or "Snapshot", for messages
	read func(r request) (map[string]string, error)
	// change replaces the metadata by what f makes of it, and returns that.
	change func(r request, f func(map[string]string) (map[string]string, error)) (map[string]string, error)
}

// all are the handlers of …/metadata, one those of …/metadata/KEY.
func (n notes) all() methods { return methods{"GET": n.show, "POST": n.add, "PUT": n.replace} }
func (n notes) one() methods {
	return methods{"GET": n.showItem, "PUT": n.setItem, "DELETE": n.deleteItem}
}

func noItem(of, id, key string) error {
	return fault.New(fault.NotFound, "%s %s has no metadata with key %.80s.", of, id, key)
}

// writeNotes answers {"name": {…}}.
func writeNotes(w http.ResponseWriter, name string, m map[string]string) error {
	return httpapi.WriteJSON(w, http.StatusOK, map[string]any{name: m})
}

func (n notes) show(w http.ResponseWriter, r request) error {
	m, err := n.read(r)
	if err != nil {
		return err
	}
	return writeNotes(w, "metadata", m)
}

func (n notes) add(w http.ResponseWriter, r request) error {
	return n.edit(w, r, func(old, sent metadata) metadata {
		maps.Copy(old, sent)
		return old
	})
}

func (n notes) replace(w http.ResponseWriter, r request) error {
	return n.edit(w, r, func(_, sent metadata) metadata { return sent })
}

// edit makes of the old metadata, and of what {"metadata": {…}} holds, the new.
func (n notes) edit(w http.ResponseWriter, r request, f func(old, sent metadata) metadata) error {
	var sent metadata
	if err := readObject(w, r, "metadata", &sent); err != nil {
		return err
	}
	m, err := n.change(r, func(old map[string]string) (map[string]string, error) {
		m := f(old, sent)
		return m, checkItems(m)
	})
	if err != nil {
		return err
	}
	return writeNotes(w, "metadata", m)
}

func (n notes) showItem(w http.ResponseWriter, r request) error {
	m, err := n.read(r)
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := m[key]
	if !ok {
		return noItem(n.of, r.PathValue("id"), key)
	}
	return writeNotes(w, "meta", map[string]string{key: value})
}

// setItem reads {"meta": {KEY: value}}.
func (n notes) setItem(w http.ResponseWriter, r request) error {
	var sent metadata
	if err := readObject(w, r, "meta", &sent); err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := sent[key]
	if !ok || len(sent) != 1 {
		return fault.New(fault.BadRequest, "Request body and URI mismatch: the body must set %.80q, and nothing else.", key)
	}
	_, err := n.change(r, func(m map[string]string) (map[string]string, error) {
		m[key] = value
		return m, checkItems(m)
	})
	if err != nil {
		return err
	}
	return writeNotes(w, "meta", sent)
}

func (n notes) deleteItem(w http.ResponseWriter, r request) error {
	key := r.PathValue("key")
	_, err := n.change(r, func(m map[string]string) (map[string]string, error) {
		if _, ok := m[key]; !ok {
			return nil, noItem(n.of, r.PathValue("id"), key)
		}
		delete(m, key)
		return m, nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
