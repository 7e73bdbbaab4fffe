package gerrit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// loadKey reads the gate's ssh key, making one where there is none.
func loadKey(dir string) (ssh.Signer, error) {
	file := filepath.Join(dir, "id_ed25519")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = makeKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the gate's ssh key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("read the gate's ssh key %s: %w", file, err)
	}
	return signer, nil
}

func makeKey(file string) ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "gatehouse gate")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(block)
	return data, writeFile(file, data)
}

// writeFile writes a private file that is there wholly or not at all.
func writeFile(file string, data []byte) error {
	part := file + ".new"
	if err := os.WriteFile(part, data, 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// registerKey makes the gate's key known to the server. A key that is known
// already is no error to Gerrit.
func (g *Gerrit) registerKey(ctx context.Context) error {
	key := ssh.MarshalAuthorizedKey(g.signer.PublicKey())
	if err := g.do(ctx, http.MethodPost, "accounts/self/sshkeys", "text/plain", key, nil); err != nil {
		return fmt.Errorf("register the gate's ssh key: %w", err)
	}
	return nil
}

// hostKey accepts the key that the server showed at first, and no other: it
// is kept beside our own.
func (g *Gerrit) hostKey(_ string, _ net.Addr, key ssh.PublicKey) error {
	file := filepath.Join(g.config.Dir, "host_key")
	shown := ssh.MarshalAuthorizedKey(key)
	known, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeFile(file, shown)
	case err != nil:
		return err
	case !bytes.Equal(known, shown):
		return fmt.Errorf("the review server %s shows another host key than before; if that is right, remove %s", g.config.SSH, file)
	default:
		return nil
	}
}

// knownAlgorithms asks the server for a key of the kind that is kept, if any:
// a server has several.
func (g *Gerrit) knownAlgorithms() []string {
	known, err := os.ReadFile(filepath.Join(g.config.Dir, "host_key"))
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(known)
	if err != nil {
		return nil
	}
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}
