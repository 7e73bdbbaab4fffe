package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Processes starts child processes and reaps those that others left behind.
//
// PID 1 inherits every orphan and must wait for it, but must not take the exit
// status of a process that somebody here waits for. So each process is started
// through Start, and ReapOrphans looks at who died before it takes the status.
// The zero value is not ready; use NewProcesses.
type Processes struct {
	mu  sync.Mutex // held while a process is born or looked up
	own map[int]*Process
}

// NewProcesses returns an empty set of processes.
func NewProcesses() *Processes { return &Processes{own: make(map[int]*Process)} }

// Process is a started child.
type Process struct {
	Pid int

	set     *Processes
	process *os.Process
	waited  chan struct{}
}

// Start starts a program; see os.StartProcess. Wait must be called.
func (s *Processes) Start(path string, argv []string, attr *os.ProcAttr) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	process, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return nil, err
	}
	p := &Process{Pid: process.Pid, set: s, process: process, waited: make(chan struct{})}
	s.own[p.Pid] = p
	return p, nil
}

// Wait returns how the process ended. It must be called once.
func (p *Process) Wait() (*os.ProcessState, error) {
	state, err := p.process.Wait()
	p.set.mu.Lock()
	delete(p.set.own, p.Pid)
	p.set.mu.Unlock()
	close(p.waited)
	return state, err
}

// ReapOrphans waits, until ctx ends, for all children that were not started
// here. Only PID 1 (or a child subreaper) needs it, and only once.
func (s *Processes) ReapOrphans(ctx context.Context, log *slog.Logger) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		select {
		case <-died:
		case <-ctx.Done():
			return
		}
		if err := s.reapAll(); err != nil {
			log.WarnContext(ctx, "gatehouse-agent: reap", "err", err)
		}
	}
}

// reapAll waits for every child that has died so far.
func (s *Processes) reapAll() error {
	for {
		pid, err := peekDead()
		if err != nil || pid == 0 {
			return err
		}
		s.mu.Lock()
		own := s.own[pid]
		s.mu.Unlock()
		if own != nil {
			<-own.waited
			continue
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil && !errors.Is(err, unix.ECHILD) {
			return fmt.Errorf("wait for %d: %w", pid, err)
		}
	}
}

// peekDead returns a child that has died and that nobody has waited for, and
// leaves it waitable; 0 if there is none.
func peekDead() (int, error) {
	for {
		var info siginfo
		err := waitid(&info)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			return 0, nil
		default:
			return int(info.pid), err
		}
	}
}
