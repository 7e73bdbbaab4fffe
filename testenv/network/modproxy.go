package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"golang.org/x/mod/module"
)

// GoProxy is a Go module proxy (https://go.dev/ref/mod#goproxy-protocol) over
// a module cache, for reading only: what a machine asks for is never stored.
// What has been downloaded is served from the cache; for the rest, and for
// what may have changed, the proxies upstream are asked. The project's go.sum
// says whether the machine got the right thing.
type GoProxy struct {
	// Cache is the host's GOMODCACHE/cache/download, which is laid out as a
	// proxy. It may be missing. Empty: there is none.
	Cache string
	// Upstream is a list as in GOPROXY, of which the http and https URLs up
	// to "direct" or "off" are used. Empty: only the cache is served.
	Upstream string
	// Private are patterns as in GOPRIVATE of modules that are neither served
	// nor asked for.
	Private string
}

type moduleProxy struct {
	cache    moduleCache
	upstream []upstream
	private  string
	log      *slog.Logger
}

func newModuleProxy(c GoProxy, log *slog.Logger) *moduleProxy {
	return &moduleProxy{cache: moduleCache{c.Cache}, upstream: parseUpstream(c.Upstream), private: c.Private, log: log}
}

// moduleRequest is a path of the protocol that was found to be one.
type moduleRequest struct {
	path    string // escaped, without the first slash: the same in the cache and upstream
	module  string // escaped
	version string // unescaped; empty for list and @latest
	kind    string // .info, .mod, .zip, list, @latest
}

// parseModuleRequest reads a URL's path.
func parseModuleRequest(p string) (moduleRequest, error) {
	r := moduleRequest{path: strings.TrimPrefix(p, "/")}
	var file string
	if escaped, ok := strings.CutSuffix(r.path, "/@latest"); ok {
		r.module, r.kind = escaped, "@latest"
	} else if r.module, file, ok = strings.Cut(r.path, "/@v/"); !ok {
		return r, fmt.Errorf("no request to a module proxy")
	} else if r.kind = file; file != "list" {
		r.kind = path.Ext(file)
		var err error
		if r.version, err = module.UnescapeVersion(strings.TrimSuffix(file, r.kind)); err != nil {
			return r, err
		}
	}
	switch r.kind {
	case ".info", ".mod", ".zip", "list", "@latest":
		_, err := module.UnescapePath(r.module)
		return r, err
	default:
		return r, fmt.Errorf("no file of a module proxy")
	}
}

func (p *moduleProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The module proxy is for reading.", http.StatusMethodNotAllowed)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/sumdb/") {
		p.sumdb(w, r)
		return
	}
	request, err := parseModuleRequest(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if name, err := module.UnescapePath(request.module); err != nil || module.MatchPrefixPatterns(p.private, name) {
		http.Error(w, "not found: this module is private to the host", http.StatusNotFound)
		return
	}
	p.serve(w, r, request)
}

// serve prefers the cache for what never changes, upstream for what does.
func (p *moduleProxy) serve(w http.ResponseWriter, r *http.Request, m moduleRequest) {
	fixed := m.version != "" && module.CanonicalVersion(m.version) == m.version
	if fixed && p.cached(w, r, m) {
		return
	}
	err := p.ask(w, r, m.path)
	if err == nil || !fixed && p.cached(w, r, m) {
		return
	}
	p.log.DebugContext(r.Context(), "a machine's module is not to be had", "path", m.path, "error", err)
	http.Error(w, err.Error(), statusOf(err))
}

// cached serves a request from the cache and reports whether it could.
func (p *moduleProxy) cached(w http.ResponseWriter, r *http.Request, m moduleRequest) bool {
	file, err := p.cache.open(m)
	if err != nil {
		return false
	}
	defer file.Close()
	w.Header().Set("Content-Type", contentTypes[m.kind])
	http.ServeContent(w, r, "", time.Time{}, file)
	return true
}

var contentTypes = map[string]string{
	".info": "application/json", "@latest": "application/json", ".zip": "application/zip",
	".mod": "text/plain; charset=utf-8", "list": "text/plain; charset=utf-8",
}

// sumdb passes requests to a checksum database on
// (https://go.dev/design/25530-sumdb#proxying-a-checksum-database).
func (p *moduleProxy) sumdb(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	err := errNotFound
	if path.Clean(r.URL.Path) == r.URL.Path && module.CheckFilePath(name) == nil {
		err = p.ask(w, r, name)
	}
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
	}
}

// info is the content of an .info file. Its time may be left out.
func info(version string) (io.ReadSeekCloser, error) {
	text, err := json.Marshal(struct{ Version string }{version})
	return inMemory{bytes.NewReader(text)}, err
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
