package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// ErrRefused says that a machine does not do what a network needs of it:
// another of its kind will not either.
var ErrRefused = errors.New("the machine refuses")

const (
	connectTimeout = time.Minute
	headerTimeout  = time.Minute // for the head of a request out of the machine
	maxHeader      = 64 << 10    // bytes of it
)

// Connect hands a network in, through the node's own connection, and returns
// the variables that steps need to find it. It lasts until Close, and a node
// is connected once. It reports ErrRefused if the machine does not take part.
//
// Named services appear on ports of the machine's loopback (RFC 4254, section
// 7); full access is an interface tun0 (see tunnel) with the default route.
func (n *Node) Connect(ctx context.Context, a network.Access) (env map[string]string, err error) {
	n.cleanup = append(n.cleanup, a.Close)
	if len(a.Services) == 0 && a.Router == nil {
		return nil, nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("the machine took longer than %s to take its network", connectTimeout))
	defer cancel()
	defer n.bound(limited)()
	env = maps.Clone(a.Env)
	if env == nil {
		env = map[string]string{}
	}
	if len(a.Services) > 0 {
		if err := n.offer(limited, a.Services, env); err != nil {
			return nil, err
		}
	}
	if a.Router != nil {
		if err := n.route(limited, a.Router); err != nil {
			return nil, fmt.Errorf("give the machine its way out: %w", err)
		}
	}
	return env, nil
}

// offer serves HTTP at ports of the machine.
func (n *Node) offer(ctx context.Context, services []network.Service, env map[string]string) error {
	forwards, err := newForwards(n.client)
	if err != nil {
		return n.lost(ctx, err)
	}
	n.tasks.Go(func() { forwards.dispatch(n.lifetime, &n.tasks) })
	for _, s := range services {
		port, err := forwards.listen()
		if err != nil {
			return fmt.Errorf("hand service %s in: %w", s.Name, n.lost(ctx, err))
		}
		server := &http.Server{
			Handler: s.Handler, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
			BaseContext: func(net.Listener) context.Context { return n.lifetime },
			ErrorLog:    slog.NewLogLogger(n.provider.config.Log.Handler(), slog.LevelDebug),
		}
		n.tasks.Go(func() {
			_ = server.Serve(port) // until the node is closed
		})
		n.cleanup = append(n.cleanup, func() { _ = server.Close() }) // nothing is left to be told
		maps.Copy(env, s.Env(port.address))
	}
	return nil
}

// disconnect ends the node's connection and all that goes through it.
func (n *Node) disconnect() {
	n.endLifetime()
	n.client.Close() // before anything that waits for the machine
	for _, f := range n.cleanup {
		f()
	}
	n.cleanup = nil
	n.tasks.Wait()
}
