package image

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Limits on what a client may store with an image; Glance's defaults.
const (
	maxName       = 255 // characters, of names, tags and property names
	maxValue      = 65535
	maxTags       = 128
	maxProperties = 128
)

// Formats that an image may have. Machines here can use raw, qcow2, iso and
// the three parts of an Amazon image; the others are kept for whoever
// downloads them.
var (
	diskFormats      = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
	containerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
	visibilities     = []string{Community, Public, Private, Shared}
)

// attributes are the image's own attributes that a client may set, with what
// sets them from JSON. All other names are properties.
var attributes = map[string]func(img *Image, value json.RawMessage) error{
	"name":             func(img *Image, value json.RawMessage) error { return setText(&img.Name, "name", value, maxName) },
	"owner":            func(img *Image, value json.RawMessage) error { return setText(&img.Owner, "owner", value, maxName) },
	"protected":        func(img *Image, value json.RawMessage) error { return setBool(&img.Protected, "protected", value) },
	"os_hidden":        func(img *Image, value json.RawMessage) error { return setBool(&img.Hidden, "os_hidden", value) },
	"min_disk":         func(img *Image, value json.RawMessage) error { return setCount(&img.MinDiskGB, "min_disk", value) },
	"min_ram":          func(img *Image, value json.RawMessage) error { return setCount(&img.MinRAMMB, "min_ram", value) },
	"visibility":       setVisibility,
	"disk_format":      setDiskFormat,
	"container_format": setContainerFormat,
	"tags":             setTags,
	"id":               setID,
}

// readOnly are attributes that only the service sets, reserved those that
// mean something in an answer, or to a Glance with other stores.
var (
	readOnly = []string{
		"created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url", "self", "file", "schema",
		"os_hash_algo", "os_hash_value", "stores",
	}
	reserved = []string{"locations", "location", "deleted", "deleted_at", "owner_id", "base_image_ref"}
)

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// Set gives the image an attribute or property from the JSON value that a
// client sent. It reports fault.BadRequest for a value that the attribute
// cannot have, fault.Forbidden for one that clients cannot set, and
// fault.OverQuota for too many properties or tags.
func (img *Image) Set(name string, value json.RawMessage) error {
	if err := settable(name); err != nil {
		return err
	}
	if set, ok := attributes[name]; ok {
		return set(img, value)
	}
	return img.setProperty(name, value)
}

// settable checks that a name is not one that only the service may use.
func settable(name string) error {
	switch {
	case slices.Contains(readOnly, name):
		return fault.New(fault.Forbidden, "Attribute '%s' is read-only.", name)
	case slices.Contains(reserved, name) || strings.HasPrefix(name, "os_glance"):
		return fault.New(fault.Forbidden, "Attribute '%s' is reserved.", name)
	}
	return nil
}

func (img *Image) setProperty(name string, value json.RawMessage) error {
	if name == "" || utf8.RuneCountInString(name) > maxName {
		return fault.New(fault.BadRequest, "Custom property should not be greater than %d characters, nor empty.", maxName)
	}
	references := name == "kernel_id" || name == "ramdisk_id"
	if references && isNull(value) {
		delete(img.Properties, name)
		return nil
	}
	var text string
	if isNull(value) || json.Unmarshal(value, &text) != nil {
		return invalid(name, value, "is not of type 'string'")
	}
	if references && !uuidForm.MatchString(text) {
		return invalid(name, value, "does not match the form of an image id")
	}
	if len(text) > maxValue {
		return fault.New(fault.BadRequest, "Property %s is longer than %d bytes.", name, maxValue)
	}
	if img.Properties == nil {
		img.Properties = map[string]string{}
	}
	img.Properties[name] = text
	if len(img.Properties) > maxProperties {
		return fault.New(fault.OverQuota, "The limit has been exceeded on the number of allowed image properties. "+
			"Attempted: %d, Maximum: %d", len(img.Properties), maxProperties)
	}
	return nil
}

func isNull(value json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(value), []byte("null")) }

// invalid is the fault for a value of an attribute, in Glance's words.
func invalid(name string, value json.RawMessage, why string) error {
	const shown = 100
	if len(value) > shown {
		value = append(value[:shown:shown], "..."...)
	}
	return fault.New(fault.BadRequest, "Provided object does not match schema 'image': %s %s: Failed validating '%s'", value, why, name)
}

// setText sets a text that may be null, which is empty here.
func setText(to *string, name string, value json.RawMessage, longest int) error {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return invalid(name, value, "is not of type 'null', 'string'")
	}
	if utf8.RuneCountInString(text) > longest {
		return invalid(name, value, "is too long")
	}
	*to = text
	return nil
}

func setBool(to *bool, name string, value json.RawMessage) error {
	if isNull(value) || json.Unmarshal(value, to) != nil {
		return invalid(name, value, "is not of type 'boolean'")
	}
	return nil
}

func setCount(to *int, name string, value json.RawMessage) error {
	var n int32
	if isNull(value) || json.Unmarshal(value, &n) != nil {
		return invalid(name, value, "is not of type 'integer'")
	}
	if n < 0 {
		return fault.New(fault.BadRequest, "Invalid value '%d' for parameter '%s': Image %s must be >= 0 (unsigned).", n, name, name)
	}
	*to = int(n)
	return nil
}

// setOne sets a text to one of a few; null, where allowed, is empty.
func setOne(to *string, name string, value json.RawMessage, nullable bool, allowed []string) error {
	if nullable && isNull(value) {
		*to = ""
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil || !slices.Contains(allowed, text) {
		return invalid(name, value, "is not one of "+strings.Join(allowed, ", "))
	}
	*to = text
	return nil
}

func setVisibility(img *Image, value json.RawMessage) error {
	return setOne(&img.Visibility, "visibility", value, false, visibilities)
}

func setDiskFormat(img *Image, value json.RawMessage) error {
	if err := beforeData(img, "disk_format"); err != nil {
		return err
	}
	return setOne(&img.DiskFormat, "disk_format", value, true, diskFormats)
}

func setContainerFormat(img *Image, value json.RawMessage) error {
	if err := beforeData(img, "container_format"); err != nil {
		return err
	}
	return setOne(&img.ContainerFormat, "container_format", value, true, containerFormats)
}

// beforeData keeps what was verified about an image's data true.
func beforeData(img *Image, name string) error {
	if img.Status != "" && img.Status != Queued {
		return fault.New(fault.Forbidden, "Attribute %s can be only replaced for a queued image.", name)
	}
	return nil
}

func setTags(img *Image, value json.RawMessage) error {
	var tags []string
	if isNull(value) || json.Unmarshal(value, &tags) != nil {
		return invalid("tags", value, "is not of type 'array' of 'string'")
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	for _, tag := range tags {
		if utf8.RuneCountInString(tag) > maxName {
			return invalid("tags", value, "has a tag that is too long")
		}
	}
	if err := checkTagCount(len(tags)); err != nil {
		return err
	}
	img.Tags = tags
	return nil
}

func checkTagCount(n int) error {
	if n > maxTags {
		return fault.New(fault.OverQuota, "The limit has been exceeded on the number of allowed image tags. "+
			"Attempted: %d, Maximum: %d", n, maxTags)
	}
	return nil
}

func setID(img *Image, value json.RawMessage) error {
	if img.ID != "" {
		return fault.New(fault.Forbidden, "Attribute 'id' is read-only.")
	}
	var id string
	if json.Unmarshal(value, &id) != nil || !uuidForm.MatchString(id) {
		return invalid("id", value, "does not match the form of a UUID")
	}
	img.ID = strings.ToLower(id)
	return nil
}
