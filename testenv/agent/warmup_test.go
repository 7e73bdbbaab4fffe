package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheImagesUserIsNamedOrTheFirstPerson(t *testing.T) {
	dir := t.TempDir()
	passwd, file := filepath.Join(dir, "passwd"), filepath.Join(dir, "user")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "group"), nil, 0o600))
	require.NoError(t, os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\n1000:x:7:7::/:/bin/sh\ngate:x:1000:1000::/home/gate:/bin/sh\n"), 0o600))
	a, err := imageUser(passwd, file)
	require.NoError(t, err)
	assert.Equal(t, "gate", a.Name)
	require.NoError(t, os.WriteFile(file, []byte("root\n"), 0o600))
	a, err = imageUser(passwd, file)
	require.NoError(t, err)
	assert.Equal(t, "root", a.Name)
	require.NoError(t, os.WriteFile(file, []byte("nobody\n"), 0o600))
	_, err = imageUser(passwd, file)
	require.ErrorContains(t, err, `no user "nobody"`)
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\n"), 0o600))
	_, err = imageUser(passwd, file)
	require.ErrorContains(t, err, `no user "1000"`)
}

// self is whoever runs the test.
func self(t *testing.T) Account {
	t.Helper()
	return Account{Name: "gate", Home: t.TempDir(), Shell: "/bin/sh", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
}

func newMachine(log *bytes.Buffer, console string) *machine {
	return &machine{log: slog.New(slog.NewTextHandler(log, nil)), consoleFile: console, processes: NewProcesses()}
}

func TestWarmUpScriptsRunInOrderAndMayFail(t *testing.T) {
	var log bytes.Buffer
	dir, console := t.TempDir(), filepath.Join(t.TempDir(), "console")
	require.NoError(t, os.WriteFile(console, nil, 0o600))
	for name, script := range map[string]string{
		"10-first": "#!/bin/sh\necho one $USER $PWD; exit 3\n",
		"20-again": "#!/bin/sh\necho two >&2; read line || echo no input\n",
		"30-stuck": "#!/bin/sh\necho three; sleep 1000 & wait\n",
		"40-no":    "no program at all",
		"50-last":  "#!/bin/sh\necho four\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700))
	}
	user, m := self(t), newMachine(&log, console)
	m.doAll(m.scripts(dir, user, 500*time.Millisecond))
	said, err := os.ReadFile(console)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("one gate %s\ntwo\nno input\nthree\nfour\n", user.Home), string(said))
	assert.Contains(t, log.String(), "10-first\" err=\"script: exit status 3")
	assert.Contains(t, log.String(), "30-stuck\" err=\"script: signal: killed")
	assert.Contains(t, log.String(), "40-no\" err=")
	assert.NotContains(t, log.String(), "20-again")
	assert.NotContains(t, log.String(), "50-last")
}

func TestNoWarmUpScriptsAreNoFault(t *testing.T) {
	var log bytes.Buffer
	m := newMachine(&log, "")
	m.doAll(m.scripts(filepath.Join(t.TempDir(), "none"), self(t), time.Second))
	assert.Empty(t, log.String())
}

func TestSshIsRehearsed(t *testing.T) {
	var log bytes.Buffer
	m := newMachine(&log, "")
	user := self(t)
	m.users = filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(m.users, fmt.Appendf(nil, "gate:x:%d:%d::%s:/bin/sh\n", user.UID, user.GID, user.Home), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(m.users), "group"), nil, 0o600))
	require.NoError(t, m.rehearse(user))
	user.Name = "stranger"
	require.ErrorContains(t, m.rehearse(user), "unable to authenticate")
}
