package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// endpointsFile is there while all houses serve.
const endpointsFile = "endpoints.json"

// endpoints are the addresses in use, as DATA/endpoints.json tells them.
type endpoints struct {
	Core      string `json:"core"`
	Review    string `json:"review"`
	ReviewSSH string `json:"review_ssh"`
	Gate      string `json:"gate"`
}

// write puts the endpoints into data, at once or not at all.
func (e endpoints) write(data string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(data, endpointsFile), append(text, '\n'), 0o644)
}

// writeFile replaces a file at once: a reader sees the old text or the new.
func writeFile(file string, text []byte, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // after the rename there is nothing to remove
	_, err = temporary.Write(text)
	if err := errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(temporary.Name(), file)
}

// listeners are bound before anything else starts, so that a taken port is
// said at once.
type listeners struct{ core, review, reviewSSH, gate net.Listener }

func listen(ctx context.Context, o options) (*listeners, error) {
	l := &listeners{}
	for _, house := range []struct {
		flag, address string
		listener      *net.Listener
	}{
		{"core", o.Core, &l.core},
		{"review", o.Review, &l.review},
		{"review-ssh", o.ReviewSSH, &l.reviewSSH},
		{"gate", o.Gate, &l.gate},
	} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", house.address)
		if err != nil {
			l.close()
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fmt.Errorf("%s is taken by another program: choose another address with --%s, for instance 127.0.0.1:0 for a free port",
					house.address, house.flag)
			}
			return nil, fmt.Errorf("--%s: %w", house.flag, err)
		}
		*house.listener = listener
	}
	return l, nil
}

func (l *listeners) close() {
	for _, listener := range []net.Listener{l.core, l.review, l.reviewSSH, l.gate} {
		if listener != nil {
			listener.Close()
		}
	}
}

func (l *listeners) endpoints() endpoints {
	return endpoints{Core: reached(l.core), Review: reached(l.review), ReviewSSH: reached(l.reviewSSH), Gate: reached(l.gate)}
}

// reached is the host and port at which this host reaches a listener: one on
// all addresses is reached on loopback.
func reached(listener net.Listener) string {
	address := listener.Addr()
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return address.String()
}

// withHealth adds /healthz and /metrics to a house's pages.
func withHealth(house http.Handler, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Not by the mux's "/": it would clean the paths of APIs that tell
		// "//" and "%2F" from "/".
		if r.URL.Path == "/healthz" || r.URL.Path == "/metrics" {
			mux.ServeHTTP(w, r)
			return
		}
		house.ServeHTTP(w, r)
	})
}

// serve answers HTTP on listener until ctx ends, then gives running requests
// a few seconds. Streams end with ctx, since it is their base context.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	}()
	err := server.Serve(listener)
	cancel()
	shutdown := <-stopped
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return shutdown
}
