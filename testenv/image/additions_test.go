package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// archiveOf makes the archive by which the root stage tells of a system.
func archiveOf(t *testing.T, files map[string]string) io.Reader {
	t.Helper()
	var archive bytes.Buffer
	w := newTree(&archive)
	for name, text := range files {
		w.File(name, 0o644, text)
	}
	require.NoError(t, w.Close())
	return &archive
}

// member is a file of an archive.
type member struct {
	owner, mode int64
	text        string
}

func members(t *testing.T, archive io.Reader) map[string]member {
	t.Helper()
	files := make(map[string]member)
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		files[h.Name] = member{int64(h.Uid), h.Mode, string(text)}
	}
}

func additionsOf(t *testing.T, b *build, system map[string]string) (map[string]member, error) {
	t.Helper()
	s, err := readSystem(archiveOf(t, system))
	require.NoError(t, err)
	var archive bytes.Buffer
	err = b.writeAdditions(&archive, s, nil)
	return members(t, &archive), err
}

func TestAdditionsToASystemWithNothing(t *testing.T) {
	b := newBuild(t)
	files, err := additionsOf(t, b, map[string]string{"programs": ""})
	require.NoError(t, err)
	assert.Equal(t, "root:*:0:0:root:/root:/bin/sh\ngate:*:1000:1000::/home/gate:/bin/sh\n", files["etc/passwd"].text)
	assert.Equal(t, "root:x:0:\ngate:x:1000:\n", files["etc/group"].text)
	assert.NotContains(t, files, "etc/shadow")
	assert.NotContains(t, files, "etc/environment", "what is there stays")
	assert.Equal(t, member{1000, 0o755, ""}, files["home/gate/src/"])
	assert.Equal(t, "gate\n", files["usr/lib/gatehouse/user"].text)
	assert.Equal(t, "gate\n/home/gate\n1000\n1000\n", files["usr/lib/gatehouse/build/account"].text)
	assert.Equal(t, member{0, 0o440, "gate ALL=(ALL) NOPASSWD: ALL\n"}, files["etc/sudoers.d/gate"])
	assert.Equal(t, "agent", files["usr/bin/tool"].text)
}

func TestAdditionsFollowTheRecipeAndTheSystem(t *testing.T) {
	b := newBuild(t)
	no := false
	b.base.Environment = []string{"PATH=/opt/bin:/bin", "HOME=/"}
	b.recipe.dir = b.dir
	b.recipe.User = User{Name: "ci", Sudo: &no}
	b.recipe.Users = []User{{Name: "daemon2", UID: 2000, Shell: "/bin/false", Keys: []string{"ssh-ed25519 AAAA"}}}
	b.recipe.Environment = map[string]string{"CI": "true"}
	b.recipe.Template = []string{"true", "make -C src"}
	b.recipe.Scripts = []string{"ldconfig"}
	b.recipe.Files = []File{
		{Path: "/srv/data/x", Content: "text", Mode: 0o4755, Owner: "postgres"},
		{Path: "/etc/motd", From: "agent", Mode: 0o600},
		{Path: "/opt/tree", From: "tree", Owner: "ci"},
	}
	require.NoError(t, os.MkdirAll(filepath.Join(b.dir, "tree", "sub"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "tree", "sub", "f"), []byte("deep"), 0o640))

	files, err := additionsOf(t, b, map[string]string{
		"programs": "bash\n", "etc/skel/.profile": "umask 022\n",
		"etc/passwd": "root:x:0:0::/root:/bin/bash\npostgres:x:105:110::/var/lib/postgresql:/bin/bash\n",
		"etc/group":  "root:x:0:\npostgres:x:110:\n", "etc/shadow": "root:!:20000::::::\n",
	})
	require.NoError(t, err)
	assert.Contains(t, files["etc/passwd"].text, "ci:x:1000:1000::/home/ci:/bin/bash\ndaemon2:x:2000:2000::/home/daemon2:/bin/false\n")
	assert.Equal(t, member{0, 0o600, "root:!:::::::\nci:*::0:99999:7:::\ndaemon2:*::0:99999:7:::\n"}, files["etc/shadow"])
	assert.Equal(t, member{1000, 0o644, "umask 022\n"}, files["home/ci/.profile"])
	assert.Equal(t, member{2000, 0o600, "ssh-ed25519 AAAA\n"}, files["home/daemon2/.ssh/authorized_keys"])
	assert.NotContains(t, files, "etc/sudoers.d/ci")
	assert.NotContains(t, files, "etc/sudoers.d/daemon2")
	assert.Equal(t, "CI=true\nPATH=/opt/bin:/bin\n", files["etc/environment"].text)
	assert.Equal(t, member{0, 0o755, "#!/bin/sh -e\nmake -C src\n"}, files["usr/lib/gatehouse/template.d/01-recipe"])
	assert.Equal(t, "ldconfig\n", files["usr/lib/gatehouse/build/scripts/00"].text)
	assert.Equal(t, member{105, 0o4755, "text"}, files["srv/data/x"])
	assert.Equal(t, int64(0), files["srv/data/"].owner)
	assert.Equal(t, member{0, 0o600, "agent"}, files["etc/motd"])
	assert.Equal(t, member{1000, 0o640, "deep"}, files["opt/tree/sub/f"])
}

func TestTheSameAdditionsAreTheSameArchive(t *testing.T) {
	b := newBuild(t)
	b.recipe.Environment = map[string]string{"A": "1", "B": "2", "C": "3"}
	archive := func() []byte {
		s, err := readSystem(archiveOf(t, map[string]string{"programs": "bash\n"}))
		require.NoError(t, err)
		var archive bytes.Buffer
		require.NoError(t, b.writeAdditions(&archive, s, nil))
		return archive.Bytes()
	}
	first := archive()
	require.NoError(t, os.Chtimes(b.config.Agent, epoch, epoch.AddDate(1, 0, 0)))
	assert.Equal(t, first, archive(), "whenever the host's files are from")
}

func TestAFileOfAnUnknownOwnerIsNamed(t *testing.T) {
	b := newBuild(t)
	b.recipe.Files = []File{{Path: "/a", Owner: "nobody3"}}
	_, err := additionsOf(t, b, map[string]string{"programs": ""})
	require.EqualError(t, err, `file /a: no user "nobody3"`)
}

func TestAStageThatEndsEarlyIsNoSystem(t *testing.T) {
	_, err := readSystem(bytes.NewReader(nil))
	require.ErrorIs(t, err, errNoAccount)
}

func TestOnlyAnotherInitIsToldOfItsUser(t *testing.T) {
	b := newBuild(t)
	files, err := additionsOf(t, b, map[string]string{"programs": ""})
	require.NoError(t, err)
	assert.Contains(t, files, "usr/local/sbin/reboot")
	assert.NotContains(t, b.commandLine(), "gatehouse.init")
	b.recipe.Init = "/sbin/init"
	files, err = additionsOf(t, b, map[string]string{"programs": ""})
	require.NoError(t, err)
	assert.NotContains(t, files, "usr/local/sbin/reboot")
	assert.Contains(t, files["etc/cloud/cloud.cfg.d/90-gatehouse.cfg"].text, "name: gate\n")
	assert.Contains(t, b.commandLine(), " gatehouse.init=/sbin/init")
	assert.False(t, b.artefacts().Forks)
}
