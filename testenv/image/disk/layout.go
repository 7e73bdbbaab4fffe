package disk

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk/ext4"
)

// layout says how the volumes of a disk make one tree.
type layout struct {
	root   volume
	mounts map[string]volume // by path, without slashes at the ends
	swap   map[string]bool   // files that are swap space, by path
}

func (l layout) String() string {
	parts := []string{fmt.Sprintf("root: %v", l.root)}
	for _, dir := range slices.Sorted(maps.Keys(l.mounts)) {
		parts = append(parts, fmt.Sprintf("/%s: %v", dir, l.mounts[dir]))
	}
	return strings.Join(parts, "; ")
}

// arrange finds the root among the volumes, and what is mounted in it.
func arrange(volumes []volume) (layout, error) {
	root, err := findRoot(volumes)
	if err != nil {
		return layout{}, err
	}
	l := layout{root: root, mounts: make(map[string]volume), swap: make(map[string]bool)}
	table, err := readFstab(root.fs)
	if err != nil {
		return l, err
	}
	for _, m := range table {
		if err := l.mount(m, volumes); err != nil {
			return l, err
		}
	}
	return l, l.mountBoot(volumes)
}

// findRoot returns the one volume that holds an operating system.
func findRoot(volumes []volume) (volume, error) {
	var roots []volume
	for _, v := range volumes {
		for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
			if v.fs == nil {
				continue
			}
			i, err := v.fs.Lookup(name)
			if err != nil {
				return v, fmt.Errorf("%v: %w", v, err)
			}
			if i != nil {
				roots = append(roots, v)
				break
			}
		}
	}
	switch len(roots) {
	case 1:
		return roots[0], nil
	case 0:
		return volume{}, fmt.Errorf("no ext2, ext3 or ext4 file system with an os-release file; found is %s. "+
			"Of other file systems, or volumes of LVM, the root cannot be taken: have the image made with ext4 on a partition", list(volumes))
	}
	return volume{}, fmt.Errorf("several operating systems: %s", list(roots))
}

func list(volumes []volume) string {
	var names []string
	for _, v := range volumes {
		names = append(names, v.String())
	}
	return strings.Join(names, ", ")
}

// mounting is a line of fstab(5).
type mounting struct{ source, dir, kind string }

// readFstab returns the lines of a root's /etc/fstab, if it has one.
func readFstab(root *ext4.FS) ([]mounting, error) {
	i, err := root.Lookup("etc/fstab")
	if err != nil || i == nil || i.Type() != ext4.TypeRegular {
		return nil, err
	}
	r, err := i.Content()
	if err != nil {
		return nil, err
	}
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(r, most))
	var table []mounting
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || strings.HasPrefix(f[0], "#") {
			continue
		}
		table = append(table, mounting{f[0], strings.Trim(path.Clean(f[1]), "/"), f[2]})
	}
	return table, err
}

// mount adds what a line of fstab mounts, if it is on the disk.
func (l layout) mount(m mounting, volumes []volume) error {
	if m.kind == kindSwap {
		l.swap[strings.Trim(path.Clean(m.source), "/")] = true
		return nil
	}
	if m.dir == "" || m.dir == "none" || virtual(m.dir) {
		return nil
	}
	k := slices.IndexFunc(volumes, func(v volume) bool { return v.is(m.source) })
	if k < 0 {
		if m.unreadable(volumes) {
			return m.refused()
		}
		return nil // of another disk
	}
	switch v := volumes[k]; {
	case v.kind == kindFAT || v.number == l.root.number:
		return nil
	case v.fs == nil:
		return m.refused()
	case l.mounts[m.dir].fs != nil:
		return fmt.Errorf("its fstab mounts /%s twice", m.dir)
	default:
		l.mounts[m.dir] = v
		return nil
	}
}

// unreadable reports whether a line whose source was not found must mean
// something on the disk: a volume of LVM, or a file system whose label and UUID
// are not looked for.
func (m mounting) unreadable(volumes []volume) bool {
	return strings.HasPrefix(m.source, "/dev/mapper/") || slices.ContainsFunc(volumes, func(v volume) bool {
		return v.fs == nil && v.kind != kindFAT && strings.EqualFold(v.kind, m.kind)
	})
}

func (m mounting) refused() error {
	return fmt.Errorf("/%s is a file system of its own (%s on %s) that cannot be read; have the image made with ext4 on a partition", m.dir, m.kind, m.source)
}

// virtual reports whether what is in a directory is made when a system boots.
func virtual(dir string) bool {
	top, _, _ := strings.Cut(dir, "/")
	return slices.Contains([]string{"dev", "proc", "run", "sys", "tmp"}, top)
}

// lastNumber is the partition's number in the name of a disk's device.
var lastNumber = regexp.MustCompile(`^/dev/(?:[hsv]d[a-z]|xvd[a-z]|(?:nvme\d+n|mmcblk|loop)\d+p)(\d+)$`)

// is reports whether fstab means v by source.
func (v volume) is(source string) bool {
	if m := lastNumber.FindStringSubmatch(source); m != nil {
		return m[1] == fmt.Sprint(v.number)
	}
	by, value, _ := strings.Cut(source, "=")
	if device, ok := strings.CutPrefix(source, "/dev/disk/by-"); ok {
		by, value, _ = strings.Cut(device, "/")
	}
	value = strings.Trim(value, `"`)
	switch strings.ToUpper(by) {
	case "PARTUUID":
		return strings.EqualFold(value, v.uuid)
	case "PARTLABEL":
		return value != "" && value == v.label
	case "UUID":
		return v.fs != nil && strings.EqualFold(value, v.fs.UUID())
	case "LABEL":
		return value != "" && v.fs != nil && value == v.fs.Label()
	}
	return false
}

// mountBoot finds the file system with the kernels if fstab names none, as
// where systemd finds it by its type.
func (l layout) mountBoot(volumes []volume) error {
	const boot = "boot"
	if _, ok := l.mounts[boot]; ok {
		return nil
	}
	for _, v := range volumes {
		if v.fs == nil || v.number == l.root.number || l.mounted(v) {
			continue
		}
		top, err := v.fs.Lookup("")
		if err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
		entries, err := top.ReadDir()
		if err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
		if !slices.ContainsFunc(entries, func(e ext4.Entry) bool { return strings.HasPrefix(e.Name, "vmlinuz") }) {
			continue
		}
		if _, twice := l.mounts[boot]; twice {
			return errors.New("several file systems with kernels, and no fstab that says which is /boot")
		}
		l.mounts[boot] = v
	}
	return nil
}

func (l layout) mounted(v volume) bool {
	for _, m := range l.mounts {
		if m.number == v.number {
			return true
		}
	}
	return false
}
