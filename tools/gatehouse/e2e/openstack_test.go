//go:build e2e

package e2e_test

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// row is a line of a list, or an object, as the client prints it with -f json.
type row map[string]any

// find returns the row whose column holds value.
func find(t *testing.T, rows []row, column, value string) row {
	t.Helper()
	for _, r := range rows {
		if r[column] == value {
			return r
		}
	}
	require.Failf(t, "no such row", "%s=%s in %v", column, value, rows)
	return nil
}

func TestTheClientManagesIdentity(t *testing.T) {
	t.Parallel()
	g := shared
	var token, project, user row
	g.openstackJSON(t, &token, "token", "issue")
	assert.NotEmpty(t, token["id"])
	assert.NotEmpty(t, token["project_id"])

	var catalog []row
	g.openstackJSON(t, &catalog, "catalog", "list")
	for _, service := range []string{"identity", "image", "compute", "volumev3"} {
		find(t, catalog, "Type", service)
	}

	g.openstackJSON(t, &project, "project", "create", "--description", "text", "tenant")
	g.openstackJSON(t, &user, "user", "create", "--project", "tenant", "--password", "secret", "tenant-user")
	g.openstack(t, "role", "create", "auditor")
	g.openstack(t, "role", "add", "--project", "tenant", "--user", "tenant-user", "member")
	var users, roles, projects []row
	g.openstackJSON(t, &users, "user", "list")
	assert.Equal(t, user["id"], find(t, users, "Name", "tenant-user")["ID"])
	g.openstackJSON(t, &projects, "project", "list")
	assert.Equal(t, project["id"], find(t, projects, "Name", "tenant")["ID"])
	g.openstackJSON(t, &roles, "role", "list")
	find(t, roles, "Name", "auditor")
	var shown row
	g.openstackJSON(t, &shown, "project", "show", "tenant")
	assert.Equal(t, "text", shown["description"])
	g.openstackJSON(t, &shown, "role", "show", "auditor")
	assert.Equal(t, "auditor", shown["name"])

	out, stderr, err := g.openstackAs(t, "tenant-user", "secret", "tenant", "token", "issue", "-f", "json")
	require.NoError(t, err, stderr)
	require.NoError(t, json.Unmarshal([]byte(out), &token))
	assert.Equal(t, project["id"], token["project_id"])
	_, stderr, err = g.openstackAs(t, "tenant-user", "secret", "tenant", "user", "create", "intruder")
	require.Error(t, err)
	assert.Contains(t, stderr, "403")

	assert.Equal(t, http.StatusOK, g.tokenStatus(t, token["id"].(string)))
	g.openstack(t, "user", "delete", "tenant-user")
	assert.Equal(t, http.StatusUnauthorized, g.tokenStatus(t, token["id"].(string)), "the token of a deleted user must not work")
	g.openstack(t, "role", "delete", "auditor")
	g.openstack(t, "project", "delete", "tenant")
}

// tokenStatus is how the cloud answers a token.
func (g *gatehouse) tokenStatus(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.Core+"/compute/v2.1/flavors", nil)
	require.NoError(t, err)
	request.Header.Set("X-Auth-Token", token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	return response.StatusCode
}

func TestTheClientManagesImages(t *testing.T) {
	t.Parallel()
	g := shared
	dir := t.TempDir()
	raw := filepath.Join(dir, "disk.raw")
	content := []byte(strings.Repeat("all the bytes of a disk ", 100_000))
	require.NoError(t, os.WriteFile(raw, content, 0o600))

	var image row
	g.openstackJSON(t, &image, "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", raw,
		"--property", "kernel_id=11111111-2222-4333-8444-555555555555", "e2e-raw")
	g.openstackJSON(t, &image, "image", "show", "e2e-raw")
	assert.Equal(t, "active", image["status"])
	sum := sha512.Sum512(content)
	properties, err := json.Marshal(image["properties"])
	require.NoError(t, err)
	assert.Contains(t, string(properties), hex.EncodeToString(sum[:]))
	assert.Contains(t, string(properties), "11111111-2222-4333-8444-555555555555")

	g.openstack(t, "image", "set", "--name", "e2e-renamed", "--property", "colour=blue", "e2e-raw")
	saved := filepath.Join(dir, "saved")
	g.openstack(t, "image", "save", "--file", saved, "e2e-renamed")
	again, err := os.ReadFile(saved)
	require.NoError(t, err)
	assert.Equal(t, content, again)
	var images []row
	g.openstackJSON(t, &images, "image", "list")
	find(t, images, "Name", "e2e-renamed")
	g.openstack(t, "image", "delete", "e2e-renamed")
	_, _, err = g.tryOpenstack(t, "image", "show", "e2e-renamed")
	require.Error(t, err)

	backed := filepath.Join(dir, "backed.qcow2")
	out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-f", "qcow2", "-b", raw, "-F", "raw", backed).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for name, file := range map[string]string{"backing file": backed, "not a qcow2": raw} {
		_, stderr, err := g.tryOpenstack(t, "image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", file, "e2e-refused")
		assert.Error(t, err, "%s: %s", name, stderr)
	}
}

