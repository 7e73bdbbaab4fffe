package network_test

import (
	"archive/zip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// modules is a module cache, as a go command leaves it behind.
type modules struct{ dir string }

func newModules(t *testing.T) modules {
	t.Helper()
	return modules{filepath.Join(t.TempDir(), "cache", "download")}
}

func (m modules) write(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(m.dir, path)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// add makes a version of a module with a function Say.
func (m modules) add(t *testing.T, path, version, says string) {
	t.Helper()
	base := path + "/@v/" + version
	m.write(t, base+".mod", "module "+path+"\n\ngo 1.21\n")
	m.write(t, base+".info", fmt.Sprintf(`{"Version":%q,"Time":"2024-01-01T00:00:00Z"}`, version))
	m.write(t, base+".ziphash", "secret")
	list, _ := os.ReadFile(filepath.Join(m.dir, path, "@v/list"))
	m.write(t, path+"/@v/list", string(list)+version+"\n")
	file, err := os.Create(filepath.Join(m.dir, base+".zip"))
	require.NoError(t, err)
	defer file.Close()
	z := zip.NewWriter(file)
	for name, text := range map[string]string{"go.mod": "module " + path + "\n\ngo 1.21\n", "say.go": fmt.Sprintf("package dep\n\nfunc Say() string { return %q }\n", says)} {
		w, err := z.Create(path + "@" + version + "/" + name)
		require.NoError(t, err)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
}

// moduleProxy serves a module proxy and returns its URL.
func moduleProxy(t *testing.T, p network.GoProxy) string {
	t.Helper()
	offers, err := network.New(network.Config{Go: &p})
	require.NoError(t, err)
	access, err := offers.Access([]string{"go"})
	require.NoError(t, err)
	s := httptest.NewServer(access.Services[0].Handler)
	t.Cleanup(s.Close)
	return access.Services[0].Env(s.Listener.Addr().String())["GOPROXY"]
}

// project is a directory with a program that needs example.com/dep.
func project(t *testing.T) (goCommand func(args ...string) (string, error)) {
	t.Helper()
	dir, cache := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/main\n\ngo 1.21\n\nrequire example.com/dep v1.1.0\n",
		"main.go": "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Say()) }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return func(args ...string) (string, error) {
		var env []string
		for len(args) > 0 && strings.Contains(args[0], "=") {
			env, args = append(env, args[0]), args[1:]
		}
		c := exec.Command("go", args...)
		c.Dir = dir
		c.Env = append(c.Environ(), "GOMODCACHE="+cache, "GOFLAGS=-modcacherw", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOWORK=off", "GOENV=off", "GONOPROXY=none", "GOPRIVATE=")
		c.Env = append(c.Env, env...)
		out, err := c.CombinedOutput()
		return string(out), err
	}
}

func TestGoBuildsWithTheHostsModulesAndWithoutANetwork(t *testing.T) {
	m := newModules(t)
	m.add(t, "example.com/dep", "v1.0.0", "old")
	m.add(t, "example.com/dep", "v1.1.0", "hello")
	proxy := moduleProxy(t, network.GoProxy{Cache: m.dir})
	run := project(t)
	out, err := run("GOPROXY="+proxy, "mod", "tidy") // writes go.sum
	require.NoError(t, err, out)
	out, err = run("GOPROXY="+proxy, "run", ".")
	require.NoError(t, err, out)
	assert.Equal(t, "hello\n", out)
	out, err = run("GOPROXY="+proxy, "list", "-m", "-versions", "example.com/dep")
	require.NoError(t, err, out)
	assert.Equal(t, "example.com/dep v1.0.0 v1.1.0\n", out)
	out, err = run("GOPROXY="+proxy, "mod", "download", "example.com/missing@v1.0.0")
	require.Error(t, err)
	assert.Contains(t, out, "neither the host's module cache nor a proxy that it uses has it")

	// Another machine, and a cache that has been tampered with.
	out, err = run("clean", "-modcache")
	require.NoError(t, err, out)
	out, err = run("GOPROXY="+proxy, "mod", "download")
	require.NoError(t, err, out)
	m.add(t, "example.com/dep", "v1.1.0", "evil")
	out, err = run("clean", "-modcache")
	require.NoError(t, err, out)
	out, err = run("GOPROXY="+proxy, "mod", "download")
	require.Error(t, err)
	assert.Contains(t, out, "checksum mismatch")
}

func TestWhatTheHostLacksComesFromItsProxyAndIsNotKept(t *testing.T) {
	ours, theirs := newModules(t), newModules(t)
	require.NoError(t, os.MkdirAll(ours.dir, 0o700))
	theirs.add(t, "example.com/dep", "v1.1.0", "from afar")
	upstream := moduleProxy(t, network.GoProxy{Cache: theirs.dir})
	run := project(t)
	out, err := run("GOFLAGS=-mod=mod -modcacherw", "GOPROXY="+moduleProxy(t, network.GoProxy{Cache: ours.dir, Upstream: upstream + ",direct"}), "run", ".")
	require.NoError(t, err, out)
	assert.Equal(t, "from afar\n", out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
	kept, err := os.ReadDir(ours.dir)
	require.NoError(t, err)
	assert.Empty(t, kept)
}

// fetch returns the status and the body of an answer.
func fetch(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return fmt.Sprint(answer.StatusCode, " ", strings.TrimSpace(string(body)))
}

// upstream is a module proxy that answers each path by what the test says.
func upstream(t *testing.T, answers map[string]string) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.Method+" "+r.URL.RequestURI())
		mu.Unlock()
		text, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		var status int
		if n, _ := fmt.Sscanf(text, "status %d", &status); n == 1 {
			w.WriteHeader(status)
			return
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return paths
	}
}

func TestWhatMayChangeIsAskedUpstreamFirst(t *testing.T) {
	m := newModules(t)
	m.add(t, "example.com/dep", "v1.0.0", "")
	up, asked := upstream(t, map[string]string{
		"/p/example.com/dep/@v/list": "v1.0.0\nv1.2.0\n", "/p/example.com/dep/@latest": `{"Version":"v1.2.0"}`,
		"/p/example.com/dep/@v/main.info": `{"Version":"v1.2.0"}`, "/p/example.com/dep/@v/v1.0.0.mod": "not this one",
	})
	p := moduleProxy(t, network.GoProxy{Cache: m.dir, Upstream: up + "/p/"})
	assert.Equal(t, "200 v1.0.0\nv1.2.0", fetch(t, p+"/example.com/dep/@v/list"))
	assert.Equal(t, `200 {"Version":"v1.2.0"}`, fetch(t, p+"/example.com/dep/@latest"))
	assert.Equal(t, `200 {"Version":"v1.2.0"}`, fetch(t, p+"/example.com/dep/@v/main.info"))
	assert.Contains(t, fetch(t, p+"/example.com/dep/@v/v1.0.0.mod"), "200 module example.com/dep")
	assert.Len(t, asked(), 3)
}

func TestWithoutUpstreamTheCacheSaysWhatIsNewest(t *testing.T) {
	m := newModules(t)
	for _, v := range []string{"v1.9.0", "v1.10.0", "v2.0.0-rc.1", "v2.0.1-0.20240101000000-abcdefabcdef"} {
		m.add(t, "example.com/dep", v, "")
	}
	m.add(t, "example.com/pseudo", "v0.0.0-20240101000000-abcdefabcdef", "")
	m.add(t, "example.com/pseudo", "v0.0.0-20250101000000-abcdefabcdef", "")
	m.write(t, "example.com/only-mod/@v/v1.0.0.mod", "module example.com/only-mod\n")
	for name, up := range map[string]string{"none": "", "off": "off,https://proxy.example", "down": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			p := moduleProxy(t, network.GoProxy{Cache: m.dir, Upstream: up})
			assert.Equal(t, `200 {"Version":"v1.10.0"}`, fetch(t, p+"/example.com/dep/@latest"))
			assert.Equal(t, `200 {"Version":"v0.0.0-20250101000000-abcdefabcdef"}`, fetch(t, p+"/example.com/pseudo/@latest"))
			assert.Contains(t, fetch(t, p+"/example.com/dep/@v/list"), "v1.9.0\nv1.10.0\n")
			assert.Equal(t, `200 {"Version":"v1.0.0"}`, fetch(t, p+"/example.com/only-mod/@v/v1.0.0.info"))
		})
	}
}

