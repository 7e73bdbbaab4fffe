package sshd

import (
	"context"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/receive"
)

// git serves one of git's transports.
func (ss *session) git(ctx context.Context, command string, args []string) error {
	if command != "git-upload-pack" && command != "git-receive-pack" {
		return fault.New(fault.NotFound, "gerrit: %s: not found", command)
	}
	if len(args) != 1 {
		return fault.New(fault.BadRequest, "usage: %s PROJECT", command)
	}
	project := strings.TrimSuffix(strings.Trim(args[0], "/"), ".git")
	if _, err := ss.service.Project(ctx, ss.caller, project); err != nil {
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "Project not found: %s", project)
		}
		return err
	}
	stdin, closeStdin, err := ss.stdin()
	if err != nil {
		return err
	}
	defer closeStdin()
	if command == "git-upload-pack" {
		return ss.service.UploadPack(ctx, ss.caller, review.Fetch{
			Project: project, Protocol: ss.protocol, Stdin: stdin, Stdout: ss.channel,
		})
	}
	if err := receive.Advertise(ctx, ss.service, ss.caller, project, ss.channel); err != nil {
		return err
	}
	return receive.Serve(ctx, ss.service, ss.caller, project, stdin, ss.channel)
}
