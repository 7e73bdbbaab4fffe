package metadata_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/metadata"
)

func instance() metadata.Instance {
	return metadata.Instance{
		ID: "5a9a6a51-53d5-4a7f-8a8e-4a6e0a4e6d2f", Name: "Web 1", Hostname: "web-1", ProjectID: "p", Zone: "nova",
		Metadata: map[string]string{"role": "wéb"}, UserData: []byte("#cloud-config\nhostname: x\n"),
		Keys: []metadata.Key{{Name: "mine", Type: "ssh", Data: "ssh-ed25519 AAAA me"}},
		MAC:  "fa:16:3e:01:02:03", PortID: "port", Address: netip.MustParseAddr("10.0.2.15"),
	}
}

// drive writes the config drive of i to a file.
func drive(t *testing.T, i metadata.Instance) string {
	t.Helper()
	dir := t.TempDir()
	image, err := metadata.ConfigDrive(dir, i)
	require.NoError(t, err)
	require.Zero(t, len(image)%2048, "a drive has whole blocks only")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "files left over")
	name := filepath.Join(dir, "drive.iso")
	require.NoError(t, os.WriteFile(name, image, 0o600))
	return name
}

// read returns what is in a file of a drive, by its full name.
func read(t *testing.T, drive, name string) []byte {
	t.Helper()
	f, err := os.Open(drive)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	image, err := iso9660.Read(file.New(f, true), 0, 0, 2048)
	require.NoError(t, err)
	data, err := image.ReadFile(name)
	require.NoError(t, err)
	return data
}

func TestConfigDriveHoldsTheMetadata(t *testing.T) {
	var meta map[string]any
	require.NoError(t, json.Unmarshal(read(t, drive(t, instance()), "openstack/latest/meta_data.json"), &meta))
	assert.Equal(t, "5a9a6a51-53d5-4a7f-8a8e-4a6e0a4e6d2f", meta["uuid"])
	assert.Equal(t, "web-1", meta["hostname"])
	assert.Equal(t, map[string]any{"role": "wéb"}, meta["meta"])
	assert.Equal(t, map[string]any{"mine": "ssh-ed25519 AAAA me"}, meta["public_keys"])
}

func TestConfigDriveHoldsTheUserDataUnchanged(t *testing.T) {
	i := instance()
	i.UserData = []byte(strings.Repeat("\x00\xff\n", 20_000)) // many blocks, and none of it text
	name := drive(t, i)
	assert.Equal(t, i.UserData, read(t, name, "openstack/latest/user_data"))
	assert.Equal(t, i.UserData, read(t, name, "ec2/latest/user-data"))
}

func TestConfigDriveConfiguresTheInterfaceByDHCP(t *testing.T) {
	var network struct {
		Links    []map[string]any
		Networks []map[string]any
	}
	require.NoError(t, json.Unmarshal(read(t, drive(t, instance()), "openstack/latest/network_data.json"), &network))
	require.Len(t, network.Links, 1)
	require.Len(t, network.Networks, 1)
	assert.Equal(t, "fa:16:3e:01:02:03", network.Links[0]["ethernet_mac_address"])
	assert.Equal(t, "ipv4_dhcp", network.Networks[0]["type"])
	assert.Equal(t, network.Links[0]["id"], network.Networks[0]["link"])
}

func TestWithoutAnInterfaceThereIsNoNetwork(t *testing.T) {
	i := instance()
	i.MAC = ""
	assert.JSONEq(t, `{"links":[],"networks":[],"services":[]}`, string(read(t, drive(t, i), "openstack/latest/network_data.json")))
}

// isoinfo (Debian: genisoimage) knows nothing of our library. It prints what
// Linux would show.
func TestConfigDriveIsReadByOthers(t *testing.T) {
	name := drive(t, instance())
	isoinfo := func(args ...string) string {
		out, err := exec.Command("isoinfo", append(args, "-i", name)...).CombinedOutput()
		require.NoError(t, err, "isoinfo, of Debian's package genisoimage: %s", out)
		return string(out)
	}
	assert.Contains(t, isoinfo("-d"), "Volume id: config-2")
	listed := strings.Fields(isoinfo("-R", "-f"))
	for _, want := range []string{
		"/openstack/latest/meta_data.json", "/openstack/latest/user_data", "/openstack/latest/network_data.json",
		"/openstack/latest/vendor_data.json", "/openstack/latest/vendor_data2.json",
		"/ec2/latest/meta-data.json", "/ec2/latest/user-data",
	} {
		assert.Contains(t, listed, want)
	}
	assert.Equal(t, "#cloud-config\nhostname: x\n", isoinfo("-R", "-x", "/openstack/latest/user_data"))
}

func BenchmarkConfigDrive(b *testing.B) {
	for b.Loop() {
		if _, err := metadata.ConfigDrive(b.TempDir(), instance()); err != nil {
			b.Fatal(err)
		}
	}
}