func TestTheClientRunsServersAndMovesVolumesBetweenThem(t *testing.T) {
	t.Parallel()
	g := shared
	key := filepath.Join(t.TempDir(), "key")
	private := g.openstack(t, "keypair", "create", "e2e-key")
	require.NoError(t, os.WriteFile(key, []byte(private), 0o600))
	var keys []row
	g.openstackJSON(t, &keys, "keypair", "list")
	find(t, keys, "Name", "e2e-key")

	g.openstack(t, "flavor", "create", "--ram", "512", "--disk", "10", "--vcpus", "1", "e2e.tiny")
	defer g.openstack(t, "flavor", "delete", "e2e.tiny")
	userData := filepath.Join(t.TempDir(), "user-data")
	require.NoError(t, os.WriteFile(userData, []byte("#!/bin/sh\necho from-user-data > /run/user-data-ran\n"), 0o600))
	create := func(name string) string {
		g.openstack(t, "server", "create", "--flavor", "e2e.tiny", "--image", "gatehouse-go", "--key-name", "e2e-key",
			"--user-data", userData, "--config-drive", "True", "--wait", name)
		var server row
		g.openstackJSON(t, &server, "server", "show", name)
		assert.Equal(t, "ACTIVE", server["status"])
		return floating(t, server)
	}
	first := create("e2e-one")
	ssh := func(address, script string) string {
		t.Helper()
		var out string
		eventually(t, 2*time.Minute, "ssh to "+address, func() bool {
			var err error
			out, err = run(t, time.Minute, "", nil, "ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
				"-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes", "gate@"+address, script)
			return err == nil
		})
		return strings.TrimSpace(out)
	}
	assert.Equal(t, "e2e-one", ssh(first, "hostname"))
	assert.Equal(t, "from-user-data", ssh(first, "cat /run/user-data-ran"))
	assert.Contains(t, g.openstack(t, "console", "log", "show", "e2e-one"), "gatehouse-agent: ready")

	var volume row
	g.openstackJSON(t, &volume, "volume", "create", "--size", "1", "e2e-volume")
	g.openstack(t, "server", "add", "volume", "e2e-one", "e2e-volume")
	// The guest names the disk by the volume's id, cut to virtio's 20 bytes.
	disk := "$(sudo grep -l ^" + volume["id"].(string)[:20] + " /sys/block/vd*/serial | cut -d/ -f4)"
	ssh(first, `set -e; d=`+disk+`; echo precious | sudo dd of=/dev/$d conv=fsync status=none`)
	_, stderr, err := g.tryOpenstack(t, "volume", "delete", "e2e-volume")
	require.Error(t, err, "an attached volume must not be deleted")
	assert.Contains(t, stderr, "400")
	g.openstack(t, "server", "remove", "volume", "e2e-one", "e2e-volume")
	eventually(t, time.Minute, "volume available again", func() bool {
		var shown row
		g.openstackJSON(t, &shown, "volume", "show", "e2e-volume")
		return shown["status"] == "available"
	})

	second := create("e2e-two")
	g.openstack(t, "server", "add", "volume", "e2e-two", "e2e-volume")
	assert.Equal(t, "precious", ssh(second, `set -e; d=`+disk+`; sudo head -n 1 /dev/$d`))

	g.openstack(t, "server", "reboot", "--hard", "--wait", "e2e-two")
	assert.Equal(t, "precious", ssh(second, `set -e; d=`+disk+`; sudo head -n 1 /dev/$d`), "a volume stays over a reboot")
	g.openstack(t, "server", "stop", "e2e-one")
	eventually(t, 2*time.Minute, "SHUTOFF", func() bool { return status(t, g, "e2e-one") == "SHUTOFF" })
	g.openstack(t, "server", "start", "e2e-one")
	assert.Equal(t, "e2e-one", ssh(first, "hostname"))

	// A machine that dies is no longer ACTIVE, and says why.
	out, err := run(t, time.Minute, "", nil, "pkill", "-9", "-f", "qemu-system.*"+serverID(t, g, "e2e-one"))
	require.NoError(t, err, out)
	eventually(t, time.Minute, "the dead machine to be noticed", func() bool { return status(t, g, "e2e-one") != "ACTIVE" })
	var dead row
	g.openstackJSON(t, &dead, "server", "show", "e2e-one")
	assert.Contains(t, []any{"SHUTOFF", "ERROR"}, dead["status"])

	// Not with --wait: the client gives up, with status 0, on a server that it
	// still sees in ERROR.
	g.openstack(t, "server", "delete", "e2e-one", "e2e-two")
	eventually(t, time.Minute, "volume freed by its server's end", func() bool {
		var shown row
		g.openstackJSON(t, &shown, "volume", "show", "e2e-volume")
		return shown["status"] == "available"
	})
	g.openstack(t, "volume", "set", "--name", "e2e-kept", "e2e-volume")
	var volumes []row
	g.openstackJSON(t, &volumes, "volume", "list")
	find(t, volumes, "Name", "e2e-kept")
	g.openstack(t, "volume", "delete", "e2e-kept")
	g.openstack(t, "keypair", "delete", "e2e-key")
}

func serverID(t *testing.T, g *gatehouse, name string) string {
	t.Helper()
	var server row
	g.openstackJSON(t, &server, "server", "show", name)
	return server["id"].(string)
}

func status(t *testing.T, g *gatehouse, name string) string {
	t.Helper()
	var server row
	g.openstackJSON(t, &server, "server", "show", name)
	return server["status"].(string)
}

// floating is the host's address of a server.
func floating(t *testing.T, server row) string {
	t.Helper()
	addresses, ok := server["addresses"].(map[string]any)
	require.True(t, ok, "%v", server["addresses"])
	for _, list := range addresses {
		for _, address := range list.([]any) {
			if strings.HasPrefix(address.(string), "127.") {
				return address.(string)
			}
		}
	}
	require.Failf(t, "no floating address", "%v", addresses)
	return ""
}
