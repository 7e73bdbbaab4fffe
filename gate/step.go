package gate

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// stepped is how the steps of a phase ended.
type stepped struct {
	name string
	exit int
	err  error // its end is not known: over, or the machine was lost
	over error // why the gate ended it; nil: it did not
	full bool  // the output of the failed step spoke of a full disk
}

func (s stepped) String() string {
	switch {
	case s.over != nil:
		return fmt.Sprintf("%s was ended: %v", s.name, s.over)
	case s.err != nil:
		return fmt.Sprintf("%s: the machine was lost: %v", s.name, s.err)
	case s.full:
		return fmt.Sprintf("%s failed with status %d: the machine's disk is full", s.name, s.exit)
	case s.exit > 128:
		return fmt.Sprintf("%s was ended by signal %d", s.name, s.exit-128)
	default:
		return fmt.Sprintf("%s failed with status %d", s.name, s.exit)
	}
}

// steps runs the steps of a phase until one fails.
func (x *execution) steps(ctx context.Context, phase string, scripts []string) stepped {
	for i, script := range scripts {
		s := stepped{name: fmt.Sprintf("%s step %d of %d", phase, i+1, len(scripts))}
		x.phase(s.name)
		x.log.Say("%s: %s", s.name, script)
		began := time.Now()
		x.found.DiskFull() // what was said before is not this step's fault
		s.exit, s.err = x.node.Run(ctx, node.Step{Script: script, Dir: x.dir(), Env: x.env()}, x.log)
		took := time.Since(began)
		if s.err == nil && s.exit == 0 {
			x.log.Say("%s: done in %s", s.name, seconds(took))
			continue
		}
		if s.err != nil && ctx.Err() != nil {
			s.over = context.Cause(ctx)
		}
		s.full = s.err == nil && x.found.DiskFull()
		x.log.Say("%s (after %s)", s, seconds(took))
		return s
	}
	return stepped{}
}

// env is what the steps see.
func (x *execution) env() map[string]string {
	c := x.run.Change
	env := map[string]string{
		"CI": "true", "GATE_PROJECT": c.Project, "GATE_BRANCH": c.Branch, "GATE_CHANGE": strconv.Itoa(c.Number),
		"GATE_PATCHSET": strconv.Itoa(c.PatchSet), "GATE_REVISION": c.Revision, "GATE_COMMIT": x.run.Commit,
		"GATE_PIPELINE": x.run.Pipeline, "GATE_BUILD": x.run.Build, "GATE_JOB": x.run.Job, "GATE_CHANGE_URL": c.URL,
	}
	maps.Copy(env, x.network)
	return env
}

// line looks at a line of output.
func (x *execution) line(line []byte) {
	if x.found.Line(line) && x.running && !x.foretold {
		x.foretold = true
		x.gate.mailbox.put(queue.BuildFailing{Build: x.run.Build})
	}
}
