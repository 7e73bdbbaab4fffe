package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	// maxProcesses leaves PID 1 process ids when a job multiplies without end
	// (the kernel's own limit is 32768).
	maxProcesses = 24576
)

// sessionGroup is the cgroup (cgroups(7), version 2) that holds those of all
// sessions. A nil one makes nil groups.
type sessionGroup struct {
	path  string
	last  atomic.Int64
	spare chan *group // one, made when nobody waits for it
}

func newSessionGroup() (*sessionGroup, error) {
	s := &sessionGroup{path: filepath.Join(cgroupRoot, "sessions"), spare: make(chan *group, 1)}
	if err := writeControl(cgroupRoot, "cgroup.subtree_control", "+pids"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.path, 0o750); err != nil {
		return nil, err
	}
	return s, errors.Join(writeControl(s.path, "pids.max", fmt.Sprint(maxProcesses)), s.restock())
}

// add returns the cgroup of one session.
func (s *sessionGroup) add() (*group, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // a nil group is one that does nothing
	}
	select {
	case g := <-s.spare:
		return g, nil
	default:
		return s.make()
	}
}

// restock makes the next session's cgroup ahead of it.
func (s *sessionGroup) restock() error {
	if s == nil || len(s.spare) > 0 {
		return nil
	}
	g, err := s.make()
	if err != nil {
		return err
	}
	select {
	case s.spare <- g:
	default:
		g.remove()
	}
	return nil
}

func (s *sessionGroup) make() (*group, error) {
	path := filepath.Join(s.path, fmt.Sprint(s.last.Add(1)))
	if err := os.Mkdir(path, 0o750); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &group{dir: dir}, nil
}

// group is a session's cgroup. A nil one does nothing.
type group struct{ dir *os.File }

// kill kills every process in it at once, also those that multiply.
func (g *group) kill() {
	if g != nil {
		_ = writeControl(g.dir.Name(), "cgroup.kill", "1") // it may be gone
	}
}

// remove forgets the cgroup, and removes it if nothing is left in it.
func (g *group) remove() {
	if g != nil {
		g.dir.Close()
		_ = os.Remove(g.dir.Name()) // a daemon may have stayed
	}
}

func writeControl(dir, file, value string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600)
}
