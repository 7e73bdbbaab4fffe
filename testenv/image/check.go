package image

import (
	"context"
	"fmt"
	"os"
	"time"
)

// How long a new image may take from power-on to a login, with our agent and
// with another init, and how long what templates of it do.
const (
	agentBootTime = 2 * time.Minute
	initBootTime  = 10 * time.Minute
	templateTime  = 10 * time.Minute
	loginTime     = 20 * time.Second // of one try
)

// check boots an image once, as the cloud will, logs in, and does what a
// template of it would.
func (b *build) check(ctx context.Context, a Artefacts) error {
	b.say("boot it …")
	dir, err := os.MkdirTemp(b.dir, "check-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	m, err := b.powerOn(ctx, a, dir)
	if err != nil {
		return err
	}
	defer m.powerOff()
	err = b.boot(ctx, m, a)
	if err == nil && a.Forks {
		err = b.rehearse(ctx, m, a.User)
	}
	if err != nil {
		return fmt.Errorf("%w; its console:\n%s", err, m.console.last(30))
	}
	return nil
}

// boot waits until the machine lets the user in.
func (b *build) boot(ctx context.Context, m *machine, a Artefacts) error {
	longest := agentBootTime
	if !a.Forks {
		longest = initBootTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it did not answer within %s", longest))
	defer cancel()
	began := time.Now()
	if !a.Forks {
		if err := m.awaitLogIn(ctx, a.User, b.proofOfWork()); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	} else {
		if err := m.awaitReady(ctx); err != nil {
			return err
		}
		b.say("  ready after %.1f s", time.Since(began).Seconds())
		if err := m.run(ctx, a.User, b.proofOfWork()); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	b.say("  logged in after %.1f s", time.Since(began).Seconds())
	return nil
}

// rehearse runs what the recipe has run in templates.
func (b *build) rehearse(ctx context.Context, m *machine, user string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, templateTime, fmt.Errorf("template: not done within %s", templateTime))
	defer cancel()
	for i := range b.recipe.Template {
		began := time.Now()
		if err := m.run(ctx, user, "/"+templateScript(i)); err != nil {
			return fmt.Errorf("template: %w", err)
		}
		b.say("  template script %d ran for %.1f s", i, time.Since(began).Seconds())
	}
	return nil
}

// proofOfWork is a command that what every job needs is there, and that the
// user may become root if sudo is there or the recipe wants it.
func (b *build) proofOfWork() string {
	need := "sh tar env cat"
	sudo := "if command -v sudo; then sudo -n true; fi"
	switch wanted := b.recipe.User.Sudo; {
	case wanted == nil:
	case *wanted:
		sudo = "sudo -n true"
	default:
		sudo = "true"
	}
	return `set -e; test -w "$HOME"; for program in ` + need + "; do command -v $program; done; " + sudo
}
