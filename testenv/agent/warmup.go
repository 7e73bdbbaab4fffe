package agent

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
)

// What an image has run in its template, so that its forks find in memory what
// was read then: programs, in the order of their names, as the image's user.
const (
	templateDir = "/usr/lib/gatehouse/template.d"
	userFile    = "/usr/lib/gatehouse/user"
)

// scriptTime bounds each of them.
const scriptTime = 10 * time.Minute

// warmUps are a template's last chores.
func (m *machine) warmUps() []chore {
	user, err := imageUser(m.users, userFile)
	if err != nil {
		return []chore{{"find the image's user", func() error { return err }}}
	}
	return append(m.scripts(templateDir, user, scriptTime), chore{"rehearse ssh", func() error { return m.rehearse(user) }})
}

// scripts are the programs of a directory, to be run one after the other.
func (m *machine) scripts(dir string, user Account, longest time.Duration) (chores []chore) {
	paths, err := filepath.Glob(filepath.Join(dir, "*")) // sorted
	if err != nil {
		return []chore{{dir, func() error { return err }}}
	}
	for _, path := range paths {
		chores = append(chores, chore{path, func() error { return m.runScript(path, user, longest) }})
	}
	return chores
}

// rehearse reads nobody's papers, and serves a session to itself with keys that
// nobody keeps: what that takes is then in memory, where a fork needs it at
// once.
func (m *machine) rehearse(user Account) error {
	_, _ = parseFork([]byte("{}"))                     // says nothing, of course
	_ = json.Unmarshal([]byte("{}"), new(ConfigDrive)) // the same
	hostKey, err := NewHostKey()
	if err != nil {
		return err
	}
	key, err := NewHostKey()
	if err != nil {
		return err
	}
	listener, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- m.sshServer(hostKey, []ssh.PublicKey{key.PublicKey()}).Serve(ctx, listener) }()
	err = runOver(listener.Addr().String(), user.Name, key, hostKey.PublicKey())
	stop()
	return errors.Join(err, <-served)
}

func runOver(address, user string, key ssh.Signer, hostKey ssh.PublicKey) error {
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(hostKey),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Run("exec /bin/sh -c :")
}
