package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// NewHostKey makes an ssh host key: a new one with each boot, so that no two
// machines of an image share one.
func NewHostKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromSigner(key)
}

// setHostname names the machine, also in /etc/hosts, where sudo looks it up.
func setHostname(name string) error {
	if name == "" {
		name = "localhost"
	}
	short, _, _ := strings.Cut(name, ".")
	if err := unix.Sethostname([]byte(short)); err != nil {
		return fmt.Errorf("set the host name %q: %w", short, err)
	}
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
	if name != "localhost" {
		hosts += fmt.Sprintf("127.0.1.1 %s %s\n", name, short)
	}
	return errors.Join(writeSetting("/etc/hostname", short+"\n"), writeSetting("/etc/hosts", hosts))
}

// setMachineID writes machine-id(5), which is the server's id if that is a
// UUID: no two machines of an image have the same.
func setMachineID(uuid string) error {
	id := strings.ToLower(strings.ReplaceAll(uuid, "-", ""))
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return nil //nolint:nilerr // the image's own stays
	}
	return writeSetting("/etc/machine-id", id+"\n")
}

// writeSetting writes a file that everybody may read. A link gives way to the
// file: images of other makers have some that lead to what systemd would make.
//
// A file is overwritten where it is: to give its blocks back and take others,
// as a truncation would, is a lot of work for a fork.
func writeSetting(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o644) //nolint:gosec // see above
	if errors.Is(err, unix.ELOOP) {
		if err := os.Remove(path); err != nil {
			return err
		}
		return writeSetting(path, content)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if info.Size() <= int64(len(content)) {
		return nil
	}
	return f.Truncate(int64(len(content)))
}
