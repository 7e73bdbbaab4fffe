package compute

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// createBody is what a server may be made of. Some of it is accepted, checked
// and without effect as long as there is one host and one network.
type createBody struct {
	Name          string            `json:"name"`
	ImageRef      string            `json:"imageRef"`
	FlavorRef     any               `json:"flavorRef"`
	AdminPass     *string           `json:"adminPass"`
	Metadata      map[string]string `json:"metadata"`
	Networks      json.RawMessage   `json:"networks"`
	DiskConfig    *string           `json:"OS-DCF:diskConfig"`
	AccessIPv4    *string           `json:"accessIPv4"`
	AccessIPv6    *string           `json:"accessIPv6"`
	Zone          *string           `json:"availability_zone"`
	Devices       []deviceBody      `json:"block_device_mapping_v2"`
	OldDevices    []json.RawMessage `json:"block_device_mapping"`
	ConfigDrive   *configDriveBody  `json:"config_drive"`
	MinCount      *integer          `json:"min_count"`
	MaxCount      *integer          `json:"max_count"`
	Reservation   boolean           `json:"return_reservation_id"`
	Groups        []groupBody       `json:"security_groups"`
	UserData      *string           `json:"user_data"`
	KeyName       *string           `json:"key_name"`
	Personality   []json.RawMessage `json:"personality"`         // until 2.57
	Description   *string           `json:"description"`         // since 2.19
	Tags          []string          `json:"tags"`                // since 2.52
	Host          *string           `json:"host"`                // since 2.74
	Hypervisor    *string           `json:"hypervisor_hostname"` // since 2.74
	Hostname      *string           `json:"hostname"`            // since 2.90
	TrustedImages []string          `json:"trusted_image_certificates"`
}

type groupBody struct {
	Name string `json:"name"`
}

// deviceBody is one of the disks that a server is to have.
type deviceBody struct {
	SourceType          string   `json:"source_type"`
	DestinationType     string   `json:"destination_type"`
	BootIndex           any      `json:"boot_index"`
	UUID                string   `json:"uuid"`
	VolumeSize          any      `json:"volume_size"`
	DeleteOnTermination boolean  `json:"delete_on_termination"`
	DeviceName          *string  `json:"device_name"`
	DiskBus             *string  `json:"disk_bus"`
	DeviceType          *string  `json:"device_type"`
	GuestFormat         *string  `json:"guest_format"`
	NoDevice            *boolean `json:"no_device"`
	Tag                 *string  `json:"tag"`
	VolumeType          *string  `json:"volume_type"`
}

// configDriveBody is a boolean, or an empty string for none.
type configDriveBody bool

// UnmarshalJSON implements json.Unmarshaler.
func (c *configDriveBody) UnmarshalJSON(text []byte) error {
	if string(text) == `""` {
		return nil
	}
	return (*boolean)(c).UnmarshalJSON(text)
}

func (a *api) createServer(r *request) error {
	var body createBody
	if err := r.body("server", &body); err != nil {
		return err
	}
	n, err := body.newServer(r)
	if err != nil {
		return err
	}
	servers, err := a.service.CreateServers(r.Context(), r.caller, n)
	if err != nil {
		return err
	}
	first := servers[0]
	if body.Reservation {
		return r.json(http.StatusAccepted, object{"reservation_id": first.ReservationID})
	}
	password := rand.Text()[:12]
	if body.AdminPass != nil {
		password = *body.AdminPass
	}
	r.w.Header().Set("Location", r.url("/servers/"+first.ID))
	return r.json(http.StatusAccepted, object{"server": object{
		"id": first.ID, "links": r.links("/servers/" + first.ID), "adminPass": password,
		"OS-DCF:diskConfig": first.DiskConfig, "security_groups": r.groups(first),
	}})
}

// newServer checks what servers are to be made.
func (b createBody) newServer(r *request) (NewServer, error) {
	n := NewServer{
		Name: strings.TrimSpace(b.Name), ImageID: lastPart(b.ImageRef), Metadata: b.Metadata, Tags: b.Tags,
		DiskConfig: "MANUAL", ConfigDrive: (*bool)(b.ConfigDrive),
	}
	for from, to := range map[*string]*string{
		b.Description: &n.Description, b.Hostname: &n.Hostname, b.KeyName: &n.KeyName, b.UserData: &n.UserData,
		b.AccessIPv4: &n.AccessIPv4, b.AccessIPv6: &n.AccessIPv6, b.DiskConfig: &n.DiskConfig,
	} {
		if from != nil {
			*to = *from
		}
	}
	for _, check := range []func(*request, *NewServer) error{
		b.checkVersions, b.checkNames, b.checkReferences, b.checkCounts, b.checkPlacement, b.checkNetworks, b.checkDevices,
	} {
		if err := check(r, &n); err != nil {
			return n, err
		}
	}
	return n, nil
}

