package volume

import (
	"context"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Disk is how the host of a server reaches a volume's data.
type Disk struct {
	File     string // its path
	Format   string // "raw"
	ReadOnly bool
}

// Reserve promises a volume to a server, on which it will be device, and
// makes its status attaching. Repeating it does nothing more. It reports
// fault.NotFound if the project cannot see the volume (with an empty project
// every volume can be seen), and fault.BadRequest if it is not available.
func (s *Service) Reserve(ctx context.Context, project, volume, server, device string) (Disk, error) {
	v, err := s.Update(ctx, Caller{Project: project, Admin: project == ""}, volume, func(v *Volume) error {
		if v.attachedTo(server) {
			return nil
		}
		if err := v.reserve(); err != nil {
			return err
		}
		v.Attachment = &Attachment{ID: uuid.NewString(), ServerID: server, Device: device, ByCompute: true}
		return nil
	})
	if err != nil {
		return Disk{}, err
	}
	return Disk{File: s.files.volume(v.ID), Format: "raw", ReadOnly: v.ReadOnly != nil && *v.ReadOnly}, nil
}

// attachedTo reports whether compute gave the volume to a server, or is about
// to.
func (v *Volume) attachedTo(server string) bool {
	return v.Attachment != nil && v.Attachment.ByCompute && v.Attachment.ServerID == server
}

// Attached makes the status of a volume that a server reserved, or did not
// give back after all, in-use.
func (s *Service) Attached(ctx context.Context, volume, server string) error {
	_, err := s.Update(ctx, Caller{Admin: true}, volume, func(v *Volume) error {
		if !v.attachedTo(server) {
			return invalid("Volume %s is not reserved for server %s.", volume, server)
		}
		if v.Attachment.AttachedAt.IsZero() {
			v.Attachment.AttachedAt = now()
		}
		v.Status = InUse
		return nil
	})
	return err
}

// BeginDetaching makes the status of a volume that a server has detaching.
func (s *Service) BeginDetaching(ctx context.Context, volume, server string) error {
	_, err := s.Update(ctx, Caller{Admin: true}, volume, func(v *Volume) error {
		if !v.attachedTo(server) || v.Status != InUse && v.Status != Detaching {
			return invalid("Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.")
		}
		v.Status = Detaching
		return nil
	})
	return err
}

// Detached ends a server's attachment, whatever its status, and makes the
// volume available. One that does not exist is no error.
func (s *Service) Detached(ctx context.Context, volume, server string) error {
	_, err := s.Update(ctx, Caller{Admin: true}, volume, func(v *Volume) error {
		if v.attachedTo(server) {
			v.Status, v.Attachment = Available, nil
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// reserve makes an available volume attaching. Who asks through the API names
// the server later.
func (v *Volume) reserve() error {
	if v.Status != Available || v.Attachment != nil || v.task != none {
		return invalid("Volume status must be available to reserve, but the status is %s.", v.Status)
	}
	v.Status = Attaching
	return nil
}

// unreserve takes reserve back; without it, it does nothing.
func (v *Volume) unreserve() error {
	if v.Status == Attaching && v.Attachment == nil {
		v.Status = Available
	}
	return nil
}

// claim notes that a server, or a host, says it has the volume.
func (v *Volume) claim(a Attachment) error {
	if v.Attachment != nil || v.task != none || v.Status != Available && v.Status != Attaching {
		return invalid("Volume %s status must be available or attaching, and not attached, but it is %s.", v.ID, v.Status)
	}
	a.ID, a.AttachedAt = uuid.NewString(), now()
	v.Status, v.Attachment = InUse, &a
	return nil
}

// release takes claim back. What compute attached, compute must detach: the
// server would go on writing to a volume that is another's by then.
// See https://security.openstack.org/ossa/OSSA-2023-003.html
func (v *Volume) release(attachment string) error {
	switch {
	case v.Attachment == nil:
		return invalid("Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.")
	case v.Attachment.ByCompute:
		return fault.New(fault.Conflict, "Detach volume from instance %s using the Compute API", v.Attachment.ServerID)
	case attachment != "" && attachment != v.Attachment.ID:
		return fault.New(fault.NotFound, "Volume attachment could not be found with filter: attachment_id = %s.", attachment)
	}
	v.Status, v.Attachment = Available, nil
	return nil
}

// beginDetaching says that whoever has the volume is about to give it back,
// rollDetaching that it does not after all. Compute says so otherwise.
func (v *Volume) beginDetaching() error {
	if v.Status != InUse || v.Attachment == nil || v.Attachment.ByCompute {
		return invalid("Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach.")
	}
	v.Status = Detaching
	return nil
}

func (v *Volume) rollDetaching() error {
	if v.Status == Detaching && v.Attachment != nil && !v.Attachment.ByCompute {
		v.Status = InUse
	}
	return nil
}
