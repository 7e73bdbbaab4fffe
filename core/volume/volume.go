// Package volume is the block storage service: OpenStack's Block Storage API
// v3 up to microversion 3.70, as Cinder 21 (Zed) speaks it.
// See https://docs.openstack.org/api-ref/block-storage/v3/
//
// A volume is a sparse raw file. It can be attached to one server at a time;
// the compute service does that through Reserve, Attached, BeginDetaching and
// Detached.
package volume

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// Status is the state of a volume or a snapshot, in Cinder's words.
type Status string

// The states that the service itself gives. An administrator may set others.
const (
	Creating     Status = "creating"
	Available    Status = "available"
	Attaching    Status = "attaching" // promised to a server
	InUse        Status = "in-use"
	Detaching    Status = "detaching"
	Extending    Status = "extending"
	Deleting     Status = "deleting"
	Failed       Status = "error"
	FailedExtend Status = "error_extending"
	FailedDelete Status = "error_deleting"
)

// task is what Run has still to do for a volume or snapshot. It is apart from
// the status, which an administrator may reset.
type task string

const (
	none     task = ""
	toCreate task = "create"
	toExtend task = "extend"
	toDelete task = "delete"
)

// Zone is the one availability zone, DefaultType the one volume type.
const (
	Zone          = "nova"
	DefaultType   = "__DEFAULT__"
	DefaultTypeID = "6b4f8e3a-29f1-5a5e-9c3d-0d6f3c1e7a10"
)

// Volume is a block device. Its data is a file, see Disk.
type Volume struct {
	ID                string // a UUID
	ProjectID, UserID string
	Name, Description string
	SizeGB            int // GiB
	Status            Status
	Bootable          bool
	ReadOnly          *bool // nil: nobody ever said

	// What the volume was made from, by id: at most one is set.
	ImageID, SnapshotID, SourceID string

	Metadata      map[string]string
	ImageMetadata map[string]string // of the image it was made from, for those who boot it
	Attachment    *Attachment       // nil unless a server has it, or is about to

	CreatedAt time.Time
	UpdatedAt time.Time // zero until something changes

	task task
}

// Attachment says which server has a volume.
type Attachment struct {
	ID       string // a UUID
	ServerID string
	Device   string // as the server calls it, e.g. "/dev/vdb"
	Host     string
	// ByCompute tells attachments that the compute service made, and alone
	// can undo, from those that a user merely claims.
	ByCompute  bool
	AttachedAt time.Time // zero until the server has it
}

// Caller is on whose behalf something is done.
type Caller struct {
	Project, User string // ids; empty if the token has none
	Admin         bool
}

// Config is what a Service is made of. Everything is required but Metrics,
// Images and Quotas.
type Config struct {
	Dir string // where the database and the volumes' files are kept
	Log *slog.Logger

	// Tokens tells the API who calls, Metrics counts its requests.
	Tokens  httpapi.Tokens
	Metrics *httpapi.Metrics

	// Images lets volumes be made from images; without it none can be.
	Images Images

	// Quotas are the limits of a project that has none of its own; zero is
	// DefaultQuotas.
	Quotas Quotas
}

// Service keeps volumes. Its methods may be called concurrently; Run does what
// takes longer than a request.
type Service struct {
	config Config
	store  store
	files  files
	log    *slog.Logger
	wake   chan struct{} // tells Run that there is something to do
}

// New opens the service in its directory, which no other may have open.
func New(ctx context.Context, config Config) (*Service, error) {
	if config.Quotas == (Quotas{}) {
		config.Quotas = DefaultQuotas
	}
	handle, err := db.Open(ctx, filepath.Join(config.Dir, "volume.db"), db.Migrations(migrations))
	if err != nil {
		return nil, err
	}
	s := &Service{
		config: config, store: store{handle, config.Quotas}, files: files{config.Dir}, log: config.Log,
		wake: make(chan struct{}, 1),
	}
	if err := s.files.init(); err != nil {
		return nil, errors.Join(err, handle.Close())
	}
	return s, nil
}

// Close ends the use of the database. Run must have returned.
func (s *Service) Close() error { return s.store.db.Close() }

