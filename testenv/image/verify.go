package image

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/gatehouse-dev/gatehouse/testenv/image/oci"
)

// checker collects what is wrong with a recipe.
type checker struct {
	text  []byte
	wrong []error
}

// fault notes what is wrong with the value at a YAML path such as
// "users[0].name", with its line if the recipe gives it.
func (c *checker) fault(at, format string, args ...any) {
	where := ""
	if p, err := yaml.PathString("$." + at); err == nil {
		if node, err := p.ReadNode(bytes.NewReader(c.text)); err == nil && node != nil {
			where = fmt.Sprintf("line %d: ", node.GetToken().Position.Line)
		}
	}
	c.wrong = append(c.wrong, fmt.Errorf("%s%s: %s", where, at, fmt.Sprintf(format, args...)))
}

func (c *checker) recipe(r Recipe) {
	c.word("name", r.Name)
	c.source(r)
	if !r.Kernel.Own {
		c.word("kernel.package", r.Kernel.Package)
		c.word("kernel.suite", r.Kernel.Suite)
	}
	c.words("packages", r.Packages)
	c.words("modules.early", r.Modules.Early)
	c.words("modules.late", r.Modules.Late)
	c.user("user", r.User)
	for i, u := range r.Users {
		c.user(fmt.Sprintf("users[%d]", i), u)
	}
	for i, f := range r.Files {
		c.file(fmt.Sprintf("files[%d]", i), f)
	}
	for i, copied := range r.Copy {
		c.absolute(fmt.Sprintf("copy[%d].to", i), copied.To)
	}
	for i, m := range r.Warm.Modules {
		c.word(fmt.Sprintf("warm.modules[%d].project", i), m.Project)
	}
	c.environment(r.Environment)
	if r.Init != Agent {
		c.absolute("init", r.Init)
	}
	if strings.ContainsAny(r.CommandLine, "\n\x00") {
		c.fault("command-line", "more than one line")
	}
	if r.DiskMB < 64 {
		c.fault("disk-mb", "a disk of %d MB holds no system", r.DiskMB)
	}
}

// source checks that there is one base system, and it.
func (c *checker) source(r Recipe) {
	given := 0
	if r.Debian != nil {
		given++
		c.word("debian.suite", r.Debian.Suite)
	}
	if r.OCI != nil {
		given++
		c.oci(*r.OCI)
	}
	if r.Disk != nil {
		given++
		c.disk("disk", *r.Disk)
	}
	if r.Installer != nil {
		given++
		c.disk("installer.iso", r.Installer.ISO)
		for _, key := range []struct{ name, value string }{{"kernel", r.Installer.Kernel}, {"ramdisk", r.Installer.Ramdisk}} {
			if key.value == "" {
				c.fault("installer."+key.name, "missing: its path in the ISO image")
			}
		}
	}
	if given != 1 {
		c.wrong = append(c.wrong, fmt.Errorf("one of debian, oci, disk, installer is needed, not %d", given))
	}
}

func (c *checker) oci(o OCI) {
	given := 0
	for _, s := range []string{o.Reference, o.Archive, o.Layout} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		c.fault("oci", "one of reference, archive, layout is needed, not %d", given)
	}
	if o.Reference != "" {
		if err := oci.CheckReference(o.Reference); err != nil {
			c.fault("oci", "%v", err)
		}
	}
}

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c *checker) disk(at string, d Disk) {
	switch {
	case (d.File == "") == (d.URL == ""):
		c.fault(at, "one of file and url is needed")
	case d.URL != "" && !strings.HasPrefix(d.URL, "https://") && !strings.HasPrefix(d.URL, "http://"):
		c.fault(at+".url", "%q is not a URL of http or https", d.URL)
	case d.URL != "" && d.SHA256 == "":
		c.fault(at, "a url needs the file's sha256")
	}
	if d.SHA256 != "" && !hexSHA256.MatchString(d.SHA256) {
		c.fault(at+".sha256", "%q is not 64 hexadecimal digits", d.SHA256)
	}
}

func (c *checker) user(at string, u User) {
	c.word(at+".name", u.Name)
	if u.UID < 0 || u.UID > 60000 || u.Name == "root" {
		c.fault(at, "an ordinary user has an id from 1 to 60000")
	}
	if u.Shell != "" {
		c.absolute(at+".shell", u.Shell)
	}
	for _, key := range u.Keys {
		if strings.ContainsAny(key, "\r\n") {
			c.fault(at+".keys", "a key is one line")
		}
	}
}

func (c *checker) file(at string, f File) {
	c.absolute(at+".path", f.Path)
	if f.Content != "" && f.From != "" {
		c.fault(at, "either content or from")
	}
	if f.Owner != "" && !owner.MatchString(f.Owner) {
		c.fault(at+".owner", "%q is not user or user:group", f.Owner)
	}
}

var (
	owner    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?$`)
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// word is what may stand in a shell command and in a file name as it is.
	word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

func (c *checker) environment(settings map[string]string) {
	for name, value := range settings {
		if !variable.MatchString(name) || strings.ContainsAny(value, "\r\n") {
			c.fault("environment", "%q is not a name and a line", name+"="+value)
		}
	}
}

func (c *checker) words(at string, words []string) {
	for i, w := range words {
		c.word(fmt.Sprintf("%s[%d]", at, i), w)
	}
}

func (c *checker) word(at, w string) {
	switch {
	case w == "":
		c.fault(at, "missing")
	case !word.MatchString(w):
		c.fault(at, "%q is not a name", w)
	}
}

func (c *checker) absolute(at, p string) {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsAny(p, "\n\x00") {
		c.fault(at, "%q is not an absolute path", p)
	}
}
