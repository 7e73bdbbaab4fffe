//go:build e2e

package e2e_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASecondUpOnTheSameDataSaysWhoHasIt(t *testing.T) {
	t.Parallel()
	out, err := run(t, time.Minute, "", nil, binary, "up", "--data", shared.data)
	require.Error(t, err)
	assert.Contains(t, out, shared.data+" is in use by another gatehouse (process ")
}

func TestATakenPortSaysWhichFlagChoosesAnother(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	out, err := run(t, time.Minute, "", nil, binary, "up", "--data", t.TempDir(),
		"--core", "127.0.0.1:0", "--review", "127.0.0.1:0", "--review-ssh", listener.Addr().String(), "--gate", "127.0.0.1:0")
	require.Error(t, err)
	assert.Contains(t, out, listener.Addr().String()+" is taken by another program: choose another address with --review-ssh")
}

func TestUpWithoutQEMUNamesThePackage(t *testing.T) {
	t.Parallel()
	// A PATH that holds git and nothing else.
	bin := t.TempDir()
	require.NoError(t, os.Symlink("/usr/bin/git", filepath.Join(bin, "git")))
	out, err := run(t, time.Minute, "", []string{"PATH=" + bin}, binary, "up", "--data", t.TempDir(),
		"--core", "127.0.0.1:0", "--review", "127.0.0.1:0", "--review-ssh", "127.0.0.1:0", "--gate", "127.0.0.1:0")
	require.Error(t, err)
	assert.Contains(t, out, "qemu-system-x86")
}

func TestAWrongKeyInTheConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(data, "gatehouse.yaml"), []byte("reviw: 127.0.0.1:0\n"), 0o600))
	out, err := run(t, time.Minute, "", nil, binary, "up", "--data", data)
	require.Error(t, err)
	assert.Contains(t, out, "gatehouse.yaml")
	assert.Contains(t, out, "reviw")
}

func TestEveryHouseTellsItsHealthAndMetrics(t *testing.T) {
	t.Parallel()
	for _, house := range []string{shared.Core, shared.Review, shared.Gate} {
		for _, path := range []string{"/healthz", "/metrics"} {
			response, err := http.Get("http://" + house + path)
			require.NoError(t, err)
			response.Body.Close()
			assert.Equal(t, http.StatusOK, response.StatusCode, house+path)
		}
	}
}

func TestCredentialsAreReadableByTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(shared.clouds())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
