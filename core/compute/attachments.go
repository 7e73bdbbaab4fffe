package compute

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Attachment is a volume that a server has.
type Attachment struct {
	ID                  string
	ServerID, VolumeID  string
	Device              string // what the guest may call it: "/dev/vdb", …
	Tag                 string
	DeleteOnTermination bool
	State               AttachmentState
	Disk                Disk
	CreatedAt           time.Time
}

// AttachmentState is how far an attachment is.
type AttachmentState string

// The states of an attachment; when it is detached it is gone.
const (
	Reserving AttachmentState = "reserving" // the request goes on that asked for it
	Attaching AttachmentState = "attaching"
	Attached  AttachmentState = "attached"
	Detaching AttachmentState = "detaching"
)

// Attachments lists a server's volumes, the first attached first.
func (s *Service) Attachments(ctx context.Context, c Caller, server string) ([]Attachment, error) {
	if _, err := s.Server(ctx, c, server); err != nil {
		return nil, err
	}
	return s.store.attachments(ctx, server)
}

// AttachmentsOf lists the volumes of many servers, by server.
func (s *Service) AttachmentsOf(ctx context.Context, servers []Server) (map[string][]Attachment, error) {
	return s.store.attachmentsOf(ctx, servers)
}

// AttachVolume promises a volume to a server; Run plugs it in. An empty
// device picks the next free one.
func (s *Service) AttachVolume(ctx context.Context, c Caller, a Attachment) (Attachment, error) {
	a.ID, a.State, a.CreatedAt = uuid.NewString(), Reserving, time.Now().UTC()
	// The attachment is recorded before the volume is reserved, so that after
	// a crash in between there is something to pick up.
	a, err := s.store.insertAttachment(ctx, a, newAction(c, "attach_volume"), func(server *Server) error {
		if err := mayUse(c, *server); err != nil {
			return err
		}
		return server.allows("attach_volume", c, []VMState{Active, Stopped})
	})
	if err != nil {
		return a, err
	}
	project := c.ProjectID
	if c.Admin {
		project = ""
	}
	a.Disk, err = s.config.Volumes.Reserve(ctx, project, a.VolumeID, a.ServerID, a.Device)
	if err == nil {
		err = s.store.setReserved(ctx, a)
	}
	if err != nil {
		if dropErr := s.drop(context.WithoutCancel(ctx), a, err); dropErr != nil {
			s.log.WarnContext(ctx, "attachment not dropped", "server", a.ServerID, "volume", a.VolumeID, "err", dropErr)
		}
		return a, err
	}
	a.State = Attaching
	s.queue.add(a.ServerID)
	return a, nil
}

// DetachVolume begins to take a volume from a server; Run unplugs it.
func (s *Service) DetachVolume(ctx context.Context, c Caller, serverID, volume string) error {
	server, err := s.Server(ctx, c, serverID)
	if err != nil {
		return err
	}
	if err := server.allows("detach_volume", c, []VMState{Active, Stopped}); err != nil {
		return err
	}
	if _, err := s.store.attachment(ctx, serverID, volume, Attached); err != nil {
		return err
	}
	if err := s.config.Volumes.BeginDetaching(ctx, volume, serverID); err != nil {
		return err
	}
	if err := s.store.beginDetaching(ctx, serverID, volume, newAction(c, "detach_volume")); err != nil {
		return err
	}
	s.queue.add(serverID)
	return nil
}

// plug does what is pending with a server's volumes.
func (s *Service) plug(ctx context.Context, server Server) error {
	attachments, err := s.store.attachments(ctx, server.ID)
	if err != nil {
		return err
	}
	for _, a := range attachments {
		switch a.State {
		case Attaching:
			err = s.attach(ctx, a)
		case Detaching:
			err = s.detach(ctx, a)
		case Reserving, Attached:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) attach(ctx context.Context, a Attachment) error {
	err := s.config.Driver.AttachDisk(ctx, a.ServerID, a.Disk)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.log.WarnContext(ctx, "volume not attached", "server", a.ServerID, "volume", a.VolumeID, "err", err)
		return s.drop(ctx, a, err)
	}
	if err := s.config.Volumes.Attached(ctx, a.VolumeID, a.ServerID); err != nil {
		return errors.Join(s.config.Driver.DetachDisk(ctx, a.ServerID, a.Disk.Serial), s.drop(ctx, a, err))
	}
	s.finish(ctx, a.ServerID, "attach_volume", nil)
	return s.store.setAttachmentState(ctx, a.ID, Attached)
}

// drop gives up an attachment.
func (s *Service) drop(ctx context.Context, a Attachment, why error) error {
	if err := s.config.Volumes.Detached(ctx, a.VolumeID, a.ServerID); err != nil {
		return err
	}
	s.finish(ctx, a.ServerID, "attach_volume", why)
	return s.store.deleteAttachment(ctx, a.ID)
}

func (s *Service) detach(ctx context.Context, a Attachment) error {
	err := s.config.Driver.DetachDisk(ctx, a.ServerID, a.Disk.Serial)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.finish(ctx, a.ServerID, "detach_volume", err)
	if err != nil && !fault.Is(err, fault.NotFound) { // without a machine there is nothing to unplug it from
		s.log.WarnContext(ctx, "volume not detached", "server", a.ServerID, "volume", a.VolumeID, "err", err)
		return errors.Join(s.config.Volumes.Attached(ctx, a.VolumeID, a.ServerID), s.store.setAttachmentState(ctx, a.ID, Attached))
	}
	if err := s.config.Volumes.Detached(ctx, a.VolumeID, a.ServerID); err != nil {
		return err
	}
	return s.store.deleteAttachment(ctx, a.ID)
}
