package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running QEMU: one that this Gatehouse started, or one that it
// found.
type process struct {
	dir     string
	pid     int
	pidfd   *os.File
	child   *exec.Cmd // nil: not ours to wait for
	monitor *monitor

	console, messages *keeper

	// gone is closed when the process has ended, all it wrote is kept, and the
	// machine is off. Then status is how it ended, as far as that is known.
	gone   chan struct{}
	status string

	// Guarded by the machine's lock.
	told  bool    // it was told to end
	fault *string // why the driver ended it by itself; nil: it didn't
}

// start runs QEMU in a machine's directory, in a session of its own: it
// outlives Gatehouse, and no terminal's signal reaches it. It returns without
// waiting for QEMU to be up; but its monitor may be connected to already.
//
// QEMU inherits the monitor's socket and then the given files: see channelFD.
func start(ctx context.Context, program, dir string, args []string, inherited []*os.File, log *slog.Logger) (*process, error) {
	socket, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("listen for QEMU's monitor: %w", err)
	}
	defer socket.Close()
	if err := os.Remove(filepath.Join(dir, pidFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	output, err := makePipe(filepath.Join(dir, messagesPipe))
	if err != nil {
		return nil, err
	}
	defer output.Close()

	child := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	child.Dir = dir
	child.Env = []string{"LC_ALL=C"}
	child.Stdout, child.Stderr = output, output
	child.ExtraFiles = append([]*os.File{socket}, inherited...)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p := &process{dir: dir, child: child, gone: make(chan struct{})}
	messages := messagesRing(dir)
	if err := messages.clear(); err != nil {
		return nil, err
	}
	if p.messages, err = keep(output.Name(), messages, log); err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		p.messages.stop()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	p.pid = child.Process.Pid
	if p.pidfd, err = openPID(p.pid); err != nil {
		err = errors.Join(err, child.Process.Kill(), child.Wait())
		p.messages.stop()
		return nil, err
	}
	p.preferAsVictim(log)
	return p, nil
}

// preferAsVictim has the kernel kill a machine before Gatehouse when memory
// runs out.
func (p *process) preferAsVictim(log *slog.Logger) {
	path := fmt.Sprintf("/proc/%d/oom_score_adj", p.pid)
	if err := os.WriteFile(path, []byte("500"), 0); err != nil {
		log.Debug("cannot set a machine's OOM score", "error", err)
	}
}

// The descriptors of what QEMU inherits besides its monitor's socket.
const (
	channelFD = 4
	stateFD   = 5
)

// find looks for the QEMU that runs in a machine's directory. It returns nil
// if there is none.
//
// A number in a file does not prove a process: it may be another's by now. A
// process is a machine's if it works in its directory and was started with its
// id; the handle, taken before looking, keeps it that process.
func find(dir, id string) (*process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !runs(pid, dir, id) {
			continue
		}
		pidfd, err := openPID(pid)
		if err != nil {
			continue // gone
		}
		if runs(pid, dir, id) {
			return &process{dir: dir, pid: pid, pidfd: pidfd, gone: make(chan struct{})}, nil
		}
		pidfd.Close()
	}
	return nil, nil //nolint:nilnil // none is no error
}

// runs reports whether a process is the machine's QEMU. Processes of other
// users, which cannot be looked into, are not.
func runs(pid int, dir, id string) bool {
	proc := fmt.Sprintf("/proc/%d/", pid)
	here, err := os.Stat(dir)
	if err != nil {
		return false
	}
	there, err := os.Stat(proc + "cwd")
	if err != nil || !os.SameFile(here, there) {
		return false
	}
	line, err := os.ReadFile(proc + "cmdline")
	return err == nil && bytes.Contains(line, []byte("\x00-uuid\x00"+id+"\x00"))
}

// openPID returns a handle of a process that the runtime can wait for.
func openPID(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// wait returns when the process has ended, with how, as far as can be known.
// It fails if the handle is closed before.
func (p *process) wait() (status string, err error) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return "", err
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a descriptor is small
		if errors.Is(err, unix.EINTR) {
			return false
		}
		failed = err
		return n > 0 || err != nil
	})
	if err := errors.Join(err, failed); err != nil {
		return "", err
	}
	if p.child != nil {
		err = p.child.Wait()
	}
	if err != nil {
		status = err.Error()
	}
	return status, nil
}

// signal sends the process a signal; to one that has ended, nothing.
func (p *process) signal(signal unix.Signal) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(int(fd), signal, nil, 0))
	})
	if err != nil || errors.Is(failed, unix.ESRCH) { // the handle is closed: it has ended
		return nil //nolint:nilerr // see above
	}
	return failed
}

// How long QEMU may take to end once asked to. It then writes back what it
// holds of a disk's metadata, which kill does not let it.
const quitTimeout = 5 * time.Second

// end makes the process end and returns when it has.
func (p *process) end() error {
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(quitTimeout)
	defer timer.Stop()
	select {
	case <-p.gone:
		return nil
	case <-timer.C:
		return p.kill()
	}
}

// kill ends a process of which nothing is kept, and returns when it has ended.
func (p *process) kill() error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	timer := time.NewTimer(quitTimeout)
	defer timer.Stop()
	select {
	case <-p.gone:
		return nil
	case <-timer.C:
		return fmt.Errorf("QEMU process %d does not end", p.pid)
	}
}

// reason says why the process ended, for the server's owner; nothing if the
// guest shut itself down, after which QEMU removes its pid file and has
// nothing to say.
func reason(dir, status string) string {
	_, err := os.Stat(filepath.Join(dir, pidFile))
	orderly := errors.Is(err, os.ErrNotExist)
	text, err := messagesRing(dir).bytes()
	if err != nil {
		text = nil
	}
	said := strings.TrimSpace(string(lastLines(text, 1)))
	switch {
	case orderly && status == "" && !strings.Contains(said, "terminating on signal"):
		return ""
	case status == "" && said == "":
		return "QEMU ended unexpectedly"
	case said == "":
		return "QEMU ended unexpectedly: " + status
	case status == "":
		return "QEMU ended unexpectedly: " + said
	default:
		return fmt.Sprintf("QEMU ended unexpectedly: %s: %s", status, said)
	}
}

// messagesRing holds what the last QEMU of a machine had to say.
func messagesRing(dir string) *ring {
	return &ring{path: filepath.Join(dir, messagesFile), limit: messagesLimit}
}