func TestTheProtocolTellsMissingFromBroken(t *testing.T) {
	gone, _ := upstream(t, map[string]string{"/example.com/dep/@v/v1.0.0.mod": "status 410"})
	broken, _ := upstream(t, map[string]string{"/example.com/dep/@v/v1.0.0.mod": "status 500"})
	good, _ := upstream(t, map[string]string{"/example.com/dep/@v/v1.0.0.mod": "good"})
	for list, want := range map[string]string{
		"":                           "404",
		gone:                         "410",
		broken:                       "502",
		"http://127.0.0.1:1":         "502",
		gone + "," + good:            "200 good",
		broken + "," + good:          "502",
		broken + "|" + good:          "200 good",
		"direct," + good:             "404",
		"file:///x," + good:          "200 good",
		gone + ",off," + good:        "410",
		"http://127.0.0.1:1|" + good: "200 good",
	} {
		p := moduleProxy(t, network.GoProxy{Upstream: list})
		assert.True(t, strings.HasPrefix(fetch(t, p+"/example.com/dep/@v/v1.0.0.mod"), want), list)
	}
}

func TestAMachineNeverSeesTheUpstreamsPassword(t *testing.T) {
	p := moduleProxy(t, network.GoProxy{Upstream: "http://user:hunter2@127.0.0.1:1/path"})
	answer := fetch(t, p+"/example.com/dep/@v/v1.0.0.mod")
	assert.NotContains(t, answer, "hunter2")
	assert.NotContains(t, answer, "user")
}

