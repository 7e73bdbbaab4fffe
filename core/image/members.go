package image

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// What a member thinks of an image that was shared with it. All may use it;
// only those who accepted it find it in their lists.
const (
	Pending  = "pending"
	Accepted = "accepted"
	Rejected = "rejected"
)

// maxMembers bounds the members of an image; Glance's default.
const maxMembers = 128

// Member is a project that an image is shared with.
type Member struct {
	Image, Project string // ids
	Status         string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// shared is own for what concerns the members of an image.
func (s *Service) shared(ctx context.Context, caller Caller, id, action string) error {
	img, err := s.own(ctx, caller, id, action)
	if err == nil && img.Visibility != Shared {
		err = fault.New(fault.Forbidden, "Only shared images have members.")
	}
	return err
}

// AddMember shares an image of the caller's with a project.
func (s *Service) AddMember(ctx context.Context, caller Caller, id, project string) (Member, error) {
	if err := s.shared(ctx, caller, id, "add_member"); err != nil {
		return Member{}, err
	}
	at := now()
	member := Member{Image: id, Project: project, Status: Pending, CreatedAt: at, UpdatedAt: at}
	return member, s.store.insertMember(ctx, member)
}

// Members lists whom an image is shared with, by project. Members see only
// themselves.
func (s *Service) Members(ctx context.Context, caller Caller, id string) ([]Member, error) {
	img, err := s.Get(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	if img.Visibility != Shared {
		return nil, fault.New(fault.Forbidden, "Only shared images have members.")
	}
	members, err := s.store.members(ctx, id)
	if !owns(caller, img) {
		members = slices.DeleteFunc(members, func(m Member) bool { return m.Project != caller.Project })
	}
	return members, err
}

// Member returns one member: fault.NotFound if there is none that the caller
// may see.
func (s *Service) Member(ctx context.Context, caller Caller, id, project string) (Member, error) {
	members, err := s.Members(ctx, caller, id)
	if err != nil {
		return Member{}, err
	}
	at := slices.IndexFunc(members, func(m Member) bool { return m.Project == project })
	if at < 0 {
		return Member{}, noMember(id, project)
	}
	return members[at], nil
}

func noMember(id, project string) error {
	return fault.New(fault.NotFound, "%s not found in the member list of the image %s.", project, id)
}

// SetMember says for a member whether it wants an image. Only the member
// itself, or an administrator, may say so.
func (s *Service) SetMember(ctx context.Context, caller Caller, id, project, status string) (Member, error) {
	member, err := s.Member(ctx, caller, id, project)
	if err != nil {
		return Member{}, err
	}
	if !slices.Contains([]string{Pending, Accepted, Rejected}, status) {
		return Member{}, fault.New(fault.BadRequest, "Incorrect request: status %q is none of pending, accepted, rejected", status)
	}
	if caller.Project != project && !caller.Admin {
		return Member{}, fault.New(fault.Forbidden, "Not allowed to update members for image %s.", id)
	}
	member.Status, member.UpdatedAt = status, now()
	updated, err := s.store.updateMember(ctx, member)
	if err == nil && !updated {
		err = noMember(id, project)
	}
	return member, err
}

// RemoveMember ends the sharing of an image of the caller's with a project.
func (s *Service) RemoveMember(ctx context.Context, caller Caller, id, project string) error {
	if err := s.shared(ctx, caller, id, "delete_member"); err != nil {
		return err
	}
	deleted, err := s.store.deleteMember(ctx, id, project)
	if err == nil && !deleted {
		err = noMember(id, project)
	}
	return err
}
