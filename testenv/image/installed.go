package image

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/testenv/image/installer"
)

// fetchInstalled runs an installer and takes the system that it installed.
func (b *build) fetchInstalled(ctx context.Context, w io.Writer) (fetched, error) {
	r := b.recipe.Installer
	iso, done, err := b.diskFile(ctx, r.ISO)
	if err != nil {
		return fetched{}, err
	}
	defer done()
	dir, err := os.MkdirTemp(b.config.TempDir, "gatehouse-install-*")
	if err != nil {
		return fetched{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	inject := make(map[string]string)
	for to, from := range r.Inject {
		inject[to] = b.recipe.path(from)
	}
	installed := filepath.Join(dir, "disk.qcow2")
	err = installer.Run(ctx, installer.Config{
		ISO: iso, Kernel: r.Kernel, Ramdisk: r.Ramdisk, CommandLine: r.CommandLine, Inject: inject,
		DiskMB: r.DiskMB, MemoryMB: r.MemoryMB, Network: r.Network, Timeout: time.Duration(r.Minutes) * time.Minute,
		To: installed, TempDir: b.config.TempDir, QEMU: b.config.QEMU,
		Environment: b.config.Environment, Progress: b.step,
	})
	if err != nil {
		return fetched{}, err
	}
	return fetched{Origin: r.ISO.File + r.ISO.URL}, b.fetchDisk(ctx, installed, w)
}
