package network

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxDownload bounds what is passed on of one answer, in bytes: a module's
// zip file has at most 500 MiB (https://go.dev/ref/mod#zip-path-size-constraints).
const maxDownload = 500<<20 + 1<<20

var errNotFound = errors.New("not found: neither the host's module cache nor a proxy that it uses has it")

// upstream is a proxy of a GOPROXY list.
type upstream struct {
	base *url.URL
	// always says that the next one is tried after any error, not only after
	// a "not found" (a "|" follows in the list).
	always bool
}

// parseUpstream reads a GOPROXY list (https://go.dev/ref/mod#goproxy-protocol)
// as far as it names proxies that can be asked over HTTP.
func parseUpstream(list string) []upstream {
	var found []upstream
	for list != "" {
		text, always := list, false
		if i := strings.IndexAny(list, ",|"); i >= 0 {
			text, always, list = list[:i], list[i] == '|', list[i+1:]
		} else {
			list = ""
		}
		text = strings.TrimSpace(text)
		if text == "direct" || text == "off" {
			break
		}
		if base, err := url.Parse(text); err == nil && (base.Scheme == "https" || base.Scheme == "http") {
			found = append(found, upstream{base, always})
		}
	}
	return found
}

// upstreamClient never keeps anything for a machine: its requests have no
// body, no cookies, and paths that were checked.
var upstreamClient = &http.Client{
	Timeout: 15 * time.Minute,
	Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, ResponseHeaderTimeout: 2 * time.Minute,
		TLSHandshakeTimeout: 30 * time.Second, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxHeader,
	},
}

// statusError is an upstream's answer other than 200.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the proxy upstream answers with status %d", int(e))
}

// statusOf is what the machine is answered: the go command tells "not found"
// from a failure.
func statusOf(err error) int {
	if status := statusError(0); errors.As(err, &status) && (status == http.StatusNotFound || status == http.StatusGone) {
		return int(status)
	}
	if errors.Is(err, errNotFound) {
		return http.StatusNotFound
	}
	return http.StatusBadGateway
}

// ask passes a request on and writes the answer, if it is a good one. If not,
// nothing is written.
func (p *moduleProxy) ask(w http.ResponseWriter, r *http.Request, path string) error {
	err := errNotFound
	for _, u := range p.upstream {
		var answer *http.Response
		if answer, err = u.get(r, path); err == nil {
			defer answer.Body.Close()
			w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
			if answer.ContentLength >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(answer.ContentLength))
			}
			// The machine sees a short answer if it breaks off.
			_, _ = io.Copy(w, io.LimitReader(answer.Body, maxDownload))
			return nil
		}
		if statusOf(err) == http.StatusBadGateway && !u.always {
			return err
		}
	}
	return err
}

func (u upstream) get(r *http.Request, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, u.base.JoinPath(path).String(), nil) //nolint:gosec // the host is the operator's, the path has been checked
	if err != nil {
		return nil, err
	}
	answer, err := upstreamClient.Do(request) //nolint:gosec // see above
	if urlError := (*url.Error)(nil); errors.As(err, &urlError) {
		err = urlError.Err // without the URL, which may hold a password
	}
	if err != nil {
		return nil, fmt.Errorf("ask the proxy upstream: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, statusError(answer.StatusCode)
	}
	return answer, nil
}
