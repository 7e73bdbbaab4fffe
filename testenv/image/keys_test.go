package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newBuild returns a build of a small recipe in directories of its own.
func newBuild(t *testing.T) *build {
	t.Helper()
	dir := t.TempDir()
	agent := filepath.Join(dir, "agent")
	require.NoError(t, os.WriteFile(agent, []byte("agent"), 0o700))
	r, err := Parse([]byte("name: x\ndebian: bookworm\npackages: [git]\ncopy: [{from: TOOL, to: /usr/bin/tool}]\n"))
	require.NoError(t, err)
	b := &build{
		config: Config{Dir: dir, Agent: agent, Inputs: map[string]string{"TOOL": agent}}, recipe: r, dir: dir,
		baseTar: filepath.Join(dir, "base-1.tar"), base: fetched{Digest: "base"}, kernel: fetched{Digest: "kernel"},
	}
	b.keys, err = b.hash()
	require.NoError(t, err)
	return b
}

func TestALayersKeyFollowsWhatGoesIntoIt(t *testing.T) {
	b := newBuild(t)
	was := b.keys
	changed := func() string {
		now, err := b.hash()
		require.NoError(t, err)
		var names []string
		for _, k := range []struct{ name, was, now string }{
			{"kernel", was.kernel, now.kernel}, {"root", was.root, now.root},
			{"ramdisk", was.ramdisk, now.ramdisk}, {"image", was.image, now.image},
		} {
			if k.was != k.now {
				names = append(names, k.name)
			}
		}
		was = now
		return strings.Join(names, " ")
	}
	assert.Empty(t, changed(), "the same inputs")

	tool := filepath.Join(b.dir, "tool")
	require.NoError(t, os.WriteFile(tool, []byte("agent"), 0o700))
	b.config.Inputs["TOOL"] = tool
	assert.Empty(t, changed(), "the same content in another place")
	require.NoError(t, os.WriteFile(tool, []byte("another"), 0o700))
	assert.Equal(t, "root image", changed())
	require.NoError(t, os.WriteFile(b.config.Agent, []byte("another"), 0o700))
	assert.Equal(t, "ramdisk image", changed())
	b.recipe.Warm.Commands = []string{"go build std"}
	assert.Equal(t, "root image", changed())
	b.recipe.Modules.Late = []string{"fuse"}
	assert.Equal(t, "ramdisk image", changed())
	b.recipe.CommandLine += " debug"
	assert.Equal(t, "image", changed())
	b.base.Digest = "newer"
	assert.Equal(t, "root image", changed())
	b.kernel.Digest = "newer"
	assert.Equal(t, "kernel root ramdisk image", changed())
}

func TestTheBaseSystemIsNamedByWhatIsAskedFor(t *testing.T) {
	key := func(recipe string) string {
		r, err := Parse([]byte("name: x\n" + recipe))
		require.NoError(t, err)
		key, err := (&build{recipe: r}).sourceKey()
		require.NoError(t, err)
		return key
	}
	archive := filepath.Join(t.TempDir(), "archive.tar")
	require.NoError(t, os.WriteFile(archive, []byte("one"), 0o600))
	recipes := []string{
		"debian: bookworm", "debian: trixie", "debian: bookworm\npackages: [git]",
		"oci: debian:12", "oci: alpine", "oci: {archive: " + archive + "}",
	}
	seen := make(map[string]bool)
	for _, r := range recipes {
		seen[key(r)] = true
	}
	assert.Len(t, seen, len(recipes))
	assert.Equal(t, key("oci: alpine"), key("oci: alpine\npackages: [git]\ndisk-mb: 512"), "packages are installed later")
	require.NoError(t, os.WriteFile(archive, []byte("two"), 0o600))
	assert.NotContains(t, seen, key(recipes[5]), "an archive is named by its content")
}
