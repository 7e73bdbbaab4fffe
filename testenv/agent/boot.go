package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files of the initramfs that name the kernel modules to load, one path a
// line, each after those it depends on: before the root file system is
// mounted, and once the machine serves.
const (
	EarlyModules = "/modules.early"
	LateModules  = "/modules.late"
)

// BootOptions are the words of the kernel command line that the agent heeds.
type BootOptions struct {
	Root     string // device of the root file system
	Type     string // its type; "ext4" if not given
	Flags    string // its mount options, as in mount -o
	ReadOnly bool   // "ro" given, and no "rw" after it
	Init     string // program of the root file system that takes over as PID 1; "": the agent stays
	Template string // name in /dev of the line to the host that forks this machine; "": none does
}

// ParseCommandLine reads root=, rootfstype=, rootflags=, ro, rw, gatehouse.init=
// and gatehouse.template=, of which the last one counts. It reports an error if
// no root is named.
func ParseCommandLine(line string) (BootOptions, error) {
	o := BootOptions{Type: "ext4"}
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "root":
			o.Root = value
		case "rootfstype":
			o.Type = value
		case "rootflags":
			o.Flags = value
		case "ro":
			o.ReadOnly = true
		case "rw":
			o.ReadOnly = false
		case "gatehouse.init":
			o.Init = value
		case "gatehouse.template":
			o.Template = value
		}
	}
	if o.Root == "" {
		return o, errors.New("the kernel command line names no root=")
	}
	return o, nil
}

// enterRoot turns the initramfs into the machine's root file system. It
// returns the modules that can be loaded later, whose files it keeps open
// since their paths are out of reach from then on. If the machine has another
// init, that takes over, and enterRoot returns only if it cannot be run.
func enterRoot() (o BootOptions, late []*os.File, err error) {
	if err := mountAll(earlyMounts); err != nil {
		return o, nil, err
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return o, nil, err
	}
	if o, err = ParseCommandLine(string(line)); err != nil {
		return o, nil, err
	}
	early, err := openModules(EarlyModules)
	if err != nil {
		return o, nil, err
	}
	if err := loadModules(early); err != nil {
		return o, nil, err
	}
	if late, err = openModules(LateModules); err != nil {
		return o, nil, err
	}
	if err := mountRoot(o); err != nil {
		return o, nil, err
	}
	if err := switchRoot("/newroot"); err != nil {
		return o, nil, err
	}
	if o.Init != "" {
		return o, nil, takeOver(o.Init)
	}
	return o, late, mountAll(lateMounts)
}

// takeOver makes another program PID 1. It returns only if that fails.
func takeOver(init string) error {
	err := unix.Exec(init, []string{init}, []string{"HOME=/", "TERM=linux"})
	return fmt.Errorf("run %s: %w", init, err)
}

func mountRoot(o BootOptions) error {
	if err := awaitFile(o.Root, settling); err != nil {
		return fmt.Errorf("root device: %w", err)
	}
	if err := os.Mkdir("/newroot", 0o750); err != nil {
		return err
	}
	flags := uintptr(unix.MS_NOATIME)
	if o.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(o.Root, "/newroot", o.Type, flags, o.Flags); err != nil {
		return fmt.Errorf("mount %s as %s: %w", o.Root, o.Type, err)
	}
	return nil
}

// switchRoot makes dir the root, with the mounts made so far moved into it.
// The initramfs stays in memory beneath it, holding little but this program.
func switchRoot(dir string) error {
	for _, m := range earlyMounts {
		if err := unix.Mount(m.target, dir+m.target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", m.target, err)
		}
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return os.Chdir("/")
}

// openModules opens the modules that a list names.
func openModules(list string) ([]*os.File, error) {
	paths, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	lines := bufio.NewScanner(bytes.NewReader(paths))
	for lines.Scan() {
		f, err := os.Open(lines.Text())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, lines.Err()
}

// loadModules loads and closes modules. One that is loaded already, or whose
// device the machine lacks, is no error.
func loadModules(files []*os.File) error {
	var failed []error
	for _, f := range files {
		err := unix.FinitModule(int(f.Fd()), "", 0)
		if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			failed = append(failed, fmt.Errorf("load %s: %w", f.Name(), err))
		}
		f.Close()
	}
	return errors.Join(failed...)
}

// awaitFile returns once path exists.
func awaitFile(path string, patience time.Duration) error {
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	deadline := time.Now().Add(patience)
	for {
		_, err := os.Stat(path)
		if err == nil || !os.IsNotExist(err) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not appear within %s", path, patience)
		}
		<-ticks.C
	}
}
