// Package metadata tells a guest what it is: it writes the documents that
// cloud-init reads, in OpenStack's form and in that of EC2, and puts them on
// a config drive.
// See https://docs.openstack.org/nova/latest/user/metadata.html
package metadata

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
)

// Instance is what a guest may know of its server. ID, Name and Hostname are
// required.
type Instance struct {
	ID, Name, Hostname string
	ProjectID          string
	ReservationID      string
	Type               string // the flavor's name
	Zone               string
	LaunchIndex        int
	Metadata           map[string]string
	Keys               []Key
	UserData           []byte
	// RandomSeed is entropy for the guest's first boot.
	RandomSeed []byte

	// MAC and PortID are of the one interface; empty if there is none. The
	// guest configures it by DHCP, and is given Address.
	MAC, PortID string
	Address     netip.Addr
}

// Key is a public key for the guest's first user. Type is "ssh" or "x509".
type Key struct{ Name, Type, Data string }

// File is a document, and where on the config drive it is.
type File struct {
	Name string
	Data []byte
}

// Files are all the documents of an instance.
func Files(i Instance) ([]File, error) {
	documents := []struct {
		name string
		v    any
	}{
		{"openstack/latest/meta_data.json", i.metaData()},
		{"openstack/latest/network_data.json", i.networkData()},
		{"openstack/latest/vendor_data.json", struct{}{}},
		{"openstack/latest/vendor_data2.json", struct{}{}},
		{"ec2/latest/meta-data.json", i.ec2()},
	}
	files := make([]File, 0, len(documents)+2)
	for _, d := range documents {
		data, err := json.Marshal(d.v)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", d.name, err)
		}
		files = append(files, File{d.name, data})
	}
	if len(i.UserData) > 0 {
		files = append(files, File{"openstack/latest/user_data", i.UserData}, File{"ec2/latest/user-data", i.UserData})
	}
	return files, nil
}

type keyDocument struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data"`
}

type metaDocument struct {
	UUID       string            `json:"uuid"`
	Name       string            `json:"name"`
	Hostname   string            `json:"hostname"`
	ProjectID  string            `json:"project_id"`
	Zone       string            `json:"availability_zone"`
	Index      int               `json:"launch_index"`
	Meta       map[string]string `json:"meta,omitempty"`
	PublicKeys map[string]string `json:"public_keys,omitempty"`
	Keys       []keyDocument     `json:"keys"`
	RandomSeed string            `json:"random_seed,omitempty"`
	Devices    []struct{}        `json:"devices"`
}

func (i Instance) metaData() metaDocument {
	d := metaDocument{
		UUID: i.ID, Name: i.Name, Hostname: i.Hostname, ProjectID: i.ProjectID, Zone: i.Zone, Index: i.LaunchIndex,
		Meta: i.Metadata, Keys: []keyDocument{}, Devices: []struct{}{},
		RandomSeed: base64.StdEncoding.EncodeToString(i.RandomSeed),
	}
	for _, k := range i.Keys {
		if d.PublicKeys == nil {
			d.PublicKeys = map[string]string{}
		}
		d.PublicKeys[k.Name] = k.Data
		d.Keys = append(d.Keys, keyDocument(k))
	}
	return d
}

type (
	link struct {
		ID   string `json:"id"`
		VIF  string `json:"vif_id"`
		Type string `json:"type"`
		MTU  int    `json:"mtu"`
		MAC  string `json:"ethernet_mac_address"`
	}
	network struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Link    string `json:"link"`
		Network string `json:"network_id"`
	}
	networkDocument struct {
		Links    []link     `json:"links"`
		Networks []network  `json:"networks"`
		Services []struct{} `json:"services"`
	}
)

// mtu of the emulated network card.
const mtu = 1500

func (i Instance) networkData() networkDocument {
	d := networkDocument{Links: []link{}, Networks: []network{}, Services: []struct{}{}}
	if i.MAC == "" {
		return d
	}
	const name = "interface0"
	d.Links = append(d.Links, link{ID: name, VIF: i.PortID, Type: "phy", MTU: mtu, MAC: i.MAC})
	d.Networks = append(d.Networks, network{ID: "network0", Type: "ipv4_dhcp", Link: name, Network: i.PortID})
	return d
}

func (i Instance) ec2() map[string]any {
	keys := map[string]any{}
	for n, k := range i.Keys {
		if k.Type == "ssh" {
			keys[strconv.Itoa(n)] = map[string]string{"_name": k.Name, "openssh-key": k.Data}
		}
	}
	d := map[string]any{
		"instance-id": i.ID, "instance-type": i.Type, "reservation-id": i.ReservationID,
		"hostname": i.Hostname, "local-hostname": i.Hostname, "ami-launch-index": i.LaunchIndex,
		"placement": map[string]string{"availability-zone": i.Zone}, "public-keys": keys,
	}
	if i.Address.IsValid() && i.MAC != "" {
		d["local-ipv4"] = i.Address.String()
	}
	return d
}