func TestOnlyTheProtocolsFilesAreServed(t *testing.T) {
	m := newModules(t)
	m.add(t, "example.com/dep", "v1.0.0", "")
	m.write(t, "example.com/dep/@v/v1.0.0.lock", "lock")
	m.write(t, "example.com/!private/@v/v1.0.0.mod", "module example.com/Private")
	m.write(t, "sumdb/sum.golang.org/latest", "tree head")
	m.write(t, "../../secret", "secret")
	secret := filepath.Join(m.dir, "../../secret")
	dir := filepath.Join(m.dir, "example.com/dep/@v")
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "v1.0.1.mod")))
	require.NoError(t, os.Symlink("../../../../../secret", filepath.Join(dir, "v1.0.2.mod")))
	require.NoError(t, os.Symlink(filepath.Dir(secret), filepath.Join(m.dir, "example.com/out")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "v1.0.3.mod"), 0o700))
	up, asked := upstream(t, nil)
	p := moduleProxy(t, network.GoProxy{Cache: m.dir, Upstream: up, Private: "example.com/Priv*"})
	for _, path := range []string{
		"/", "/etc/passwd", "/../../secret", "/example.com/dep/@v/../../../../../secret", "/example.com/dep/@v/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret",
		"/example.com/dep/@v/..%2f..%2f..%2f..%2fsecret.mod", "/example.com/dep/@v/v1.0.0.ziphash", "/example.com/dep/@v/v1.0.0.lock", "/example.com/dep/@v/", "/example.com/dep/@v",
		"/example.com/dep/", "/example.com/Dep/@v/list", "//example.com/dep/@v/list", "/example.com/./dep/@v/list", "/example.com/%00/@v/list", "/-x/@v/list", "/example.com/!private/@v/v1.0.0.mod", "/example.com/!private/@latest",
		"/sumdb/../example.com/dep/@v/list", "/sumdb/%2e%2e/x", "/example.com/dep/@v/v1.0.0.mod/x", "/example.com/dep/@v/a%3fb.mod",
	} {
		request, err := http.NewRequest(http.MethodGet, p, nil)
		require.NoError(t, err)
		request.URL.Opaque = strings.TrimPrefix(p, "http:") + path // as it is written
		answer, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, answer.StatusCode, path)
		answer.Body.Close()
	}
	assert.Empty(t, asked(), "upstream is asked for what is no module")
	for _, path := range []string{"/example.com/dep/@v/v1.0.1.mod", "/example.com/dep/@v/v1.0.2.mod", "/example.com/dep/@v/v1.0.3.mod", "/example.com/out/@v/list", "/sumdb/sum.golang.org/latest"} {
		assert.Contains(t, fetch(t, p+path), "404 ", path)
	}
	answer, err := http.Post(p+"/example.com/dep/@v/list", "text/plain", strings.NewReader("x"))
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
}

func TestChecksumDatabasesAreAskedUpstream(t *testing.T) {
	up, asked := upstream(t, map[string]string{"/sumdb/sum.golang.org/supported": "", "/sumdb/sum.golang.org/lookup/example.com/!dep@v1.0.0": "lookup"})
	p := moduleProxy(t, network.GoProxy{Upstream: up})
	assert.Equal(t, "200 ", fetch(t, p+"/sumdb/sum.golang.org/supported"))
	assert.Equal(t, "200 lookup", fetch(t, p+"/sumdb/sum.golang.org/lookup/example.com/!dep@v1.0.0"))
	assert.Equal(t, []string{"GET /sumdb/sum.golang.org/supported", "GET /sumdb/sum.golang.org/lookup/example.com/!dep@v1.0.0"}, asked())
	none := moduleProxy(t, network.GoProxy{})
	assert.Contains(t, fetch(t, none+"/sumdb/sum.golang.org/supported"), "404 ")
}
