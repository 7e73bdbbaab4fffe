package image

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehouse-dev/gatehouse/testenv/image/inodes"
)

// rootStage is the part of a build that needs to be root, of a namespace at
// least.
//
//go:embed stages/root.sh
var rootStage string

// makeRoot lays out the root file system, warms its caches and makes a disk
// of it.
func (b *build) makeRoot(ctx context.Context, to string) error {
	modules, forget, err := b.downloadModules(ctx)
	if err != nil {
		return err
	}
	defer forget()
	raw, err := os.CreateTemp(b.config.TempDir, "gatehouse-disk-*")
	if err != nil {
		return err
	}
	defer os.Remove(raw.Name()) //nolint:errcheck // a temporary file
	defer raw.Close()
	// A namespace's root is nobody to this file.
	if err := raw.Chmod(0o666); err != nil {
		return err
	}
	if err := b.layOut(ctx, raw, modules); err != nil {
		return err
	}
	if err := inodes.SettleTimes(raw); err != nil {
		return err
	}
	b.say("  pack the disk")
	// A third of the size, and zstd unpacks faster than a guest reads. The
	// blocks are written in order, so that the same disk gives the same file.
	return b.run(b.command(ctx, "qemu-img", "convert", "-c", "-m", "4", "-o", "compression_type=zstd",
		"-f", "raw", "-O", "qcow2", raw.Name(), to), nil)
}

// layOut runs the root stage. It reads the base system and the kernel's
// modules from files; what is added to them is written once it has told what
// users and programs there are.
func (b *build) layOut(ctx context.Context, disk *os.File, modules []downloaded) error {
	files, closeAll, err := openAll(b.baseTar, b.modulesTar())
	if err != nil {
		return err
	}
	defer closeAll()
	account, accountWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer account.Close()
	dir, err := os.MkdirTemp(b.config.TempDir, "gatehouse-image-*")
	if err != nil {
		return err
	}
	defer os.Remove(dir)                         //nolint:errcheck // the stage has emptied it
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // for a namespace's root
		return err
	}
	cmd := b.asRoot(ctx, "/bin/sh", "-c", rootStage, "root.sh")
	cmd.Env = append(append(cmd.Env, "STAGE_DIR="+dir), b.stageSettings()...)
	cmd.ExtraFiles = append([]*os.File{disk}, append(files, accountWriter)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		accountWriter.Close()
		return err
	}
	fed := make(chan error, 1)
	go func() { fed <- errors.Join(b.feed(account, stdin, modules), stdin.Close()) }()
	err = b.runWith(cmd, func() { accountWriter.Close() }, func(line string) (string, bool) { return strings.CutPrefix(line, "## ") })
	if feedErr := <-fed; feedErr != nil && !errors.Is(feedErr, errNoAccount) {
		err = errors.Join(feedErr, err)
	}
	return err
}

// errNoAccount says that the root stage ended before it told of the system.
var errNoAccount = errors.New("the root stage did not come to tell of the system")

func (b *build) feed(account io.Reader, to io.Writer, modules []downloaded) error {
	s, err := readSystem(account)
	if err != nil {
		return err
	}
	return b.writeAdditions(to, s, modules)
}

// stageSettings are what the root stage needs to know.
func (b *build) stageSettings() []string {
	uuid := fmt.Sprintf("%s-%s-%s-%s-%s", b.keys.root[:8], b.keys.root[8:12], b.keys.root[12:16], b.keys.root[16:20], b.keys.root[20:32])
	packages := b.recipe.Packages
	if b.recipe.Debian != nil {
		packages = nil // they are there
	}
	return []string{
		"STAGE_SIZE=" + fmt.Sprint(b.recipe.DiskMB),
		"STAGE_UUID=" + uuid,
		"STAGE_EPOCH=" + fmt.Sprint(epoch.Unix()),
		"STAGE_PACKAGES=" + strings.Join(packages, " "),
		"STAGE_SUDO=" + yes(b.recipe.User.Sudo != nil && *b.recipe.User.Sudo),
		"STAGE_PROXIES=" + strings.Join(b.proxies(), "\n"),
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// proxies are the variables by which programs find their way out.
func (b *build) proxies() []string {
	var settings []string
	for _, s := range b.config.Environment {
		name, _, _ := strings.Cut(s, "=")
		switch strings.ToLower(name) {
		case "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy":
			settings = append(settings, s)
		}
	}
	return settings
}

// modulesTar is the archive that has the modules of the kernel's package; the
// null device if the base system has its own.
func (b *build) modulesTar() string {
	if b.recipe.Kernel.Own {
		return os.DevNull
	}
	return b.kernelTar()
}

func openAll(names ...string) (files []*os.File, closeAll func(), err error) {
	closeAll = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		files = append(files, f)
	}
	return files, closeAll, nil
}
