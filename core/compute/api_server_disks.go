package compute

import (
	"encoding/json"
	"net/netip"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// checkNetworks checks what networks are asked for: each server is on one of
// its own, or on none.
func (b createBody) checkNetworks(r *request, n *NewServer) error {
	if len(b.Networks) == 0 || string(b.Networks) == "null" {
		if r.since(37) {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute server. 'networks' is a required property")
		}
		return nil
	}
	var word string
	if json.Unmarshal(b.Networks, &word) == nil {
		if !r.since(37) || word != "auto" && word != "none" {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute networks. Value: %s.", word)
		}
		n.NoNetwork = word == "none"
		return nil
	}
	var networks []struct {
		UUID    *string `json:"uuid"`
		Port    *string `json:"port"`
		FixedIP *string `json:"fixed_ip"`
		Tag     *string `json:"tag"`
	}
	if err := strict("networks", b.Networks, &networks); err != nil {
		return err
	}
	for _, network := range networks {
		for _, id := range []*string{network.UUID, network.Port} {
			if id != nil && uuid.Validate(*id) != nil {
				return fault.New(fault.BadRequest, "Invalid input for field/attribute networks. Value: %s. It is not a 'uuid'", *id)
			}
		}
		if network.FixedIP != nil {
			if _, err := netip.ParseAddr(*network.FixedIP); err != nil {
				return fault.New(fault.BadRequest, "Invalid fixed IP address (%s)", *network.FixedIP)
			}
		}
	}
	return nil
}

// checkDevices accepts a description of the root disk that says no more than
// imageRef: other disks are attached once the server is there.
func (b createBody) checkDevices(_ *request, n *NewServer) error {
	if len(b.OldDevices) > 0 {
		return fault.New(fault.BadRequest, "Block Device Mapping is Invalid: servers boot from images; attach volumes once they are there.")
	}
	for _, device := range b.Devices {
		if device.SourceType != "image" || device.DestinationType != "local" || (n.ImageID != "" && n.ImageID != device.UUID) {
			return fault.New(fault.BadRequest, "Block Device Mapping is Invalid: servers boot from images; attach volumes once they are there.")
		}
		n.ImageID = device.UUID
	}
	if uuid.Validate(n.ImageID) != nil {
		return fault.New(fault.BadRequest, "Invalid imageRef provided.")
	}
	return nil
}
