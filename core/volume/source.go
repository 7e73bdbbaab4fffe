package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Images is what the service needs of the image service.
type Images interface {
	// Get describes an image. It reports fault.NotFound if the project cannot
	// see it; with an empty project, every image can be seen.
	Get(ctx context.Context, project, id string) (Image, error)

	// Open returns the data of an active image, which the caller closes. It
	// does not ask who may see the image. A qcow2 image must be an *os.File.
	Open(ctx context.Context, id string) (io.ReadCloser, error)
}

// Image describes an image of the image service.
type Image struct {
	ID, Name                    string
	Active                      bool
	DiskFormat, ContainerFormat string
	Size, VirtualSize           int64 // bytes; VirtualSize 0 if unknown
	Checksum                    string
	MinDiskGB, MinRAMMB         int
	Properties                  map[string]string
}

// fromSource checks what a volume is to be made from, and takes over from it
// what is not given.
func (s *Service) fromSource(ctx context.Context, caller Caller, v *Volume) error {
	least, err := 1, error(nil)
	switch {
	case v.SnapshotID != "":
		var snapshot Snapshot
		if snapshot, err = s.Snapshot(ctx, caller, v.SnapshotID); err != nil {
			return err
		}
		if !snapshot.complete() {
			return fault.New(fault.BadRequest, "Invalid snapshot: Originating snapshot status must be one of 'available' values")
		}
		least = snapshot.SizeGB
		err = s.likeVolume(ctx, v, snapshot.VolumeID)
	case v.SourceID != "":
		var source Volume
		if source, err = s.Get(ctx, caller, v.SourceID); err != nil {
			return err
		}
		least = source.SizeGB
		err = errors.Join(source.copyable(), s.likeVolume(ctx, v, v.SourceID))
	case v.ImageID != "":
		least, err = s.likeImage(ctx, caller, v)
	}
	if err != nil {
		return err
	}
	if v.SizeGB == 0 {
		v.SizeGB = least
	}
	if v.SizeGB < least {
		return fault.New(fault.BadRequest, "Invalid input received: Volume size '%d' must be equal or greater than "+
			"the size of what it is made from, '%d'.", v.SizeGB, least)
	}
	return nil
}

// likeVolume takes over whether, and how, a volume can be booted from.
func (s *Service) likeVolume(ctx context.Context, v *Volume, id string) error {
	source, err := s.store.get(ctx, id)
	if err != nil {
		return fmt.Errorf("source of volume: %w", err)
	}
	v.Bootable, v.ImageMetadata = source.Bootable, source.ImageMetadata
	return nil
}

// likeImage checks that a volume can be made from an image and returns how
// many GiB it needs.
func (s *Service) likeImage(ctx context.Context, caller Caller, v *Volume) (int, error) {
	unknown := fault.New(fault.BadRequest, "Invalid image identifier or unable to access requested image.")
	if s.config.Images == nil {
		return 0, unknown
	}
	project := caller.Project
	if caller.Admin {
		project = ""
	}
	img, err := s.config.Images.Get(ctx, project, v.ImageID)
	if fault.Is(err, fault.NotFound) {
		return 0, unknown
	}
	if err != nil {
		return 0, err
	}
	if !img.Active {
		return 0, fault.New(fault.BadRequest, "Invalid input received: Image %s is not active.", v.ImageID)
	}
	if _, ok := fillers[img.DiskFormat]; !ok {
		return 0, fault.New(fault.BadRequest, "Invalid input received: Image %s is of disk format %s, which a volume cannot be made from.",
			v.ImageID, img.DiskFormat)
	}
	v.Bootable, v.ImageMetadata = true, imageMetadata(img)
	return max(1, img.MinDiskGB, int((max(img.Size, img.VirtualSize)+gib-1)/gib)), nil
}

// imageMetadata is what a volume keeps of its image, as Cinder does.
func imageMetadata(img Image) map[string]string {
	metadata := map[string]string{}
	maps.Copy(metadata, img.Properties)
	maps.Copy(metadata, map[string]string{
		"image_id": img.ID, "image_name": img.Name, "checksum": img.Checksum, "disk_format": img.DiskFormat,
		"container_format": img.ContainerFormat, "size": strconv.FormatInt(img.Size, 10),
		"min_disk": strconv.Itoa(img.MinDiskGB), "min_ram": strconv.Itoa(img.MinRAMMB),
	})
	return metadata
}

// fillers write an image of some disk format to a volume's file.
var fillers = map[string]func(ctx context.Context, to *os.File, from io.Reader) error{
	"raw": copySparse, "iso": copySparse, "ami": copySparse, "qcow2": convertQCOW2,
}

// fill writes what a volume is made from to its file.
func (s *Service) fill(ctx context.Context, v Volume, file *os.File) error {
	switch {
	case v.SnapshotID != "":
		return clone(ctx, file, s.files.snapshot(v.SnapshotID))
	case v.SourceID != "":
		return clone(ctx, file, s.files.volume(v.SourceID))
	case v.ImageID != "":
		return s.fillFromImage(ctx, v.ImageID, file)
	default:
		return nil
	}
}

// fillFromImage writes the disk that an image holds to a volume's file. The
// image service says how it is to be read: what the volume keeps of its image
// is for its user to change.
func (s *Service) fillFromImage(ctx context.Context, id string, file *os.File) error {
	if s.config.Images == nil {
		return errors.New("there is no image service")
	}
	img, err := s.config.Images.Get(ctx, "", id)
	if err != nil {
		return err
	}
	write, ok := fillers[img.DiskFormat]
	if !ok {
		return fmt.Errorf("a volume cannot be made from disk format %q", img.DiskFormat)
	}
	data, err := s.config.Images.Open(ctx, id)
	if err != nil {
		return err
	}
	defer data.Close()
	return write(ctx, file, data)
}

// convertQCOW2 has qemu-img write the disk that a qcow2 image describes. The
// image service has made sure that it refers to nothing else. Both files are
// handed over open, so that neither is looked for by name.
func convertQCOW2(ctx context.Context, to *os.File, from io.Reader) error {
	image, ok := from.(*os.File)
	if !ok {
		return errors.New("convert qcow2 image: it is not a local file")
	}
	convert := exec.CommandContext(ctx, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", "/dev/fd/3", "/dev/fd/4")
	convert.ExtraFiles = []*os.File{image, to}
	convert.WaitDelay = 5 * time.Second
	if out, err := convert.CombinedOutput(); err != nil {
		return fmt.Errorf("convert qcow2 image: %w: %s", err, out)
	}
	return nil
}
