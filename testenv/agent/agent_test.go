package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
)

func TestParseCommandLine(t *testing.T) {
	for line, want := range map[string]agent.BootOptions{
		"root=/dev/vda": {Root: "/dev/vda", Type: "ext4"},
		"quiet root=/dev/vdb rootfstype=xfs ro x=y\n":     {Root: "/dev/vdb", Type: "xfs", ReadOnly: true},
		"ro root=/dev/vda rw rootflags=noatime,discard":   {Root: "/dev/vda", Type: "ext4", Flags: "noatime,discard"},
		"root=/dev/vda root=/dev/vdc console=ttyS0 quiet": {Root: "/dev/vdc", Type: "ext4"},
		"root=/dev/vda gatehouse.init=/sbin/init":         {Root: "/dev/vda", Type: "ext4", Init: "/sbin/init"},
		"root=/dev/vda rw gatehouse.template=ttyS1":       {Root: "/dev/vda", Type: "ext4", Template: "ttyS1"},
	} {
		got, err := agent.ParseCommandLine(line)
		require.NoError(t, err, line)
		assert.Equal(t, want, got, line)
	}
	_, err := agent.ParseCommandLine("console=ttyS0 quiet")
	assert.Error(t, err)
}

func TestLookUpAnAccount(t *testing.T) {
	dir := t.TempDir()
	passwd := filepath.Join(dir, "passwd")
	require.NoError(t, os.WriteFile(passwd, []byte("root:x:0:0:root:/root:/bin/bash\ngate:x:1000:1001:,,,:/home/gate:\nbad:x:many:1::/:/bin/sh\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "group"), []byte("sudo:x:27:gate,other\ngate:x:1001:\nkvm:x:104:othergate,gate\n"), 0o600))
	got, err := agent.LookUp(passwd, "gate")
	require.NoError(t, err)
	assert.Equal(t, agent.Account{Name: "gate", Home: "/home/gate", Shell: "/bin/sh", UID: 1000, GID: 1001, Groups: []uint32{27, 104}}, got)
	_, err = agent.LookUp(passwd, "nobody")
	require.ErrorContains(t, err, `no user "nobody"`)
	_, err = agent.LookUp(passwd, "bad")
	require.ErrorContains(t, err, "uid of bad")
}
