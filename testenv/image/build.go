package image

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed stages/base.sh
var baseStage string

//go:embed stages/root.sh
var rootStage string

// Config says where and from what images are built.
type Config struct {
	// Dir keeps what was built; it is made if missing. One build at a time
	// works in it, others wait.
	Dir string
	// TempDir is where root file systems are laid out: some 3 GB, and without
	// root, reachable by every user. Empty: /var/tmp.
	TempDir string
	// Agent is the static gatehouse-agent program.
	Agent string
	// Inputs are the host's files and trees that recipes copy, by name.
	// "GOROOT" must be the Go toolchain if a recipe warms up modules.
	Inputs map[string]string
	// QEMU runs the boot check. Empty: qemu-system-x86_64.
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
}

// Build makes the image that a recipe describes, boots it once as proof, and
// returns its files. What was built before from the same inputs is taken as it
// is; if that is all, Build takes less than a second.
func Build(ctx context.Context, c Config, r Recipe) (Artefacts, error) {
	b := &build{config: c, recipe: r, began: time.Now()}
	if err := b.prepare(); err != nil {
		return Artefacts{}, err
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return Artefacts{}, err
	}
	defer unlock()
	a := b.artefacts()
	if b.checked(a) {
		b.say("image %s is there already (%s)", a.Name, a.Hash[:12])
		return a, nil
	}
	for _, layer := range []struct {
		name, file string
		make       func(ctx context.Context, to string) error
	}{
		{"base system", b.baseTar(), b.makeBase},
		{"kernel", a.Kernel, b.makeKernel},
		{"root disk", a.Root, b.makeRoot},
		{"initramfs", a.Ramdisk, b.makeRamdisk},
	} {
		if err := b.layer(ctx, layer.name, layer.file, layer.make); err != nil {
			return a, fmt.Errorf("build %s: %s: %w", r.Name, layer.name, err)
		}
	}
	if err := b.check(ctx, a); err != nil {
		return a, fmt.Errorf("boot %s: %w", r.Name, err)
	}
	return a, b.keep(a)
}

// build is one run of Build.
type build struct {
	config Config
	recipe Recipe
	began  time.Time
	keys   keys
}

// keys name the layers by what goes into them, in hexadecimal.
type keys struct{ base, root, ramdisk string }

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
	if err := lacking(b.config); err != nil {
		return err
	}
	for _, c := range b.recipe.Copy {
		if b.config.Inputs[c.From] == "" {
			return fmt.Errorf("recipe %s wants %s, which Config.Inputs does not have", b.recipe.Name, c.From)
		}
	}
	dir, err := filepath.Abs(filepath.Join(b.config.Dir, b.recipe.Name))
	if err != nil {
		return err
	}
	b.config.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a namespace's root is nobody here
		return err
	}
	b.keys, err = b.hash()
	return err
}

// hash computes the keys: a layer's contains that of the layer beneath.
func (b *build) hash() (keys, error) {
	var k keys
	base, err := json.Marshal([]any{b.recipe.Suite, b.recipe.Kernel, b.recipe.Packages, b.recipe.Exclude, baseStage})
	if err != nil {
		return k, err
	}
	k.base = digest(string(base))
	inputs := []string{k.base, string(b.recipe.text), rootStage, warmTemplate}
	for _, name := range slices.Sorted(maps.Keys(b.config.Inputs)) {
		sum, err := fingerprint(b.config.Inputs[name])
		if err != nil {
			return k, err
		}
		inputs = append(inputs, name, sum)
	}
	k.root = digest(inputs...)
	agent, err := fingerprint(b.config.Agent)
	k.ramdisk = digest(k.base, agent, strings.Join(b.recipe.Modules.Early, " "), strings.Join(b.recipe.Modules.Late, " "))
	return k, err
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fingerprint tells inputs apart: a file by its content, a Go toolchain by its
// VERSION file, another tree by its files' names, sizes and times.
func fingerprint(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		if version, err := os.ReadFile(filepath.Join(path, "VERSION")); err == nil {
			return string(version), nil
		}
		return treeFingerprint(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func treeFingerprint(dir string) (string, error) {
	h := sha256.New()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			fmt.Fprintf(h, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func (b *build) file(kind, key, suffix string) string {
	return filepath.Join(b.config.Dir, kind+"-"+key[:16]+suffix)
}

func (b *build) baseTar() string { return b.file("base", b.keys.base, ".tar") }

func (b *build) artefacts() Artefacts {
	return Artefacts{
		Name:        b.recipe.Name,
		Hash:        digest(b.keys.base, b.keys.root, b.keys.ramdisk),
		Kernel:      b.file("kernel", b.keys.base, ""),
		Ramdisk:     b.file("ramdisk", b.keys.ramdisk, ".cpio"),
		Root:        b.file("root", b.keys.root, ".qcow2"),
		CommandLine: b.recipe.CommandLine,
		User:        b.recipe.User.Name,
		DiskMB:      b.recipe.DiskMB,
	}
}

// layer makes a file unless it is there. A layer that fails leaves none.
func (b *build) layer(ctx context.Context, name, file string, build func(context.Context, string) error) error {
	if _, err := os.Stat(file); err == nil {
		b.say("%s: taken from the last build", name)
		return nil
	}
	b.say("%s …", name)
	began := time.Now()
	unfinished := file + ".new"
	defer os.Remove(unfinished) //nolint:errcheck // renamed, or in vain
	if err := build(ctx, unfinished); err != nil {
		return err
	}
	info, err := os.Stat(unfinished)
	if err != nil {
		return err
	}
	b.say("%s: %d MB in %.1f s", name, info.Size()>>20, time.Since(began).Seconds())
	return os.Rename(unfinished, file)
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
