// Package source says what the gate needs of a review system: a Gerrit
// server, and whatever else can tell of changes and take votes.
//
// A source tells what is, not only what happened. The gate decides by looking
// at a change as it stands, so an event is a mere hint to look again, and
// nothing is lost with an event that never came (GATE.md C8).
package source

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
)

// ErrNotFound is what Source.Change reports for a change that is not there,
// or not visible.
var ErrNotFound = errors.New("change not found")

// ErrRefused wraps the server's answer to a vote or submission that it will
// not accept however often it is tried.
var ErrRefused = errors.New("refused by the review server")

// Source is a review system. Its methods may be called concurrently.
type Source interface {
	// Watch calls the hooks as things happen until ctx ends, reconnecting as
	// often as needed.
	Watch(ctx context.Context, hooks Hooks) error
	// Change describes a change as it stands.
	Change(ctx context.Context, number int) (*Change, error)
	// Open calls f with every open change.
	Open(ctx context.Context, f func(*Change) error) error
	// Related returns the numbers of open changes along the change's chain of
	// commits in its project: those it needs, furthest ahead first, and those
	// that need it, nearest first.
	Related(ctx context.Context, c queue.Change) (needs, neededBy []int, err error)
	// Report leaves a message and votes on a patch set.
	Report(ctx context.Context, c queue.Change, r Report) error
	// Submit asks for the merge.
	Submit(ctx context.Context, c queue.Change) error
	// Merging tells how the server would merge the change.
	Merging(ctx context.Context, c queue.Change) (SubmitType, error)
	// Remote is the URL to fetch a project from, and the git configuration
	// (key to value) needed for it; credentials belong there.
	Remote(project string) (url string, config map[string]string)
}

// Hooks are called by Watch, one at a time.
type Hooks struct {
	// Connected is called whenever events begin to flow: what happened before
	// was perhaps missed.
	Connected func()
	// Touched is called when something happened to a change.
	Touched func(number int)
	// Lost is called when the events stopped, with the reason.
	Lost func(err error)
}

// Status is the state of a change.
type Status string

// The states of a change.
const (
	New       Status = "NEW"
	Merged    Status = "MERGED"
	Abandoned Status = "ABANDONED"
)

// Change is a change with its current patch set, as it stands.
type Change struct {
	queue.Change
	Status Status
	// WIP says that the owner does not want it looked at yet.
	WIP bool
	// Uploaded is when the current patch set came.
	Uploaded time.Time
	// Votes are those on the current patch set, without zeros.
	Votes []Vote
	// Messages are in the order in which they were left.
	Messages []Message
	// Unmet are the submit requirements of the server that do not hold, by
	// the name of the label or requirement.
	Unmet map[string]string
}

// Vote is a value somebody gave a label.
type Vote struct {
	Label string
	Value int
	By    string
	// Own is set for the gate's own votes.
	Own bool
}

// Message is what somebody, or the server for him, wrote on a change.
type Message struct {
	// Own is set for the gate's own messages.
	Own      bool
	PatchSet int
	Text     string
	At       time.Time
}

// Report is what the gate says about a patch set.
type Report struct {
	// Pipeline marks the message as this pipeline's.
	Pipeline string
	Message  string
	// Labels are the votes to cast; 0 takes a vote back.
	Labels map[string]int
	// Comments are remarks at lines of files.
	Comments []Comment
	// Quiet asks not to notify anybody.
	Quiet bool
}

// Comment is a remark at a line of a file.
type Comment struct {
	Path    string
	Line    int
	Message string
}

// SubmitType is the way a server merges, in Gerrit's words.
type SubmitType string

// The submit types. The gate can foresee the result of the first three.
const (
	MergeIfNecessary  SubmitType = "MERGE_IF_NECESSARY"
	MergeAlways       SubmitType = "MERGE_ALWAYS"
	FastForwardOnly   SubmitType = "FAST_FORWARD_ONLY"
	RebaseIfNecessary SubmitType = "REBASE_IF_NECESSARY"
	RebaseAlways      SubmitType = "REBASE_ALWAYS"
	CherryPick        SubmitType = "CHERRY_PICK"
)
