package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Step is a script for /bin/sh -e.
type Step struct {
	Script string
	Env    map[string]string // in addition to the node's own: names as a shell takes them, values of any bytes but NUL
	Dir    string            // absolute; empty: the user's home
}

// Exit statuses of the commands that this package makes up.
const (
	exitNoDirectory = 120
	exitNoFile      = 121
)

// patience is what a machine has to let go of something whose context ended.
const patience = 2 * time.Second

// command is the step as one line for the user's login shell. Standard error
// joins standard output in the machine: only there is their order known. Each
// program that is run on the way to the script costs an emulated machine tens
// of milliseconds: env(1) would be one.
func (s Step) command() string {
	var line strings.Builder
	if s.Dir != "" {
		fmt.Fprintf(&line, "cd -- %s || exit %d; ", quote(s.Dir), exitNoDirectory)
	}
	line.WriteString("exec 2>&1 </dev/null; ")
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		line.WriteString("export " + name + "=" + quote(s.Env[name]) + "; ")
	}
	line.WriteString("exec /bin/sh -e -c " + quote(s.Script))
	return line.String()
}

// quote makes text one word of a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Run runs a step and writes what it prints to out, as it comes; a slow out
// slows the step down, and one that fails ends it. exit is the step's status,
// 128 and the signal's number if a signal ended it.
//
// An error means that the step's end is not known: the machine died, or the
// connection broke. When ctx ends, the step's processes are killed and ctx's
// error is returned, within two seconds, whatever the machine does.
func (n *Node) Run(ctx context.Context, s Step, out io.Writer) (exit int, err error) {
	return n.exec(ctx, s.command(), nil, out)
}

// exec runs a command line of the user's shell.
func (n *Node) exec(ctx context.Context, line string, in io.Reader, out io.Writer) (int, error) {
	defer n.bound(ctx)()
	session, err := n.client.NewSession()
	if err != nil {
		return 0, n.lost(ctx, err)
	}
	defer session.Close()
	sink := &sink{w: out, failed: make(chan error, 1)}
	session.Stdin, session.Stdout = in, sink
	if err := session.Start(line); err != nil {
		return 0, n.lost(ctx, err)
	}
	done := make(chan error, 1)
	go func() { done <- session.Wait() }()
	select {
	case err = <-done:
	case err = <-sink.failed:
		n.kill(session, done)
		return 0, err
	case <-ctx.Done():
		n.kill(session, done)
		return 0, context.Cause(ctx)
	}
	var status *ssh.ExitError
	switch {
	case len(sink.failed) > 0:
		return 0, <-sink.failed
	case err == nil:
		return 0, nil
	case errors.As(err, &status):
		return status.ExitStatus(), nil // for a signal, ssh has made it 128 and its number
	default:
		return 0, n.lost(ctx, err)
	}
}

// lost is the error of a machine with which something failed: ctx's, if that
// is why.
func (n *Node) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("node %s does not answer: %w", n.address, err)
}

// bound closes the connection, which ends everything, if ctx ends and the
// caller is not released within patience: a machine need not answer.
func (n *Node) bound(ctx context.Context) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(patience):
			n.client.Close()
		}
	})
	return func() {
		stop()
		close(done)
	}
}

// kill ends a session and waits for it; see bound.
func (n *Node) kill(session *ssh.Session, done <-chan error) {
	timer := time.AfterFunc(patience, func() { n.client.Close() })
	defer timer.Stop()
	_ = session.Signal(ssh.SIGKILL) // it fails if the connection is gone, and so is the session
	session.Close()
	<-done //nolint:errcheck // why the session was to end is what counts
}

// sink keeps the first error of a writer. What comes after it is thrown away:
// a session ends only once all its output is taken.
type sink struct {
	w      io.Writer
	failed chan error // holds one
	over   bool
}

func (s *sink) Write(p []byte) (int, error) {
	if s.over {
		return len(p), nil
	}
	if _, err := s.w.Write(p); err != nil {
		s.over = true
		s.failed <- err
	}
	return len(p), nil
}
