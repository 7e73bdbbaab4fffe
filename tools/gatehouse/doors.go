package main

import (
	"context"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/identity"
	"github.com/gatehouse-dev/gatehouse/core/image"
	"github.com/gatehouse-dev/gatehouse/core/volume"
	"github.com/gatehouse-dev/gatehouse/review"
)

// imageDoor is what compute sees of the image service.
type imageDoor struct{ *image.Service }

func (d imageDoor) Get(ctx context.Context, project, id string) (compute.Image, error) {
	img, err := d.Service.Get(ctx, image.Caller{Project: project, Admin: project == ""}, id)
	if err != nil {
		return compute.Image{}, err
	}
	seen := compute.Image{
		ID: img.ID, Name: img.Name, Active: img.Status == image.Active, DiskFormat: img.DiskFormat,
		MinDiskGB: img.MinDiskGB, MinRAMMB: img.MinRAMMB, Properties: img.Properties,
	}
	if img.Data != nil {
		seen.VirtualSize = img.Data.VirtualSize
	}
	return seen, nil
}

// volumeImages is what the volume service sees of the image service.
type volumeImages struct{ *image.Service }

func (d volumeImages) Get(ctx context.Context, project, id string) (volume.Image, error) {
	img, err := d.Service.Get(ctx, image.Caller{Project: project, Admin: project == ""}, id)
	if err != nil {
		return volume.Image{}, err
	}
	seen := volume.Image{
		ID: img.ID, Name: img.Name, Active: img.Status == image.Active, DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat,
		MinDiskGB: img.MinDiskGB, MinRAMMB: img.MinRAMMB, Properties: img.Properties,
	}
	if img.Data != nil {
		seen.Size, seen.VirtualSize, seen.Checksum = img.Data.Size, img.Data.VirtualSize, img.Data.Checksum
	}
	return seen, nil
}

// volumeDoor is what compute sees of the volume service.
type volumeDoor struct{ *volume.Service }

func (d volumeDoor) Reserve(ctx context.Context, project, id, server, device string) (compute.Disk, error) {
	disk, err := d.Service.Reserve(ctx, project, id, server, device)
	if err != nil {
		return compute.Disk{}, err
	}
	return compute.Disk{Serial: id, File: disk.File, Format: disk.Format, ReadOnly: disk.ReadOnly}, nil
}

// passwordDoor is what the review server sees of the identity service.
type passwordDoor struct{ users *identity.Service }

func (d passwordDoor) Verify(ctx context.Context, username, password string) (review.User, error) {
	user, admin, err := d.users.Verify(ctx, username, password)
	if err != nil {
		return review.User{}, err
	}
	return reviewUser(user, admin), nil
}

// Standing implements review.Standings.
func (d passwordDoor) Standing(ctx context.Context, username string) (review.User, error) {
	user, admin, err := d.users.Standing(ctx, username)
	if err != nil {
		return review.User{}, err
	}
	return reviewUser(user, admin), nil
}

func reviewUser(user identity.User, admin bool) review.User {
	return review.User{
		ID: user.ID, Username: user.Name, FullName: user.Text("full_name"), Email: user.Text("email"),
		Admin: admin, Service: user.Name == gateUser, Disabled: !user.Enabled,
	}
}
