package network

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	resolverTimeout = 2 * time.Second // until the next resolver is asked
	maxQueries      = 16              // of one socket at a time
	maxDatagram     = 8 << 10         // bytes; a longer answer is asked for by TCP
)

// errNoResolver says that no name server of the host answered.
var errNoResolver = errors.New("no resolver of the host answers")

// hostResolvers are the name servers of resolv.conf(5), as host:port. It is
// read each time: a host may move.
func hostResolvers() []string {
	var list []string
	text, err := os.ReadFile("/etc/resolv.conf")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
				list = append(list, net.JoinHostPort(words[1], "53"))
			}
		}
	}
	if list == nil {
		list = []string{"127.0.0.1:53"} // as the manual page says
	}
	return list
}

// dialResolver connects to the first resolver that accepts. Those on loopback
// are reached, too: only DNS is spoken there.
func (f *flows) dialResolver(network string) (net.Conn, error) {
	err := errNoResolver
	for _, address := range f.router.Resolvers() {
		ctx, cancel := context.WithTimeout(f.ctx, resolverTimeout)
		conn, failed := f.router.Dial(ctx, network, address)
		cancel()
		if failed == nil {
			return conn, nil
		}
		err = errors.Join(err, failed)
	}
	return nil, err
}

// resolve answers the queries of one of the machine's sockets.
func (f *flows) resolve(guest net.Conn) {
	defer context.AfterFunc(f.ctx, func() { guest.Close() })()
	var queries errgroup.Group
	queries.SetLimit(maxQueries)
	defer queries.Wait() //nolint:errcheck // they report none
	query := make([]byte, maxDatagram)
	for guest.SetReadDeadline(time.Now().Add(udpIdle)) == nil {
		n, err := guest.Read(query)
		if err != nil {
			return
		}
		asked := bytes.Clone(query[:n])
		queries.Go(func() error {
			if answer := f.exchange(asked); answer != nil {
				_, _ = guest.Write(answer) // the machine asks again
			}
			return nil
		})
	}
}

// exchange asks one resolver after the other; nil: none answers.
func (f *flows) exchange(query []byte) []byte {
	for _, address := range f.router.Resolvers() {
		if answer, err := f.ask(address, query); err == nil {
			return answer
		}
	}
	return nil
}

func (f *flows) ask(resolver string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(f.ctx, resolverTimeout)
	defer cancel()
	conn, err := f.router.Dial(ctx, "udp", resolver)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	answer := make([]byte, maxDatagram)
	n, err := conn.Read(answer)
	return answer[:n], err
}
