//go:build e2e

// Package e2e_test drives a whole Gatehouse as its users do: by the programs
// they have, with real machines. `make e2e` builds what it needs and runs it.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// root is the repository; the binary under test is in its bin/.
var root = func() string {
	dir, err := filepath.Abs("../../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

var binary = filepath.Join(root, "bin", "gatehouse")

// shared is the Gatehouse that all tests but those about starting and dying
// use side by side: each with projects and names of its own.
var shared *gatehouse

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	data, err := os.MkdirTemp("", "gatehouse-e2e-")
	if err != nil {
		return 0, err
	}
	// Servers outlive gatehouse: those of a test that failed are still there.
	defer func() { err = errors.Join(err, killMachines(data), os.RemoveAll(data)) }()
	if err := os.WriteFile(filepath.Join(data, "gatehouse.yaml"), []byte("network: {full: true}\n"), 0o600); err != nil {
		return 0, err
	}
	shared, err = up(data)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, shared.stop()) }()
	if err := shared.buildImage(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// killMachines ends the QEMU processes on a data directory.
func killMachines(data string) error {
	pids, err := machines(data)
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	return err
}

// machines are the QEMU processes that run on a data directory.
func machines(data string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		program, _, _ := strings.Cut(string(text), "\x00")
		if !strings.HasPrefix(filepath.Base(program), "qemu-system") || !strings.Contains(string(text), data) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		found = append(found, pid)
	}
	return found, nil
}

// gatehouse is a running `gatehouse up`.
type gatehouse struct {
	data     string
	cmd      *exec.Cmd
	out      *output
	exited   chan struct{}
	exit     error  // once exited
	Core     string `json:"core"`
	Review   string `json:"review"`
	SSH      string `json:"review_ssh"`
	Gate     string `json:"gate"`
	password string
}

// up starts a Gatehouse on data, on free ports, and waits for its "ready".
func up(data string) (*gatehouse, error) {
	g := &gatehouse{data: data, out: &output{changed: make(chan struct{}, 1)}, exited: make(chan struct{})}
	g.cmd = exec.Command(binary, "up", "--data", data,
		"--core", "127.0.0.1:0", "--review", "127.0.0.1:0", "--review-ssh", "127.0.0.1:0", "--gate", "127.0.0.1:0")
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.out
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		g.exit = g.cmd.Wait()
		close(g.exited)
	}()
	if err := g.out.await("\nready\n", g.exited, time.Minute); err != nil {
		return nil, errors.Join(fmt.Errorf("gatehouse up: %w:\n%s", err, g.out.String()), g.stop())
	}
	text, err := os.ReadFile(filepath.Join(data, "endpoints.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, g); err != nil {
		return nil, err
	}
	return g, g.readPassword()
}

func (g *gatehouse) readPassword() error {
	text, err := os.ReadFile(g.clouds())
	if err != nil {
		return err
	}
	var file struct {
		Clouds map[string]struct{ Auth struct{ Password string } }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return err
	}
	g.password = file.Clouds["gatehouse"].Auth.Password
	return nil
}

func (g *gatehouse) clouds() string { return filepath.Join(g.data, "clouds.yaml") }

// stop asks it to end, as a service manager would.
func (g *gatehouse) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-g.exited:
	case <-time.After(time.Minute):
		_ = g.cmd.Process.Kill()
		<-g.exited
		return fmt.Errorf("gatehouse did not end within a minute of SIGTERM:\n%s", g.out.String())
	}
	if g.exit != nil {
		return fmt.Errorf("gatehouse up: %w:\n%s", g.exit, g.out.String())
	}
	return nil
}

// kill ends it without warning.
func (g *gatehouse) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, g.cmd.Process.Kill())
	<-g.exited
}

func (g *gatehouse) buildImage() error {
	cmd := exec.Command(binary, "image", "build", "--data", g.data)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// output collects what a program prints and lets a test wait for a part of it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(part string, exited <-chan struct{}, timeout time.Duration) error {
	deadline := time.After(timeout)
	for !strings.Contains("\n"+o.String(), part) {
		select {
		case <-o.changed:
		case <-exited:
			return fmt.Errorf("it ended before it printed %q", strings.TrimSpace(part))
		case <-deadline:
			return fmt.Errorf("it did not print %q within %s", strings.TrimSpace(part), timeout)
		}
	}
	return nil
}

// run runs a program to its end and returns what it printed on both outputs.
func run(t *testing.T, timeout time.Duration, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %s: %w", timeout, err)
	}
	return string(out), err
}

// openstack runs the unchanged client as the administrator and returns what
// it printed on standard output; the test fails if the client does.
func (g *gatehouse) openstack(t *testing.T, args ...string) string {
	t.Helper()
	out, stderr, err := g.tryOpenstack(t, args...)
	require.NoError(t, err, "openstack %s\n%s%s", strings.Join(args, " "), out, stderr)
	return out
}

func (g *gatehouse) tryOpenstack(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return openstackWith(t, []string{"OS_CLIENT_CONFIG_FILE=" + g.clouds()}, append([]string{"--os-cloud", "gatehouse"}, args...)...)
}

// openstackAs runs the client as another user.
func (g *gatehouse) openstackAs(t *testing.T, user, password, project string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return openstackWith(t, []string{
		"OS_AUTH_URL=http://" + g.Core + "/identity/v3", "OS_IDENTITY_API_VERSION=3", "OS_USER_DOMAIN_NAME=Default",
		"OS_PROJECT_DOMAIN_NAME=Default", "OS_USERNAME=" + user, "OS_PASSWORD=" + password, "OS_PROJECT_NAME=" + project,
	}, args...)
}

func openstackWith(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/openstack", args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8"}, env...)
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	err = cmd.Run()
	return out.String(), diagnostics.String(), err
}

// openstackJSON runs the client with -f json and decodes what it printed.
func (g *gatehouse) openstackJSON(t *testing.T, v any, args ...string) {
	t.Helper()
	out := g.openstack(t, append(args, "-f", "json")...)
	require.NoError(t, json.Unmarshal([]byte(out), v), out)
}

// rest makes a call of the review server's REST API as the administrator,
// and decodes the answer into v unless that is nil. It returns the status.
func (g *gatehouse) rest(t *testing.T, method, path string, input, v any) int {
	t.Helper()
	body := &bytes.Buffer{}
	if input != nil {
		require.NoError(t, json.NewEncoder(body).Encode(input))
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.Review+"/a"+path, body)
	require.NoError(t, err)
	request.SetBasicAuth("admin", g.password)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer := &bytes.Buffer{}
	_, err = answer.ReadFrom(response.Body)
	require.NoError(t, err)
	if v != nil {
		require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, answer)
		require.NoError(t, json.Unmarshal(bytes.TrimPrefix(answer.Bytes(), []byte(")]}'\n")), v), answer.String())
	}
	return response.StatusCode
}

// eventually asks until done says yes, and fails the test at the deadline.
func eventually(t *testing.T, timeout time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			require.FailNow(t, "not within "+timeout.String()+": "+what)
		case <-t.Context().Done():
			require.FailNow(t, "test ended while waiting: "+what)
		case <-tick.C:
		}
	}
}
