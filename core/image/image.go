// Package image is the image service: OpenStack's Image API v2, as Glance 25
// (Zed) speaks it, over image files on the local disk.
// See https://docs.openstack.org/api-ref/image/v2/
//
// An image is first registered (queued) and then given its data, once, in one
// piece (saving, then active). From then on its bytes and formats never
// change, so that machines may share them.
package image

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi"
)

// The states of an image.
const (
	Queued      = "queued"      // registered, without data
	Saving      = "saving"      // data is being uploaded
	Active      = "active"      // complete
	Deactivated = "deactivated" // complete, but an administrator forbids its use
)

// Who may see an image besides its owner.
const (
	Public    = "public"    // everybody
	Community = "community" // everybody who knows its id; lists leave it out
	Shared    = "shared"    // its members
	Private   = "private"   // nobody
)

// Image describes an image. Its bytes are had by Open.
type Image struct {
	ID         string // a UUID
	Name       string
	Owner      string // the id of a project
	Visibility string
	Status     string

	DiskFormat      string // what the bytes are, e.g. "qcow2"; may be empty while queued
	ContainerFormat string // what they are wrapped in, e.g. "bare"; may be empty while queued
	MinDiskGB       int
	MinRAMMB        int
	Protected       bool // cannot be deleted
	Hidden          bool // left out of lists by default

	Data *Data // nil unless the status is Active or Deactivated

	Tags       []string          // sorted
	Properties map[string]string // what else clients stored, e.g. kernel_id

	CreatedAt, UpdatedAt time.Time
}

// Data describes the bytes of an image.
type Data struct {
	Size        int64  // bytes
	VirtualSize int64  // bytes of the disk a machine sees; 0 if unknown
	Checksum    string // MD5, in hex
	HashValue   string // SHA-512, in hex
}

// Caller is on whose behalf something is done.
type Caller struct {
	Project string // the id of the project, or "" if the token has none
	Admin   bool
}

// Config is what a Service is made of. Everything is required but Metrics.
type Config struct {
	Dir string // where the database and the images' files are kept
	Log *slog.Logger

	// Tokens tells the API who calls, Metrics counts its requests.
	Tokens  httpapi.Tokens
	Metrics *httpapi.Metrics
}

// Service keeps images. Its methods may be called concurrently.
type Service struct {
	config Config
	store  store
	files  files
	log    *slog.Logger
}

