package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// additionsVersion is part of the root disk's key: it goes up when this code
// makes something else of the same recipe.
const additionsVersion = 1

const (
	// ours is where the agent looks for what concerns it.
	ours = "usr/lib/gatehouse"
	// building is what the root stage needs; it does not stay.
	building = ours + "/build"
)

// templateScript is where the agent finds a script for templates.
func templateScript(i int) string { return fmt.Sprintf("%s/template.d/%02d-recipe", ours, i) }

// system is what is known of a root file system once its packages are
// installed.
type system struct {
	accounts
	bash     bool
	skeleton []skeletonFile // of etc/skel: what is in new homes
}

type skeletonFile struct {
	name, text string
	mode       fs.FileMode
}

// readSystem reads the archive that the root stage writes for this: files of
// /etc and, named by it, the programs that matter.
func readSystem(r io.Reader) (*system, error) {
	texts := make(map[string]string)
	s := &system{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the root stage's account of the system: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		if name, ok := strings.CutPrefix(h.Name, "etc/skel/"); ok {
			s.skeleton = append(s.skeleton, skeletonFile{name, string(text), h.FileInfo().Mode()})
		} else {
			texts[h.Name] = string(text)
		}
	}
	programs, ok := texts["programs"]
	if !ok {
		return nil, errNoAccount
	}
	s.bash = strings.Contains(programs, "bash\n")
	optional := func(name string) *table {
		if text, ok := texts[name]; ok {
			return parseTable(text)
		}
		return nil
	}
	s.accounts = accounts{
		passwd: parseTable(texts["etc/passwd"]), group: parseTable(texts["etc/group"]),
		shadow: optional("etc/shadow"), subuid: optional("etc/subuid"), subgid: optional("etc/subgid"),
	}
	if s.passwd.find(0, "root", passwdFields) == nil {
		s.passwd.add("root", "*", "0", "0", "root", "/root", "/bin/sh")
	}
	if s.group.find(0, "root", groupFields) == nil {
		s.group.add("root", "x", "0", "")
	}
	return s, nil
}

// writeAdditions writes what is added to a system.
func (b *build) writeAdditions(w io.Writer, s *system, modules []downloaded) error {
	t := newTree(w)
	job, err := b.addUsers(t, s)
	if err != nil {
		return err
	}
	t.File(building+"/account", 0o644, fmt.Sprintf("%s\n%s\n%d\n%d\n", job.name, job.home, job.uid, job.gid))
	t.File(ours+"/user", 0o644, job.name+"\n")
	for i, command := range b.recipe.Template {
		t.File(templateScript(i), 0o755, "#!/bin/sh -e\n"+command+"\n")
	}
	for i, script := range b.recipe.Scripts {
		t.File(fmt.Sprintf("%s/scripts/%02d", building, i), 0o755, script+"\n")
	}
	t.File(building+"/warm", 0o644, b.warmScript())
	if settings := b.settings(); len(settings) > 0 {
		t.File("etc/environment", 0o644, strings.Join(settings, "\n")+"\n")
	}
	b.addInit(t)
	for _, c := range b.recipe.Copy {
		t.Copy(b.config.Inputs[c.From], strings.TrimPrefix(c.To, "/"), c.Exclude)
	}
	home := strings.TrimPrefix(job.home, "/")
	t.Own(job.uid, job.gid)
	t.Directory(path.Join(home, "src"))
	for _, m := range modules {
		t.Copy(m.dir, path.Join(home, "src", m.Project), nil)
		t.Copy(m.cache, path.Join(home, "go/pkg/mod/cache/download"), []string{"*.lock", "list"})
	}
	for _, f := range b.recipe.Files {
		if err := b.addFile(t, s, f); err != nil {
			return err
		}
	}
	return t.Close()
}

