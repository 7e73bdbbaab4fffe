package image

import (
	"fmt"
	"os"
	"strings"
)

// tool is a program that a build runs, and the Debian package that has it.
type tool struct{ program, pkg string }

// toolsFor lists the programs that a recipe's build runs.
func toolsFor(c Config, r Recipe) []tool {
	tools := []tool{
		{"mke2fs", "e2fsprogs"},
		{"qemu-img", "qemu-utils"},
		{"unshare", "util-linux"},
		{"tar", "tar"},
		{c.QEMU, "qemu-system-x86"},
	}
	root := os.Geteuid() == 0
	if r.Debian != nil || !root {
		tools = append(tools, tool{"mmdebstrap", "mmdebstrap"})
	}
	if !r.Kernel.Own {
		tools = append(tools, tool{"apt-get", "apt"}, tool{"dpkg-deb", "dpkg"})
	}
	if !root {
		tools = append(tools, tool{"newuidmap", "uidmap"})
	}
	return tools
}

// lacking says which programs and rights a build would miss.
func lacking(c Config, r Recipe) error {
	var packages []string
	for _, t := range toolsFor(c, r) {
		if !has(c, t.program) {
			packages = append(packages, t.pkg)
		}
	}
	if packages = unique(packages); len(packages) > 0 {
		return fmt.Errorf("building an image needs %s: apt install %s",
			strings.Join(packages, ", "), strings.Join(packages, " "))
	}
	if os.Geteuid() != 0 {
		return subordinateIDs()
	}
	return nil
}

// subordinateIDs says what a user lacks to be root of a namespace.
func subordinateIDs() error {
	name := fmt.Sprint(os.Getuid())
	if u, err := userName(os.Getuid()); err == nil {
		name = u
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if !strings.Contains("\n"+string(text), "\n"+name+":") {
			return fmt.Errorf("building an image without root needs a range of ids for %s in %s: "+
				"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name, file, name)
		}
	}
	return nil
}
