package image

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnInitramfsIsACpioArchive(t *testing.T) {
	var archive bytes.Buffer
	w := newRamfsWriter(&archive)
	w.Character("/dev/console", 0o600, 5, 1)
	w.File("/a/b/init", 0o755, []byte("hello"))
	w.File("/a/c", 0o644, nil)
	require.NoError(t, w.Close())
	type entry struct{ name, mode, device, content string }
	var entries []entry
	for rest := archive.Bytes(); ; {
		header := string(rest[:110])
		require.Equal(t, "070701", header[:6])
		field := func(i int) string { return header[6+8*i : 14+8*i] }
		size := func(i int) int {
			var n int
			for _, digit := range []byte(field(i)) {
				n = n*16 + strings.IndexByte("0123456789ABCDEF", digit)
			}
			return n
		}
		aligned := func(n int) int { return (n + 3) &^ 3 }
		nameEnd := 110 + size(11)
		content := rest[aligned(nameEnd):][:size(6)]
		e := entry{string(rest[110 : nameEnd-1]), field(1), field(9) + field(10), string(content)}
		if e.name == "TRAILER!!!" {
			break
		}
		entries = append(entries, e)
		rest = rest[aligned(aligned(nameEnd)+size(6)):]
	}
	const none = "0000000000000000"
	assert.Equal(t, []entry{
		{"dev", "000041ED", none, ""},
		{"dev/console", "00002180", "0000000500000001", ""},
		{"a", "000041ED", none, ""},
		{"a/b", "000041ED", none, ""},
		{"a/b/init", "000081ED", none, "hello"},
		{"a/c", "000081A4", none, ""},
	}, entries)
}

func TestAMissingFileIsReportedWhenTheInitramfsEnds(t *testing.T) {
	w := newRamfsWriter(io.Discard)
	w.Copy("/init", 0o755, "/nowhere/agent")
	require.ErrorIs(t, w.Close(), os.ErrNotExist)
}

func TestModulesComeAfterThoseTheyNeed(t *testing.T) {
	m := kernelModules{needs: make(map[string][]string), builtin: map[string]bool{"ext4": true}}
	require.NoError(t, m.readNeeds("lib/modules/6.1", []byte(
		"kernel/virtio.ko:\nkernel/virtio_ring.ko:\n"+
			"kernel/virtio_blk.ko: kernel/virtio.ko kernel/virtio_ring.ko\n"+
			"kernel/virtio-rng.ko: kernel/virtio.ko kernel/virtio_ring.ko\n")))
	ordered, err := m.order([]string{"virtio_blk", "ext4", "virtio_rng"})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"lib/modules/6.1/kernel/virtio_ring.ko", "lib/modules/6.1/kernel/virtio.ko",
		"lib/modules/6.1/kernel/virtio_blk.ko", "lib/modules/6.1/kernel/virtio-rng.ko",
	}, ordered)
	_, err = m.order([]string{"floppy"})
	require.ErrorContains(t, err, "no module floppy")
}

func TestCopiedTreesBelongToRootAndHaveWholeSeconds(t *testing.T) {
	from := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(from, "src", "doc", "testdata"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(from, "doc"), 0o755))
	for _, name := range []string{"src/a.go", "src/a_test.go", "src/doc/b.go", "src/doc/testdata/x", "doc/y"} {
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte(name), 0o640))
	}
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(from, "src/a.go"), stamp, stamp))
	require.NoError(t, os.Symlink("a.go", filepath.Join(from, "src/link")))

	var archive bytes.Buffer
	w := newTree(&archive)
	w.Copy(from, "usr/local/go", []string{"/doc", "testdata", "*_test.go"})
	w.File("usr/local/bin/x", 0o755, "text")
	require.NoError(t, w.Close())
	var names []string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		names = append(names, h.Name)
		assert.Zero(t, h.Uid+h.Gid, h.Name)
		assert.Zero(t, h.ModTime.Nanosecond(), h.Name)
		if h.Name == "usr/local/go/src/link" {
			assert.Equal(t, "a.go", h.Linkname)
		}
	}
	assert.Equal(t, []string{
		"usr/", "usr/local/", "usr/local/go/", "usr/local/go/src/", "usr/local/go/src/a.go", "usr/local/go/src/doc/",
		"usr/local/go/src/doc/b.go", "usr/local/go/src/link", "usr/local/bin/", "usr/local/bin/x",
	}, names)
}

func TestOnlyDebiansOwnSourcesOfTheSuiteAreTaken(t *testing.T) {
	var got strings.Builder
	oneLiners(&got, `# deb http://no/debian bookworm main
deb http://mirror/debian bookworm main contrib
deb-src http://mirror/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] https://m/debian-security/ bookworm-security main
deb http://mirror/debian trixie main
deb http://mirror/debian bookworm-backports main
deb https://packages.example/apt bookworm main
`, "bookworm")
	stanzas(&got, `# A comment: with a colon
Types: deb deb-src
URIs: http://a/debian https://b/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off/debian
Suites: bookworm
Components: main
`, "bookworm")
	const key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
	assert.Equal(t, "deb http://mirror/debian bookworm main contrib\n"+
		"deb [signed-by=/k.gpg arch=amd64] https://m/debian-security/ bookworm-security main\n"+
		"deb "+key+"http://a/debian bookworm main\n"+"deb "+key+"http://a/debian bookworm-updates main\n"+
		"deb "+key+"https://b/debian bookworm main\n"+"deb "+key+"https://b/debian bookworm-updates main\n", got.String())
}

