package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
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
	return errors.Join(
		os.WriteFile("/etc/hostname", []byte(short+"\n"), 0o644), //nolint:gosec // world-readable by definition
		os.WriteFile("/etc/hosts", []byte(hosts), 0o644),         //nolint:gosec // world-readable by definition
	)
}

// runUserData runs user data that is a script, as root, with its output on
// the console. Other kinds of user data are cloud-init's, which is not here.
func (m *machine) runUserData(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if !bytes.HasPrefix(data, []byte("#!")) {
		return errors.New("only scripts (#!) are run as user data")
	}
	const script = "/run/user-data"
	if err := os.WriteFile(script, data, 0o700); err != nil { //nolint:gosec // a script is to be run
		return err
	}
	console, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer console.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	root := Account{Name: "root", Home: "/root", Shell: "/bin/sh"}
	p, err := m.processes.Start(script, []string{script}, &os.ProcAttr{
		Dir: "/", Env: root.environment(), Files: []*os.File{null, console, console},
	})
	if err != nil {
		return err
	}
	state, err := p.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("script: %s", state)
	}
	return err
}
