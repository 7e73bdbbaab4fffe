package sshd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// review votes and comments on patch sets, and does what else is asked.
func (ss *session) review(ctx context.Context, args []string) error {
	known := []option{
		valued("project", "p"), valued("branch", "b"), valued("message", "m"), valued("notify", "n"), valued("tag", "t"),
		valued("label", "l"), flag("abandon"), flag("restore"), flag("rebase"), flag("submit", "s"), flag("strict-labels"),
	}
	labels := ss.service.Labels("")
	for _, l := range labels {
		known = append(known, valued(strings.ToLower(l.Name)))
	}
	o, err := parseOptions(args, known...)
	if err != nil {
		return err
	}
	if len(o.args) == 0 {
		return fault.New(fault.BadRequest, "usage: gerrit review {COMMIT | CHANGE,PATCHSET} ... [--message TEXT] [--label LABEL=N] [--submit] ...")
	}
	votes, err := votesOf(o, labels)
	if err != nil {
		return err
	}
	failed := false
	for _, arg := range o.args { // each for itself: one that fails does not keep the others
		change, patchSet, err := ss.target(ctx, arg, o.get("project"), o.get("branch"))
		if err == nil {
			err = ss.reviewOne(ctx, change, patchSet, o, votes)
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			return err
		}
		if err != nil {
			failed = true
			fmt.Fprintf(ss.channel.Stderr(), "error: %s\n", err)
		}
	}
	if failed {
		return fault.New(fault.Conflict, "one or more reviews failed; review output above")
	}
	return nil
}

// votesOf reads --label Name=V and --name V.
func votesOf(o *options, labels []review.Label) (map[string]int, error) {
	votes := map[string]int{}
	set := func(name, value string) error {
		v, err := strconv.Atoi(value)
		if err != nil {
			return fault.New(fault.BadRequest, "\"%s\" is not a valid value for label %s", value, name)
		}
		votes[name] = v
		return nil
	}
	for _, text := range o.values["label"] {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fault.New(fault.BadRequest, "label is given as LABEL=VALUE, not \"%s\"", text)
		}
		if err := set(name, value); err != nil {
			return nil, err
		}
	}
	for _, l := range labels {
		if name := strings.ToLower(l.Name); o.has(name) {
			if err := set(l.Name, o.get(name)); err != nil {
				return nil, err
			}
		}
	}
	return votes, nil
}

func (ss *session) reviewOne(ctx context.Context, c *review.Change, patchSet int, o *options, votes map[string]int) error {
	message := o.get("message")
	var err error
	switch {
	case o.has("abandon"):
		if len(votes) > 0 || o.has("restore") || o.has("submit") || o.has("rebase") {
			return fault.New(fault.BadRequest, "abandon and other actions are mutually exclusive")
		}
		_, err = ss.service.Abandon(ctx, ss.caller, c.Number, message)
		return err
	case o.has("restore"):
		if _, err := ss.service.Restore(ctx, ss.caller, c.Number, message); err != nil || len(votes) == 0 {
			return err
		}
		message = ""
	}
	if len(votes) > 0 || strings.TrimSpace(message) != "" {
		in := review.ReviewInput{Message: message, Labels: votes, StrictLabels: true, Tag: o.get("tag")}
		if _, err := ss.service.Review(ctx, ss.caller, c.Number, patchSet, in); err != nil {
			return err
		}
	}
	if o.has("rebase") {
		if _, err := ss.service.Rebase(ctx, ss.caller, c.Number, ""); err != nil {
			return err
		}
	}
	if o.has("submit") {
		if patchSet != c.PatchSet {
			return fault.New(fault.Conflict, "patch set %d of change %d is not current", patchSet, c.Number)
		}
		_, err = ss.service.Submit(ctx, ss.caller, c.Number)
	}
	return err
}

// target finds the patch set that an argument names: NUMBER,PS or a commit; or
// for commands about whole changes also the ids of FindChange.
func (ss *session) target(ctx context.Context, arg, project, branch string) (*review.Change, int, error) {
	if number, set, ok := strings.Cut(arg, ","); ok {
		change, err := ss.service.FindChange(ctx, ss.caller, number)
		if err != nil {
			return nil, 0, noSuchPatchSet(arg, err)
		}
		p, err := ss.service.PatchSet(ctx, ss.caller, change.Number, set)
		if err != nil {
			return nil, 0, noSuchPatchSet(arg, err)
		}
		if project != "" && change.Project != strings.TrimSuffix(project, ".git") {
			return nil, 0, fault.New(fault.BadRequest, "change %s not in project %s", number, project)
		}
		return change, p.Number, nil
	}
	if len(arg) < 7 || strings.Trim(arg, "0123456789abcdef") != "" {
		change, err := ss.service.FindChange(ctx, ss.caller, arg)
		if err != nil {
			return nil, 0, noSuchPatchSet(arg, err)
		}
		return change, change.PatchSet, nil
	}
	return ss.byCommit(ctx, arg, project, branch)
}

// byCommit finds the only patch set of a commit within project and branch.
func (ss *session) byCommit(ctx context.Context, commit, project, branch string) (*review.Change, int, error) {
	sets, err := ss.service.PatchSetsOfRevision(ctx, ss.caller, commit)
	if err != nil {
		return nil, 0, err
	}
	var found *review.Change
	patchSet := 0
	for _, p := range sets {
		c, err := ss.service.Change(ctx, ss.caller, p.Change)
		if err != nil {
			return nil, 0, err
		}
		if project != "" && c.Project != strings.TrimSuffix(project, ".git") || branch != "" && c.Branch != strings.TrimPrefix(branch, "refs/heads/") {
			continue
		}
		if found != nil && found.Number != c.Number {
			return nil, 0, fault.New(fault.BadRequest, "\"%s\" matches multiple patch sets", commit)
		}
		found, patchSet = c, max(patchSet, p.Number)
	}
	if found == nil {
		return nil, 0, fault.New(fault.NotFound, "\"%s\" no such patch set", commit)
	}
	return found, patchSet, nil
}

func noSuchPatchSet(arg string, err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "\"%s\" no such change", arg)
	}
	return err
}
