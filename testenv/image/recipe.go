// Package image builds test images: a kernel, an initramfs whose init is
// testenv/agent, and an ext4 root disk, as a recipe says, and registers them
// in an OpenStack image service.
//
// A build is one pipeline. The base system comes as a tar archive from Debian
// packages, a container image, a disk image or an installer; the root stage
// adds packages, files, users and warm caches and makes the root disk of it;
// the kernel, a distribution's or the base system's own, is unpacked, and its
// modules go into the initramfs together with the agent. Each step's result is
// kept as a layer, by a hash of all that went into it.
//
// Nothing in a build needs privileges of its own: without root it runs in a
// user namespace (mmdebstrap's, which needs newuidmap and a range in
// /etc/subuid).
package image

// Recipe says what a test image holds. docs/images.md explains the keys.
type Recipe struct {
	Name string `yaml:"name"` // of the image in the image service

	// Where the base system comes from; one is given.
	Debian    *Debian    `yaml:"debian"`
	OCI       *OCI       `yaml:"oci"`
	Disk      *Disk      `yaml:"disk"`
	Installer *Installer `yaml:"installer"`

	Kernel      *Kernel           `yaml:"kernel"`
	Modules     Modules           `yaml:"modules"`      // beyond those that each machine needs
	CommandLine string            `yaml:"command-line"` // of the kernel
	Init        string            `yaml:"init"`         // "agent", or a program of the root disk
	Packages    []string          `yaml:"packages"`     // installed by the base system's package manager
	Environment map[string]string `yaml:"environment"`  // of logins
	User        User              `yaml:"user"`         // who runs jobs
	Users       []User            `yaml:"users"`        // others
	Files       []File            `yaml:"files"`
	Copy        []Copy            `yaml:"copy"`
	Scripts     []string          `yaml:"scripts"` // run by root when the image is built
	Warm        Warm              `yaml:"warm"`
	Template    []string          `yaml:"template"` // run by the user when a template of the machine is made
	DiskMB      int               `yaml:"disk-mb"`  // size of the root disk, in MiB

	text []byte // as it was written
	dir  string // relative paths start here
}

// Debian is a base system made of Debian's packages, with those of the recipe.
type Debian struct {
	Suite   string   `yaml:"suite"`
	Exclude []string `yaml:"exclude"` // path patterns that dpkg does not unpack
}

// OCI is a container image. One of the three is given.
type OCI struct {
	Reference string `yaml:"reference"` // in a registry
	Archive   string `yaml:"archive"`   // tar file: of docker save, or an OCI image layout
	Layout    string `yaml:"layout"`    // directory: an OCI image layout
}

// Disk is a disk image with an installed system.
type Disk struct {
	File   string `yaml:"file"`
	URL    string `yaml:"url"`    // if there is no file
	SHA256 string `yaml:"sha256"` // of the file; needed with a URL
}

// Installer is an installer's ISO image, run unattended in a machine.
type Installer struct {
	ISO         Disk              `yaml:"iso"`
	Kernel      string            `yaml:"kernel"`  // path in the ISO image
	Ramdisk     string            `yaml:"ramdisk"` // path in the ISO image
	CommandLine string            `yaml:"command-line"`
	Inject      map[string]string `yaml:"inject"`    // files put into the ramdisk: path there to file here
	DiskMB      int               `yaml:"disk-mb"`   // to install on
	MemoryMB    int               `yaml:"memory-mb"` // of the machine
	Minutes     int               `yaml:"minutes"`   // that it may take
	Network     bool              `yaml:"network"`   // it may fetch what it installs
}

// Kernel is a kernel of Debian's, or the base system's own.
type Kernel struct {
	Package string `yaml:"package"`
	Suite   string `yaml:"suite"`
	Own     bool   `yaml:"own"`
}

// User is an account of the image.
type User struct {
	Name  string   `yaml:"name"`
	UID   int      `yaml:"uid"`   // also the group's; the next free one if 0
	Shell string   `yaml:"shell"` // bash or sh, whichever is there, if empty
	Sudo  *bool    `yaml:"sudo"`  // nil: the user who runs jobs may, if sudo is there
	Keys  []string `yaml:"keys"`  // ssh public keys; the agent heeds only the config drive's
}

// Modules names kernel modules without their path and suffix.
type Modules struct {
	Early []string `yaml:"early"` // loaded before the root disk is mounted
	Late  []string `yaml:"late"`  // loaded when ssh is served
}

// File is a file of the image, or with From, possibly a tree.
type File struct {
	Path    string `yaml:"path"`
	Content string `yaml:"content"`
	From    string `yaml:"from"`  // file or tree of the host, instead of Content
	Mode    Mode   `yaml:"mode"`  // default: 0644 or what From has
	Owner   string `yaml:"owner"` // user[:group], names or numbers; default: root
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

// Agent is the init that makes machines of an image forkable.
const Agent = "agent"

// Text returns the recipe as it was written.
func (r Recipe) Text() []byte { return r.text }

// Inputs lists the names in Config.Inputs that the recipe needs.
func (r Recipe) Inputs() []string {
	var names []string
	for _, c := range r.Copy {
		names = append(names, c.From)
	}
	if len(r.Warm.Modules) > 0 {
		names = append(names, GoToolchain)
	}
	return unique(names)
}

// GoToolchain is the input that recipes with Go modules to warm up need.
const GoToolchain = "GOROOT"
