// Package image builds test images: a kernel, an initramfs whose init is
// testenv/agent, and an ext4 root disk with a distribution and warm caches, as
// a recipe says, and registers them in an OpenStack image service.
//
// Nothing in a build needs privileges of its own: without root it runs in a
// user namespace (mmdebstrap's, which needs newuidmap and a range in
// /etc/subuid). What was built is kept by a hash of all that went into it, in
// three layers: base system, root disk, initramfs.
package image

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"path"
	"regexp"

	"github.com/goccy/go-yaml"
)

//go:embed recipes/*.yaml
var recipes embed.FS

// Recipe says what a test image holds. See recipes/go.yaml for an example with
// explanations.
type Recipe struct {
	Name        string            `yaml:"name"`  // of the image in the image service
	Suite       string            `yaml:"suite"` // of Debian
	Kernel      string            `yaml:"kernel"`
	Packages    []string          `yaml:"packages"`
	Exclude     []string          `yaml:"exclude"` // path patterns that dpkg does not unpack
	User        User              `yaml:"user"`
	Modules     KernelModules     `yaml:"modules"`
	Environment map[string]string `yaml:"environment"`
	Copy        []Copy            `yaml:"copy"`
	Warm        Warm              `yaml:"warm"`
	CommandLine string            `yaml:"command-line"` // of the kernel
	DiskMB      int               `yaml:"disk-mb"`      // size of the root disk, in MiB

	text []byte
}

// User is who runs jobs. He may do everything by sudo.
type User struct {
	Name string `yaml:"name"`
	UID  int    `yaml:"uid"` // also his group's id
}

// KernelModules names kernel modules without their path and suffix.
type KernelModules struct {
	Early []string `yaml:"early"`
	Late  []string `yaml:"late"`
}

// Copy puts a file or tree of the host into the image, owned by root.
type Copy struct {
	From    string   `yaml:"from"` // a name in Config.Inputs
	To      string   `yaml:"to"`
	Exclude []string `yaml:"exclude"` // patterns (path.Match) of base names; of paths below From if they start with /
}

// Warm says what is run, as the user, while the image is built, so that the
// caches it leaves need not be filled by each job.
type Warm struct {
	Modules        []WarmModule `yaml:"modules"`
	Commands       []string     `yaml:"commands"`        // run once
	ModuleCommands []string     `yaml:"module-commands"` // run in each module's tree
}

// WarmModule is a Go module that the host can download.
type WarmModule struct {
	Module  string `yaml:"module"`
	Version string `yaml:"version"`
	Project string `yaml:"project"` // its tree is put at HOME/src/PROJECT
}

// Named returns the built-in recipe of a name, such as "go".
func Named(name string) (Recipe, error) {
	text, err := recipes.ReadFile(path.Join("recipes", name+".yaml"))
	if err != nil {
		return Recipe{}, fmt.Errorf("no recipe %q", name)
	}
	return Parse(text)
}

// Parse reads a recipe. Unknown keys are errors.
func Parse(text []byte) (Recipe, error) {
	r := Recipe{text: bytes.Clone(text)}
	if err := yaml.UnmarshalWithOptions(text, &r, yaml.Strict()); err != nil {
		return r, fmt.Errorf("recipe: %w", err)
	}
	return r, r.check()
}

// word is what may stand in a shell command and in a file name as it is.
var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

func (r Recipe) check() error {
	var wrong []error
	words := append([]string{r.Name, r.Suite, r.Kernel, r.User.Name}, r.Packages...)
	words = append(append(words, r.Modules.Early...), r.Modules.Late...)
	for _, m := range r.Warm.Modules {
		words = append(words, m.Project)
	}
	for _, w := range words {
		if !word.MatchString(w) {
			wrong = append(wrong, fmt.Errorf("recipe: %q is not a name", w))
		}
	}
	for _, c := range r.Copy {
		if !path.IsAbs(c.To) {
			wrong = append(wrong, fmt.Errorf("recipe: copy of %s: %q is not an absolute path", c.From, c.To))
		}
	}
	if r.DiskMB < 64 {
		wrong = append(wrong, fmt.Errorf("recipe: a disk of %d MB holds no system", r.DiskMB))
	}
	if r.User.UID < 1 {
		wrong = append(wrong, errors.New("recipe: the user has no uid"))
	}
	return errors.Join(wrong...)
}
