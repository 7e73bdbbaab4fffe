package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
)

// makeRamdisk makes the initramfs: the agent as init, and kernel modules. It
// is not compressed: unpacking it would take the guest longer than reading it.
func (b *build) makeRamdisk(_ context.Context, to string) error {
	modules, err := readModules(b.baseTar())
	if err != nil {
		return err
	}
	early, err := modules.order(b.recipe.Modules.Early)
	if err != nil {
		return err
	}
	late, err := modules.order(b.recipe.Modules.Late)
	if err != nil {
		return err
	}
	late = slices.DeleteFunc(late, func(m string) bool { return slices.Contains(early, m) })

	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := newRamfsWriter(f)
	w.Character("/dev/console", 0o600, 5, 1)
	w.Copy("/init", 0o755, b.config.Agent)
	for _, m := range slices.Concat(early, late) {
		w.File("/"+m, 0o644, modules.content[m])
	}
	w.File(agent.EarlyModules, 0o644, moduleList(early))
	w.File(agent.LateModules, 0o644, moduleList(late))
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

func moduleList(modules []string) []byte {
	var list bytes.Buffer
	for _, m := range modules {
		fmt.Fprintf(&list, "/%s\n", m)
	}
	return list.Bytes()
}

// kernelModules are a kernel's modules: their content and what each needs, by
// their paths in the root file system.
type kernelModules struct {
	content map[string][]byte
	needs   map[string][]string // as modules.dep(5): the last one is loaded first
	builtin map[string]bool     // by name
}

func readModules(archive string) (kernelModules, error) {
	m := kernelModules{make(map[string][]byte), make(map[string][]string), make(map[string]bool)}
	err := eachFile(archive, []string{"lib/modules/", "usr/lib/modules/"}, func(file string, r io.Reader) error {
		base := path.Base(file)
		if base != "modules.dep" && base != "modules.builtin" && !strings.HasSuffix(base, ".ko") {
			return nil
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		switch base {
		case "modules.dep":
			return m.readNeeds(path.Dir(file), content)
		case "modules.builtin":
			return eachLine(bytes.NewReader(content), func(line string) { m.builtin[moduleName(line)] = true })
		default:
			m.content[file] = content
			return nil
		}
	})
	return m, err
}

func (m kernelModules) readNeeds(dir string, dep []byte) error {
	return eachLine(bytes.NewReader(dep), func(line string) {
		file, needs, _ := strings.Cut(line, ":")
		var paths []string
		for need := range strings.FieldsSeq(needs) {
			paths = append(paths, path.Join(dir, need))
		}
		m.needs[path.Join(dir, file)] = paths
	})
}

// order returns the named modules with all they need, each after its needs.
// Modules that are built into the kernel are left out.
func (m kernelModules) order(names []string) ([]string, error) {
	var ordered []string
	add := func(file string) {
		if !slices.Contains(ordered, file) {
			ordered = append(ordered, file)
		}
	}
	for _, name := range names {
		if m.builtin[moduleName(name)] {
			continue
		}
		file, ok := m.find(name)
		if !ok {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		for _, need := range slices.Backward(m.needs[file]) {
			add(need)
		}
		add(file)
	}
	return ordered, nil
}

func (m kernelModules) find(name string) (string, bool) {
	for file := range m.needs {
		if moduleName(file) == moduleName(name) {
			return file, true
		}
	}
	return "", false
}

// moduleName is a module's name as the kernel knows it: - and _ are one.
func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
}
