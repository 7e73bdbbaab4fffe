package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// session is one ssh session channel (RFC 4254, section 6): at most one
// program, with what was asked for it beforehand.
type session struct {
	server  *Server
	account Account
	channel ssh.Channel

	env      []string
	terminal *terminal // nil: pipes
	running  *running  // nil: nothing was started yet
	started  *wires    // those of a program that nobody attends to yet
	ended    chan struct{}
}

func newSession(s *Server, a Account, c ssh.Channel) *session {
	return &session{server: s, account: a, channel: c, env: a.environment(), ended: make(chan struct{})}
}

// serve answers the channel's requests until the client closes it or is gone.
// If the program still runs then, it is killed with all that it started.
func (s *session) serve(requests <-chan *ssh.Request) {
	for r := range requests {
		err := s.handle(r)
		if err != nil {
			s.server.Log.Warn("ssh session", "request", r.Type, "err", err)
		}
		var gone error
		if r.WantReply {
			gone = r.Reply(err == nil, nil)
		}
		// Not before: a program may end at once, and the channel with it.
		if s.started != nil {
			go s.attend(s.started)
			s.started = nil
		}
		if gone != nil {
			break
		}
	}
	if s.running != nil {
		s.running.killAll()
		<-s.ended
	}
	_ = s.channel.Close() // it may be closed already
	if s.terminal != nil {
		s.terminal.Close()
	}
}

func (s *session) handle(r *ssh.Request) error {
	switch r.Type {
	case "env":
		var v struct{ Name, Value string }
		if err := ssh.Unmarshal(r.Payload, &v); err != nil {
			return err
		}
		s.env = append(s.env, v.Name+"="+v.Value)
		return nil
	case "exec":
		var v struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &v); err != nil {
			return err
		}
		return s.start([]string{filepath.Base(s.account.Shell), "-c", v.Command})
	case "shell":
		return s.start([]string{"-" + filepath.Base(s.account.Shell)})
	case "signal":
		return s.signal(r.Payload)
	case "pty-req", "window-change":
		return s.setTerminal(r)
	default:
		return fmt.Errorf("no %q here", r.Type)
	}
}

func (s *session) signal(payload []byte) error {
	var v struct{ Name string }
	if err := ssh.Unmarshal(payload, &v); err != nil {
		return err
	}
	number := unix.SignalNum("SIG" + v.Name)
	switch {
	case number == 0:
		return fmt.Errorf("no signal %q", v.Name)
	case s.running == nil:
		return errNotStarted
	case number == unix.SIGKILL:
		s.running.killAll()
		return nil
	default:
		return unix.Kill(-s.running.process.Pid, number)
	}
}

// start runs the account's shell in a session and cgroup of its own.
func (s *session) start(argv []string) error {
	if s.running != nil {
		return fmt.Errorf("a session runs one program")
	}
	wires, err := s.wire()
	if err != nil {
		return err
	}
	group, err := s.server.groups.add()
	if err != nil {
		wires.abandon()
		return err
	}
	attributes := attributes(s.account, group)
	attributes.Setctty = s.terminal != nil
	process, err := s.server.Processes.Start(s.account.Shell, argv, &os.ProcAttr{
		Dir:   s.account.directory(),
		Env:   dedupe(s.env),
		Files: wires.child[:],
		Sys:   attributes,
	})
	wires.closeChild()
	if err != nil {
		wires.abandon()
		group.remove()
		return err
	}
	s.running, s.started = &running{process: process, group: group}, wires
	return nil
}

// attend carries the program's input and output until it ends, tells the
// client how it ended and closes the channel.
func (s *session) attend(w *wires) {
	defer close(s.ended)
	w.carry(s.channel)
	state, err := s.running.process.Wait()
	// What the program left in the background may stay, as under any sshd:
	// a later step may want the server that an earlier one started.
	w.drain()
	s.running.group.remove()
	if err != nil {
		s.server.Log.Warn("ssh session", "err", err)
	} else {
		s.reportEnd(state)
	}
	_ = s.channel.Close() // it may be closed already
	if err := s.server.groups.restock(); err != nil {
		s.server.Log.Warn("ssh session", "err", err)
	}
}

// reportEnd sends exit-status or exit-signal (RFC 4254, section 6.10).
func (s *session) reportEnd(state *os.ProcessState) {
	status, _ := state.Sys().(syscall.WaitStatus)
	_ = s.channel.CloseWrite() // a client that is gone needs no report
	if !status.Signaled() {
		code := struct{ Status uint32 }{uint32(status.ExitStatus())}          //nolint:gosec // 0 to 255
		_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(code)) // see above
		return
	}
	end := struct {
		Name       string
		CoreDumped bool
		Message    string
		Language   string
	}{unix.SignalName(status.Signal())[len("SIG"):], status.CoreDump(), status.Signal().String(), ""}
	_, _ = s.channel.SendRequest("exit-signal", false, ssh.Marshal(end)) // see above
}

// attributes make a process an account's, in a session and cgroup of its own.
func attributes(a Account, g *group) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() == 0 {
		attributes.Credential = &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
	}
	if g != nil {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(g.dir.Fd())
	}
	return attributes
}

// dedupe keeps the last of several settings of a variable: shells differ in
// which one they take.
func dedupe(env []string) []string {
	seen := make(map[string]bool)
	var kept []string
	for _, setting := range slices.Backward(env) {
		name := setting[:max(0, slices.Index([]byte(setting), '='))]
		if !seen[name] {
			seen[name] = true
			kept = append(kept, setting)
		}
	}
	slices.Reverse(kept)
	return kept
}

// running is a session's program.
type running struct {
	process *Process
	group   *group
}

// killAll kills the program and all that it started: everything in its
// cgroup, or where there is none, its process group.
func (r *running) killAll() {
	r.group.kill()
	_ = unix.Kill(-r.process.Pid, unix.SIGKILL) // it may have ended
}
