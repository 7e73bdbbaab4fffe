package review

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// Push is what a git client sends with one push.
type Push struct {
	Project string
	Updates []git.Update // in the client's order; refs/for/… among them
	Options []string     // git push -o
	// Pack is read if anything but deletions is asked for. Unless it is an
	// *os.File, more than the pack may be read of it.
	Pack     io.Reader
	Progress io.Writer // what the user sees behind "remote: "
}

// PushStatus is what became of one update: Reason is empty if it was done.
type PushStatus struct {
	Ref    string
	Reason string
}

// MaxPack bounds what one push sends, in bytes.
const MaxPack = 2 << 30

// Push receives a pack and carries out the updates, each for itself: changes
// and patch sets for refs/for/BRANCH, moved branches for the rest. The error
// is of the whole push (git calls it the unpack status); what is wrong with
// one update is in its status.
func (s *Service) Push(ctx context.Context, caller *Account, p Push) ([]PushStatus, error) {
	if err := registered(caller); err != nil {
		return nil, err
	}
	project, err := s.Project(ctx, caller, p.Project)
	if err != nil {
		return nil, err
	}
	repo, discard, err := s.repos.Repo(project.Name).Quarantine()
	if err != nil {
		return nil, orFull(err)
	}
	defer discard()
	if err := s.receive(ctx, repo, p); err != nil {
		return nil, err
	}
	defer s.locks.lock(project.Name)()
	r := &receiver{s: s, caller: caller, project: project, repo: repo, push: p}
	return r.run(ctx)
}

// receive reads the pack into quarantine and checks that it is complete.
func (s *Service) receive(ctx context.Context, repo *git.Repo, p Push) error {
	var tips []string
	for _, u := range p.Updates {
		if u.New != git.Zero {
			tips = append(tips, u.New)
		}
	}
	if len(tips) == 0 {
		return nil
	}
	var header [12]byte
	if _, err := io.ReadFull(p.Pack, header[:]); err != nil {
		return fault.New(fault.BadRequest, "no pack was sent")
	}
	if string(header[:4]) != "PACK" {
		return fault.New(fault.BadRequest, "bad pack header")
	}
	version, objects := binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint32(header[8:])
	if err := repo.Receive(ctx, p.Pack, version, objects, MaxPack); err != nil {
		return unpackFault(err)
	}
	if err := repo.Connected(ctx, tips); err != nil {
		return unpackFault(err)
	}
	return nil
}

// unpackFault is what the client may hear of a pack that git refused.
func unpackFault(err error) error {
	if err = orFull(err); fault.Is(err, fault.NoSpace) {
		return err
	}
	e, ok := errors.AsType[*git.Error](err)
	if !ok {
		return err
	}
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	return fault.New(fault.BadRequest, "%s", strings.TrimPrefix(lines[0], "fatal: "))
}

// receiver is one push being worked on. Its project is locked.
type receiver struct {
	s        *Service
	caller   *Account
	project  *Project
	repo     *git.Repo // in quarantine until released
	push     Push
	released bool
	report   report
}

func (r *receiver) run(ctx context.Context) ([]PushStatus, error) {
	statuses := make([]PushStatus, len(r.push.Updates))
	for i, u := range r.push.Updates {
		statuses[i].Ref = u.Ref
		err := r.update(ctx, u)
		if refused, ok := errors.AsType[*refusal](err); ok {
			r.report.refused(refused)
			statuses[i].Reason = refused.reason
			continue
		}
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				r.s.log.ErrorContext(ctx, "push failed", "project", r.project.Name, "ref", u.Ref, "account", r.caller.ID, "err", err)
				statuses[i].Reason = "internal server error"
				continue
			}
			statuses[i].Reason = err.Error()
		}
	}
	r.report.write(r.push.Progress, len(r.push.Updates))
	return statuses, nil
}

// update carries out one update.
func (r *receiver) update(ctx context.Context, u git.Update) error {
	if !git.ValidRef(refWithoutOptions(u.Ref)) {
		return refuse("invalid ref name")
	}
	switch {
	case strings.HasPrefix(u.Ref, magicPrefix):
		return r.magic(ctx, u)
	case strings.HasPrefix(u.Ref, changesPrefix):
		return refuse("upload to refs/changes not allowed")
	case strings.HasPrefix(u.Ref, headsPrefix), strings.HasPrefix(u.Ref, tagsPrefix):
		return r.direct(ctx, u)
	}
	return refuse("prohibited by Gerrit: not permitted: create")
}

// release moves what was received out of quarantine, once.
func (r *receiver) release() error {
	if r.released {
		return nil
	}
	r.released = true
	return orFull(r.repo.Release())
}

const magicPrefix = "refs/for/"

// refWithoutOptions is the ref as far as the % of a push to refs/for/.
func refWithoutOptions(ref string) string {
	if strings.HasPrefix(ref, magicPrefix) {
		ref, _, _ = strings.Cut(ref, "%")
	}
	return ref
}

// report is what the user sees of a push.
type report struct {
	lines        []reportLine
	warnings     []string
	refusals     []string
	made, update int
}

type reportLine struct {
	url, subject string
	marks        string // " [WIP] [NEW]"
	number       int64
	fresh        bool
}

func (r *report) refused(why *refusal) {
	if why.text != "" {
		r.refusals = append(r.refusals, why.text)
	}
}

// maxSubject is the length from which a subject is cut at a space.
const maxSubject = 80

// write writes what Gerrit writes; scripts match it. The first line, which
// the second overwrites on a terminal, is for those made for Gerrit 2.
func (r *report) write(w io.Writer, refs int) {
	if w == nil {
		return
	}
	counts := ""
	if r.made > 0 {
		counts += fmt.Sprintf(", new: %d", r.made)
		fmt.Fprintf(w, "Processing changes: new: %d\r", r.made)
	}
	if r.update > 0 {
		counts += fmt.Sprintf(", updated: %d", r.update)
	}
	fmt.Fprintf(w, "Processing changes: refs: %d%s, done\n", refs, counts)
	for _, text := range r.refusals {
		fmt.Fprint(w, text)
	}
	for _, text := range r.warnings {
		fmt.Fprintln(w, text)
	}
	if len(r.lines) == 0 {
		return
	}
	fmt.Fprint(w, "\nSUCCESS\n\n")
	var made []string
	for _, l := range r.lines {
		fmt.Fprintf(w, "  %s %s%s\n", l.url, cutSubject(l.subject), l.marks)
		if l.fresh {
			made = append(made, fmt.Sprint(l.number))
		}
	}
	if len(made) > 0 {
		fmt.Fprintf(w, "\nNew Changes: %s\n", strings.Join(made, " "))
	}
	fmt.Fprintln(w)
}

func cutSubject(subject string) string {
	runes := []rune(subject)
	if len(runes) <= maxSubject {
		return subject
	}
	short := string(runes[:maxSubject-3])
	if i := strings.LastIndexByte(short, ' '); i > 0 {
		short = short[:i]
	}
	return short + "..."
}
