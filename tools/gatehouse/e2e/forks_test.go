//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// identity prints what tells machines apart, a name and a value in each line.
const identity = `
echo hostname $(uname -n)
echo hosts $(getent hosts "$(uname -n)")
echo machine-id $(cat /etc/machine-id)
echo boot-id $(cat /proc/sys/kernel/random/boot_id)
echo mac $(cat /sys/class/net/eth0/address)
echo random $(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' ')
echo clock $(date +%s)
sudo mount -o ro -t iso9660 /dev/vdb /mnt
echo given-mac $(grep -o 'fa:16:3e[0-9a-f:]*' /mnt/openstack/latest/network_data.json)
echo given-id $(sed 's/.*"uuid": *"\([-0-9a-f]*\)".*/\1/' /mnt/openstack/latest/meta_data.json | tr -d -)
`

// forks launches machines side by side, which must all have been forked, and
// deletes them when the test ends.
func forks(t *testing.T, number int) []answered {
	t.Helper()
	p := shared.provider(t)
	machines := launchAtOnce(t, p, number)
	for _, m := range machines {
		t.Cleanup(func() { assert.NoError(t, m.Close(context.Background())) })
		require.True(t, shared.forked(t, m.Server()), "machine %s was booted:\n%s", m.Server(), shared.out)
	}
	return machines
}

// forked reports whether a server's machine came into being as a fork.
func (g *gatehouse) forked(t *testing.T, server string) bool {
	t.Helper()
	pids, err := machines(g.data)
	require.NoError(t, err)
	for _, pid := range pids {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(line, []byte("\x00-uuid\x00"+server+"\x00")) {
			return bytes.Contains(line, []byte("\x00-incoming\x00"))
		}
	}
	return false
}

// ask runs a script in a machine, which must succeed, and returns what it
// printed.
func (m answered) ask(t *testing.T, script string) string {
	t.Helper()
	var said bytes.Buffer
	exit, err := m.Run(t.Context(), node.Step{Script: script}, &said)
	require.NoError(t, err)
	require.Zero(t, exit, &said)
	return said.String()
}

// facts reads lines of a name and a value.
func facts(lines string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = value
	}
	return found
}

func TestEachForkIsAMachineOfItsOwn(t *testing.T) {
	t.Parallel()
	two := forks(t, 2)
	one, other := facts(two[0].ask(t, identity)), facts(two[1].ask(t, identity))
	for _, name := range []string{"hostname", "machine-id", "boot-id", "mac", "random"} {
		assert.NotEmpty(t, one[name], name)
		assert.NotEqual(t, one[name], other[name], name)
	}
	for _, f := range []map[string]string{one, other} {
		assert.Contains(t, f["hosts"], f["hostname"])
		assert.Equal(t, f["given-id"], f["machine-id"])
		assert.Equal(t, f["given-mac"], f["mac"])
		clock, err := strconv.ParseInt(f["clock"], 10, 64)
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), time.Unix(clock, 0), time.Minute)
	}
	assert.NotEqual(t, two[0].Address(), two[1].Address())
	assert.NotEqual(t, hostKeys(t, two[0].Server()), hostKeys(t, two[1].Server()))
}

// hostKeys is what a server printed of its ssh host keys.
func hostKeys(t *testing.T, server string) string {
	t.Helper()
	console := shared.openstack(t, "console", "log", "show", server)
	_, keys, found := strings.Cut(console, "-----BEGIN SSH HOST KEY KEYS-----")
	require.True(t, found, console)
	keys, _, found = strings.Cut(keys, "-----END SSH HOST KEY KEYS-----")
	require.True(t, found, console)
	return keys
}

func TestNoForkSeesWhatAnotherDid(t *testing.T) {
	t.Parallel()
	p := shared.provider(t)
	const traces = "/etc/trace /root/trace /dev/shm/trace /tmp/trace $HOME/trace"
	for range 2 {
		m, err := launch(t.Context(), p)
		require.NoError(t, err)
		assert.Empty(t, m.ask(t, "for f in "+traces+"; do if sudo test -e $f; then echo $f; fi; done"))
		m.ask(t, "for f in "+traces+"; do echo mine | sudo tee $f >/dev/null; done; sudo rm -f /usr/bin/git; sync")
		require.NoError(t, m.Close(t.Context()))
	}
}

// A guest's root writes into the channel by which the host forked it, while
// and after other machines are forked.
func TestAGuestThatForgesMessagesHarmsNobody(t *testing.T) {
	t.Parallel()
	attacker := forks(t, 1)[0]
	attacker.ask(t, `
cat > /tmp/attack <<'END'
for text in 'gatehouse-template 1 forked' 'gatehouse-template 1 failed' 'gatehouse-template 1 ready' "$(head -c 5000 /dev/zero | tr '\0' x)"; do
	timeout 2 yes "$text" > /dev/ttyS1 || test $? = 124 # ended by timeout
done
END
sudo sh /tmp/attack`)
	assert.Contains(t, attacker.ask(t, "echo still here"), "still here")
	forks(t, 2)
}

// What jobs may reach: by default nothing, a module proxy by its name, and of
// the host's own services none, not even with full access.
func TestAJobReachesWhatItDeclares(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(shared.Core)
	require.NoError(t, err)
	r := shared.project(t, "networks", map[string]string{
		"go.mod":     "module example.org/networks\n\ngo 1.24\n\nrequire github.com/google/uuid v1.6.0\n",
		"go.sum":     moduleSums(t, "github.com/google/uuid v1.6.0"),
		"network.go": "package networks\n\nimport \"github.com/google/uuid\"\n\nvar ID = uuid.NewString()\n",
	})
	r.commit(t, "Add jobs", map[string]string{".gate.yaml": fmt.Sprintf(`
- job:
    name: alone
    run: if GOFLAGS=-mod=mod GOMODCACHE=$PWD/../modules go build ./...; then echo "modules came from nowhere"; exit 1; fi
- job:
    name: proxied
    network: go
    run: GOMODCACHE=$PWD/../modules go build ./...
- job:
    name: open
    network: full
    run: |
      ip route show default | grep tun
      for host in 127.0.0.1 localhost 10.0.2.2 0.0.0.0 %s; do
        if curl --silent --max-time 5 --noproxy '*' "http://$host:%s/"; then echo "REACHED $host"; exit 1; fi
      done
- project:
    check: {jobs: [alone, proxied, open]}
    gate: {jobs: [alone]}
`, strings.Join(hostAddresses(t), " "), port)})
	vote, report := shared.awaitVerified(t, r.review(t), 5*time.Minute)
	assert.Equal(t, 1, vote, "%s\n%s", report, shared.buildLogs(t))
}

// hostAddresses are the IPv4 addresses of this host.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	var found []string
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil {
			found = append(found, network.IP.String())
		}
	}
	return found
}

// moduleSums are the lines of our own go.sum about a module.
func moduleSums(t *testing.T, module string) string {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	var found strings.Builder
	for line := range strings.Lines(string(sums)) {
		if strings.HasPrefix(line, module) {
			found.WriteString(line)
		}
	}
	require.NotEmpty(t, found.String())
	return found.String()
}
