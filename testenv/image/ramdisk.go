package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
	"github.com/gatehouse-dev/gatehouse/testenv/image/kernel"
)

// standardModules are what machines of the cloud need: their devices, the file
// systems of the root disk and the config drive, the power button, the
// gate's tunnel. Kernels have some of them built in or not at all. The agent
// reads the config drive itself; other programs mount it.
func standardModules(init string) Modules {
	m := Modules{
		Early: []string{"virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "virtio_net"},
		Late:  []string{"button", "evdev", "virtio_rng", "crc32c_intel", "tun"},
	}
	if init == Agent {
		m.Late = append(m.Late, "isofs")
	} else {
		m.Early = append(m.Early, "isofs")
	}
	return m
}

// makeRamdisk makes the initramfs: the agent as init, and kernel modules. It
// is not compressed: unpacking it would take the guest longer than reading it.
func (b *build) makeRamdisk(_ context.Context, to string) error {
	k, err := kernel.Open(b.kernelTar())
	if err != nil {
		return err
	}
	defer k.Close() //nolint:errcheck // only read
	standard := standardModules(b.recipe.Init)
	early, err := modules(k, standard.Early, b.recipe.Modules.Early)
	if err != nil {
		return err
	}
	late, err := modules(k, standard.Late, b.recipe.Modules.Late)
	if err != nil {
		return err
	}
	late = slices.DeleteFunc(late, func(m kernel.Module) bool { return holds(early, m) })

	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := newRamfsWriter(f)
	w.Character("/dev/console", 0o600, 5, 1)
	w.Copy("/init", 0o755, b.config.Agent)
	for _, m := range slices.Concat(early, late) {
		w.File("/"+m.Path, 0o644, m.Content)
	}
	w.File(agent.EarlyModules, 0o644, moduleList(early))
	w.File(agent.LateModules, 0o644, moduleList(late))
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

// modules returns those of the standard modules that a kernel has, and all
// that the recipe wants.
func modules(k *kernel.Kernel, standard, wanted []string) ([]kernel.Module, error) {
	found, err := k.Modules(standard, true)
	if err != nil {
		return nil, err
	}
	more, err := k.Modules(wanted, false)
	if err != nil {
		return nil, err
	}
	for _, m := range more {
		if !holds(found, m) {
			found = append(found, m)
		}
	}
	return found, nil
}

func holds(modules []kernel.Module, m kernel.Module) bool {
	return slices.ContainsFunc(modules, func(other kernel.Module) bool { return other.Path == m.Path })
}

func moduleList(modules []kernel.Module) []byte {
	var list bytes.Buffer
	for _, m := range modules {
		fmt.Fprintf(&list, "/%s\n", m.Path)
	}
	return list.Bytes()
}
