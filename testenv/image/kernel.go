package image

import (
	"context"
	"os"
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/testenv/image/kernel"
)

// kernelDir is where the kernels lie that all images share. No image can have
// this name.
func (b *build) kernelDir() string { return filepath.Join(b.config.Dir, "_kernels") }

// kernelTar is the archive with the kernel and its modules.
func (b *build) kernelTar() string {
	k := b.recipe.Kernel
	if k.Own {
		return b.baseTar
	}
	return filepath.Join(b.kernelDir(), "kernel-"+digest(k.Suite, k.Package)[:16]+".tar")
}

// makeKernel takes the kernel out of its archive, unpacked if that is possible.
func (b *build) makeKernel(_ context.Context, to string) error {
	k, err := kernel.Open(b.kernelTar())
	if err != nil {
		return err
	}
	defer k.Close() //nolint:errcheck // only read
	image, err := k.Image()
	if err != nil {
		return err
	}
	if unpacked, err := kernel.Unpack(image); err != nil {
		b.say("  %s as it is: %v", k.Version, err)
	} else {
		image = unpacked
	}
	return os.WriteFile(to, image, 0o644) //nolint:gosec // nothing secret
}
