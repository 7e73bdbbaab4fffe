package compute

import (
	"context"
	"crypto/md5" //nolint:gosec // the fingerprint that Nova shows
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the fingerprint that Nova shows
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Keypair is a user's public key, put into servers when they are made.
type Keypair struct {
	ID          int64
	UserID      string
	Name        string
	Type        string // "ssh" or "x509"
	PublicKey   string
	Fingerprint string // of MD5 (ssh) or SHA-1 (x509), in hex with colons
	CreatedAt   time.Time
}

// keyBits is the size of generated RSA keys.
const keyBits = 2048

// ImportKeypair records a public key: one line of an authorized_keys file
// (ssh) or a certificate in PEM (x509). It reports fault.BadRequest for
// anything else, fault.Conflict if the user has a pair of that name, and
// fault.OverQuota if it has too many.
func (s *Service) ImportKeypair(ctx context.Context, k Keypair) (Keypair, error) {
	var err error
	if k.Fingerprint, err = fingerprint(k.Type, k.PublicKey); err != nil {
		return Keypair{}, err
	}
	k.CreatedAt = time.Now().UTC()
	k.ID, err = s.store.insertKeypair(ctx, k, s.config.Quotas.KeyPairs)
	return k, err
}

// GenerateKeypair makes a pair of RSA keys as Nova does, records the public
// one, and returns the private one in PEM. It is kept nowhere.
func (s *Service) GenerateKeypair(ctx context.Context, k Keypair) (Keypair, string, error) {
	if k.Type != "ssh" {
		return Keypair{}, "", fault.New(fault.BadRequest, "Keypair data is invalid: only keys of type ssh are generated; give a public_key.")
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Keypair{}, "", fmt.Errorf("generate key: %w", err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return Keypair{}, "", fmt.Errorf("encode public key: %w", err)
	}
	k.PublicKey = strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(public)), "\n") + " Generated-by-Nova"
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	k, err = s.ImportKeypair(ctx, k)
	return k, string(private), err
}

// Keypairs lists a user's pairs by name.
func (s *Service) Keypairs(ctx context.Context, user string) ([]Keypair, error) {
	return s.store.keypairs(ctx, user)
}

// Keypair finds a user's pair by name, or reports fault.NotFound.
func (s *Service) Keypair(ctx context.Context, user, name string) (Keypair, error) {
	return s.store.keypair(ctx, user, name)
}

// DeleteKeypair removes a user's pair; servers keep the key.
func (s *Service) DeleteKeypair(ctx context.Context, user, name string) error {
	return s.store.deleteKeypair(ctx, user, name)
}

func keypairNotFound(user, name string) error {
	return fault.New(fault.NotFound, "Keypair %s not found for user %s", name, user)
}

func fingerprint(kind, public string) (string, error) {
	switch kind {
	case "ssh":
		fields := strings.Fields(public)
		if strings.ContainsAny(strings.TrimSpace(public), "\r\n") || len(fields) < 2 {
			break
		}
		blob, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil {
			break
		}
		if key, err := ssh.ParsePublicKey(blob); err != nil || key.Type() != fields[0] {
			break
		}
		sum := md5.Sum(blob) //nolint:gosec // as Nova shows it
		return colons(sum[:]), nil
	case "x509":
		block, _ := pem.Decode([]byte(public))
		if block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			break
		}
		sum := sha1.Sum(block.Bytes) //nolint:gosec // as Nova shows it
		return colons(sum[:]), nil
	}
	return "", fault.New(fault.BadRequest, "Keypair data is invalid: failed to generate fingerprint")
}

func colons(sum []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")
}
