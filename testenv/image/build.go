package image

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config says where and from what images are built.
type Config struct {
	// Dir keeps what was built; it is made if missing. One build at a time
	// works on an image, others of the same name wait.
	Dir string
	// TempDir is where root file systems are laid out: some 3 GB, and without
	// root, reachable by every user. Empty: /var/tmp.
	TempDir string
	// Agent is the static gatehouse-agent program.
	Agent string
	// Inputs are the host's files and trees that recipes copy, by name; see
	// Recipe.Inputs.
	Inputs map[string]string
	// Refresh fetches the base system and the kernel anew, for security fixes.
	// What did not change is then not built again.
	Refresh bool
	// QEMU runs the boot check and installers. Empty: qemu-system-x86_64.
	QEMU string
	// Environment is handed to the programs that fetch things: PATH, HOME,
	// proxies, GOPROXY and so on, as in os.Environ.
	Environment []string
	// Progress is told what happens. It may be nil.
	Progress func(Event)
}

// Event is a line of a build's progress.
type Event struct {
	Elapsed time.Duration // since the build began
	Text    string
}

// Artefacts are a built image.
type Artefacts struct {
	Name        string `json:"name"`
	Hash        string `json:"hash"` // of all that went into it; hexadecimal
	Kernel      string `json:"kernel"`
	Ramdisk     string `json:"ramdisk"`
	Root        string `json:"root"` // qcow2
	CommandLine string `json:"command_line"`
	User        string `json:"user"`    // who runs jobs
	DiskMB      int    `json:"disk_mb"` // the root disk's size, the least a server needs
	Forks       bool   `json:"forks"`   // its init is our agent
}

// Build makes the image that a recipe describes, boots it once as proof, and
// returns its files, which last until the next build of the same name. What
// was built before from the same inputs is taken as it is; if that is all,
// Build takes less than a second.
func Build(ctx context.Context, c Config, r Recipe) (Artefacts, error) {
	b := &build{config: c, recipe: r, began: time.Now()}
	if err := b.prepare(); err != nil {
		return Artefacts{}, fmt.Errorf("build %s: %w", r.Name, err)
	}
	unlock, err := b.lock(ctx, b.dir)
	if err != nil {
		return Artefacts{}, fmt.Errorf("build %s: %w", r.Name, err)
	}
	defer unlock()
	if err := b.fetch(ctx); err != nil {
		return Artefacts{}, fmt.Errorf("build %s: %w", r.Name, err)
	}
	a := b.artefacts()
	if b.checked(a) {
		b.say("image %s is there already (%s)", a.Name, a.Hash[:12])
		return a, nil
	}
	for _, l := range []layer{
		{"kernel", a.Kernel, b.makeKernel},
		{"root disk", a.Root, b.makeRoot},
		{"initramfs", a.Ramdisk, b.makeRamdisk},
	} {
		if err := b.make(ctx, l); err != nil {
			return a, fmt.Errorf("build %s: %w", r.Name, err)
		}
	}
	if err := b.check(ctx, a); err != nil {
		return a, fmt.Errorf("boot %s: %w", r.Name, err)
	}
	return a, b.keep(a)
}

// build is one run of Build.
type build struct {
	config       Config
	recipe       Recipe
	dir          string // in Config.Dir, of this image
	began        time.Time
	baseTar      string // the base system's archive
	base, kernel fetched
	keys         keys
}

func (b *build) say(format string, args ...any) {
	if b.config.Progress != nil {
		b.config.Progress(Event{Elapsed: time.Since(b.began), Text: fmt.Sprintf(format, args...)})
	}
}

func (b *build) prepare() error {
	if b.config.TempDir == "" {
		b.config.TempDir = "/var/tmp"
	}
	if b.config.QEMU == "" {
		b.config.QEMU = "qemu-system-x86_64"
	}
	if err := lacking(b.config, b.recipe); err != nil {
		return err
	}
	for _, name := range b.recipe.Inputs() {
		if b.config.Inputs[name] == "" {
			return fmt.Errorf("the recipe wants %s, which Config.Inputs does not have", name)
		}
	}
	var err error
	if b.config.Dir, err = filepath.Abs(b.config.Dir); err != nil {
		return err
	}
	b.dir = filepath.Join(b.config.Dir, b.recipe.Name)
	for _, dir := range []string{b.dir, b.kernelDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a namespace's root is nobody here
			return err
		}
	}
	return nil
}

func (b *build) artefacts() Artefacts {
	return Artefacts{
		Name:        b.recipe.Name,
		Hash:        b.keys.image,
		Kernel:      b.file("kernel", b.keys.kernel, ""),
		Ramdisk:     b.file("ramdisk", b.keys.ramdisk, ".cpio"),
		Root:        b.file("root", b.keys.root, ".qcow2"),
		CommandLine: b.commandLine(),
		User:        b.recipe.User.Name,
		DiskMB:      b.recipe.DiskMB,
		Forks:       b.recipe.Init == Agent,
	}
}

// commandLine tells the agent of another init.
func (b *build) commandLine() string {
	if b.recipe.Init == Agent {
		return b.recipe.CommandLine
	}
	return b.recipe.CommandLine + " gatehouse.init=" + b.recipe.Init
}

// checked reports whether a was built, booted and kept.
func (b *build) checked(a Artefacts) bool {
	for _, file := range []string{b.proof(a), a.Kernel, a.Ramdisk, a.Root} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

func (b *build) proof(a Artefacts) string { return b.file("image", a.Hash, ".json") }

// keep notes that an image is good, and removes what earlier builds of the
// same recipe left.
func (b *build) keep(a Artefacts) error {
	text, err := json.MarshalIndent(a, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.proof(a), append(text, '\n'), 0o600); err != nil {
		return err
	}
	return b.prune(a)
}