// New opens the service in its directory and clears away what uploads and
// deletions that were cut short left behind. Only one service may have a
// directory open.
func New(ctx context.Context, config Config) (*Service, error) {
	handle, err := db.Open(ctx, filepath.Join(config.Dir, "image.db"), db.Migrations(migrations))
	if err != nil {
		return nil, err
	}
	s := &Service{config: config, store: store{handle}, files: files{config.Dir}, log: config.Log}
	if err := s.recover(ctx); err != nil {
		_ = handle.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the use of the database. No other method may be running.
func (s *Service) Close() error { return s.store.db.Close() }

// recover makes files and database agree: uploads that were cut short are
// queued again, and files without an active image are removed.
func (s *Service) recover(ctx context.Context) error {
	if err := s.files.init(); err != nil {
		return err
	}
	if err := s.store.resetSaving(ctx); err != nil {
		return err
	}
	names, err := s.files.list()
	if err != nil {
		return err
	}
	for _, id := range names {
		img, err := s.store.get(ctx, id)
		switch {
		case err == nil && img.Data != nil:
			continue
		case err == nil || errors.Is(err, sql.ErrNoRows):
			s.log.InfoContext(ctx, "leftover image file removed", "image", id)
			err = s.files.remove(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Create registers an image without data. It is the caller's, unless an
// administrator gives another owner; id, if not empty, must be new.
func (s *Service) Create(ctx context.Context, caller Caller, img Image) (Image, error) {
	if img.Owner == "" {
		img.Owner = caller.Project
	}
	switch {
	case img.Owner == "":
		return Image{}, fault.New(fault.Forbidden, "You are not permitted to create images without a project.")
	case img.Owner != caller.Project && !caller.Admin:
		return Image{}, fault.New(fault.Forbidden, "You are not permitted to create images owned by '%s'.", img.Owner)
	}
	if img.ID == "" {
		img.ID = uuid.NewString()
	}
	if img.Visibility == "" {
		img.Visibility = Shared
	}
	if err := mayPublish(caller, "", img.Visibility); err != nil {
		return Image{}, err
	}
	img.Status, img.Data = Queued, nil
	img.CreatedAt = now()
	img.UpdatedAt = img.CreatedAt
	if err := s.store.insert(ctx, img); err != nil {
		return Image{}, err
	}
	return img, nil
}

// mayPublish keeps images that everybody sees to administrators.
func mayPublish(caller Caller, from, to string) error {
	if to == Public && from != Public && !caller.Admin {
		return fault.New(fault.Forbidden, "You are not authorized to complete publicize_image action.")
	}
	return nil
}

// Get returns an image that the caller may see, else fault.NotFound.
func (s *Service) Get(ctx context.Context, caller Caller, id string) (Image, error) {
	img, err := s.store.get(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, notFound(id)
	}
	if err != nil {
		return Image{}, err
	}
	visible, err := s.visible(ctx, caller, img)
	if err != nil {
		return Image{}, err
	}
	if !visible {
		return Image{}, notFound(id)
	}
	return img, nil
}

func notFound(id string) error {
	return fault.New(fault.NotFound, "No image found with ID %s", id)
}

func (s *Service) visible(ctx context.Context, caller Caller, img Image) (bool, error) {
	if owns(caller, img) || img.Visibility == Public || img.Visibility == Community {
		return true, nil
	}
	if img.Visibility != Shared {
		return false, nil
	}
	_, err := s.store.member(ctx, img.ID, caller.Project)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// owns reports whether the caller may change the image.
func owns(caller Caller, img Image) bool {
	return caller.Admin || caller.Project != "" && caller.Project == img.Owner
}

// own is Get for an image that the caller is about to change: one that is
// visible, but another's, is fault.Forbidden.
func (s *Service) own(ctx context.Context, caller Caller, id, action string) (Image, error) {
	img, err := s.Get(ctx, caller, id)
	if err == nil && !owns(caller, img) {
		err = notOwned(action)
	}
	return img, err
}

func notOwned(action string) error {
	return fault.New(fault.Forbidden, "You are not authorized to complete %s action.", action)
}

// Delete removes an image and its data. Machines that were made from it keep
// theirs.
func (s *Service) Delete(ctx context.Context, caller Caller, id string) error {
	img, err := s.own(ctx, caller, id, "delete_image")
	if err != nil {
		return err
	}
	if img.Protected {
		return fault.New(fault.Forbidden, "Image %s is protected and cannot be deleted.", id)
	}
	// The row goes first: a file without a row is removed at the next start.
	deleted, err := s.store.delete(ctx, id)
	if err != nil {
		return err
	}
	if !deleted {
		return notFound(id)
	}
	return s.files.remove(id)
}

// SetActive lets an image that is complete be used, or forbids it. It is for
// administrators.
func (s *Service) SetActive(ctx context.Context, caller Caller, id string, active bool) error {
	if _, err := s.Get(ctx, caller, id); err != nil {
		return err
	}
	action, to := "deactivate", Deactivated
	if active {
		action, to = "reactivate", Active
	}
	if !caller.Admin {
		return notOwned(action)
	}
	changed, err := s.store.setStatus(ctx, id, []string{Active, Deactivated}, to, now())
	if err == nil && !changed {
		err = fault.New(fault.Forbidden, "Not allowed to %s image %s: it has no data.", action, id)
	}
	return err
}

// Open returns the bytes of an active image; the caller closes them. It does
// not ask who may see the image. The bytes are an *os.File that is never
// written to again: a link to it (by its Name) keeps them beyond the life of
// the image. It reports fault.NotFound, or fault.Conflict if the image is not
// active.
func (s *Service) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	img, err := s.Get(ctx, Caller{Admin: true}, id)
	if err != nil {
		return nil, err
	}
	if img.Status != Active {
		return nil, fault.New(fault.Conflict, "Image %s is not active.", id)
	}
	return s.open(id)
}

// open opens the file of an image that was complete a moment ago.
func (s *Service) open(id string) (*os.File, error) {
	file, err := s.files.open(id)
	if errors.Is(err, os.ErrNotExist) { // deleted in the meantime
		return nil, notFound(id)
	}
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	return file, nil
}

// now is the time as the database keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
