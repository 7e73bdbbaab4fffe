package node

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"golang.org/x/crypto/ssh"
)

var errWrongHostKey = errors.New("the host key is not the one on the server's console")

// hostKeyVerifier compares a host key with those that the server printed on
// its console, between the lines that cloud-init and our agent write. A server
// whose console holds none is believed: it was made a moment ago for us. No
// job has run in it yet that could have written there.
//
// The console is fetched while the handshake goes on. done ends that.
func (s *session) hostKeyVerifier(ctx context.Context, id string) (verify func(ssh.PublicKey) error, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	fetched := make(chan struct{})
	var console string
	go func() {
		defer close(fetched)
		// A cloud without consoles has nothing to compare with.
		console, _ = servers.ShowConsoleOutput(ctx, s.compute, id, servers.ShowConsoleOutputOpts{}).Extract()
	}()
	verify = func(key ssh.PublicKey) error {
		<-fetched
		return verifyHostKey(console, key)
	}
	return verify, func() { cancel(); <-fetched }
}

func verifyHostKey(console string, key ssh.PublicKey) error {
	_, keys, found := strings.Cut(console, "-----BEGIN SSH HOST KEY KEYS-----")
	keys, _, complete := strings.Cut(keys, "-----END SSH HOST KEY KEYS-----")
	if !found || !complete {
		return nil
	}
	for rest := []byte(keys); ; {
		printed, _, _, more, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return errWrongHostKey
		}
		if bytes.Equal(printed.Marshal(), key.Marshal()) {
			return nil
		}
		rest = more
	}
}
