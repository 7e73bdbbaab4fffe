package network_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// proxy serves a forward proxy that reaches hosts and returns its URL.
func proxy(t *testing.T, hosts ...string) string {
	t.Helper()
	offers, err := network.New(network.Config{Proxies: map[string]network.Proxy{"p": {Hosts: hosts}}})
	require.NoError(t, err)
	access, err := offers.Access([]string{"p"})
	require.NoError(t, err)
	s := httptest.NewServer(access.Services[0].Handler)
	t.Cleanup(func() { s.Close(); access.Close() })
	return s.URL
}

func curl(args ...string) (string, error) {
	out, err := exec.Command("curl", append([]string{"-sS", "--noproxy", "", "--max-time", "20"}, args...)...).CombinedOutput()
	return string(out), err
}

// far is a web server that counts its requests.
func far(t *testing.T, answer http.HandlerFunc) (address string, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), requests
}

func TestAForwardProxyReachesWhatIsListed(t *testing.T) {
	address, _ := far(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %v", r.Method, r.Host, r.URL, body, r.Header.Get("Proxy-Connection")+r.Header.Get("X-Forwarded-For"))
	})
	p := proxy(t, "pypi.org", address)
	for _, how := range []string{"--no-proxytunnel", "--proxytunnel"} {
		out, err := curl(how, "--proxy", p, "-d", "body", "http://"+address+"/a?b=c")
		require.NoError(t, err, out)
		assert.Equal(t, "POST "+address+" /a?b=c body ", out)
	}
}

func TestAForwardProxyCarriesTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "over TLS") }))
	t.Cleanup(s.Close)
	out, err := curl("--insecure", "--proxy", proxy(t, s.Listener.Addr().String()), s.URL)
	require.NoError(t, err, out)
	assert.Equal(t, "over TLS", out)
}

