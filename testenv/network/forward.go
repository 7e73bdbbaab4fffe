package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	dialTimeout   = 30 * time.Second
	answerTimeout = 5 * time.Minute // to a request's first byte of answer
	tunnelIdle    = time.Hour
	maxHeader     = 256 << 10 // of an answer, in bytes
)

// forwardProxy is an HTTP proxy (RFC 9110, sections 7.3.2 and 9.3.6) that
// reaches a list of targets. It keeps its connections to itself: what one
// machine leaves on them, no other ever sees.
type forwardProxy struct {
	targets []target
	reverse *httputil.ReverseProxy
	log     *slog.Logger
}

func forwardService(targets []target, log *slog.Logger) Service {
	p := &forwardProxy{targets: targets, log: log}
	transport := &http.Transport{
		DialContext: p.dial, MaxConnsPerHost: 32, IdleConnTimeout: time.Minute,
		ResponseHeaderTimeout: answerTimeout, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
	p.reverse = &httputil.ReverseProxy{
		// An absolute request's URL has the host; net/http has made Host
		// follow it, so that what was checked is what is asked for.
		Rewrite:       func(*httputil.ProxyRequest) {},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  p.fail,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return Service{Name: "proxy", Handler: p, Env: proxyEnv, Close: transport.CloseIdleConnections}
}

// proxyEnv are the variables that programs read, in both ways to write them.
func proxyEnv(address string) map[string]string {
	const local = "localhost,127.0.0.1,::1"
	url := "http://" + address
	return map[string]string{
		"http_proxy": url, "https_proxy": url, "no_proxy": local,
		"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": local,
	}
}

func (p *forwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.reverse.ServeHTTP(w, r)
	default:
		http.Error(w, "This is a proxy: it takes absolute http URLs, and CONNECT.", http.StatusBadRequest)
	}
}

// connect makes a tunnel.
func (p *forwardProxy) connect(w http.ResponseWriter, r *http.Request) {
	host, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	defer host.Close()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.fail(w, r, err)
		return
	}
	defer conn.Close()
	guest, ok := conn.(stream)
	if !ok {
		p.log.ErrorContext(r.Context(), "no tunnel over a connection that cannot be half closed", "connection", fmt.Sprintf("%T", conn))
		return
	}
	if _, err := io.WriteString(guest, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return // the machine is gone
	}
	// A client may have sent more than its request: it is read already. What
	// follows is read past net/http, which takes an end of input for the end
	// of the request.
	ahead, err := buffered.Peek(buffered.Reader.Buffered())
	if err != nil {
		return // the machine is gone
	}
	relay(r.Context(), readAhead{guest, io.MultiReader(bytes.NewReader(ahead), guest)}, host.(stream), tunnelIdle) //nolint:forcetypeassert // a TCP connection is one
}

// readAhead is a stream of which some bytes have been read.
type readAhead struct {
	stream
	reader io.Reader
}

func (r readAhead) Read(p []byte) (int, error) { return r.reader.Read(p) }

// fail tells the machine why a request failed.
func (p *forwardProxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	if errors.Is(err, errForbidden) {
		status = http.StatusForbidden
	}
	p.log.DebugContext(r.Context(), "a machine's request failed", "method", r.Method, "host", r.Host, "error", err)
	http.Error(w, fmt.Sprintf("The network of this job does not reach %s: %v", r.Host, err), status)
}

// dial reaches a host:port that is listed. Names are resolved here, and each
// address is checked when it is dialed, so that a name cannot mean one
// address when it is checked and another one afterwards.
func (p *forwardProxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	listed, literal := p.listed(host, port)
	if !listed {
		return nil, fmt.Errorf("%w: only %s", errForbidden, list(p.targets))
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	if !literal {
		dialer.Control = checkDialed
	}
	return dialer.DialContext(ctx, network, net.JoinHostPort(host, strconv.Itoa(int(port))))
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", errForbidden, err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", errForbidden, err)
	}
	return canonical(host), uint16(n), nil
}

// listed reports whether a target covers a host, and whether one does so by
// naming this very address.
func (p *forwardProxy) listed(host string, port uint16) (listed, literal bool) {
	for _, t := range p.targets {
		if t.matches(host, port) {
			listed, literal = true, literal || t.literal()
		}
	}
	return listed, literal
}

func list(targets []target) string {
	texts := make([]string, len(targets))
	for i, t := range targets {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}

// checkDialed is a net.Dialer's Control: it sees the address itself, right
// before the connection.
func checkDialed(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errForbidden, err)
	}
	return check(a.Addr())
}
