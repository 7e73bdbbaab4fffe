package image

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed recipes/*.yaml
var recipes embed.FS

// Recipes lists the built-in recipes, in order.
func Recipes() []string {
	files, err := recipes.ReadDir("recipes")
	if err != nil {
		panic(err) // they are compiled in
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// Named returns the built-in recipe of a name, such as "go".
func Named(name string) (Recipe, error) {
	text, err := recipes.ReadFile(path.Join("recipes", name+".yaml"))
	if err != nil {
		return Recipe{}, fmt.Errorf("no recipe %q: there are %s", name, strings.Join(Recipes(), ", "))
	}
	return Parse(text)
}

// Open returns the recipe in a file, if the argument has a slash or ends in
// .yaml or .yml, else the built-in one of that name. Paths in a file are
// relative to its directory.
func Open(nameOrFile string) (Recipe, error) {
	ext := filepath.Ext(nameOrFile)
	if !strings.ContainsRune(nameOrFile, '/') && ext != ".yaml" && ext != ".yml" {
		return Named(nameOrFile)
	}
	text, err := os.ReadFile(nameOrFile)
	if err != nil {
		return Recipe{}, err
	}
	r, err := parse(text, filepath.Dir(nameOrFile))
	if err != nil {
		return r, fmt.Errorf("%s: %w", nameOrFile, err)
	}
	return r, nil
}

// Parse reads a recipe. Paths in it are relative to the working directory.
// Errors name the line or the key: unknown keys are errors.
func Parse(text []byte) (Recipe, error) {
	r, err := parse(text, ".")
	if err != nil {
		return r, fmt.Errorf("recipe: %w", err)
	}
	return r, nil
}

func parse(text []byte, dir string) (Recipe, error) {
	r := Recipe{text: bytes.Clone(text), dir: dir}
	if err := yaml.UnmarshalWithOptions(text, &r, yaml.Strict()); err != nil {
		return r, err
	}
	r.complete()
	c := checker{text: text}
	c.recipe(r)
	return r, errors.Join(c.wrong...)
}

// What recipes need not say.
const (
	defaultKernel = "linux-image-cloud-amd64"
	defaultSuite  = "bookworm"
	defaultDiskMB = 3072
	// Without no_timer_check a loaded host without KVM may not boot. With
	// norandmaps QEMU need not translate programs anew for each process. The
	// others save time that a machine for one job has no use for.
	defaultCommandLine = "root=/dev/vda rootfstype=ext4 rw console=ttyS0 quiet panic=-1 " +
		"no_timer_check norandmaps cryptomgr.notests tsc=reliable mitigations=off"
)

// complete fills in what the recipe leaves out.
func (r *Recipe) complete() {
	if r.Init == "" {
		r.Init = Agent
	}
	if r.User.Name == "" {
		r.User.Name = "gate"
	}
	if r.CommandLine == "" {
		r.CommandLine = defaultCommandLine
	}
	if r.DiskMB == 0 {
		r.DiskMB = defaultDiskMB
	}
	if r.Kernel == nil {
		r.Kernel = &Kernel{Own: r.Disk != nil || r.Installer != nil}
	}
	if k := r.Kernel; !k.Own {
		if k.Package == "" {
			k.Package = defaultKernel
		}
		if k.Suite == "" {
			k.Suite = defaultSuite
			if r.Debian != nil {
				k.Suite = r.Debian.Suite
			}
		}
	}
}

// path returns where a file that the recipe names is.
func (r Recipe) path(file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(r.dir, file)
}

// UnmarshalYAML reads a suite, or an object.
func (d *Debian) UnmarshalYAML(unmarshal func(any) error) error {
	type object Debian
	return scalarOr(unmarshal, func(s string) { d.Suite = s }, (*object)(d))
}

// UnmarshalYAML reads a reference, or an object.
func (o *OCI) UnmarshalYAML(unmarshal func(any) error) error {
	type object OCI
	return scalarOr(unmarshal, func(s string) { o.Reference = s }, (*object)(o))
}

// UnmarshalYAML reads the name of a file, or an object.
func (d *Disk) UnmarshalYAML(unmarshal func(any) error) error {
	type object Disk
	return scalarOr(unmarshal, func(s string) { d.File = s }, (*object)(d))
}

// UnmarshalYAML reads "own", the name of a package, or an object.
func (k *Kernel) UnmarshalYAML(unmarshal func(any) error) error {
	type object Kernel
	return scalarOr(unmarshal, func(s string) {
		if k.Own = s == "own"; !k.Own {
			k.Package = s
		}
	}, (*object)(k))
}

func scalarOr(unmarshal func(any) error, set func(string), object any) error {
	var s string
	if unmarshal(&s) == nil {
		set(s)
		return nil
	}
	return unmarshal(object)
}

// Mode is a file's mode; 0 if the recipe gives none.
type Mode int64

// UnmarshalYAML reads an octal number, with or without quotes and 0o.
func (m *Mode) UnmarshalYAML(text []byte) error {
	digits := strings.TrimPrefix(strings.Trim(string(bytes.TrimSpace(text)), `"'`), "0o")
	n, err := strconv.ParseInt(digits, 8, 64)
	if err != nil || n < 1 || n > 0o7777 {
		return fmt.Errorf("%q is not a mode such as 0644", digits)
	}
	*m = Mode(n)
	return nil
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
