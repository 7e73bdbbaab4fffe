package sshd

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

const rsaBits = 3072

// hostKeys reads the host keys in dir, and makes those that are missing.
func hostKeys(dir string) ([]ssh.Signer, error) {
	kinds := []struct {
		name string
		make func() (crypto.PrivateKey, error)
	}{
		{"ed25519", func() (crypto.PrivateKey, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}},
		{"ecdsa", func() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
		{"rsa", func() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }},
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of host keys: %w", err)
	}
	var signers []ssh.Signer
	for _, kind := range kinds {
		file := filepath.Join(dir, "ssh_host_"+kind.name+"_key")
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			text, err = makeHostKey(file, kind.make)
		}
		if err != nil {
			return nil, fmt.Errorf("host key: %w", err)
		}
		signer, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("host key %s: %w", file, err)
		}
		signers = append(signers, signer)
	}
	return signers, nil
}

// makeHostKey makes a key and writes it to a file that only its owner reads.
func makeHostKey(file string, generate func() (crypto.PrivateKey, error)) ([]byte, error) {
	key, err := generate()
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	half := file + ".new" // a crash must not leave half a key
	if err := os.WriteFile(half, text, 0o600); err != nil {
		return nil, err
	}
	return text, os.Rename(half, file)
}
