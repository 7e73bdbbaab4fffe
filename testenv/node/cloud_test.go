package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// cloud is as much of an OpenStack cloud as a provider talks to. Its servers
// are all this machine: each answers ssh by the agent's own server.
type cloud struct {
	*httptest.Server
	t       *testing.T
	hostKey ssh.Signer

	mu       sync.Mutex
	keys     map[string]string // keypairs
	servers  map[string]*server
	refusals int    // creates still to be refused for lack of quota
	deaf     bool   // servers are active but never answer
	fault    string // if set, servers fail with it
	console  string
	sshd     func(net.Conn, *ssh.ServerConfig) // answers instead of the agent
	lookUps  int                               // questions for images and flavors
	image    string                            // the id of image debian
}

type server struct {
	ID        string                      `json:"id"`
	Name      string                      `json:"name"`
	Status    string                      `json:"status"`
	Metadata  map[string]string           `json:"metadata"`
	Fault     map[string]string           `json:"fault,omitempty"`
	Addresses map[string][]map[string]any `json:"addresses"`
	stop      func()
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	hostKey, err := agent.NewHostKey()
	require.NoError(t, err)
	c := &cloud{t: t, hostKey: hostKey, keys: map[string]string{}, servers: map[string]*server{}, image: "image-id"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", c.token)
	mux.HandleFunc("GET /compute/{$}", answer(map[string]any{"version": map[string]any{
		"id": "v2.1", "status": "CURRENT", "version": "2.93", "min_version": "2.1", "links": []any{},
	}}))
	mux.HandleFunc("GET /image/{$}", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"versions": []any{map[string]any{
			"id": "v2.16", "status": "CURRENT", "links": []any{map[string]any{"rel": "self", "href": c.URL + "/image/v2/"}},
		}}})
	})
	mux.HandleFunc("GET /compute/os-keypairs", c.listKeypairs)
	mux.HandleFunc("POST /compute/os-keypairs", c.createKeypair)
	mux.HandleFunc("DELETE /compute/os-keypairs/{name}", c.deleteKeypair)
	mux.HandleFunc("GET /image/v2/images", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lookUps++
		list := []any{}
		if r.FormValue("name") == "debian" {
			list = append(list, map[string]any{"id": c.image, "name": "debian", "status": "active"})
		}
		write(w, http.StatusOK, map[string]any{"images": list})
	})
	mux.HandleFunc("GET /image/v2/images/queued-id", answer(map[string]any{"id": "queued-id", "name": "fedora", "status": "queued"}))
	mux.HandleFunc("GET /compute/flavors/detail", answer(map[string]any{"flavors": []any{map[string]any{"id": "flavor-id", "name": "small"}}}))
	mux.HandleFunc("POST /compute/servers", c.createServer)
	mux.HandleFunc("GET /compute/servers/detail", c.listServers)
	mux.HandleFunc("GET /compute/servers/{id}", c.showServer)
	mux.HandleFunc("DELETE /compute/servers/{id}", c.deleteServer)
	mux.HandleFunc("POST /compute/servers/{id}/action", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		write(w, http.StatusOK, map[string]any{"output": c.console})
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func answer(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, v) }
}

func (c *cloud) token(w http.ResponseWriter, _ *http.Request) {
	var catalog []any
	for kind, path := range map[string]string{"compute": "/compute", "image": "/image"} {
		catalog = append(catalog, map[string]any{"type": kind, "name": kind, "endpoints": []any{
			map[string]any{"interface": "public", "region": "R", "region_id": "R", "url": c.URL + path},
		}})
	}
	w.Header().Set("X-Subject-Token", "token")
	write(w, http.StatusCreated, map[string]any{"token": map[string]any{
		"expires_at": time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"), "catalog": catalog,
	}})
}

func (c *cloud) createKeypair(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Keypair struct {
			Name string `json:"name"`
			Key  string `json:"public_key"`
		} `json:"keypair"`
	}
	assert.NoError(c.t, json.NewDecoder(r.Body).Decode(&body))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[body.Keypair.Name] = body.Keypair.Key
	write(w, http.StatusOK, body)
}

func (c *cloud) listKeypairs(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []any{}
	for name := range c.keys {
		list = append(list, map[string]any{"keypair": map[string]any{"name": name}})
	}
	write(w, http.StatusOK, map[string]any{"keypairs": list})
}

func (c *cloud) deleteKeypair(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, r.PathValue("name"))
	w.WriteHeader(http.StatusAccepted)
}

