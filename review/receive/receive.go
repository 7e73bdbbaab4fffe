// Package receive speaks the server's side of git push, in place of git
// receive-pack, so that a push and the changes it makes are one transaction
// (https://git-scm.com/docs/gitprotocol-pack, "Pushing Data To a Server").
// What the push means is review's to decide.
package receive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// capabilities are what the server offers a client that pushes.
const capabilities = "report-status delete-refs side-band-64k quiet ofs-delta push-options object-format=sha1 agent=gatehouse"

// Advertise writes the refs that a client which pushes is shown.
func Advertise(ctx context.Context, s *review.Service, caller *review.Account, project string, w io.Writer) error {
	refs, err := s.PushRefs(ctx, caller, project)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	e := pktline.NewEncoder(out)
	if len(refs) == 0 {
		refs = []git.Ref{{Name: "capabilities^{}", Hash: git.Zero}}
	}
	for i, ref := range refs {
		line := ref.Hash + " " + ref.Name
		if i == 0 {
			line += "\x00" + capabilities
		}
		if err := e.EncodeString(line + "\n"); err != nil {
			return fmt.Errorf("advertise refs: %w", err)
		}
	}
	if err := e.Flush(); err != nil {
		return fmt.Errorf("advertise refs: %w", err)
	}
	return out.Flush()
}

// request is what a client asks for before it sends the pack.
type request struct {
	updates      []git.Update
	capabilities []string
	options      []string
}

// Limits of a request, so that it is read in bounded memory.
const (
	maxUpdates = 10000
	maxOptions = 1000
)

// Serve reads a client's updates and pack from r, lets the service carry them
// out, and reports to w. A client that asks for nothing gets no answer. Unless
// r is an *os.File, more than the push may be read of it.
//
// What is wrong with the push the client is told; an error means that the
// client could not be talked to.
func Serve(ctx context.Context, s *review.Service, caller *review.Account, project string, r io.Reader, w io.Writer) error {
	asked, err := read(r)
	if err != nil {
		return err
	}
	if len(asked.updates) == 0 {
		return nil
	}
	out := newReporter(w, asked)
	statuses, err := s.Push(ctx, caller, review.Push{
		Project: project, Updates: asked.updates, Options: asked.options, Pack: r, Progress: out,
	})
	return out.report(asked.updates, statuses, err)
}

func read(r io.Reader) (*request, error) {
	asked := &request{}
	lines := pktline.NewScanner(r)
	for lines.Scan() {
		line := string(lines.Bytes())
		if line == "" {
			break // a flush
		}
		if len(asked.updates) == maxUpdates {
			return nil, fault.New(fault.BadRequest, "more than %d updates in one push", maxUpdates)
		}
		if err := asked.add(line); err != nil {
			return nil, err
		}
	}
	if slices.Contains(asked.capabilities, "push-options") && lines.Err() == nil && len(asked.updates) > 0 {
		for lines.Scan() {
			line := string(lines.Bytes())
			if line == "" {
				break
			}
			if len(asked.options) == maxOptions {
				return nil, fault.New(fault.BadRequest, "more than %d push options", maxOptions)
			}
			asked.options = append(asked.options, strings.TrimSuffix(line, "\n"))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fault.New(fault.BadRequest, "bad push request: %v", err)
	}
	return asked, nil
}

// add reads a command, "OLD NEW REF", the first with capabilities behind NUL.
func (q *request) add(line string) error {
	line = strings.TrimSuffix(line, "\n")
	line, offered, found := strings.Cut(line, "\x00")
	if found {
		q.capabilities = strings.Fields(offered)
	}
	if strings.HasPrefix(line, "shallow ") {
		return nil // where the client's history ends; ours has to go on there, which is checked
	}
	parts := strings.SplitN(line, " ", 3)
	if len(parts) != 3 || !isHash(parts[0]) || !isHash(parts[1]) || parts[2] == "" {
		return fault.New(fault.BadRequest, "bad push command %.200q", line)
	}
	q.updates = append(q.updates, git.Update{Old: parts[0], New: parts[1], Ref: parts[2]})
	return nil
}

func isHash(text string) bool {
	return len(text) == len(git.Zero) && strings.Trim(text, "0123456789abcdef") == ""
}

// reporter writes what the client's user sees, and the report, multiplexed if
// the client can take that apart.
type reporter struct {
	w      io.Writer
	mux    *sideband.Muxer // nil: the client takes only the report
	wanted bool
}

func newReporter(w io.Writer, asked *request) *reporter {
	r := &reporter{w: w, wanted: slices.Contains(asked.capabilities, "report-status")}
	if slices.Contains(asked.capabilities, "side-band-64k") {
		r.mux = sideband.NewMuxer(sideband.Sideband64k, w)
	}
	return r
}

// Write shows text to the user, after "remote: ".
func (r *reporter) Write(p []byte) (int, error) {
	if r.mux == nil || len(p) == 0 {
		return len(p), nil
	}
	return r.mux.WriteChannel(sideband.ProgressMessage, p)
}

// report tells what became of the push (report-status).
func (r *reporter) report(updates []git.Update, statuses []review.PushStatus, err error) error {
	if !r.wanted {
		return nil
	}
	var text strings.Builder
	e := pktline.NewEncoder(&text)
	unpack := "ok"
	if err != nil {
		unpack = message(err)
		for _, u := range updates {
			statuses = append(statuses, review.PushStatus{Ref: u.Ref, Reason: "unpacker error"})
		}
	}
	lines := []string{"unpack " + unpack + "\n"}
	for _, s := range statuses {
		if s.Reason == "" {
			lines = append(lines, "ok "+s.Ref+"\n")
		} else {
			lines = append(lines, "ng "+s.Ref+" "+s.Reason+"\n")
		}
	}
	if err := errors.Join(e.EncodeString(lines...), e.Flush()); err != nil {
		return fmt.Errorf("report push: %w", err)
	}
	if r.mux == nil {
		_, err := io.WriteString(r.w, text.String())
		return err
	}
	if _, err := r.mux.Write([]byte(text.String())); err != nil {
		return err
	}
	return pktline.NewEncoder(r.w).Flush()
}

// message is what the client may hear of an error, in one line.
func message(err error) string {
	if fault.KindOf(err) == fault.Internal {
		return "internal server error"
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}
