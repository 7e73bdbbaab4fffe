package agent_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
)

// guest is an ssh server of the agent with one user, "gate": whoever runs the
// test.
type guest struct {
	address string
	key     ssh.Signer
	private ed25519.PrivateKey // of key
	stop    context.CancelFunc
}

func newGuest(t *testing.T) guest {
	t.Helper()
	hostKey, err := agent.NewHostKey()
	require.NoError(t, err)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	passwd := fmt.Sprintf("gate:x:%d:%d::%s:/bin/sh\n", os.Getuid(), os.Getgid(), dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "passwd"), []byte(passwd), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "group"), []byte("other:x:7:gate\n"), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	server := &agent.Server{
		HostKey: hostKey, Keys: []ssh.PublicKey{key.PublicKey()}, Users: filepath.Join(dir, "passwd"),
		Processes: agent.NewProcesses(), Log: slog.New(slog.DiscardHandler),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-served)
	})
	return guest{address: listener.Addr().String(), key: key, private: private, stop: cancel}
}

func (g guest) dial(user string, key ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", g.address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
}

func (g guest) client(t *testing.T) *ssh.Client {
	t.Helper()
	client, err := g.dial("gate", g.key)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func (g guest) session(t *testing.T) *ssh.Session {
	t.Helper()
	session, err := g.client(t).NewSession()
	require.NoError(t, err)
	return session
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// eventuallyDead waits for the kernel, which no test can hold still.
func eventuallyDead(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, 10*time.Second, time.Millisecond)
}

func readPid(t *testing.T, r io.Reader) int {
	t.Helper()
	var pid int
	_, err := fmt.Fscan(r, &pid)
	require.NoError(t, err)
	return pid
}

func TestACommandHasItsFilesAndEnvironmentAndReportsItsStatus(t *testing.T) {
	session := newGuest(t).session(t)
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader("in"), &stdout, &stderr
	require.NoError(t, session.Setenv("GATE_JOB", "a b\n'c"))
	err := session.Run(`cat; printf %s "$GATE_JOB $USER"; printf err >&2; test "$HOME" = "$PWD"; exit 7`)
	var end *ssh.ExitError
	require.ErrorAs(t, err, &end)
	assert.Equal(t, 7, end.ExitStatus())
	assert.Equal(t, "ina b\n'c gate", stdout.String())
	assert.Equal(t, "err", stderr.String())
}

func TestAProgramMayEndAtOnce(t *testing.T) {
	client := newGuest(t).client(t)
	for range 200 {
		session, err := client.NewSession()
		require.NoError(t, err)
		require.NoError(t, session.Start("exit 0"))
		require.NoError(t, session.Wait())
	}
}

func TestTheLastSettingOfAVariableCounts(t *testing.T) {
	session := newGuest(t).session(t)
	require.NoError(t, session.Setenv("LANG", "one"))
	require.NoError(t, session.Setenv("LANG", "two"))
	out, err := session.Output(`env | grep ^LANG=`)
	require.NoError(t, err)
	assert.Equal(t, "LANG=two\n", string(out))
}

func TestOutputIsCompleteHoweverSlowlyItIsRead(t *testing.T) {
	session := newGuest(t).session(t)
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	// More than the channel's window and the pipe hold.
	const size = 8 << 20
	require.NoError(t, session.Start("head -c "+strconv.Itoa(size)+" /dev/zero"))
	var read int64
	for small := make([]byte, 1000); ; {
		n, err := stdout.Read(small)
		read += int64(n)
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	assert.EqualValues(t, size, read)
	assert.NoError(t, session.Wait())
}

func TestABackgroundProcessLivesOnButDoesNotHoldTheSession(t *testing.T) {
	out, err := newGuest(t).session(t).Output("sleep 1000 & echo $!")
	require.NoError(t, err)
	pid := readPid(t, bytes.NewReader(out))
	assert.True(t, alive(pid))
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
}

func TestASignalReachesTheWholeProcessGroupAndIsReported(t *testing.T) {
	session := newGuest(t).session(t)
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, session.Start("sleep 1000 & echo $!; wait"))
	pid := readPid(t, stdout)
	require.NoError(t, session.Signal(ssh.SIGTERM))
	var end *ssh.ExitError
	require.ErrorAs(t, session.Wait(), &end)
	assert.Equal(t, "TERM", end.Signal())
	assert.Equal(t, 128+15, end.ExitStatus())
	eventuallyDead(t, pid)
}

func TestAProgramIsKilledWhenItsClientLeaves(t *testing.T) {
	for name, leave := range map[string]func(*ssh.Client, *ssh.Session, guest){
		"channel":    func(_ *ssh.Client, s *ssh.Session, _ guest) { s.Close() },
		"connection": func(c *ssh.Client, _ *ssh.Session, _ guest) { c.Close() },
		"server":     func(_ *ssh.Client, _ *ssh.Session, g guest) { g.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t)
			client := g.client(t)
			session, err := client.NewSession()
			require.NoError(t, err)
			stdout, err := session.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, session.Start("trap '' HUP TERM; sleep 1000 & echo $! $$; wait"))
			child, shell := readPid(t, stdout), readPid(t, stdout)
			leave(client, session, g)
			eventuallyDead(t, shell)
			eventuallyDead(t, child)
		})
	}
}

