package compute

import (
	"context"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Action is something that was asked of a server.
type Action struct {
	ID                  int64
	ServerID, RequestID string
	Name                string // "create", "stop", …
	UserID, ProjectID   string
	StartedAt           time.Time
	FinishedAt          time.Time // zero while it goes on
	Failure             string    // empty unless it failed
}

func newAction(c Caller, name string) Action {
	return Action{RequestID: c.RequestID, Name: name, UserID: c.UserID, ProjectID: c.ProjectID, StartedAt: time.Now().UTC()}
}

// Actions lists what was asked of a server, the latest first.
func (s *Service) Actions(ctx context.Context, c Caller, server string) ([]Action, error) {
	if _, err := s.Server(ctx, c, server); err != nil {
		return nil, err
	}
	return s.store.actions(ctx, server)
}

// begin gives a server a task, if check has no objection to its state, and
// has Run do it after what is being done to the server.
func (s *Service) begin(ctx context.Context, c Caller, id string, action Action, check func(*Server) error) error {
	err := s.assign(ctx, c, id, action, check)
	if err == nil {
		s.queue.add(id)
	}
	return err
}

// beginAnew is begin for a task that makes vain whatever is being done to the
// server.
func (s *Service) beginAnew(ctx context.Context, c Caller, id string, action Action, check func(*Server) error) error {
	err := s.assign(ctx, c, id, action, check)
	if err == nil {
		s.queue.restart(id)
	}
	return err
}

func (s *Service) assign(ctx context.Context, c Caller, id string, action Action, check func(*Server) error) error {
	return s.store.changeServerBy(ctx, id, action, func(server *Server) error {
		if err := mayUse(c, *server); err != nil {
			return err
		}
		return check(server)
	})
}

// Start powers a stopped server on.
func (s *Service) Start(ctx context.Context, c Caller, id string) error {
	return s.begin(ctx, c, id, newAction(c, "start"), func(server *Server) error {
		err := server.allows("start", c, []VMState{Stopped})
		server.TaskState = PoweringOn
		return err
	})
}

// Stop shuts a server down.
func (s *Service) Stop(ctx context.Context, c Caller, id string) error {
	return s.begin(ctx, c, id, newAction(c, "stop"), func(server *Server) error {
		err := server.allows("stop", c, []VMState{Active, Errored})
		if err == nil && server.LaunchedAt.IsZero() {
			err = neverRan("stop", id)
		}
		server.TaskState = PoweringOff
		return err
	})
}

// Reboot restarts a server: soft by asking the guest; hard by force, whatever
// it does, which also starts one that is stopped or in error.
func (s *Service) Reboot(ctx context.Context, c Caller, id string, hard bool) error {
	begin := s.begin
	if hard {
		begin = s.beginAnew // a soft one may go on
	}
	return begin(ctx, c, id, newAction(c, "reboot"), func(server *Server) error {
		if server.LaunchedAt.IsZero() && server.VMState == Errored {
			return neverRan("reboot", id)
		}
		if !hard {
			err := server.allows("reboot", c, []VMState{Active})
			server.TaskState = Rebooting
			return err
		}
		err := server.allows("reboot", c, []VMState{Active, Stopped, Errored}, Rebooting, RebootingHard)
		server.TaskState = RebootingHard
		return err
	})
}

func neverRan(action, id string) error {
	return fault.New(fault.Conflict, "Cannot '%s' instance %s while it has never been active", action, id)
}

// DeleteServer removes a server: it is there, with the task deleting, until
// its machine is gone. Deleting it again meanwhile changes nothing.
func (s *Service) DeleteServer(ctx context.Context, c Caller, id string) error {
	return s.beginAnew(ctx, c, id, newAction(c, "delete"), func(server *Server) error {
		if server.Locked && !c.Admin {
			return fault.New(fault.Conflict, "Instance %s is locked", id)
		}
		server.TaskState = Deleting
		return nil
	})
}

// Lock keeps all but administrators from changing a server.
func (s *Service) Lock(ctx context.Context, c Caller, id, reason string) error {
	return s.note(ctx, c, id, "lock", func(server *Server) error {
		server.Locked, server.LockedReason = true, reason
		return nil
	})
}

// Unlock undoes Lock.
func (s *Service) Unlock(ctx context.Context, c Caller, id string) error {
	return s.note(ctx, c, id, "unlock", func(server *Server) error {
		server.Locked, server.LockedReason = false, ""
		return nil
	})
}

// ResetState makes a server that nothing is being done to Active or Errored,
// for an administrator who knows better.
func (s *Service) ResetState(ctx context.Context, c Caller, id string, state VMState) error {
	return s.note(ctx, c, id, "resetState", func(server *Server) error {
		err := server.allows("reset_state", c, nil)
		server.VMState = state
		return err
	})
}

// note records an action that is done at once.
func (s *Service) note(ctx context.Context, c Caller, id, name string, change func(*Server) error) error {
	action := newAction(c, name)
	action.FinishedAt = action.StartedAt
	return s.store.changeServerBy(ctx, id, action, func(server *Server) error {
		if err := mayUse(c, *server); err != nil {
			return err
		}
		return change(server)
	})
}

// Console returns the last lines (all for a negative number) of a server's
// console. It is fault.Conflict as long as there is no machine.
func (s *Service) Console(ctx context.Context, c Caller, id string, lines int) ([]byte, error) {
	if _, err := s.Server(ctx, c, id); err != nil {
		return nil, err
	}
	output, err := s.config.Driver.Console(ctx, id, lines)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Conflict, "Instance %s is not ready", id)
	}
	return output, err
}