// checkVersions refuses what the microversion does not know yet or any more.
func (b createBody) checkVersions(r *request, _ *NewServer) error {
	for _, member := range []struct {
		name  string
		given bool
		since int
	}{
		{"description", b.Description != nil, 19}, {"tags", b.Tags != nil, 52}, {"trusted_image_certificates", b.TrustedImages != nil, 63},
		{"host", b.Host != nil, 74}, {"hypervisor_hostname", b.Hypervisor != nil, 74}, {"hostname", b.Hostname != nil, 90},
	} {
		if err := r.checkSince(member.name, member.given, member.since); err != nil {
			return err
		}
	}
	if b.Personality != nil && r.since(57) {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute server. Additional properties are not allowed ('personality' was unexpected)")
	}
	if len(b.Personality) > 0 {
		return fault.New(fault.BadRequest, "Files cannot be injected (personality): use user_data.")
	}
	if len(b.TrustedImages) > 0 {
		return fault.New(fault.BadRequest, "Image certificates are not verified here.")
	}
	if (b.Host != nil || b.Hypervisor != nil) && !r.caller.Admin {
		return fault.New(fault.Forbidden, "Policy doesn't allow compute:servers:create:requested_destination to be performed.")
	}
	return nil
}

// hostnameForm is Nova's, of RFC 952 and 1123.
var hostnameForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

// metadataKeyForm are Nova's characters for a metadata key.
var metadataKeyForm = regexp.MustCompile(`^[a-zA-Z0-9\-_:. ]{1,255}$`)

func (b createBody) checkNames(_ *request, n *NewServer) error {
	if err := checkName("name", b.Name); err != nil {
		return err
	}
	if n.Hostname != "" && !hostnameForm.MatchString(n.Hostname) {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute hostname. Value: %s", n.Hostname)
	}
	if n.DiskConfig != "AUTO" && n.DiskConfig != "MANUAL" {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute OS-DCF:diskConfig. Value: %s", n.DiskConfig)
	}
	if len([]rune(n.Description)) > 255 {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute description. It has more than 255 characters")
	}
	for _, tag := range n.Tags {
		if tag == "" || len(tag) > 60 || strings.ContainsAny(tag, ",/") || len(n.Tags) > 50 {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute tags. Value: %s", tag)
		}
	}
	if err := checkMetadata(n.Metadata); err != nil {
		return err
	}
	return checkAddresses(b.AccessIPv4, b.AccessIPv6)
}

func checkMetadata(metadata map[string]string) error {
	for key, value := range metadata {
		if !metadataKeyForm.MatchString(key) {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute metadata. Value: %s. It is no valid key", key)
		}
		if len([]rune(value)) > 255 {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute %s. It has more than 255 characters", key)
		}
	}
	return nil
}

// maxUserData is the size of user data, in base64.
const maxUserData = 65535

func (b createBody) checkReferences(_ *request, n *NewServer) error {
	switch reference := b.FlavorRef.(type) {
	case string:
		n.FlavorID = lastPart(reference)
	case float64:
		n.FlavorID = formatNumber(reference)
	}
	if n.FlavorID == "" {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute server. 'flavorRef' is a required property")
	}
	if n.ImageID != "" && uuid.Validate(n.ImageID) != nil {
		return fault.New(fault.BadRequest, "Invalid imageRef provided.")
	}
	if len(n.UserData) > maxUserData {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute user_data. It is longer than %d bytes", maxUserData)
	}
	if _, err := base64.StdEncoding.DecodeString(n.UserData); err != nil {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute user_data. It is not a 'base64'")
	}
	return nil
}

// maxCount is how many servers one request may make.
const maxCount = 1000

func (b createBody) checkCounts(_ *request, n *NewServer) error {
	n.MinCount, n.Count = 1, 1
	if b.MinCount != nil {
		n.MinCount, n.Count = int(*b.MinCount), int(*b.MinCount)
	}
	if b.MaxCount != nil {
		n.Count = int(*b.MaxCount)
	}
	if n.MinCount < 1 || n.Count < 1 || n.Count > maxCount {
		return fault.New(fault.BadRequest, "Invalid input for field/attribute min_count, max_count. They must be from 1 to %d", maxCount)
	}
	if n.MinCount > n.Count {
		return fault.New(fault.BadRequest, "min_count must be <= max_count")
	}
	return nil
}

func (b createBody) checkPlacement(_ *request, n *NewServer) error {
	if b.Zone != nil {
		if zone, _, _ := strings.Cut(*b.Zone, ":"); zone != "" && zone != Zone {
			return fault.New(fault.BadRequest, "The requested availability zone is not available")
		}
	}
	n.SecurityGroups = []string{"default"}
	if len(b.Groups) > 0 {
		n.SecurityGroups = nil
	}
	for _, group := range b.Groups {
		if group.Name == "" {
			return fault.New(fault.BadRequest, "Invalid input for field/attribute security_groups. 'name' is a required property")
		}
		n.SecurityGroups = append(n.SecurityGroups, group.Name)
	}
	return nil
}
