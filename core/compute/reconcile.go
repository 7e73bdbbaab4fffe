package compute

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// reconcile makes servers and machines agree after a restart: machines
// without a server are destroyed, unfinished tasks are queued, and servers
// whose machine is off or gone say so.
func (s *Service) reconcile(ctx context.Context) error {
	servers, _, err := s.store.servers(ctx, ServerFilter{})
	if err != nil {
		return err
	}
	if err := s.destroyStrays(ctx, servers); err != nil {
		return err
	}
	for _, server := range servers {
		if err := s.dropReserving(ctx, server); err != nil {
			return err
		}
		if server.TaskState == Idle {
			if err := s.observe(ctx, server.ID); err != nil {
				return err
			}
		}
		s.queue.add(server.ID)
	}
	return nil
}

func (s *Service) destroyStrays(ctx context.Context, servers []Server) error {
	machines, err := s.config.Driver.Machines(ctx)
	if err != nil {
		return err
	}
	for _, id := range machines {
		if slices.ContainsFunc(servers, func(server Server) bool { return server.ID == id }) {
			continue
		}
		s.log.WarnContext(ctx, "machine without a server destroyed", "server", id)
		if err := s.config.Driver.Destroy(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// dropReserving gives up the attachments whose request did not survive.
func (s *Service) dropReserving(ctx context.Context, server Server) error {
	attachments, err := s.store.attachments(ctx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range attachments {
		if a.State == Reserving {
			err = errors.Join(err, s.drop(ctx, a, errors.New("the service ended while the volume was reserved")))
		}
	}
	return err
}

// listen takes note of machines that went off by themselves.
func (s *Service) listen(ctx context.Context, events <-chan Event) {
	for event := range events {
		s.deaths.Store(event.ID, event.Reason)
		if err := s.observe(ctx, event.ID); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "end of machine not recorded", "server", event.ID, "reason", event.Reason, "err", err)
		}
	}
}

// observe records what the driver says of the machine of an idle server. One
// that has a task is left to it, and observed when the task is done.
func (s *Service) observe(ctx context.Context, id string) error {
	power, err := s.config.Driver.Power(ctx, id)
	gone := fault.Is(err, fault.NotFound)
	if err != nil && !gone {
		return err
	}
	death, _ := s.deaths.Load(id)
	reason, _ := death.(string)
	server, err := s.store.changeServer(ctx, id, func(server *Server) error {
		if server.TaskState != Idle || server.LaunchedAt.IsZero() {
			return errTaskChanged
		}
		vm, saw := server.VMState, server.Power
		server.see(power, gone, reason)
		if server.VMState == vm && server.Power == saw {
			return errNothingNew
		}
		return nil
	})
	switch {
	case errors.Is(err, errTaskChanged):
		return nil
	case errors.Is(err, errNothingNew), fault.Is(err, fault.NotFound):
		s.deaths.Delete(id)
		return nil
	case err != nil:
		return err
	}
	if death != nil {
		s.deaths.Delete(id)
		s.log.WarnContext(ctx, "server's machine went off by itself", "server", id, "reason", reason, "state", server.VMState)
	}
	return nil
}

// errNothingNew says that a server is known to be what its machine is.
var errNothingNew = errors.New("nothing new")

// see makes the server's state what its machine's is: off, and why if it died;
// or gone.
func (s *Server) see(power Power, gone bool, reason string) {
	switch {
	case gone && s.VMState != Errored:
		s.Power = NoState
		s.fail(errMachineGone, "")
	case gone:
		s.Power = NoState
	case power == On:
		s.Power = Running
		if s.VMState == Stopped {
			s.VMState = Active
		}
	case reason != "" && s.VMState != Errored:
		s.Power = Shutdown
		s.fail(fault.New(fault.Unavailable, "The machine died: %s", reason), "")
	default:
		s.Power = Shutdown
		if s.VMState == Active {
			s.VMState = Stopped
		}
	}
}

// errMachineGone is the fault of a server without a machine.
var errMachineGone = fault.New(fault.Unavailable, "The host has lost the machine.")
