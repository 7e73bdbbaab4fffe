package node_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

func launch(t *testing.T, p *node.Provider) *node.Node {
	t.Helper()
	n, err := p.Launch(t.Context(), node.Request{Build: "b1", Metadata: map[string]string{"project": "demo"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close(context.Background())) })
	return n
}

func TestANodeRunsStepsAndGivesBackWhatTheyPrintAndHowTheyEnd(t *testing.T) {
	n := launch(t, newCloud(t).provider(t))
	for name, test := range map[string]struct {
		step node.Step
		exit int
		out  string
	}{
		"both outputs in order":         {node.Step{Script: "echo one; echo two >&2; echo three"}, 0, "one\ntwo\nthree\n"},
		"the first failure ends it":     {node.Step{Script: "false; echo unreached"}, 1, ""},
		"its own status":                {node.Step{Script: "exit 7"}, 7, ""},
		"a signal":                      {node.Step{Script: "kill -9 $$"}, 137, ""},
		"any value of a variable":       {node.Step{Script: `printf %s "$V"`, Env: map[string]string{"V": "it's $x\n\"`"}}, 0, "it's $x\n\"`"},
		"its directory":                 {node.Step{Script: "pwd", Dir: "/usr/lib"}, 0, "/usr/lib\n"},
		"no input":                      {node.Step{Script: "wc -c"}, 0, "0\n"},
		"a quote in the script itself":  {node.Step{Script: `echo 'a  b'`}, 0, "a  b\n"},
		"a directory that is not there": {node.Step{Script: "true", Dir: "/nowhere"}, 120, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			exit, err := n.Run(t.Context(), test.step, &out)
			require.NoError(t, err)
			assert.Equal(t, test.exit, exit)
			assert.Equal(t, test.out, strings.TrimLeft(out.String(), " "))
		})
	}
}

func TestAStepEndsWithItsContextAndItsChildrenToo(t *testing.T) {
	n := launch(t, newCloud(t).provider(t))
	ctx, cancel := context.WithCancel(t.Context())
	pidfile := filepath.Join(t.TempDir(), "pid")
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := n.Run(ctx, node.Step{Script: "sleep 1000 & echo $! > " + pidfile + "; echo running; wait"}, writer)
		done <- err
	}()
	_, err := reader.Read(make([]byte, 100))
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	pid, err := os.ReadFile(pidfile)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(state), ") Z ")
	}, 5*time.Second, 10*time.Millisecond, "the step's child lives on")
}

func TestAFileGoesInAndComesBack(t *testing.T) {
	n := launch(t, newCloud(t).provider(t))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o600))
	var archive bytes.Buffer
	exit, err := n.Run(t.Context(), node.Step{Script: "tar -c a", Dir: dir}, &archive)
	require.NoError(t, err)
	require.Zero(t, exit)

	target := filepath.Join(t.TempDir(), "new dir", "with 'quotes'")
	require.NoError(t, n.CopyTree(t.Context(), &archive, target))
	var back bytes.Buffer
	require.NoError(t, n.Fetch(t.Context(), filepath.Join(target, "a"), &back))
	assert.Equal(t, "content", back.String())
	require.ErrorIs(t, n.Fetch(t.Context(), filepath.Join(target, "b"), io.Discard), fs.ErrNotExist)
	require.ErrorContains(t, n.CopyTree(t.Context(), strings.NewReader("no archive"), target), "tar ended with status")
}

func TestClosingANodeDeletesItsServerOnceAndForAll(t *testing.T) {
	c := newCloud(t)
	n := launch(t, c.provider(t))
	require.Equal(t, 1, c.count())
	require.NoError(t, n.Close(t.Context()))
	assert.Zero(t, c.count())
	require.NoError(t, n.Close(t.Context()))
	_, err := n.Run(t.Context(), node.Step{Script: "true"}, io.Discard)
	require.ErrorContains(t, err, "does not answer")
}

func TestALaunchWaitsWhileTheQuotaIsUsedUp(t *testing.T) {
	c := newCloud(t)
	c.refusals = 1
	launch(t, c.provider(t))
	assert.Zero(t, c.refusals)
}

