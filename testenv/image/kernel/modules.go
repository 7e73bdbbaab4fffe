package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Module is a loadable part of a kernel.
type Module struct {
	Path    string // in the root file system, without a suffix for packing
	Content []byte // unpacked: what the system call init_module takes
	needs   []string
}

// Modules returns the named modules with all that they need, each after its
// needs. Those that are built into the kernel are left out. An error names
// one that the kernel has not; an optional one is passed over.
func (k *Kernel) Modules(names []string, optional bool) ([]Module, error) {
	var ordered []Module
	for _, name := range names {
		grown, err := k.withNeeds(ordered, moduleName(name))
		switch {
		case err == nil:
			ordered = grown
		case !optional:
			return nil, err
		}
	}
	return ordered, nil
}

func (k *Kernel) withNeeds(ordered []Module, name string) ([]Module, error) {
	has := func(m Module) bool { return moduleName(m.Path) == name }
	if k.builtin[name] || slices.ContainsFunc(ordered, has) {
		return ordered, nil
	}
	m, err := k.module(name)
	if err != nil {
		return nil, err
	}
	for _, need := range m.needs {
		if ordered, err = k.withNeeds(ordered, need); err != nil {
			return nil, fmt.Errorf("%s needs: %w", name, err)
		}
	}
	return append(ordered, m), nil
}

// module unpacks a module and reads what it needs.
func (k *Kernel) module(name string) (Module, error) {
	file, ok := k.modules[name]
	if !ok {
		return Module{}, fmt.Errorf("the kernel has no module %s", name)
	}
	content, err := k.read(file)
	if err != nil {
		return Module{}, err
	}
	m := Module{Path: file.path, Content: content}
	if !bytes.HasPrefix(m.Content, []byte(elf.ELFMAG)) {
		if m.Content, err = decompress(m.Content); err != nil {
			return m, fmt.Errorf("module %s: %w", name, err)
		}
		m.Path = m.Path[:strings.LastIndex(m.Path, ".ko")+len(".ko")]
	}
	f, err := elf.NewFile(bytes.NewReader(m.Content))
	if err != nil {
		return m, fmt.Errorf("module %s: %w", name, err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return m, fmt.Errorf("module %s has no .modinfo", name)
	}
	info, err := section.Data()
	if err != nil {
		return m, fmt.Errorf("module %s: %w", name, err)
	}
	m.needs = needs(string(info))
	return m, nil
}

// needs reads depends= of a module's information, as modinfo(8) shows it.
func needs(info string) []string {
	var names []string
	for setting := range strings.SplitSeq(info, "\x00") {
		if list, ok := strings.CutPrefix(setting, "depends="); ok && list != "" {
			for name := range strings.SplitSeq(list, ",") {
				names = append(names, moduleName(name))
			}
		}
	}
	return names
}

// moduleName is a module's name as the kernel knows it: without path and
// suffix, and - and _ are one.
func moduleName(file string) string {
	base := path.Base(file)
	if i := strings.LastIndex(base, ".ko"); i > 0 {
		base = base[:i]
	}
	return strings.ReplaceAll(base, "-", "_")
}
