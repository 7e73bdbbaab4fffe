package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// ForkProperty is the image property that asks for servers to be forked from
// a template; see docs/cloud.md.
const ForkProperty = "gatehouse_fork"

// hashProperty is the image property that says from what an image was built.
const hashProperty = "gatehouse_recipe"

// Register puts an image into an image service, as three: kernel (aki),
// ramdisk (ari) and root disk, which names the others and how to boot them.
// All are public, so the client must be an administrator's. It returns the
// root disk's id.
//
// An image of the same name and content that is there already is taken. One
// of other content is replaced: once the new one can be used, the old ones are
// deleted, or renamed while servers keep the service from deleting them.
//
// The image service gets copies, so that a later Build, which removes the
// artefacts, disturbs neither it nor its servers. One that does so before
// Register has opened them makes it fail.
func Register(ctx context.Context, c *gophercloud.ServiceClient, a Artefacts) (string, error) {
	id, err := register(ctx, c, a)
	if err != nil {
		return "", fmt.Errorf("register image %s: %w", a.Name, err)
	}
	return id, nil
}

func register(ctx context.Context, c *gophercloud.ServiceClient, a Artefacts) (string, error) {
	root, err := findImage(ctx, c, a.Name, a.Hash)
	if err != nil {
		return "", err
	}
	if root == "" {
		if root, err = upload(ctx, c, a); err != nil {
			return "", err
		}
	}
	for _, name := range []string{a.Name, a.Name + "-kernel", a.Name + "-ramdisk"} {
		if err := retire(ctx, c, name, a.Hash); err != nil {
			return "", err
		}
	}
	return root, nil
}

// upload makes the three images; none of them remains if one fails.
func upload(ctx context.Context, c *gophercloud.ServiceClient, a Artefacts) (root string, err error) {
	// All at once, for the next build of this image removes them.
	files, closeAll, err := openAll(a.Kernel, a.Ramdisk, a.Root)
	if err != nil {
		return "", fmt.Errorf("the artefacts are not there, perhaps since another build has replaced them: %w", err)
	}
	defer closeAll()
	u := uploader{client: c, hash: a.Hash}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.undo(context.WithoutCancel(ctx)))
		}
	}()
	kernel, err := u.add(ctx, files[0], images.CreateOpts{Name: a.Name + "-kernel", ContainerFormat: "aki", DiskFormat: "aki"})
	if err != nil {
		return "", err
	}
	ramdisk, err := u.add(ctx, files[1], images.CreateOpts{Name: a.Name + "-ramdisk", ContainerFormat: "ari", DiskFormat: "ari"})
	if err != nil {
		return "", err
	}
	properties := map[string]string{
		"kernel_id": kernel, "ramdisk_id": ramdisk, "os_command_line": a.CommandLine,
		"os_type": "linux", "os_admin_user": a.User, "hw_disk_bus": "virtio",
	}
	if a.Forks {
		properties[ForkProperty] = "true"
	}
	return u.add(ctx, files[2], images.CreateOpts{
		Name: a.Name, ContainerFormat: "bare", DiskFormat: "qcow2",
		MinDisk: (a.DiskMB + 1023) / 1024, Properties: properties,
	})
}

// uploader makes images and remembers them.
type uploader struct {
	client *gophercloud.ServiceClient
	hash   string
	made   []string
}

func (u *uploader) add(ctx context.Context, content *os.File, o images.CreateOpts) (string, error) {
	public := images.ImageVisibilityPublic
	o.Visibility = &public
	if o.Properties == nil {
		o.Properties = make(map[string]string)
	}
	o.Properties[hashProperty] = u.hash
	image, err := images.Create(ctx, u.client, o).Extract()
	if err != nil {
		return "", fmt.Errorf("create %s: %w", o.Name, err)
	}
	u.made = append(u.made, image.ID)
	if err := imagedata.Upload(ctx, u.client, image.ID, content).ExtractErr(); err != nil {
		return "", fmt.Errorf("upload %s: %w", content.Name(), err)
	}
	return image.ID, nil
}

func (u *uploader) undo(ctx context.Context) error {
	var failed []error
	for _, id := range u.made {
		failed = append(failed, images.Delete(ctx, u.client, id).ExtractErr())
	}
	return errors.Join(failed...)
}

// named lists the images of a name.
func named(ctx context.Context, c *gophercloud.ServiceClient, name string) ([]images.Image, error) {
	pages, err := images.List(c, images.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return images.ExtractImages(pages)
}

// findImage returns the id of the active image of a name and hash, or "".
func findImage(ctx context.Context, c *gophercloud.ServiceClient, name, hash string) (string, error) {
	found, err := named(ctx, c, name)
	if err != nil {
		return "", err
	}
	for _, i := range found {
		if i.Status == images.ImageStatusActive && i.Properties[hashProperty] == hash {
			return i.ID, nil
		}
	}
	return "", nil
}

// retire removes the images that an earlier Register made under a name from
// other content, and those that one which was killed left unfinished.
func retire(ctx context.Context, c *gophercloud.ServiceClient, name, hash string) error {
	found, err := named(ctx, c, name)
	if err != nil {
		return err
	}
	for _, i := range found {
		old, ours := i.Properties[hashProperty].(string)
		if !ours || (old == hash && i.Status == images.ImageStatusActive) {
			continue // somebody else's, or the one that is wanted
		}
		err := images.Delete(ctx, c, i.ID).ExtractErr()
		if gophercloud.ResponseCodeIs(err, http.StatusConflict) || gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
			retired := images.ReplaceImageName{NewName: fmt.Sprintf("%s (%.12s)", name, old)}
			err = images.Update(ctx, c, i.ID, images.UpdateOpts{retired}).Err
		}
		if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return fmt.Errorf("retire image %s: %w", i.ID, err)
		}
	}
	return nil
}
