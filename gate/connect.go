package gate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// networkErrors are what a job asks for and this gate does not offer.
func (g *Gate) networkErrors(j config.Job) config.Errors {
	var wrong config.Errors
	for _, name := range j.Network.Names {
		if g.config.Networks.Has(name) {
			continue
		}
		text := fmt.Sprintf("job %q asks for network %q, which this gate does not offer; %s", j.Name, name, g.networkChoice())
		if name == config.FullNetwork {
			text = fmt.Sprintf("job %q asks for full network access, which this gate does not allow: its operator can, by the setting `network: {full: true}` of gatehouse.yaml; %s", j.Name, g.networkChoice())
		}
		wrong = append(wrong, config.Error{Line: j.Network.Line, Column: j.Network.Column, Message: text})
	}
	return wrong
}

// networkChoice says which networks a job may name.
func (g *Gate) networkChoice() string {
	names := g.config.Networks.Names()
	for i, n := range names {
		names[i] = strconv.Quote(n)
	}
	if g.config.Networks.Full() {
		names = append(names, config.FullNetwork)
	}
	if len(names) == 0 {
		return "it offers none"
	}
	return "it offers " + strings.Join(names, ", ")
}

// connect gives the machine the network that its job declares.
func (x *execution) connect(ctx context.Context) (queue.Result, string) {
	if names := x.job.Network.Names; len(names) > 0 {
		x.phase("connecting the network")
		access, err := x.gate.config.Networks.Access(names)
		if err != nil {
			return queue.NodeFailure, fmt.Sprintf("the gate no longer offers the job's network: %v", err)
		}
		x.network, err = x.node.Connect(ctx, access)
		switch {
		case errors.Is(err, node.ErrRefused):
			return queue.NodeFailure, fmt.Sprintf("the machine cannot have the job's network: %v", err)
		case err != nil:
			return ended(ctx, queue.Retry, fmt.Sprintf("the job's network could not be connected: %v", err))
		}
	}
	x.log.Say("network: %s", x.job.Network)
	return queue.Success, ""
}
