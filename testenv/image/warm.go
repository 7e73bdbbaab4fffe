package image

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
)

// warmTemplate frames the script that fills the caches; it runs as the user,
// with a login's environment, in the new root file system.
const warmTemplate = `# Each command is announced and must succeed.
warm() { echo "##   $1: ${2%%"
"*}"; cd "$HOME/$1"; /bin/sh -e -c "$2"; }
`

// settings are the environment of logins, as KEY=VALUE in order: a container
// image's, then the recipe's.
func (b *build) settings() []string {
	values := make(map[string]string)
	for _, s := range b.base.Environment {
		name, value, _ := strings.Cut(s, "=")
		if variable.MatchString(name) && name != "HOME" && !strings.ContainsAny(value, "\r\n") {
			values[name] = value
		}
	}
	maps.Copy(values, b.recipe.Environment)
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		settings = append(settings, name+"="+values[name])
	}
	return settings
}

func (b *build) warmScript() string {
	var script strings.Builder
	for _, s := range b.settings() {
		name, value, _ := strings.Cut(s, "=")
		fmt.Fprintf(&script, "export %s=%s\n", name, shellquote.Join(value))
	}
	script.WriteString(warmTemplate)
	for _, command := range b.recipe.Warm.Commands {
		fmt.Fprintf(&script, "warm . %s\n", shellquote.Join(command))
	}
	for _, m := range b.recipe.Warm.Modules {
		for _, command := range b.recipe.Warm.ModuleCommands {
			fmt.Fprintf(&script, "warm src/%s %s\n", m.Project, shellquote.Join(command))
		}
	}
	return script.String()
}
