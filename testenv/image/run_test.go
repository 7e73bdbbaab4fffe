package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACommandThatFailsIsQuoted(t *testing.T) {
	b := newBuild(t)
	var told []string
	b.config.Progress = func(e Event) { told = append(told, e.Text) }
	b.config.Environment = []string{"PATH=/usr/bin:/bin"}
	err := b.run(b.command(t.Context(), "sh", "-c", `echo "## step"; echo detail; echo why >&2; exit 3`),
		func(line string) (string, bool) { return strings.CutPrefix(line, "## ") })
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "detail\nwhy")
	assert.Equal(t, []string{"  step"}, told)
}

func TestMissingProgramsAreNamedWithTheirPackages(t *testing.T) {
	err := lacking(Config{QEMU: "qemu-system-none", Environment: []string{"PATH=/nowhere"}}, newBuild(t).recipe)
	require.ErrorContains(t, err, "apt install")
	require.ErrorContains(t, err, "mmdebstrap")
	require.ErrorContains(t, err, "qemu-system-x86")
}

func TestTheWarmScriptQuotesWhatTheRecipeSays(t *testing.T) {
	b := newBuild(t)
	b.base.Environment = []string{"A=0", "C=3", "HOME=/", "not a name=1"}
	b.recipe.Environment = map[string]string{"B": "it's", "A": "1"}
	b.recipe.Warm = Warm{
		Commands: []string{"go build std"}, ModuleCommands: []string{"go test ./..."},
		Modules: []WarmModule{{Project: "uuid"}},
	}
	script := b.warmScript()
	assert.True(t, strings.HasPrefix(script, "export A=1\nexport B=it\\'s\nexport C=3\n"), script)
	assert.True(t, strings.HasSuffix(script, "warm . 'go build std'\nwarm src/uuid 'go test ./...'\n"), script)
}
