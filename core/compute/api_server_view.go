package compute

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// The forms of times: in most places, and in those that came from extensions.
const (
	secondTime = "2006-01-02T15:04:05Z"
	microTime  = "2006-01-02T15:04:05.000000"
)

func timeOrNull(t time.Time, form string) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(form)
}

// serverView is how much of a server an answer shows. What each microversion
// adds: https://docs.openstack.org/nova/latest/reference/api-microversion-history.html
type serverView int

const (
	inList   serverView = iota // GET /servers/detail
	alone                      // GET /servers/ID
	onUpdate                   // PUT /servers/ID, which before 2.75 shows less
)

// server is a server as the API shows it.
func (r *request) server(s Server, attachments []Attachment, view serverView) object {
	o := object{
		"id": s.ID, "name": s.Name, "status": s.Status(), "tenant_id": s.ProjectID, "user_id": s.UserID,
		"metadata": orEmpty(s.Metadata), "hostId": hostID(s), "image": r.image(s.Boot.ImageID), "flavor": r.serverFlavor(s.Flavor),
		"created": s.CreatedAt.UTC().Format(secondTime), "updated": s.UpdatedAt.UTC().Format(secondTime),
		"addresses": r.addresses(s), "accessIPv4": s.AccessIPv4, "accessIPv6": s.AccessIPv6,
		"links": r.links("/servers/" + s.ID), "OS-DCF:diskConfig": s.DiskConfig,
	}
	if status := s.Status(); status == "ACTIVE" || status == "BUILD" {
		o["progress"] = s.Progress()
	}
	if s.VMState == Errored && s.Fault != nil {
		o["fault"] = r.fault(*s.Fault)
	}
	r.addSince(o, s, view)
	if view == onUpdate && !r.since(75) {
		o["addresses"] = plainAddresses(s)
	} else {
		r.addExtended(o, s, attachments)
	}
	return o
}

// addSince adds what microversions added to every view.
func (r *request) addSince(o object, s Server, view serverView) {
	if r.since(9) {
		o["locked"] = s.Locked
	}
	if r.since(19) {
		o["description"] = orNull(s.Description)
	}
	if r.since(26) {
		o["tags"] = append([]string{}, s.Tags...)
	}
	if r.since(63) {
		o["trusted_image_certificates"] = nil
	}
	if r.since(71) && view != inList {
		o["server_groups"] = []string{}
	}
	if r.since(73) {
		o["locked_reason"] = orNull(s.LockedReason)
	}
	if r.since(90) {
		o["OS-EXT-SRV-ATTR:hostname"] = s.Hostname
	}
}

// addExtended adds what came from extensions in old times.
func (r *request) addExtended(o object, s Server, attachments []Attachment) {
	o["OS-EXT-STS:vm_state"], o["OS-EXT-STS:task_state"], o["OS-EXT-STS:power_state"] = s.VMState, orNull(string(s.TaskState)), s.Power
	o["OS-EXT-AZ:availability_zone"] = ""
	if s.Host != "" {
		o["OS-EXT-AZ:availability_zone"] = Zone
	}
	o["OS-SRV-USG:launched_at"], o["OS-SRV-USG:terminated_at"] = timeOrNull(s.LaunchedAt, microTime), nil
	o["config_drive"], o["key_name"] = "", nil
	if s.ConfigDrive {
		o["config_drive"] = "True"
	}
	if s.Key != nil {
		o["key_name"] = s.Key.Name
	}
	o["security_groups"] = r.groups(s)
	volumes := []object{}
	for _, a := range attachments {
		v := object{"id": a.VolumeID}
		if r.since(3) {
			v["delete_on_termination"] = a.DeleteOnTermination
		}
		volumes = append(volumes, v)
	}
	o["os-extended-volumes:volumes_attached"] = volumes
	if r.caller.Admin {
		r.addForAdmin(o, s)
	}
}

func (r *request) groups(s Server) []object {
	groups := []object{}
	for _, name := range s.SecurityGroups {
		groups = append(groups, object{"name": name})
	}
	return groups
}

func (r *request) addForAdmin(o object, s Server) {
	o["OS-EXT-SRV-ATTR:host"], o["OS-EXT-SRV-ATTR:hypervisor_hostname"] = orNull(s.Host), orNull(s.Host)
	o["OS-EXT-SRV-ATTR:instance_name"] = "instance-" + s.ID[:8]
	if r.since(3) {
		o["OS-EXT-SRV-ATTR:hostname"], o["OS-EXT-SRV-ATTR:reservation_id"] = s.Hostname, s.ReservationID
		o["OS-EXT-SRV-ATTR:launch_index"], o["OS-EXT-SRV-ATTR:root_device_name"] = s.LaunchIndex, "/dev/vda"
		o["OS-EXT-SRV-ATTR:kernel_id"], o["OS-EXT-SRV-ATTR:ramdisk_id"] = s.Boot.Kernel, s.Boot.Ramdisk
		o["OS-EXT-SRV-ATTR:user_data"] = orNull(s.UserData)
	}
	if r.since(16) {
		o["host_status"] = "UP"
		if s.Host == "" {
			o["host_status"] = ""
		}
	}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// hostID tells a project's servers on one host from those on others, without
// telling which host it is.
func hostID(s Server) string {
	if s.Host == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(s.ProjectID + s.Host))
	return hex.EncodeToString(sum[:])
}

func (r *request) image(id string) object {
	return object{"id": id, "links": []object{{"rel": "bookmark", "href": r.bookmark("/images/" + id)}}}
}

func (r *request) serverFlavor(f Flavor) object {
	if !r.since(47) {
		return object{"id": f.ID, "links": []object{{"rel": "bookmark", "href": r.bookmark("/flavors/" + f.ID)}}}
	}
	return object{
		"original_name": f.Name, "vcpus": f.VCPUs, "ram": f.MemoryMB, "disk": f.DiskGB,
		"ephemeral": f.EphemeralGB, "swap": f.SwapMB, "extra_specs": orEmpty(f.ExtraSpecs),
	}
}

func (r *request) fault(f Fault) object {
	o := object{"code": f.Code, "created": f.Time.Format(secondTime), "message": f.Message}
	if r.caller.Admin {
		o["details"] = f.Details
	}
	return o
}

// addresses are a server's addresses by network, with what extensions tell of
// each.
func (r *request) addresses(s Server) object {
	all := object{}
	for network, list := range plainAddresses(s) {
		for i := range list {
			kind := "fixed"
			if i > 0 {
				kind = "floating"
			}
			list[i]["OS-EXT-IPS:type"], list[i]["OS-EXT-IPS-MAC:mac_addr"] = kind, s.Network.MAC
		}
		all[network] = list
	}
	return all
}

// plainAddresses are a server's addresses by network: what the guest has, and
// what it can be reached by.
func plainAddresses(s Server) map[string][]object {
	if !s.Network.Address.IsValid() {
		return map[string][]object{}
	}
	return map[string][]object{NetworkName: {
		{"version": 4, "addr": FixedAddress.String()},
		{"version": 4, "addr": s.Network.Address.String()},
	}}
}
