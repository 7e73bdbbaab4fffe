package main

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/identity"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/githttp"
	"github.com/gatehouse-dev/gatehouse/review/query"
	"github.com/gatehouse-dev/gatehouse/review/rest"
	"github.com/gatehouse-dev/gatehouse/review/sshd"
	"github.com/gatehouse-dev/gatehouse/review/web"
)

// startReview starts the review server: pages, REST and git over HTTP on one
// listener, Gerrit's commands and git over SSH on the other.
func (s *system) startReview(ctx context.Context, http, ssh net.Listener, users *identity.Service) error {
	dir := filepath.Join(s.data, "review")
	changes, err := review.New(ctx, review.Config{
		Dir: dir, Log: s.log, Passwords: passwordDoor{users},
		URL: s.reviewURL, SSH: s.endpoints.ReviewSSH, GateFile: gateFile,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, changes.Close)
	language := query.New(changes.Labels(""), time.Now)
	site, err := web.New(web.Config{
		Service: changes, Compile: language.Compile, Log: s.log, KeyFile: filepath.Join(dir, "session.key"),
		REST: rest.New(rest.Config{Service: changes, Compile: language.Compile, Log: s.log}),
		Git:  githttp.New(changes, s.log), IsGit: githttp.Match,
	})
	if err != nil {
		return err
	}
	door, err := sshd.New(sshd.Config{
		Service: changes, Compile: language.Compile, Log: s.log, KeyDir: filepath.Join(dir, "ssh"), Version: rest.Version,
	})
	if err != nil {
		return err
	}
	s.run(ctx, "review",
		changes.Run,
		func(ctx context.Context) error { return door.Serve(ctx, ssh) },
		func(ctx context.Context) error { return serve(ctx, http, withHealth(site, s.registry)) },
	)
	return nil
}