func TestNothingElseIsReachedThroughAForwardProxy(t *testing.T) {
	address, requests := far(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	mirror, _ := far(t, func(http.ResponseWriter, *http.Request) {})
	p := proxy(t, "pypi.org", "127.0.0.1", mirror)
	for _, host := range []string{
		address, "localhost:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "[::ffff:7f00:1]:" + port, "0.0.0.0:" + port, "[::]:" + port,
		"2130706433:" + port, "0x7f000001:" + port, "127.1:" + port, "0:" + port, "127.0.0.1.:" + port, "pypi.org:" + port, "PYPI.ORG.evil.test:80", "evilpypi.org:80",
	} {
		for _, how := range []string{"--no-proxytunnel", "--proxytunnel"} {
			out, _ := curl(how, "--proxy", p, "-o", "/dev/null", "-w", "%{http_code} %{http_connect}", "http://"+host)
			assert.Contains(t, out, "403", host+how)
		}
	}
	assert.Zero(t, requests.Load())
}

func TestWithoutAPortAListedLoopbackAddressIsNotReached(t *testing.T) {
	out, err := curl("--proxy", proxy(t, "127.0.0.1"), "http://127.0.0.1/")
	require.NoError(t, err)
	assert.Contains(t, out, "127.0.0.1 is in 127.0.0.0/8")
}

// names answers DNS questions for names below .test, whose first labels are
// an address, and which may change with each question.
func names(t *testing.T, answers map[string][]string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	asked := map[string]int{}
	go func() {
		p := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(p)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(p[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			q := m.Questions[0]
			name := strings.TrimSuffix(q.Name.String(), ".")
			list := answers[name]
			if len(list) > 0 {
				a := netip.MustParseAddr(list[min(asked[name+q.Type.String()], len(list)-1)])
				asked[name+q.Type.String()]++
				header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch {
				case q.Type == dnsmessage.TypeA && a.Is4():
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
				case q.Type == dnsmessage.TypeAAAA && a.Is6():
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
				}
			}
			packed, _ := m.Pack()
			_, _ = conn.WriteTo(packed, from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		conn.Close()
	})
}

func TestAListedNameThatLeadsToTheHostIsNotReached(t *testing.T) {
	address, requests := far(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	answers := map[string][]string{
		"loopback.test": {"127.0.0.1"}, "other.test": {"127.64.0.1"}, "six.test": {"::1"}, "mapped.test": {"::ffff:127.0.0.1"}, "any.test": {"0.0.0.0"},
		"any6.test": {"::"}, "metadata.test": {"169.254.169.254"}, "link6.test": {"fe80::1"}, "translated.test": {"64:ff9b::7f00:1"}, "teredo.test": {"2001::1"},
		"rebound.test": {"224.0.0.1", "127.0.0.1"}, "a.wild.test": {"127.0.0.1"}, "compatible.test": {"::7f00:1"}, "six2four.test": {"2002:7f00:1::"}, "broadcast.test": {"255.255.255.255"},
	}
	own, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for i, a := range own {
		answers[fmt.Sprintf("own%d.test", i)] = []string{a.(*net.IPNet).IP.String()}
	}
	names(t, answers)
	hosts := []string{"*.wild.test:" + port}
	for name := range answers {
		hosts = append(hosts, name+":"+port)
	}
	p := proxy(t, hosts...)
	for name := range answers {
		for _, how := range []string{"--no-proxytunnel", "--proxytunnel"} {
			for range 2 {
				out, _ := curl(how, "--proxy", p, "-o", "/dev/null", "-w", "%{http_code} %{http_connect}", "http://"+name+":"+port)
				assert.Contains(t, out, "403", name+how)
			}
		}
	}
	assert.Zero(t, requests.Load())
}

func TestARedirectLeadsNoFurtherThanTheList(t *testing.T) {
	secret, requests := far(t, func(http.ResponseWriter, *http.Request) {})
	mirror, _ := far(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://"+secret, http.StatusFound) })
	out, _ := curl("--location", "--proxy", proxy(t, mirror), "-o", "/dev/null", "-w", "%{http_code}", "http://"+mirror)
	assert.Equal(t, "403", out)
	assert.Zero(t, requests.Load())
}

// raw sends bytes to a proxy and returns the connection.
func raw(t *testing.T, proxy, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	return conn, bufio.NewReader(conn)
}

func TestAProxyTakesAndPassesOnWholeRequestsOnly(t *testing.T) {
	hosts := make(chan string, 10)
	address, requests := far(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hosts <- r.Host + " " + r.URL.Path
	})
	p := proxy(t, address)
	for text, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: " + address + "\r\n\r\n":                                                     http.StatusBadRequest,
		"GET https://" + address + "/ HTTP/1.1\r\nHost: x\r\n\r\n":                                            http.StatusBadRequest,
		"GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n":                                                  http.StatusBadRequest,
		"CONNECT " + address + "0000 HTTP/1.1\r\nHost: x\r\n\r\n":                                             http.StatusForbidden,
		"CONNECT http HTTP/1.1\r\nHost: x\r\n\r\n":                                                            http.StatusForbidden,
		"GET http://" + address + "/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n":              http.StatusNotImplemented,
		"GET http://" + address + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab": http.StatusBadRequest,
		"GET http://" + address + "/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 2<<20) + "\r\n\r\n":    http.StatusRequestHeaderFieldsTooLarge,
	} {
		_, reader := raw(t, p, text)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err, text[:min(len(text), 80)])
		assert.Equal(t, want, answer.StatusCode, text[:min(len(text), 80)])
		answer.Body.Close()
	}
	assert.Zero(t, requests.Load())

	// The host that is asked for is the one that was checked, and what may be
	// taken for a second request by one side is the body for both.
	_, reader := raw(t, p, "POST http://"+address+"/one HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"1c\r\nGET /two HTTP/1.1\r\nHost: x\r\n\r\n"+"0\r\n\r\n")
	answer, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, address+" /one", <-hosts)
	assert.Empty(t, hosts)
}

func TestABodyWithoutEndIsNeverKept(t *testing.T) {
	taken := make(chan struct{})
	address, _ := far(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 8<<20)
		close(taken)
		w.WriteHeader(http.StatusTeapot) // it has had enough
	})
	reader, writer := io.Pipe()
	go func() {
		for chunk := make([]byte, 1<<20); ; {
			if _, err := writer.Write(chunk); err != nil {
				return
			}
		}
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address, reader)
	require.NoError(t, err)
	through, err := url.Parse(proxy(t, address))
	require.NoError(t, err)
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(through)}}
	answer, err := client.Do(request)
	<-taken
	if err == nil { // or the connection broke while more was sent: both are right
		assert.Equal(t, http.StatusTeapot, answer.StatusCode)
		answer.Body.Close()
	}
	reader.Close()
}

func TestWhatFollowsAConnectAtOnceIsCarriedToo(t *testing.T) {
	address := echo(t)
	conn, reader := raw(t, proxy(t, address), "CONNECT "+address+" HTTP/1.1\r\nHost: "+address+"\r\n\r\nearly ")
	answer, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // what follows is the tunnel
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	_, err = io.WriteString(conn, "and late")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Equal(t, "early and late", string(text))
}
