package image_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
)

func TestTheRecipesInTheBoxAreSound(t *testing.T) {
	assert.Equal(t, []string{"debian", "go", "node", "python"}, image.Recipes())
	for _, name := range image.Recipes() {
		r, err := image.Open(name)
		require.NoError(t, err)
		assert.Equal(t, "gatehouse-"+name, r.Name)
		assert.Equal(t, "gate", r.User.Name)
		assert.Equal(t, 1000, r.User.UID)
		assert.Equal(t, image.Agent, r.Init, "forks")
		assert.Contains(t, r.Packages, "git")
		assert.Contains(t, string(r.Text()), "name: "+r.Name)
		assert.Equal(t, name == "go", len(r.Inputs()) > 0, "only Go's needs something of the host")
	}
	_, err := image.Open("none")
	require.ErrorContains(t, err, `no recipe "none": there are debian, go`)
}

func TestAnImageFromAContainerIsTwoLines(t *testing.T) {
	r, err := image.Parse([]byte("name: x\noci: docker.io/library/alpine:3\n"))
	require.NoError(t, err)
	assert.Equal(t, &image.OCI{Reference: "docker.io/library/alpine:3"}, r.OCI)
	assert.Equal(t, &image.Kernel{Package: "linux-image-cloud-amd64", Suite: "bookworm"}, r.Kernel)
	assert.Equal(t, "gate", r.User.Name)
	assert.Contains(t, r.CommandLine, "root=/dev/vda")
	assert.Positive(t, r.DiskMB)
}

func TestWhatARecipeLeavesOutFollowsItsBase(t *testing.T) {
	for text, want := range map[string]image.Kernel{
		"debian: trixie":                         {Package: "linux-image-cloud-amd64", Suite: "trixie"},
		"disk: a.qcow2":                          {Own: true},
		"oci: alpine\nkernel: own":               {Own: true},
		"oci: alpine\nkernel: linux-image-amd64": {Package: "linux-image-amd64", Suite: "bookworm"},
		"disk: a.qcow2\nkernel: {suite: trixie}": {Package: "linux-image-cloud-amd64", Suite: "trixie"},
	} {
		r, err := image.Parse([]byte("name: x\n" + text))
		require.NoError(t, err, text)
		assert.Equal(t, want, *r.Kernel, text)
	}
}

func TestAWrongRecipeIsRefusedWithTheLineAndTheReason(t *testing.T) {
	const good = "name: x\ndebian: bookworm\n" // what follows is line 3
	for text, reason := range map[string]string{
		good + "extra: 1":                                    `[3:1] unknown field "extra"`,
		"name: x\noci: {archiv: a}":                          `[2:7] unknown field "archiv"`,
		good + "disk-mb: [1]":                                "[3:10]",
		"debian: bookworm":                                   "name: missing",
		"name: x y\ndebian: bookworm":                        `line 1: name: "x y" is not a name`,
		"name: x":                                            "one of debian, oci, disk, installer is needed, not 0",
		good + "oci: alpine":                                 "one of debian, oci, disk, installer is needed, not 2",
		"name: x\noci: UPPER":                                "line 2: oci: could not parse reference",
		"name: x\noci: {archive: a, layout: b}":              "line 2: oci: one of reference, archive, layout is needed, not 2",
		"name: x\ndisk: {url: \"https://x/y\"}":              "line 2: disk: a url needs the file's sha256",
		"name: x\ndisk: {file: y, sha256: 1a}":               "line 2: disk.sha256",
		"name: x\ninstaller: {iso: a.iso, kernel: /k}":       "installer.ramdisk: missing",
		good + "packages:\n- git\n- \"a;reboot\"":            `line 5: packages[1]: "a;reboot" is not a name`,
		good + "copy: [{from: A, to: usr/x}]":                `line 3: copy[0].to: "usr/x" is not an absolute path`,
		good + "files:\n- {path: /a/../b}":                   `line 4: files[0].path: "/a/../b" is not an absolute path`,
		good + "files:\n- {path: /a, content: x, from: y}":   "line 4: files[0]: either content or from",
		good + "files:\n- {path: /a, owner: \"a b\"}":        "line 4: files[0].owner",
		good + "files:\n- {path: /a, mode: 0999}":            `is not a mode such as 0644`,
		good + "user: {name: root}":                          "line 3: user: an ordinary user",
		good + "users:\n- {name: a}\n- {name: b, shell: sh}": `line 5: users[1].shell: "sh" is not an absolute path`,
		good + "environment: {\"A B\": c}":                   `line 3: environment: "A B=c" is not`,
		good + "warm: {modules: [{project: ../x}]}":          `line 3: warm.modules[0].project: "../x" is not a name`,
		good + "init: sbin/init":                             `line 3: init: "sbin/init" is not an absolute path`,
		good + "disk-mb: 10":                                 "line 3: disk-mb: a disk of 10 MB holds no system",
		"name: x\noci: alpine\nkernel: {package: \"-o\"}":    `line 3: kernel.package: "-o" is not a name`,
		"name: x\ndebian: {suite: a/b}":                      `line 2: debian.suite: "a/b" is not a name`,
		good + "modules:\n  late: [\"../x\"]":                `line 4: modules.late[0]: "../x" is not a name`,
		good + "command-line: \"a\\nb\"":                     "line 3: command-line: more than one line",
		"name: x\ndisk: {url: \"file:///x\", sha256: \"" + strings.Repeat("0", 64) + "\"}": "not a URL of http",
	} {
		_, err := image.Parse([]byte(text))
		assert.ErrorContains(t, err, reason, text)
	}
	_, err := image.Parse([]byte(good))
	require.NoError(t, err)
}

func TestModesAreOctal(t *testing.T) {
	for text, want := range map[string]image.Mode{"0755": 0o755, "755": 0o755, `"0644"`: 0o644, "0o600": 0o600, "04755": 0o4755} {
		r, err := image.Parse([]byte("name: x\ndebian: bookworm\nfiles: [{path: /a, mode: " + text + "}]"))
		require.NoError(t, err, text)
		assert.Equal(t, want, r.Files[0].Mode, text)
	}
}

func TestAFilesErrorsNameIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	_, err := image.Open(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("name: x\n"), 0o600))
	_, err = image.Open(file)
	require.ErrorContains(t, err, "mine.yaml: one of debian")
}