// Create begins to make a volume; it is Available, or Failed, once Run is
// done with it. A volume that is made from something has at least its size;
// SizeGB 0 is then that size.
func (s *Service) Create(ctx context.Context, caller Caller, v Volume) (Volume, error) {
	if caller.Project == "" {
		return Volume{}, fault.New(fault.Forbidden, "A volume needs a project.")
	}
	if err := s.fromSource(ctx, caller, &v); err != nil {
		return Volume{}, err
	}
	v.ID, v.ProjectID, v.UserID = uuid.NewString(), caller.Project, caller.User
	v.Status, v.task, v.Attachment = Creating, toCreate, nil
	v.CreatedAt = now()
	if err := s.store.insert(ctx, v); err != nil {
		return Volume{}, err
	}
	s.notify()
	return v, nil
}

// Get returns a volume of the caller's project, any for an administrator,
// else fault.NotFound.
func (s *Service) Get(ctx context.Context, caller Caller, id string) (Volume, error) {
	v, err := s.store.get(ctx, id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !caller.Admin && v.ProjectID != caller.Project {
		return Volume{}, notFound(id)
	}
	return v, err
}

func notFound(id string) error {
	return fault.New(fault.NotFound, "Volume %s could not be found.", id)
}

// invalid is the fault for what the state of a volume forbids.
func invalid(format string, args ...any) error {
	return fault.New(fault.BadRequest, "Invalid volume: "+format, args...)
}

// Update changes a volume of the caller's by f, in one transaction, and
// returns it. An error of f changes nothing.
func (s *Service) Update(ctx context.Context, caller Caller, id string, f func(*Volume) error) (Volume, error) {
	return s.store.update(ctx, id, now(), func(v *Volume) error {
		if !caller.Admin && v.ProjectID != caller.Project {
			return notFound(id)
		}
		return f(v)
	})
}

// The states in which a volume can be deleted, as Cinder lists them.
var deletable = []Status{Available, Failed, "error_restoring", FailedExtend, "error_managing"}

// Delete begins to remove a volume that nothing uses, and that has no
// snapshots but such as are being removed too. With force, which is for
// administrators, its status does not matter, but its attachment does.
func (s *Service) Delete(ctx context.Context, caller Caller, id string, force bool) error {
	_, err := s.Update(ctx, caller, id, func(v *Volume) error {
		if force && !caller.Admin {
			return notAuthorized("volume_extension:volume_admin_actions:force_delete")
		}
		return v.remove(force)
	})
	if err == nil {
		s.notify()
	}
	return err
}

// DeleteWithSnapshots is Delete, without force, for a volume and all its
// snapshots. If one of them cannot be removed, nothing is.
func (s *Service) DeleteWithSnapshots(ctx context.Context, caller Caller, id string) error {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return err
	}
	err := s.store.updateAll(ctx, id, now(),
		func(v *Volume) error { return v.remove(false) }, func(one *Snapshot) error { return one.remove(false) })
	if err == nil {
		s.notify()
	}
	return err
}

func (v *Volume) remove(force bool) error {
	if v.Attachment != nil || !force && !slices.Contains(deletable, v.Status) {
		return invalid("Volume status must be available or error or error_restoring or error_extending or error_managing" +
			" and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer," +
			" or be disassociated from snapshots after volume transfer.")
	}
	v.Status, v.task = Deleting, toDelete
	return nil
}

// Extend begins to make an available volume larger; the new space reads as
// zeros.
func (s *Service) Extend(ctx context.Context, caller Caller, id string, sizeGB int) error {
	_, err := s.Update(ctx, caller, id, func(v *Volume) error {
		if sizeGB <= v.SizeGB {
			return fault.New(fault.BadRequest, "Invalid input received: New size for extend must be greater than current size. "+
				"(current: %d, extended: %d).", v.SizeGB, sizeGB)
		}
		if v.Status != Available || v.Attachment != nil || v.task != none {
			return invalid("Volume %s status must be '%s' to extend, currently %s.", id, Available, v.Status)
		}
		v.SizeGB, v.Status, v.task = sizeGB, Extending, toExtend
		return nil
	})
	if err == nil {
		s.notify()
	}
	return err
}

func notAuthorized(action string) error {
	return fault.New(fault.Forbidden, "Policy doesn't allow %s to be performed.", action)
}

// now is the time as the database keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
