// Package network makes what a test machine may reach. A machine by itself
// reaches nothing; what its job declares is handed in by whoever drives it,
// through a connection that is there anyway (see testenv/node): HTTP services
// at the machine's own loopback, or a router for its IP packets. Both run
// outside the machine and dial for it, never to the host they run on.
//
// What comes from a machine is untrusted. Nothing here keeps state between
// machines, but for the host's module cache, which is only read.
package network

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
)

// The words of a job that are not names of proxies.
const (
	None = "none" // nothing at all
	Full = "full" // outgoing access to everything but the host
)

// Go is the name of the Go module proxy.
const Go = "go"

// ErrNotOffered says that a job asks for what the operator does not offer.
var ErrNotOffered = errors.New("not offered")

// Config is what an operator offers to jobs.
type Config struct {
	// Full lets jobs ask for full outgoing access.
	Full bool
	// Go is the Go module proxy; nil: there is none.
	Go *GoProxy
	// Proxies are forward proxies by name.
	Proxies map[string]Proxy
	// Log hears what goes wrong on this side; nil: nothing is said.
	Log *slog.Logger
}

// Proxy is a forward proxy for HTTP and HTTPS with a list of hosts that it
// reaches: a host (ports 80 and 443), a host:port, or either with "*." in
// front for all names below a domain. A name must not lead to the host that
// the proxy runs on, nor to an address of its link; if something there is to
// be reached, it is listed as a literal IP:port.
type Proxy struct{ Hosts []string }

// Offers is a checked Config. A nil Offers offers nothing. Its methods may be
// called concurrently.
type Offers struct {
	config Config
	hosts  map[string][]target
}

var proxyName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// New checks a configuration.
func New(c Config) (*Offers, error) {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	o := &Offers{config: c, hosts: map[string][]target{}}
	for _, name := range slices.Sorted(maps.Keys(c.Proxies)) {
		if !proxyName.MatchString(name) || name == None || name == Full || name == Go {
			return nil, fmt.Errorf("proxy %q: a name is made of a-z, 0-9, '.', '_' and '-', and is not none, full or go", name)
		}
		for _, text := range c.Proxies[name].Hosts {
			t, err := parseTarget(text)
			if err != nil {
				return nil, fmt.Errorf("proxy %s: %w", name, err)
			}
			o.hosts[name] = append(o.hosts[name], t)
		}
		if len(o.hosts[name]) == 0 {
			return nil, fmt.Errorf("proxy %s reaches no hosts", name)
		}
	}
	return o, nil
}

// Names are the proxies that a job may name, sorted.
func (o *Offers) Names() []string {
	if o == nil {
		return nil
	}
	names := slices.Collect(maps.Keys(o.config.Proxies))
	if o.config.Go != nil {
		names = append(names, Go)
	}
	slices.Sort(names)
	return names
}

// Full reports whether a job may ask for full outgoing access.
func (o *Offers) Full() bool { return o != nil && o.config.Full }

// Has reports whether a job may ask for a network by this name.
func (o *Offers) Has(name string) bool {
	return name == Full && o.Full() || slices.Contains(o.Names(), name)
}

// Access is what one machine is handed. The zero value is nothing.
type Access struct {
	Services []Service
	Router   *Router           // nil: packets go nowhere
	Env      map[string]string // for what the machine runs, beside the services' own
}

// Close lets go of what the services keep.
func (a Access) Close() {
	for _, s := range a.Services {
		if s.Close != nil {
			s.Close()
		}
	}
}

// Service is an HTTP service that a machine finds at its own loopback.
type Service struct {
	Name    string
	Handler http.Handler
	// Env is for what the machine runs, given the service's host:port there.
	Env func(address string) map[string]string
	// Close lets go of what Handler keeps. It may be nil.
	Close func()
}

// Access makes what a machine gets whose job asks for names. They may be
// empty; Full covers all others. It reports ErrNotOffered.
func (o *Offers) Access(names []string) (Access, error) {
	var a Access
	var targets []target
	for _, name := range names {
		switch {
		case !o.Has(name):
			return Access{}, fmt.Errorf("network %q: %w", name, ErrNotOffered)
		case name == Full:
			return o.fullAccess(), nil
		case name == Go:
			a.Services = append(a.Services, o.goService(""))
		default:
			targets = append(targets, o.hosts[name]...)
		}
	}
	if targets != nil {
		a.Services = append(a.Services, forwardService(targets, o.config.Log))
	}
	return a, nil
}

// fullAccess comes with the module proxy: what the host has, nobody needs to
// fetch again. Go is told where modules are since an image for machines that
// reach nothing says that they are nowhere.
func (o *Offers) fullAccess() Access {
	a := Access{Router: NewRouter(o.config.Log)}
	if o.config.Go != nil {
		a.Services = []Service{o.goService(",direct")}
	} else {
		a.Env = map[string]string{"GOPROXY": "https://proxy.golang.org,direct"}
	}
	return a
}

func (o *Offers) goService(further string) Service {
	return Service{Name: Go, Handler: newModuleProxy(*o.config.Go, o.config.Log), Env: func(address string) map[string]string {
		return map[string]string{"GOPROXY": "http://" + address + further}
	}}
}
