package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// A cloud that restarts, or is full for a while, must not cost a change its
// vote: a launch is tried again after growing pauses, at least launchTries
// times and for launchPatience; if an image or flavor is missing, for
// imagePatience, in which a person who sees it can make it. Only then is it
// NODE_FAILURE (A6.6).
const (
	launchTries    = 3
	launchPatience = 10 * time.Minute
	imagePatience  = 30 * time.Minute
)

var launchPauses = []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}

// boot waits for a machine.
func (x *execution) boot(ctx context.Context) (queue.Result, string) {
	if x.job.Label == "" {
		x.log.Say("asking for a machine")
	} else {
		x.log.Say("asking for a machine with label %s", x.job.Label)
	}
	began := time.Now()
	defer func() { x.record.Timings.Boot = time.Since(began) }()
	for try := 1; ; try++ {
		x.phase("booting a machine")
		n, err := x.launch(ctx)
		patience, why := launchPatience, ""
		if missing, ok := errors.AsType[*node.MissingError](err); ok {
			patience, why = imagePatience, "no "+missing.What
		} else if err != nil {
			why = firstLine(err.Error())
		}
		switch {
		case err == nil:
			x.node, x.record.Node = n, n.Address()
			x.gate.live.change(x.run.Build, func(b *liveBuild) { b.node, b.answered = n.Address(), time.Now() })
			x.log.Say("the machine answers at %s after %s", n.Address(), seconds(time.Since(began)))
			return queue.Success, ""
		case ctx.Err() != nil:
			return queue.Canceled, "canceled"
		case errors.Is(err, node.ErrUnknownLabel), try >= launchTries && time.Since(began) >= patience:
			return queue.NodeFailure, fmt.Sprintf("there is no machine for the job: %v", err)
		}
		pause := launchPauses[min(try, len(launchPauses))-1]
		x.log.Say("no machine yet, trying again in %s: %v", pause, err)
		x.phase("waiting for the cloud: " + why)
		if !wait(ctx, pause) {
			return queue.Canceled, "canceled"
		}
	}
}

func (x *execution) launch(ctx context.Context) (Node, error) {
	c := x.run.Change
	return x.gate.config.Nodes.Launch(ctx, node.Request{Build: x.run.Build, Label: x.job.Label, Metadata: map[string]string{
		"project": c.Project, "change": c.String(), "job": x.run.Job, "pipeline": x.run.Pipeline,
	}})
}

// firstLine is the beginning of a text, for a narrow place.
func firstLine(s string) string {
	const most = 100
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