// addUsers makes the recipe's users and returns the one who runs jobs.
func (b *build) addUsers(t *tree, s *system) (account, error) {
	shell := "/bin/sh"
	if s.bash {
		shell = "/bin/bash"
	}
	var job account
	for i, u := range slices.Concat([]User{b.recipe.User}, b.recipe.Users) {
		a, err := s.add(u, shell)
		if err != nil {
			return job, err
		}
		if i == 0 {
			job = a
		}
		if u.mayBecomeRoot(i == 0) {
			t.File("etc/sudoers.d/"+strings.ReplaceAll(u.Name, ".", "_"), 0o440, u.Name+" ALL=(ALL) NOPASSWD: ALL\n")
		}
		s.addHome(t, u, a)
	}
	s.forgetDays()
	t.File("etc/passwd", 0o644, s.passwd.String())
	t.File("etc/group", 0o644, s.group.String())
	for _, f := range []struct {
		name  string
		perm  fs.FileMode
		table *table
	}{{"etc/shadow", 0o600, s.shadow}, {"etc/subuid", 0o644, s.subuid}, {"etc/subgid", 0o644, s.subgid}} {
		if f.table != nil {
			t.File(f.name, f.perm, f.table.String())
		}
	}
	return job, nil
}

// mayBecomeRoot reports whether sudo lets the user do anything.
func (u User) mayBecomeRoot(runsJobs bool) bool {
	if u.Sudo == nil {
		return runsJobs
	}
	return *u.Sudo
}

// addHome gives a new user a home, and any the keys that the recipe has.
func (s *system) addHome(t *tree, u User, a account) {
	home := strings.TrimPrefix(a.home, "/")
	t.Directory(path.Dir(home))
	t.Own(a.uid, a.gid)
	defer t.Own(0, 0)
	t.Directory(home)
	if a.made {
		for _, f := range s.skeleton {
			t.File(path.Join(home, f.name), f.mode, f.text)
		}
	}
	if len(u.Keys) > 0 {
		t.File(path.Join(home, ".ssh/authorized_keys"), 0o600, strings.Join(u.Keys, "\n")+"\n")
	}
}

func (b *build) addFile(t *tree, s *system, f File) error {
	uid, gid := 0, 0
	if f.Owner != "" {
		var err error
		if uid, gid, err = s.owner(f.Owner); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	name := strings.TrimPrefix(f.Path, "/")
	t.Own(0, 0)
	t.Directory(path.Dir(name))
	t.Own(uid, gid)
	switch {
	case f.From == "":
		perm := fs.FileMode(0o644)
		if f.Mode != 0 {
			perm = f.Mode.perm()
		}
		t.File(name, perm, f.Content)
	case f.Mode == 0:
		t.Copy(b.recipe.path(f.From), name, nil)
	default:
		text, err := os.ReadFile(b.recipe.path(f.From))
		if err != nil {
			return err
		}
		t.File(name, f.Mode.perm(), string(text))
	}
	return nil
}

// perm is the mode as Go has it.
func (m Mode) perm() fs.FileMode {
	perm := fs.FileMode(m) & fs.ModePerm //nolint:gosec // 12 bits
	for bit, flag := range map[Mode]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			perm |= flag
		}
	}
	return perm
}

// addInit adds what the image's init needs.
func (b *build) addInit(t *tree) {
	if b.recipe.Init == Agent {
		t.File("usr/local/sbin/reboot", 0o755, "#!/bin/sh\n# The init of a test machine restarts it on SIGTERM.\nexec kill -TERM 1\n")
		t.File("usr/local/sbin/poweroff", 0o755, "#!/bin/sh\n# The init of a test machine powers it off on SIGUSR2.\nexec kill -USR2 1\n")
		return
	}
	// cloud-init gives the config drive's keys to its default user.
	t.File("etc/cloud/cloud.cfg.d/90-gatehouse.cfg", 0o644,
		"system_info:\n  default_user:\n    name: "+b.recipe.User.Name+"\ndatasource_list: [ConfigDrive]\n")
	if b.recipe.Disk != nil || b.recipe.Installer != nil {
		t.File("etc/fstab", 0o644, "# The kernel's command line names the root disk, which is all there is.\n")
	}
}
