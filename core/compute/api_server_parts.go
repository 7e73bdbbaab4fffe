package compute

import (
	"maps"
	"net/http"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// routeServerParts registers a server's metadata, addresses and interfaces.
// See https://docs.openstack.org/api-ref/compute/#server-metadata-servers-metadata
func (a *api) routeServerParts() {
	a.handle("GET /servers/{id}/metadata", reader, a.listMetadata)
	a.handle("POST /servers/{id}/metadata", writer, a.addMetadata)
	a.handle("PUT /servers/{id}/metadata", writer, a.replaceMetadata)
	a.handle("GET /servers/{id}/metadata/{key}", reader, a.showMetadata)
	a.handle("PUT /servers/{id}/metadata/{key}", writer, a.putMetadata)
	a.handle("DELETE /servers/{id}/metadata/{key}", writer, a.deleteMetadata)
	a.handle("GET /servers/{id}/ips", reader, a.listAddresses)
	a.handle("GET /servers/{id}/ips/{network}", reader, a.showAddresses)
	a.handle("GET /servers/{id}/os-interface", reader, a.listInterfaces)
	a.handle("GET /servers/{id}/os-interface/{port}", reader, a.showInterface)
	a.handle("GET /servers/{id}/os-security-groups", reader, a.listServerGroups)
}

func (a *api) listMetadata(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"metadata": orEmpty(s.Metadata)})
}

// changeMetadata reads metadata from the body, applies change to the server's
// with it, and answers with the result.
func (a *api) changeMetadata(r *request, change func(has, given map[string]string)) error {
	var given map[string]string
	if err := r.body("metadata", &given); err != nil {
		return err
	}
	if err := checkMetadata(given); err != nil {
		return err
	}
	s, err := a.service.SetMetadata(r.Context(), r.caller, r.PathValue("id"), func(has map[string]string) error {
		change(has, given)
		return nil
	})
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"metadata": s.Metadata})
}

func (a *api) addMetadata(r *request) error {
	return a.changeMetadata(r, func(has, given map[string]string) { maps.Copy(has, given) })
}

func (a *api) replaceMetadata(r *request) error {
	return a.changeMetadata(r, func(has, given map[string]string) {
		clear(has)
		maps.Copy(has, given)
	})
}

func metadataNotFound() error { return fault.New(fault.NotFound, "Metadata item was not found") }

func (a *api) showMetadata(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	value, ok := s.Metadata[key]
	if !ok {
		return metadataNotFound()
	}
	return r.json(http.StatusOK, object{"meta": map[string]string{key: value}})
}

func (a *api) putMetadata(r *request) error {
	var given map[string]string
	if err := r.body("meta", &given); err != nil {
		return err
	}
	key := r.PathValue("key")
	if _, ok := given[key]; !ok || len(given) != 1 {
		return fault.New(fault.BadRequest, "Request body and URI mismatch")
	}
	if err := checkMetadata(given); err != nil {
		return err
	}
	_, err := a.service.SetMetadata(r.Context(), r.caller, r.PathValue("id"), func(has map[string]string) error {
		maps.Copy(has, given)
		return nil
	})
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"meta": given})
}

func (a *api) deleteMetadata(r *request) error {
	_, err := a.service.SetMetadata(r.Context(), r.caller, r.PathValue("id"), func(has map[string]string) error {
		if _, ok := has[r.PathValue("key")]; !ok {
			return metadataNotFound()
		}
		delete(has, r.PathValue("key"))
		return nil
	})
	if err != nil {
		return err
	}
	return r.empty(http.StatusNoContent)
}

func (a *api) listAddresses(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"addresses": plainAddresses(s)})
}

func (a *api) showAddresses(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	network := r.PathValue("network")
	addresses, ok := plainAddresses(s)[network]
	if !ok {
		return fault.New(fault.NotFound, "Network label %s could not be found.", network)
	}
	return r.json(http.StatusOK, object{network: addresses})
}

// interfaces are a server's interfaces as the API shows them; the network's
// and the subnet's ids are the port's, for each port is on one of its own.
func (r *request) interfaces(s Server) []object {
	if s.Network.None {
		return []object{}
	}
	state := "DOWN"
	if s.Power == Running {
		state = "ACTIVE"
	}
	o := object{
		"port_id": s.Network.PortID, "net_id": s.Network.PortID, "mac_addr": s.Network.MAC, "port_state": state,
		"fixed_ips": []object{{"ip_address": FixedAddress.String(), "subnet_id": s.Network.PortID}},
	}
	if r.since(70) {
		o["tag"] = nil
	}
	return []object{o}
}

func (a *api) listInterfaces(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, object{"interfaceAttachments": r.interfaces(s)})
}

func (a *api) showInterface(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	port := r.PathValue("port")
	if s.Network.None || s.Network.PortID != port {
		return fault.New(fault.NotFound, "Instance %s does not have a port with id %s", s.ID, port)
	}
	return r.json(http.StatusOK, object{"interfaceAttachment": r.interfaces(s)[0]})
}

// listServerGroups lists the security groups that the server was made with:
// names only, for nothing enforces rules yet.
func (a *api) listServerGroups(r *request) error {
	s, err := a.service.Server(r.Context(), r.caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	groups := []object{}
	for _, name := range s.SecurityGroups {
		groups = append(groups, object{"id": name, "name": name, "description": "", "tenant_id": s.ProjectID, "rules": []object{}})
	}
	return r.json(http.StatusOK, object{"security_groups": groups})
}
