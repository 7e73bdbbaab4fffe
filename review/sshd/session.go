package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/kballard/go-shellquote"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// session is one command that a client runs.
type session struct {
	server   *Server
	service  *review.Service
	account  int64           // that logged in
	caller   *review.Account // the same, as it is now
	channel  ssh.Channel
	protocol string // GIT_PROTOCOL
	work     sync.WaitGroup
}

// exitError ends a command with a status other than 1, or without a message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// session waits for the client to say what it wants, does that, and ends.
func (s *Server) session(ctx context.Context, conn *ssh.ServerConn, channel ssh.Channel, requests <-chan *ssh.Request) {
	ss := &session{server: s, service: s.config.Service, channel: channel, account: accountOf(conn)}
	defer ss.work.Wait()                   // ends as the client confirms the channel's end, or goes
	defer func() { _ = channel.Close() }() // fails if the client closed it
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for r := range requests {
		run, err := ss.request(r)
		if r.WantReply {
			_ = r.Reply(err == nil, nil) // fails if the client is gone: reading tells
		}
		if run == nil {
			continue
		}
		ss.work.Go(func() {
			for r := range requests {
				if r.WantReply {
					_ = r.Reply(false, nil)
				}
			}
			cancel() // the client is gone
		})
		var problem error
		if ss.caller, problem = s.config.Service.ActiveAccount(ctx, ss.account); problem == nil {
			problem = run(ctx)
		}
		ss.exit(ctx, problem)
		return
	}
}

// request takes one of the client's requests; run is not nil if it is what the
// session is for.
func (ss *session) request(r *ssh.Request) (run func(context.Context) error, err error) {
	switch r.Type {
	case "env":
		var v struct{ Name, Value string }
		if err := ssh.Unmarshal(r.Payload, &v); err != nil {
			return nil, err
		}
		if v.Name == "GIT_PROTOCOL" && (v.Value == "version=2" || v.Value == "version=1") {
			ss.protocol = v.Value
		}
		return nil, nil
	case "exec":
		var v struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &v); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return ss.exec(ctx, v.Command) }, nil
	case "subsystem":
		var v struct{ Name string }
		if err := ssh.Unmarshal(r.Payload, &v); err != nil {
			return nil, err
		}
		if v.Name != "sftp" {
			return nil, errors.New("unknown subsystem")
		}
		return ss.sftp, nil
	case "shell":
		return ss.welcome, nil
	case "pty-req":
		return nil, nil
	}
	return nil, errors.New("unknown request")
}

// welcome is for who tries to get a shell.
func (ss *session) welcome(context.Context) error {
	fmt.Fprintf(ss.channel, "\r\n  ****    Welcome to Gatehouse Code Review    ****\r\n\r\n"+
		"  Hi %s, you have successfully connected over SSH.\r\n\r\n"+
		"  Unfortunately, interactive shells are disabled.\r\n  To clone a hosted Git repository, use:\r\n\r\n"+
		"  git clone ssh://%s@%s/REPOSITORY_NAME.git\r\n\r\n", ss.caller.Name(), ss.caller.Username, ss.service.SSH())
	return exitError(127)
}

// exec runs a command line as the client sent it.
func (ss *session) exec(ctx context.Context, line string) error {
	words, err := shellquote.Split(line)
	if err != nil {
		return fault.New(fault.BadRequest, "bad command line: %v", err)
	}
	if len(words) == 0 {
		return fault.New(fault.BadRequest, "empty command")
	}
	switch name := words[0]; {
	case name == "git" && len(words) > 1:
		return ss.git(ctx, "git-"+words[1], words[2:])
	case strings.HasPrefix(name, "git-"):
		return ss.git(ctx, name, words[1:])
	case name == "scp":
		return ss.scp(words[1:])
	case name == "gerrit":
		return ss.gerrit(ctx, words[1:])
	}
	return fault.New(fault.NotFound, "gerrit: %s: not found", words[0])
}

// exit reports a command's end to the client.
func (ss *session) exit(ctx context.Context, err error) {
	status := uint32(0)
	var exit exitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		status = uint32(exit) //nolint:gosec // a small number of ours
	case fault.KindOf(err) != fault.Internal:
		status = 1
		fmt.Fprintf(ss.channel.Stderr(), "fatal: %s\n", err)
	default:
		status = 1
		if ctx.Err() == nil && !errors.Is(err, io.EOF) {
			ss.server.config.Log.ErrorContext(ctx, "ssh command failed", "account", ss.account, "err", err)
		}
		fmt.Fprintln(ss.channel.Stderr(), "fatal: internal server error")
	}
	_ = ss.channel.CloseWrite() // the client may be gone: nobody to tell
	_, _ = ss.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

// stdin is what the client sends, as a file that a process can read itself: a
// copy in this process could not end before the client closes its side. The
// returned function closes it; the copying ends with the session.
func (ss *session) stdin() (*os.File, func(), error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	ss.work.Go(func() {
		defer w.Close()
		_, _ = io.Copy(w, ss.channel) // ends when either side is closed
	})
	return r, func() { _ = r.Close() }, nil
}