func (c *cloud) createServer(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Server struct {
			Name     string            `json:"name"`
			KeyName  string            `json:"key_name"`
			Image    string            `json:"imageRef"`
			Flavor   string            `json:"flavorRef"`
			Metadata map[string]string `json:"metadata"`
		} `json:"server"`
	}
	assert.NoError(c.t, json.NewDecoder(r.Body).Decode(&body))
	assert.Equal(c.t, "flavor-id", body.Server.Flavor)
	c.mu.Lock()
	defer c.mu.Unlock()
	if body.Server.Image != c.image {
		write(w, http.StatusBadRequest, map[string]any{"badRequest": map[string]any{"code": 400, "message": "Can not find requested image"}})
		return
	}
	if c.refusals > 0 {
		c.refusals--
		write(w, http.StatusForbidden, map[string]any{"forbidden": map[string]any{"code": 403, "message": "Quota exceeded for instances"}})
		return
	}
	s := &server{ID: fmt.Sprintf("server-%d", len(c.servers)), Name: body.Server.Name, Metadata: body.Server.Metadata, Status: "ACTIVE"}
	switch {
	case c.fault != "":
		s.Status, s.Fault, s.stop = "ERROR", map[string]string{"message": c.fault}, func() {}
	case c.deaf:
		s.Addresses, s.stop = map[string][]map[string]any{"private": {{"addr": "127.91.0.1", "version": 4}}}, func() {}
	default:
		s.boot(c, c.keys[body.Server.KeyName])
	}
	c.servers[s.ID] = s
	write(w, http.StatusAccepted, map[string]any{"server": s})
}

// boot starts a server's ssh, on a loopback address that is its own.
func (s *server) boot(c *cloud, key string) {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
	assert.NoError(c.t, err)
	host := fmt.Sprintf("127.%d.%d.%d", 91+(hosts.Add(1)&31), os.Getpid()>>8&255, os.Getpid()&255)
	listener, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(testPort)))
	if !assert.NoError(c.t, err) {
		return
	}
	if c.sshd != nil {
		s.stop = c.serveOther(listener, public)
		s.Addresses = map[string][]map[string]any{"private": {{"addr": host, "version": 4}}}
		return
	}
	ssh := &agent.Server{
		HostKey: c.hostKey, Keys: []ssh.PublicKey{public}, Users: "/etc/passwd", Processes: agent.NewProcesses(), Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ssh.Serve(ctx, listener) }()
	s.stop = func() { cancel(); assert.NoError(c.t, <-done) }
	s.Addresses = map[string][]map[string]any{"private": {
		{"addr": "10.0.2.15", "version": 4, "OS-EXT-IPS:type": "fixed"},
		{"addr": host, "version": 4, "OS-EXT-IPS:type": "floating"},
	}}
}

const testPort = 22022

// hosts counts the addresses given out, as tests run at the same time.
var hosts atomic.Int32

func (c *cloud) listServers(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []*server{}
	for _, s := range c.servers {
		list = append(list, s)
	}
	write(w, http.StatusOK, map[string]any{"servers": list})
}

func (c *cloud) showServer(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.servers[r.PathValue("id")]; s != nil {
		write(w, http.StatusOK, map[string]any{"server": s})
		return
	}
	write(w, http.StatusNotFound, map[string]any{})
}

func (c *cloud) deleteServer(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	s := c.servers[r.PathValue("id")]
	delete(c.servers, r.PathValue("id"))
	c.mu.Unlock()
	if s == nil {
		write(w, http.StatusNotFound, map[string]any{})
		return
	}
	s.stop()
	w.WriteHeader(http.StatusNoContent)
}

func (c *cloud) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.servers)
}

func (c *cloud) provider(t *testing.T, timeout ...time.Duration) *node.Provider {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(
		"clouds: {test: {auth: {auth_url: %q, username: u, password: p, project_name: p, user_domain_name: Default, project_domain_name: Default}, region_name: R}}",
		c.URL+"/v3")), 0o600))
	me, err := user.Current()
	require.NoError(t, err)
	p, err := node.New(node.Config{
		CloudsFile: file, Cloud: "test", Instance: "gate-a", Labels: map[string]node.Label{
			"": {Image: "debian", Flavor: "small"}, "bare": {Image: "plan9", Flavor: "small"}, "early": {Image: "queued-id", Flavor: "small"}, "huge": {Image: "debian", Flavor: "huge"},
		},
		User: me.Username, Ports: []int{testPort}, LaunchTimeout: append(timeout, 10*time.Second)[0], Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p
}
