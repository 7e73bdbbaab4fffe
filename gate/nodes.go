package gate

import (
	"context"
	"io"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// Nodes gives out machines, one for each build.
type Nodes interface {
	// Launch returns once the machine answers. On error nothing is left
	// behind. It reports node.ErrUnknownLabel for a label it does not have,
	// a node.MissingError for one whose image or flavor nobody has made yet.
	Launch(ctx context.Context, r node.Request) (Node, error)
	// Sweep deletes the machines of this gate whose build keep denies.
	Sweep(ctx context.Context, keep func(build string) bool) error
}

// Node is a machine. Package node says what its methods promise.
type Node interface {
	Connect(ctx context.Context, a network.Access) (env map[string]string, err error)
	CopyTree(ctx context.Context, tar io.Reader, dir string) error
	Run(ctx context.Context, s node.Step, out io.Writer) (exit int, err error)
	Fetch(ctx context.Context, path string, w io.Writer) error
	Address() string
	Home() string
	Close(ctx context.Context) error
}

// FromCloud takes the machines from an OpenStack cloud.
func FromCloud(p *node.Provider) Nodes { return cloud{p} }

type cloud struct{ *node.Provider }

func (c cloud) Launch(ctx context.Context, r node.Request) (Node, error) {
	n, err := c.Provider.Launch(ctx, r)
	if err != nil {
		return nil, err // not n: a nil *node.Node is no nil Node
	}
	return n, nil
}
