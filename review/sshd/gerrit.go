package sshd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// command is one of "gerrit …".
type command struct {
	name, about string
	run         func(ss *session, ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"create-account", "Create a new account", (*session).createAccount},
		{"create-branch", "Create a new branch", (*session).createBranch},
		{"create-project", "Create a new project and its Git repository", (*session).createProject},
		{"ls-projects", "List the projects visible to you", (*session).lsProjects},
		{"query", "Query the change database", (*session).query},
		{"review", "Apply reviews to one or more patch sets", (*session).review},
		{"set-reviewers", "Add or remove reviewers on a change", (*session).setReviewers},
		{"set-topic", "Set the topic of one or more changes", (*session).setTopic},
		{"stream-events", "Monitor events occurring in real time", (*session).streamEvents},
		{"version", "Display the server's version", (*session).version},
	}
}

// gerrit runs a subcommand.
func (ss *session) gerrit(ctx context.Context, args []string) error {
	all := commands()
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprint(ss.channel.Stderr(), "gerrit COMMAND [ARG ...] [--help]\n\nAvailable commands of gerrit are:\n\n")
		for _, c := range all {
			fmt.Fprintf(ss.channel.Stderr(), "   %-15s %s\n", c.name, c.about)
		}
		return exitError(1)
	}
	for _, c := range all {
		if c.name == args[0] {
			return c.run(ss, ctx, args[1:])
		}
	}
	return fault.New(fault.NotFound, "gerrit: %s: not found", args[0])
}

func (ss *session) version(context.Context, []string) error {
	fmt.Fprintf(ss.channel, "gerrit version %s\n", ss.server.config.Version)
	return nil
}

func (ss *session) createProject(ctx context.Context, args []string) error {
	o, err := parseOptions(args, valued("name", "n"), valued("branch", "b"), valued("description", "d"), valued("parent", "p"),
		valued("submit-type", "t"), flag("empty-commit"), flag("require-change-id", "id"))
	if err != nil {
		return err
	}
	name := o.get("name")
	if name == "" && len(o.args) == 1 {
		name, o.args = o.args[0], nil
	}
	if name == "" || len(o.args) > 0 {
		return fault.New(fault.BadRequest, "usage: gerrit create-project NAME [--branch REF] [--description TEXT] [--empty-commit]")
	}
	_, err = ss.service.CreateProject(ctx, ss.caller, review.NewProject{
		Name: name, Branches: o.values["branch"], Description: o.get("description"), Parent: o.get("parent"),
		SubmitType: o.get("submit-type"), EmptyCommit: o.has("empty-commit"),
	})
	return err
}

func (ss *session) createBranch(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if len(o.args) != 3 {
		return fault.New(fault.BadRequest, "usage: gerrit create-branch PROJECT NAME REVISION")
	}
	_, err = ss.service.CreateBranch(ctx, ss.caller, strings.TrimSuffix(o.args[0], ".git"), o.args[1], o.args[2])
	return err
}

func (ss *session) createAccount(ctx context.Context, args []string) error {
	o, err := parseOptions(args, valued("email"), valued("full-name"), valued("ssh-key"), valued("http-password"))
	if err != nil {
		return err
	}
	if len(o.args) != 1 {
		return fault.New(fault.BadRequest, "usage: gerrit create-account USERNAME [--full-name NAME] [--email EMAIL] [--ssh-key -|KEY] [--http-password PASSWORD]")
	}
	n := review.NewAccount{Username: o.args[0], FullName: o.get("full-name"), Email: o.get("email"), HTTPPassword: o.get("http-password")}
	if key := o.get("ssh-key"); key == "-" {
		text, err := io.ReadAll(io.LimitReader(ss.channel, 64<<10))
		if err != nil {
			return err
		}
		n.SSHKeys = []string{string(text)}
	} else if key != "" {
		n.SSHKeys = []string{key}
	}
	_, err = ss.service.CreateAccount(ctx, ss.caller, n)
	return err
}

func (ss *session) lsProjects(ctx context.Context, args []string) error {
	o, err := parseOptions(args, flag("description", "d"), flag("all"), valued("prefix", "p"), valued("limit", "n"), valued("match", "m"))
	if err != nil {
		return err
	}
	limit, err := o.number("limit")
	if err != nil {
		return err
	}
	projects, err := ss.service.Projects(ctx, ss.caller, review.ProjectFilter{Prefix: o.get("prefix"), Substring: o.get("match"), Limit: limit})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(ss.channel)
	for _, p := range projects {
		fmt.Fprint(out, p.Name)
		if o.has("description") && p.Description != "" {
			fmt.Fprint(out, " - ", strings.ReplaceAll(p.Description, "\n", `\n`))
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

func (ss *session) setReviewers(ctx context.Context, args []string) error {
	o, err := parseOptions(args, valued("add", "a"), valued("remove", "r"), valued("project", "p"))
	if err != nil {
		return err
	}
	if len(o.args) == 0 {
		return fault.New(fault.BadRequest, "usage: gerrit set-reviewers [--add WHO] [--remove WHO] CHANGE ...")
	}
	for _, arg := range o.args {
		change, _, err := ss.target(ctx, arg, o.get("project"), "")
		if err != nil {
			return err
		}
		for _, who := range o.values["remove"] {
			a, err := ss.service.FindAccount(ctx, ss.caller, who)
			if err != nil {
				return err
			}
			if err := ss.service.RemoveReviewer(ctx, ss.caller, change.Number, a.ID); err != nil {
				return err
			}
		}
		var add []review.ReviewerInput
		for _, who := range o.values["add"] {
			add = append(add, review.ReviewerInput{Account: who, State: review.Reviewer})
		}
		if _, err := ss.service.AddReviewers(ctx, ss.caller, change.Number, add...); err != nil {
			return err
		}
	}
	return nil
}

func (ss *session) setTopic(ctx context.Context, args []string) error {
	o, err := parseOptions(args, valued("topic", "t"))
	if err != nil {
		return err
	}
	if len(o.args) == 0 {
		return fault.New(fault.BadRequest, "usage: gerrit set-topic CHANGE ... --topic TOPIC")
	}
	for _, arg := range o.args {
		change, _, err := ss.target(ctx, arg, "", "")
		if err != nil {
			return err
		}
		if _, err := ss.service.SetTopic(ctx, ss.caller, change.Number, o.get("topic")); err != nil {
			return err
		}
	}
	return nil
}

// streamEvents writes an event a line as they happen, until the client goes.
// A client that does not read holds up nobody: events wait in the database.
func (ss *session) streamEvents(ctx context.Context, args []string) error {
	o, err := parseOptions(args, valued("subscribe", "s"), valued("after"))
	if err != nil {
		return err
	}
	after := int64(-1)
	if o.has("after") {
		n, err := o.number("after")
		if err != nil {
			return err
		}
		after = int64(n)
	}
	types := o.values["subscribe"]
	err = ss.service.Tail(ctx, ss.caller, after, func(e review.Event) error {
		if len(types) > 0 && !slices.Contains(types, e.Type) {
			return nil
		}
		_, err := ss.channel.Write(append(e.JSON, '\n'))
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil // the client went away, as every reader does one day
	}
	return err
}
