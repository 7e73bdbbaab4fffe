package volume

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Snapshot is what a volume held at one time.
type Snapshot struct {
	ID                string // a UUID
	VolumeID          string
	ProjectID, UserID string
	Name, Description string
	SizeGB            int // of the volume at that time, GiB
	Status            Status
	Metadata          map[string]string
	CreatedAt         time.Time
	UpdatedAt         time.Time // zero until something changes

	task task
}

func snapshotNotFound(id string) error {
	return fault.New(fault.NotFound, "Snapshot %s could not be found.", id)
}

// copyable checks that nobody may be writing to a volume.
func (v *Volume) copyable() error {
	if v.Status != Available || v.Attachment != nil || v.task != none {
		return invalid("Volume %s status must be available, but current status is: %s.", v.ID, v.Status)
	}
	return nil
}

// complete reports whether a snapshot holds what it should, and will go on to:
// an administrator may have called one available that is still being made, or
// removed.
func (one Snapshot) complete() bool { return one.Status == Available && one.task == none }

// CreateSnapshot begins to keep what an available volume holds. The volume
// cannot be attached, changed or deleted until that is done.
func (s *Service) CreateSnapshot(ctx context.Context, caller Caller, snapshot Snapshot) (Snapshot, error) {
	v, err := s.Get(ctx, caller, snapshot.VolumeID)
	if err != nil {
		return Snapshot{}, err
	}
	snapshot.ID, snapshot.ProjectID, snapshot.UserID = uuid.NewString(), v.ProjectID, caller.User
	snapshot.Status, snapshot.task, snapshot.CreatedAt = Creating, toCreate, now()
	if snapshot.SizeGB, err = s.store.insertSnapshot(ctx, snapshot); err != nil {
		return Snapshot{}, err
	}
	s.notify()
	return snapshot, nil
}

// Snapshot returns a snapshot of the caller's project, any for an
// administrator, else fault.NotFound.
func (s *Service) Snapshot(ctx context.Context, caller Caller, id string) (Snapshot, error) {
	snapshot, err := getSnapshot(ctx, s.store.db, id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !caller.Admin && snapshot.ProjectID != caller.Project {
		return Snapshot{}, snapshotNotFound(id)
	}
	return snapshot, err
}

// UpdateSnapshot changes a snapshot of the caller's by f, in one transaction,
// and returns it. An error of f changes nothing.
func (s *Service) UpdateSnapshot(ctx context.Context, caller Caller, id string, f func(*Snapshot) error) (Snapshot, error) {
	return s.store.updateSnapshot(ctx, id, now(), func(snapshot *Snapshot) error {
		if !caller.Admin && snapshot.ProjectID != caller.Project {
			return snapshotNotFound(id)
		}
		return f(snapshot)
	})
}

// DeleteSnapshot begins to remove a snapshot. With force, which is for
// administrators, its status does not matter.
func (s *Service) DeleteSnapshot(ctx context.Context, caller Caller, id string, force bool) error {
	_, err := s.UpdateSnapshot(ctx, caller, id, func(one *Snapshot) error {
		if force && !caller.Admin {
			return notAuthorized("volume_extension:snapshot_admin_actions:force_delete")
		}
		return one.remove(force)
	})
	if err == nil {
		s.notify()
	}
	return err
}

func (one *Snapshot) remove(force bool) error {
	if !force && one.Status != Available && one.Status != Failed {
		return fault.New(fault.BadRequest, "Invalid snapshot: Snapshot status must be available or error, but it is %s.", one.Status)
	}
	one.Status, one.task = Deleting, toDelete
	return nil
}