func TestATerminalHasTheSizeAskedFor(t *testing.T) {
	session := newGuest(t).session(t)
	require.NoError(t, session.RequestPty("vt100", 40, 100, nil))
	out, err := session.Output(`test -t 0 && stty size && echo $TERM`)
	require.NoError(t, err)
	assert.Equal(t, "40 100\r\nvt100\r\n", string(out))
}

func TestAShellOnATerminalEndsWithExit(t *testing.T) {
	session := newGuest(t).session(t)
	require.NoError(t, session.RequestPty("vt100", 40, 100, nil))
	session.Stdin = strings.NewReader("exit 3\n")
	require.NoError(t, session.Shell())
	var end *ssh.ExitError
	require.ErrorAs(t, session.Wait(), &end)
	assert.Equal(t, 3, end.ExitStatus())
}

func TestOnlyKnownUsersWithKnownKeysLogIn(t *testing.T) {
	g := newGuest(t)
	stranger, err := agent.NewHostKey()
	require.NoError(t, err)
	_, err = g.dial("gate", stranger)
	require.ErrorContains(t, err, "unable to authenticate")
	_, err = g.dial("nobody-here", g.key)
	require.ErrorContains(t, err, "unable to authenticate")
}

func TestSubsystemsAndOtherChannelsAreRefused(t *testing.T) {
	client := newGuest(t).client(t)
	session, err := client.NewSession()
	require.NoError(t, err)
	require.Error(t, session.RequestSubsystem("sftp"))
	_, _, err = client.OpenChannel("x11", nil)
	require.ErrorContains(t, err, "no such channels")
	for _, request := range []string{"keepalive@openssh.com", "streamlocal-forward@openssh.com"} {
		granted, _, err := client.SendRequest(request, true, nil)
		require.NoError(t, err)
		assert.False(t, granted)
	}
}

func TestOrphansAreReapedAndNoStatusIsTaken(t *testing.T) {
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer func() { require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)) }()
	processes := agent.NewProcesses()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		processes.ReapOrphans(ctx, slog.New(slog.DiscardHandler))
	}()
	defer func() {
		cancel()
		<-done
	}()
	for i := range 30 {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		// The outer shell ends with a status of its own, the inner one later.
		p, err := processes.Start("/bin/sh", []string{"sh", "-c", "(echo $$; exec sleep 0.01) & exit " + strconv.Itoa(i)},
			&os.ProcAttr{Files: []*os.File{nil, w, nil}})
		require.NoError(t, err)
		w.Close()
		state, err := p.Wait()
		require.NoError(t, err)
		assert.Equal(t, i, state.ExitCode())
		_, err = io.ReadAll(r)
		require.NoError(t, err)
		r.Close()
	}
	require.Eventually(t, func() bool { return len(zombies(t)) == 0 }, 10*time.Second, time.Millisecond)
}

// zombies lists our children that nobody has waited for.
func zombies(t *testing.T) (found []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, file := range stats {
		text, _ := os.ReadFile(file) // it may be gone by now
		_, rest, _ := strings.Cut(string(text), ") ")
		if strings.HasPrefix(rest, fmt.Sprintf("Z %d ", os.Getpid())) {
			found = append(found, file)
		}
	}
	return found
}
