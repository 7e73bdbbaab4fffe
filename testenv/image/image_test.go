package image_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
)

func TestTheBuiltInRecipeIsSound(t *testing.T) {
	r, err := image.Named("go")
	require.NoError(t, err)
	assert.Equal(t, "gatehouse-go", r.Name)
	assert.Equal(t, image.User{Name: "gate", UID: 1000}, r.User)
	assert.Contains(t, r.Packages, "git")
	assert.Contains(t, r.Modules.Early, "virtio_blk")
	assert.Contains(t, r.CommandLine, "root=/dev/vda")
	_, err = image.Named("none")
	require.ErrorContains(t, err, `no recipe "none"`)
}

func TestAWrongRecipeIsRefusedWithTheReason(t *testing.T) {
	const good = "name: x\nsuite: bookworm\nkernel: linux-image-amd64\npackages: [git]\nuser: {name: gate, uid: 1000}\ndisk-mb: 1024\n"
	_, err := image.Parse([]byte(good))
	require.NoError(t, err)
	for text, reason := range map[string]string{
		good + "extra: 1\n":                         "[7:1]",
		good + "copy: [{from: A, to: usr/x}]\n":     "not an absolute path",
		"name: x\n":                                 `"" is not a name`,
		good[:len(good)-len("1024\n")] + "10\n":     "a disk of 10 MB",
		"packages: [\"a;reboot\"]\n" + good[:0]:     `"a;reboot" is not a name`,
		good + "warm: {modules: [{project: ../x}]}": `"../x" is not a name`,
	} {
		_, err := image.Parse([]byte(text))
		assert.ErrorContains(t, err, reason, text)
	}
}
