package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// settlingTime is how long a template does nothing before it is frozen. The
// kernel frees memory and writes to disks a while after it could; what is left
// undone in a template is done in every fork.
const settlingTime = 2 * time.Second

// A template is a machine that has done all it can without being anybody: the
// host freezes it and makes machines from copies of it, which find every page
// it has read in their memory. This file is its life, line.go how it speaks
// with the host, fork.go how a copy becomes somebody.

// beForked makes the machine a template, waits to be forked, and makes the
// fork the server that the host says it is. It returns what serves it.
func (m *machine) beForked(tty string, chores []chore) (*identified, error) {
	line, err := openLine(filepath.Join("/dev", tty))
	if err != nil {
		return nil, fmt.Errorf("open the line to the host: %w", err)
	}
	defer line.Close()
	who, err := m.awaitFork(line, chores)
	if err == nil {
		err = line.say("forked")
	}
	if err != nil {
		return nil, errors.Join(err, line.say("failed "+err.Error()))
	}
	return who, nil
}

func (m *machine) awaitFork(line *line, chores []chore) (*identified, error) {
	// A fork overwrites what it finds, which is quicker than to make files.
	if err := errors.Join(setHostname("vm"), writeSetting("/etc/machine-id", "uninitialized\n")); err != nil {
		return nil, err
	}
	m.doAll(chores)
	if err := m.keepingTime(func() {
		m.doAll(m.warmUps())
		unix.Sync()
		<-time.After(settlingTime)
	}); err != nil {
		return nil, err
	}
	runtime.GC() // so that no fork has to before somebody uses it

	if err := line.say("ready"); err != nil {
		return nil, err
	}
	f, err := line.awaitFork()
	if err != nil {
		return nil, err
	}
	return m.become(f)
}