// newBuild returns a build of a small recipe in directories of its own.
func newBuild(t *testing.T) *build {
	t.Helper()
	dir := t.TempDir()
	agent := filepath.Join(dir, "agent")
	require.NoError(t, os.WriteFile(agent, []byte("agent"), 0o700))
	r, err := Parse([]byte("name: x\nsuite: bookworm\nkernel: k\npackages: [git]\nuser: {name: gate, uid: 1}\ndisk-mb: 64\n"))
	require.NoError(t, err)
	b := &build{config: Config{Dir: dir, Agent: agent, Inputs: map[string]string{"TOOL": agent}}, recipe: r}
	b.keys, err = b.hash()
	require.NoError(t, err)
	return b
}

func TestALayersKeyFollowsWhatGoesIntoIt(t *testing.T) {
	b := newBuild(t)
	before := b.keys
	rehash := func() keys {
		k, err := b.hash()
		require.NoError(t, err)
		return k
	}
	assert.Equal(t, before, rehash(), "the same inputs")

	require.NoError(t, os.WriteFile(b.config.Agent, []byte("another"), 0o700))
	b.config.Inputs = map[string]string{"TOOL": filepath.Join(b.config.Dir, "tool")}
	require.NoError(t, os.WriteFile(b.config.Inputs["TOOL"], []byte("agent"), 0o700))
	agentOnly := rehash()
	assert.Equal(t, before.base, agentOnly.base)
	assert.Equal(t, before.root, agentOnly.root, "the agent is not on the root disk")
	assert.NotEqual(t, before.ramdisk, agentOnly.ramdisk)

	b.recipe.text = append(b.recipe.text, "warm: {commands: [go build std]}"...)
	warm := rehash()
	assert.Equal(t, before.base, warm.base)
	assert.NotEqual(t, agentOnly.root, warm.root)
	assert.Equal(t, agentOnly.ramdisk, warm.ramdisk)

	b.recipe.Packages = []string{"git", "make"}
	more := rehash()
	assert.NotEqual(t, warm.base, more.base)
	assert.NotEqual(t, warm.root, more.root)
	assert.NotEqual(t, warm.ramdisk, more.ramdisk)
}

func TestALayerThatFailsLeavesNothingAndOneThatIsThereIsTaken(t *testing.T) {
	b := newBuild(t)
	file := filepath.Join(b.config.Dir, "base-1.tar")
	fail := func(_ context.Context, to string) error {
		require.NoError(t, os.WriteFile(to, []byte("half"), 0o600))
		return os.ErrClosed
	}
	require.ErrorIs(t, b.layer(t.Context(), "base", file, fail), os.ErrClosed)
	left, err := filepath.Glob(file + "*")
	require.NoError(t, err)
	assert.Empty(t, left)
	work := func(_ context.Context, to string) error { return os.WriteFile(to, []byte("whole"), 0o600) }
	require.NoError(t, b.layer(t.Context(), "base", file, work))
	require.NoError(t, b.layer(t.Context(), "base", file, fail), "it is there")
}

func TestOnlyTheLastBuildIsKept(t *testing.T) {
	b := newBuild(t)
	a := b.artefacts()
	old := filepath.Join(b.config.Dir, "root-0123.qcow2")
	for _, file := range []string{old, old + ".new", b.baseTar(), a.Kernel, a.Ramdisk, a.Root} {
		require.NoError(t, os.WriteFile(file, nil, 0o600))
	}
	assert.False(t, b.checked(a))
	require.NoError(t, b.keep(a))
	assert.True(t, b.checked(a))
	assert.NoFileExists(t, old)
	assert.NoFileExists(t, old+".new")
	assert.FileExists(t, a.Root)
	assert.FileExists(t, b.config.Agent)
}

func TestOneBuildAtATimeWorksInADirectory(t *testing.T) {
	b := newBuild(t)
	waiting := make(chan string, 1)
	unlock, err := b.lock(t.Context())
	require.NoError(t, err)
	b.config.Progress = func(e Event) { waiting <- e.Text }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := b.lock(ctx)
		ended <- err
	}()
	assert.Contains(t, <-waiting, "waiting for another build")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	unlock()
	unlock, err = b.lock(t.Context())
	require.NoError(t, err)
	unlock()
}

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
	err := lacking(Config{QEMU: "qemu-system-none", Environment: []string{"PATH=/nowhere"}})
	require.ErrorContains(t, err, "apt install")
	require.ErrorContains(t, err, "mmdebstrap")
	require.ErrorContains(t, err, "qemu-system-x86")
}

func TestTheWarmScriptQuotesWhatTheRecipeSays(t *testing.T) {
	b := newBuild(t)
	b.recipe.Environment = map[string]string{"B": "it's", "A": "1"}
	b.recipe.Warm = Warm{
		Commands: []string{"go build std"}, ModuleCommands: []string{"go test ./..."},
		Modules: []WarmModule{{Project: "uuid"}},
	}
	script := b.warmScript()
	assert.True(t, strings.HasPrefix(script, "export A=1\nexport B=it\\'s\n"), script)
	assert.True(t, strings.HasSuffix(script, "warm . 'go build std'\nwarm src/uuid 'go test ./...'\n"), script)
}