func TestAServerThatFailsIsNamedWithItsFaultAndRemoved(t *testing.T) {
	c := newCloud(t)
	c.fault = "the disk is full"
	_, err := c.provider(t).Launch(t.Context(), node.Request{Build: "b1"})
	require.ErrorContains(t, err, "the disk is full")
	assert.Zero(t, c.count())
}

func TestAGuestThatNeverBootsIsGivenUpWithItsConsoleAndRemoved(t *testing.T) {
	c := newCloud(t)
	c.deaf, c.console = true, "Kernel panic - not syncing\n"
	p := c.provider(t, 300*time.Millisecond)
	_, err := p.Launch(t.Context(), node.Request{Build: "b1"})
	require.ErrorContains(t, err, "no answer over ssh within 300ms")
	require.ErrorContains(t, err, "Kernel panic")
	assert.Zero(t, c.count())
}

func TestALabelThatIsNotConfiguredIsAnErrorOfItsOwn(t *testing.T) {
	_, err := newCloud(t).provider(t).Launch(t.Context(), node.Request{Build: "b1", Label: "windows"})
	require.ErrorIs(t, err, node.ErrUnknownLabel)
	require.ErrorContains(t, err, `"windows"`)
}

func TestWhatTheCloudLacksIsNamed(t *testing.T) {
	p := newCloud(t).provider(t)
	for label, what := range map[string]string{"bare": `no active image "plan9"`, "early": `no active image "queued-id"`, "huge": `no flavor "huge"`} {
		_, err := p.Launch(t.Context(), node.Request{Build: "b1", Label: label})
		var missing *node.MissingError
		require.ErrorAs(t, err, &missing, label)
		assert.ErrorContains(t, missing, what)
	}
}

func TestAHostKeyOtherThanTheConsolesIsRefused(t *testing.T) {
	c := newCloud(t)
	other, err := agent.NewHostKey()
	require.NoError(t, err)
	console := func(key ssh.Signer) string {
		return "boot\n-----BEGIN SSH HOST KEY KEYS-----\n" + string(ssh.MarshalAuthorizedKey(key.PublicKey())) + "-----END SSH HOST KEY KEYS-----\n"
	}
	c.console = console(other)
	_, err = c.provider(t).Launch(t.Context(), node.Request{Build: "b1"})
	require.ErrorContains(t, err, "host key")
	assert.Zero(t, c.count())
	c.console = console(c.hostKey)
	launch(t, c.provider(t))
}

func TestASweepTakesOnlyThisGatesServersThatNobodyNeeds(t *testing.T) {
	c := newCloud(t)
	stop := func() {}
	c.servers = map[string]*server{
		"kept":    {ID: "kept", Metadata: map[string]string{"gatehouse_gate": "gate-a", "gatehouse_build": "running"}, stop: stop},
		"leaked":  {ID: "leaked", Metadata: map[string]string{"gatehouse_gate": "gate-a", "gatehouse_build": "lost"}, stop: stop},
		"other":   {ID: "other", Metadata: map[string]string{"gatehouse_gate": "gate-b", "gatehouse_build": "lost"}, stop: stop},
		"foreign": {ID: "foreign", stop: stop},
	}
	require.NoError(t, c.provider(t).Sweep(t.Context(), func(build string) bool { return build == "running" }))
	assert.Equal(t, 3, c.count())
	assert.NotContains(t, c.servers, "leaked")
}

func TestABurstOfLaunchesLooksItsImageUpOnce(t *testing.T) {
	c := newCloud(t)
	p := c.provider(t)
	for range 3 {
		n := launch(t, p)
		require.NoError(t, n.Close(t.Context()))
	}
	assert.Equal(t, 1, c.lookUps)
	c.mu.Lock()
	c.image = "rebuilt" // and the old one is gone
	c.mu.Unlock()
	launch(t, p)
	assert.Equal(t, 2, c.lookUps)
}

func TestTheKeypairGoesWithItsProvider(t *testing.T) {
	c := newCloud(t)
	c.keys = map[string]string{"gatehouse-gate-a-old": "left by a killed run", "mine": "a person's"}
	p := c.provider(t)
	launch(t, p)
	assert.Len(t, c.keys, 2)
	assert.NotContains(t, c.keys, "gatehouse-gate-a-old")
	require.NoError(t, p.Close(t.Context()))
	assert.Equal(t, map[string]string{"mine": "a person's"}, c.keys)
}
