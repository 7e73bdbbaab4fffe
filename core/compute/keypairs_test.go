package compute_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/extensions"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// publicKey makes a line of an authorized_keys file.
func publicKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return string(ssh.MarshalAuthorizedKey(key))
}

func TestAGeneratedKeypairWorks(t *testing.T) {
	c := newCloud(t)
	client := c.client(t, "member", "2.2")
	pair, err := keypairs.Create(t.Context(), client, keypairs.CreateOpts{Name: "mine"}).Extract()
	require.NoError(t, err)
	assert.Equal(t, "m", pair.UserID)
	assert.Equal(t, "ssh", pair.Type)
	signer, err := ssh.ParsePrivateKey([]byte(pair.PrivateKey))
	require.NoError(t, err)
	public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(pair.PublicKey))
	require.NoError(t, err)
	assert.Equal(t, signer.PublicKey().Marshal(), public.Marshal())
	assert.Equal(t, "Generated-by-Nova", comment)
	assert.Equal(t, ssh.FingerprintLegacyMD5(public), pair.Fingerprint)

	found, err := keypairs.Get(t.Context(), client, "mine", nil).Extract()
	require.NoError(t, err)
	assert.Empty(t, found.PrivateKey)
	assert.Equal(t, pair.PublicKey, found.PublicKey)
}

// ssh-keygen knows nothing of our library.
func TestFingerprintsAreSSHs(t *testing.T) {
	c := newCloud(t)
	key := publicKey(t)
	pair, err := keypairs.Create(t.Context(), c.client(t, "member", ""), keypairs.CreateOpts{Name: "mine", PublicKey: key}).Extract()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(file, []byte(key), 0o600))
	out, err := exec.Command("ssh-keygen", "-l", "-E", "md5", "-f", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "MD5:"+pair.Fingerprint)
}

func TestAnImportedKeyComesIntoTheServer(t *testing.T) {
	c, client := start(t)
	key := publicKey(t)
	_, err := keypairs.Create(t.Context(), client, keypairs.CreateOpts{Name: "mine", PublicKey: key}).Extract()
	require.NoError(t, err)
	created, err := servers.Create(t.Context(), client, keypairs.CreateOptsExt{
		CreateOptsBuilder: servers.CreateOpts{Name: "one", ImageRef: rootImage, FlavorRef: "2"}, KeyName: "mine",
	}, nil).Extract()
	require.NoError(t, err)
	server := waitFor(t, client, created.ID, "ACTIVE")
	assert.Equal(t, "mine", server.KeyName)
	machine, _ := c.driver.Machine(server.ID)
	assert.Contains(t, string(machine.ConfigDrive), strings.TrimSpace(key))

	_, err = servers.Create(t.Context(), client, keypairs.CreateOptsExt{
		CreateOptsBuilder: servers.CreateOpts{Name: "one", ImageRef: rootImage, FlavorRef: "2"}, KeyName: "none",
	}, nil).Extract()
	requireStatus(t, err, http.StatusBadRequest, "Invalid key_name provided.")
}

func TestKeypairsAreTheirUsers(t *testing.T) {
	c := newCloud(t)
	member, other := c.client(t, "member", ""), c.client(t, "other", "")
	_, err := keypairs.Create(t.Context(), member, keypairs.CreateOpts{Name: "mine", PublicKey: publicKey(t)}).Extract()
	require.NoError(t, err)
	_, err = keypairs.Create(t.Context(), other, keypairs.CreateOpts{Name: "mine", PublicKey: publicKey(t)}).Extract()
	require.NoError(t, err, "another user's of the same name")
	_, err = keypairs.Create(t.Context(), member, keypairs.CreateOpts{Name: "mine", PublicKey: publicKey(t)}).Extract()
	requireStatus(t, err, http.StatusConflict, "Key pair 'mine' already exists.")
	pages, err := keypairs.List(member, nil).AllPages(t.Context())
	require.NoError(t, err)
	list, err := keypairs.ExtractKeyPairs(pages)
	require.NoError(t, err)
	assert.Len(t, list, 1)

	require.NoError(t, keypairs.Delete(t.Context(), member, "mine", nil).ExtractErr())
	requireStatus(t, keypairs.Delete(t.Context(), member, "mine", nil).ExtractErr(), http.StatusNotFound, "Keypair mine not found for user m")
	admin := c.client(t, "admin", "2.10")
	_, err = keypairs.Get(t.Context(), admin, "mine", keypairs.GetOpts{UserID: "o"}).Extract()
	require.NoError(t, err)
	_, err = keypairs.Get(t.Context(), c.client(t, "member", "2.10"), "mine", keypairs.GetOpts{UserID: "o"}).Extract()
	requireStatus(t, err, http.StatusForbidden, "Policy")
}

