package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Step is a script for /bin/sh -e.
type Step struct {
	Script string
	Env    map[string]string // in addition to the node's own; values may hold any byte but NUL
	Dir    string            // absolute; empty: the user's home
}

// Exit statuses of the commands that this package makes up.
const (
	exitNoDirectory = 120
	exitNoFile      = 121
)

// command is the step as one line for the user's login shell. Standard error
// joins standard output in the machine: only there is their order known.
func (s Step) command() string {
	var line strings.Builder
	if s.Dir != "" {
		fmt.Fprintf(&line, "cd -- %s || exit %d; ", quote(s.Dir), exitNoDirectory)
	}
	line.WriteString("exec 2>&1 </dev/null; exec env")
	names := make([]string, 0, len(s.Env))
	for name := range s.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		line.WriteString(" " + quote(name+"="+s.Env[name]))
	}
	line.WriteString(" /bin/sh -e -c " + quote(s.Script))
	return line.String()
}

// quote makes text one word of a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// Run runs a step and writes what it prints to out, as it comes; a slow out
// slows the step down. exit is the step's status, 128 and the signal's number
// if a signal ended it.
//
// An error means that the step's end is not known: the machine died, or the
// connection broke. When ctx ends, the step's processes are killed and ctx's
// error is returned, within two seconds, whatever the machine does.
func (n *Node) Run(ctx context.Context, s Step, out io.Writer) (exit int, err error) {
	return n.exec(ctx, s.command(), nil, out)
}

// CopyTree unpacks a tar archive into dir, which is made if it is missing.
// Everything belongs to the node's user.
func (n *Node) CopyTree(ctx context.Context, archive io.Reader, dir string) error {
	var said bytes.Buffer
	exit, err := n.exec(ctx, fmt.Sprintf("exec 2>&1; mkdir -p -- %[1]s && exec tar -x -C %[1]s", quote(dir)), archive, &said)
	if err != nil {
		return fmt.Errorf("copy tree: %w", err)
	}
	if exit != 0 {
		return fmt.Errorf("copy tree: tar ended with status %d: %s", exit, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// Fetch writes the file at an absolute path to w. It reports fs.ErrNotExist
// if there is none.
func (n *Node) Fetch(ctx context.Context, path string, w io.Writer) error {
	exit, err := n.exec(ctx, fmt.Sprintf("test -f %[1]s || exit %[2]d; exec cat -- %[1]s", quote(path), exitNoFile), nil, w)
	switch {
	case err != nil:
		return fmt.Errorf("fetch %s: %w", path, err)
	case exit == exitNoFile:
		return fmt.Errorf("fetch %s: %w", path, fs.ErrNotExist)
	case exit != 0:
		return fmt.Errorf("fetch %s: cat ended with status %d", path, exit)
	}
	return nil
}

// exec runs a command line of the user's shell.
func (n *Node) exec(ctx context.Context, line string, in io.Reader, out io.Writer) (int, error) {
	session, err := n.client.NewSession()
	if err != nil {
		return 0, fmt.Errorf("node %s does not answer: %w", n.address, err)
	}
	defer session.Close()
	session.Stdin, session.Stdout = in, out
	if err := session.Start(line); err != nil {
		return 0, fmt.Errorf("node %s does not answer: %w", n.address, err)
	}
	done := make(chan error, 1)
	go func() { done <- session.Wait() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		n.kill(session, done)
		return 0, context.Cause(ctx)
	}
	var status *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &status):
		return status.ExitStatus(), nil // for a signal, ssh has made it 128 and its number
	default:
		return 0, fmt.Errorf("node %s lost: %w", n.address, err)
	}
}

// kill ends a session whose context has ended. A machine that does not let go
// of it in time loses its connection, which ends everything.
func (n *Node) kill(session *ssh.Session, done <-chan error) {
	patience := time.AfterFunc(2*time.Second, func() { n.client.Close() })
	defer patience.Stop()
	_ = session.Signal(ssh.SIGKILL) // it fails if the connection is gone, and so is the session
	session.Close()
	<-done //nolint:errcheck // ctx's error is the one that counts
}
