package compute

import (
	"context"
	"errors"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func (s *Service) grace() Grace { return Grace(s.config.StopGrace.Seconds()) }

func (s *Service) powerOn(ctx context.Context, server Server) error {
	err := s.config.Driver.Start(ctx, server.ID)
	return s.conclude(ctx, server, "start", err, func(now *Server) {
		now.VMState, now.Power = Active, Running
	}, nil)
}

func (s *Service) powerOff(ctx context.Context, server Server) error {
	err := s.config.Driver.Stop(ctx, server.ID, s.grace())
	return s.conclude(ctx, server, "stop", err, func(now *Server) {
		now.VMState, now.Power = Stopped, Shutdown
	}, nil)
}

func (s *Service) reboot(ctx context.Context, server Server) error {
	grace := s.grace()
	if server.TaskState == RebootingHard {
		grace = 0
	}
	err := s.config.Driver.Reboot(ctx, server.ID, grace)
	return s.conclude(ctx, server, "reboot", err, func(now *Server) {
		now.VMState, now.Power = Active, Running
	}, func(now *Server) {
		now.fail(err, "The machine could not be rebooted.")
	})
}

// conclude ends the task of a server by what the driver said: success, or
// failed (nil: the server is left in the state that it had). A server whose
// machine is gone is in error whatever the task. A task that was interrupted
// goes on another time.
func (s *Service) conclude(ctx context.Context, server Server, action string, err error, success, failed func(*Server)) error {
	outcome := success
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.finish(ctx, server.ID, action, err)
	switch {
	case err == nil:
	case fault.Is(err, fault.NotFound):
		outcome = func(now *Server) {
			now.Power = NoState
			now.fail(errMachineGone, "")
		}
	case failed != nil:
		outcome = failed
	default:
		outcome = func(*Server) {}
	}
	if err != nil {
		s.log.WarnContext(ctx, "task failed", "server", server.ID, "task", server.TaskState, "err", err)
	}
	if err := s.settle(ctx, server, outcome); err != nil {
		return err
	}
	return s.observe(ctx, server.ID) // a machine may have died while nobody minded
}

// delete destroys a server's machine, lets go of its volumes, and forgets it.
func (s *Service) delete(ctx context.Context, server Server) error {
	err := s.destroy(ctx, server)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = s.store.deleteServer(ctx, server.ID)
	}
	if err == nil {
		s.log.InfoContext(ctx, "server deleted", "server", server.ID)
		return nil
	}
	s.finish(ctx, server.ID, "delete", err)
	return errors.Join(err, s.settle(ctx, server, func(now *Server) {
		now.fail(err, "The server could not be deleted.")
	}))
}

func (s *Service) destroy(ctx context.Context, server Server) error {
	if err := s.config.Driver.Destroy(ctx, server.ID); err != nil {
		return err
	}
	attachments, err := s.store.attachments(ctx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range attachments {
		if err := s.config.Volumes.Detached(ctx, a.VolumeID, server.ID); err != nil {
			return err
		}
		if err := s.store.deleteAttachment(ctx, a.ID); err != nil {
			return err
		}
	}
	return nil
}