func TestBadKeypairsAreRefused(t *testing.T) {
	c := newCloud(t, func(c *compute.Config) {
		c.Quotas = compute.DefaultQuotas
		c.Quotas.KeyPairs = 1
	})
	client := c.client(t, "member", "2.2")
	for _, opts := range []keypairs.CreateOpts{
		{Name: "bad/name", PublicKey: publicKey(t)},
		{Name: "x", PublicKey: "ssh-rsa"},
		{Name: "x", PublicKey: "ssh-rsa AAAA"},
		{Name: "x", PublicKey: "ssh-rsa " + strings.Fields(publicKey(t))[1]},
		{Name: "x", PublicKey: publicKey(t) + publicKey(t)},
		{Name: "x", PublicKey: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Type: "x509"},
	} {
		_, err := keypairs.Create(t.Context(), client, opts).Extract()
		requireStatus(t, err, http.StatusBadRequest, "Keypair data is invalid")
	}
	_, err := keypairs.Create(t.Context(), c.client(t, "member", "2.92"), keypairs.CreateOpts{Name: "x"}).Extract()
	requireStatus(t, err, http.StatusBadRequest, "'public_key' is a required property")
	_, err = keypairs.Create(t.Context(), client, keypairs.CreateOpts{Name: "x", PublicKey: publicKey(t)}).Extract()
	require.NoError(t, err)
	_, err = keypairs.Create(t.Context(), client, keypairs.CreateOpts{Name: "y", PublicKey: publicKey(t)}).Extract()
	requireStatus(t, err, http.StatusForbidden, "Quota exceeded, too many key pairs.")
}

func TestCertificatesAreKeypairsToo(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	c := newCloud(t)
	pair, err := keypairs.Create(t.Context(), c.client(t, "member", "2.2"), keypairs.CreateOpts{
		Name: "windows", Type: "x509", PublicKey: string(text),
	}).Extract()
	require.NoError(t, err)
	assert.Equal(t, "x509", pair.Type)
	assert.Regexp(t, `^[0-9a-f]{2}(:[0-9a-f]{2}){19}$`, pair.Fingerprint)
}

func TestKeypairsAnswerAsTheirMicroversionDoes(t *testing.T) {
	c := newCloud(t)
	for version, codes := range map[string][2]int{"2.1": {200, 202}, "2.2": {201, 204}} {
		body := `{"keypair":{"name":"mine","public_key":"` + strings.TrimSpace(publicKey(t)) + `"}}`
		created := c.ask(t, "member", "POST", "/compute/v2.1/os-keypairs", body, "X-OpenStack-Nova-API-Version", version)
		assert.Equal(t, codes[0], created.Code)
		if version == "2.1" {
			assert.NotContains(t, created.object(t, "keypair"), "type")
		}
		deleted := c.ask(t, "member", "DELETE", "/compute/v2.1/os-keypairs/mine", "", "X-OpenStack-Nova-API-Version", version)
		assert.Equal(t, codes[1], deleted.Code)
		assert.Empty(t, deleted.Body.String())
	}
}

func TestOldClientsFindNoExtensions(t *testing.T) {
	pages, err := extensions.List(newCloud(t).client(t, "member", "")).AllPages(t.Context())
	require.NoError(t, err)
	list, err := extensions.ExtractExtensions(pages)
	require.NoError(t, err)
	assert.Empty(t, list)
}
